//! TCP between two network namespaces of this host: both ends record what they send and what they receive.

use super::*;
use crate::pipeline::input::Sequence;

/// The client in its namespace knows the address of a service; the server in another knows its own.
fn client_end() -> Identity {
    end(1, "192.0.2.2:40000", "203.0.113.1:80", Sequence { sent_from: 500, received_from: 901 })
}

fn server_end() -> Identity {
    end(2, "198.51.100.2:8080", "198.51.100.1:55555", Sequence { sent_from: 901, received_from: 501 })
}

fn end(namespace: u32, local: &str, peer: &str, sequence: Sequence) -> Identity {
    let (local, peer) = (local.parse().unwrap(), peer.parse().unwrap());
    Identity::Tcp { namespace, local, peer, sequence: Some(sequence) }
}

fn sent(host: &mut Host, pid: u32, stream: u64, text: &str) {
    host.moved(pid, stream, Direction::Sent, text.len(), text.as_bytes());
}

fn is_one_call_with_four_times(host: &Host) {
    assert_eq!(host.outcomes(), [("tools/call", Outcome::Ok)]);
    let call = host.calls()[0];
    let pids = [&call.client, &call.server].map(|peer| peer.process.as_ref().map(|process| process.id.pid));
    assert_eq!(pids, [Some(CLIENT), Some(SERVER)]);
    assert!(call.client_duration.is_some() && call.server_duration.is_some(), "{call:?}");
    assert!(call.client_duration > call.server_duration);
    assert_eq!(call.certainty, Certainty::Whole);
    let addresses = [&call.client, &call.server].map(|peer| peer.address.unwrap().to_string());
    assert_eq!(addresses, ["192.0.2.2:40000", "198.51.100.2:8080"], "each end knows its own");
}

#[test]
fn a_call_is_one_with_four_times() {
    let (request, answer) = (post(&call(1, "echo"), ""), reply(&result(1), ""));
    let mut host = Host::new();
    host.open(CLIENT, 1, client_end());
    sent(&mut host, CLIENT, 1, &request);
    host.open(SERVER, 2, server_end());
    host.received(SERVER, 2, &request);
    sent(&mut host, SERVER, 2, &answer);
    host.received(CLIENT, 1, &answer);
    is_one_call_with_four_times(&host);
    assert_eq!(host.calls()[0].client_duration, ms(4));
    assert_eq!(host.calls()[0].server_duration, ms(1));
}

#[test]
fn a_server_that_is_slow_to_read_is_waited_for() {
    let (request, answer) = (post(&call(1, "echo"), ""), reply(&result(1), ""));
    let mut host = Host::new();
    host.open(CLIENT, 1, client_end());
    sent(&mut host, CLIENT, 1, &request);
    host.pass(Duration::from_secs(1));
    host.open(SERVER, 2, server_end());
    host.received(SERVER, 2, &request);
    sent(&mut host, SERVER, 2, &answer);
    host.received(CLIENT, 1, &answer);
    is_one_call_with_four_times(&host);
}

#[test]
fn a_client_that_tells_of_its_request_after_the_answer_is_in_it() {
    let (request, answer) = (post(&call(1, "echo"), ""), reply(&result(1), ""));
    let mut host = Host::new();
    host.open(SERVER, 2, server_end());
    host.received(SERVER, 2, &request);
    sent(&mut host, SERVER, 2, &answer);
    host.open(CLIENT, 1, client_end());
    sent(&mut host, CLIENT, 1, &request);
    host.received(CLIENT, 1, &answer);
    assert_eq!(host.outcomes(), [("tools/call", Outcome::Ok)]);
    let call = host.calls()[0];
    assert_eq!(call.client.process.as_ref().map(|process| process.id.pid), Some(CLIENT));
    assert_eq!(call.certainty, Certainty::Whole);
}

#[test]
fn later_calls_of_the_connection_are_read_where_they_are_received() {
    let mut host = Host::new();
    host.open(CLIENT, 1, client_end());
    for id in 1..=3 {
        let (request, answer) = (post(&call(id, "echo"), ""), reply(&result(id), ""));
        if id == 3 {
            // The server is told of first: its answer must not be read before its request.
            host.received(SERVER, 2, &request);
            sent(&mut host, SERVER, 2, &answer);
            sent(&mut host, CLIENT, 1, &request);
        } else {
            sent(&mut host, CLIENT, 1, &request);
            if id == 1 {
                host.open(SERVER, 2, server_end());
            }
            host.received(SERVER, 2, &request);
            sent(&mut host, SERVER, 2, &answer);
        }
        host.received(CLIENT, 1, &answer);
    }
    assert_eq!(host.outcomes(), [("tools/call", Outcome::Ok); 3]);
    assert!(host.calls().iter().all(|call| call.client_duration.is_some() && call.server_duration.is_some()));
}

#[test]
fn a_server_on_another_host_is_read_from_what_its_client_sends() {
    let (request, answer) = (post(&call(1, "echo"), ""), reply(&result(1), ""));
    let mut host = Host::new();
    host.open(CLIENT, 1, client_end());
    sent(&mut host, CLIENT, 1, &request);
    host.received(CLIENT, 1, &answer);
    assert_eq!(host.outcomes(), [("tools/call", Outcome::Ok)]);
    let call = host.calls()[0];
    assert_eq!((call.client_duration, call.server_duration), (ms(1), None));
    assert_eq!(call.server.process, None);
}

#[test]
fn a_client_on_another_host_is_waited_for_a_short_time_only() {
    let (request, answer) = (post(&call(1, "echo"), ""), reply(&result(1), ""));
    let mut host = Host::new();
    host.open(SERVER, 2, server_end());
    host.received(SERVER, 2, &request);
    sent(&mut host, SERVER, 2, &answer);
    assert_eq!(host.outcomes(), []);
    let due = host.pipeline.deadline().unwrap();
    assert_eq!(due.since(Timestamp::from_nanos(host.now_ms * 1_000_000)), Duration::from_millis(50));
    host.pass(Duration::from_millis(50));
    assert_eq!(host.outcomes(), [("tools/call", Outcome::Ok)]);
    assert_eq!(host.calls()[0].server_duration, ms(1), "the times are those of the bytes");
    // Once known, nothing waits any more.
    let (request, answer) = (post(&call(2, "echo"), ""), reply(&result(2), ""));
    host.received(SERVER, 2, &request);
    sent(&mut host, SERVER, 2, &answer);
    assert_eq!(host.outcomes(), [("tools/call", Outcome::Ok); 2]);
}

#[test]
fn what_waits_is_bounded_and_not_lost() {
    let mut host = Host::new();
    host.open(CLIENT, 1, client_end());
    let filler = "x".repeat(300 << 10);
    let body = call(1, &filler);
    let (request, answer) = (post(&body, ""), reply(&result(1), ""));
    for part in request.as_bytes().chunks(50_000) {
        sent(&mut host, CLIENT, 1, std::str::from_utf8(part).unwrap());
    }
    assert_eq!(host.pipeline.early_bytes, 0, "more than one connection may keep is read at once");
    host.open(SERVER, 2, server_end());
    host.received(SERVER, 2, &request);
    sent(&mut host, SERVER, 2, &answer);
    host.received(CLIENT, 1, &answer);
    assert_eq!(host.outcomes(), [("tools/call", Outcome::Ok)]);
}

#[test]
fn what_waited_is_forgotten_with_its_connection() {
    let mut host = Host::new();
    host.open(CLIENT, 1, client_end());
    sent(&mut host, CLIENT, 1, &post(&call(1, "echo"), ""));
    assert_ne!(host.pipeline.early_bytes, 0);
    host.event(CLIENT, EventBody::StreamClosed { stream: StreamId(1) });
    assert_eq!(host.pipeline.early_bytes, 0);
}
