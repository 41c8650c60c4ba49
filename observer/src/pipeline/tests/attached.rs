//! A server in a container, behind the API of its runtime: who asks it, and that each call is one.

use super::*;
use crate::pipeline::jsonrpc::Id;

/// `docker run -i`, which the client starts; the daemon; what holds the container's pipes.
const COMMAND: u32 = 15;
const DAEMON: u32 = 16;
const SHIM: u32 = 17;

const ASK: &str = "POST /v1.41/containers/c/attach?stdin=1&stdout=1&stream=1 HTTP/1.1\r\nHost: api\r\nContent-Length: 0\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n";
const AGREE: &str = "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n";

fn frame(output: u8, text: &str) -> Vec<u8> {
    let length = u32::try_from(text.len()).unwrap().to_be_bytes();
    [&[output, 0, 0, 0], &length[..], text.as_bytes()].concat()
}

/// Pipes 1 and 2 between client and command, connection 11 and 12 from there to the daemon, pipes 3 and 4 from there
/// to the shim, and 5 and 6 from there to the server.
fn attached() -> Host {
    let mut host = Host::new();
    (1..=6).for_each(|stream| host.pipe(stream));
    // The command writes before it is accepted, and has no peer then.
    host.open(COMMAND, 11, Identity::Unix { inode: 111, peer_inode: 0 });
    host.open(DAEMON, 12, Identity::Unix { inode: 112, peer_inode: 111 });
    host
}

fn request(host: &mut Host, text: &str) {
    host.tell(1, CLIENT, COMMAND, text);
    host.carry((COMMAND, DAEMON), (11, 12), text.as_bytes());
    host.tell(3, DAEMON, SHIM, text);
    host.tell(5, SHIM, SERVER, text);
}

fn answer(host: &mut Host, text: &str) {
    host.tell(6, SERVER, SHIM, text);
    host.tell(4, SHIM, DAEMON, text);
    host.carry((DAEMON, COMMAND), (12, 11), &frame(1, text));
    host.tell(2, COMMAND, CLIENT, text);
}

/// Of each call who was asked, whether it counts, and its hops.
fn asked(host: &Host) -> Vec<(Option<u32>, bool, usize)> {
    let pid = |call: &&Call| call.server.process.as_ref().map(|process| process.id.pid);
    host.calls().iter().map(|call| (pid(call), call.is_counted(), call.links.hops.len())).collect()
}

const HOPS: [(Option<u32>, bool, usize); 4] =
    [(Some(SERVER), false, 0), (Some(SHIM), false, 1), (Some(DAEMON), false, 1), (Some(COMMAND), true, 1)];

#[test]
fn a_call_into_a_container_is_one() {
    let mut host = attached();
    host.carry((COMMAND, DAEMON), (11, 12), ASK.as_bytes());
    host.carry((DAEMON, COMMAND), (12, 11), AGREE.as_bytes());
    request(&mut host, &call(1, "t"));
    host.carry((DAEMON, COMMAND), (12, 11), &frame(2, "{\"level\":\"info\"}\n"));
    answer(&mut host, &result(1));
    assert_eq!(asked(&host), HOPS);
    for call in host.calls() {
        assert_eq!((call.transport, call.certainty), (Transport::Stdio, Certainty::Whole));
        assert_eq!((call.outcome, &call.id), (Outcome::Ok, &Id::Number("1".into())));
    }
}

#[test]
fn a_container_that_ran_before_is_joined() {
    let mut host = attached();
    request(&mut host, &call(7, "t"));
    answer(&mut host, &result(7));
    assert_eq!(asked(&host), HOPS);
}

#[test]
fn what_is_said_beside_mcp_is_no_call() {
    let mut host = attached();
    host.carry((COMMAND, DAEMON), (11, 12), ASK.as_bytes());
    host.carry((DAEMON, COMMAND), (12, 11), AGREE.as_bytes());
    host.carry((COMMAND, DAEMON), (11, 12), b"ls -l\n");
    host.carry((DAEMON, COMMAND), (12, 11), &frame(1, "total 0\n{\"jsonrpc\":\"2.0\",\"id\":1}\n"));
    assert!(host.calls().is_empty() && host.faults().is_empty());
}
