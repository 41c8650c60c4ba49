//! What comes out when known bytes go in: stdio, HTTP and TLS, with losses and look-alikes.

mod ends;

use std::time::Duration;

use observer_common::stream::{TlsLibrary, Verdict};

use super::input::{Direction, Event, EventBody, Identity, Input, ProcessFacts, ProcessId, StreamId};
use super::observation::{Call, CallDirection, Certainty, Observation, Outcome, Transport};
use super::{Pipeline, Settings, Timestamp};

const CLIENT: u32 = 10;
const SERVER: u32 = 20;

/// A host with a clock that goes on by a millisecond with every event.
struct Host {
    pipeline: Pipeline,
    now_ms: u64,
    positions: std::collections::BTreeMap<(StreamId, Direction), u64>,
    seen: Vec<Observation>,
}

impl Host {
    fn new() -> Self {
        let pipeline = Pipeline::new(Settings::default());
        Self { pipeline, now_ms: 0, positions: Default::default(), seen: Vec::new() }
    }

    fn event(&mut self, pid: u32, body: EventBody<'_>) {
        self.now_ms += 1;
        let at = Timestamp::from_nanos(self.now_ms * 1_000_000);
        let process = ProcessId { pid, started_ns: 1 };
        self.pipeline.feed(Input::Seen(Event { at, process, body }));
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(observation) = self.pipeline.next() {
            self.seen.push(observation);
        }
    }

    fn open(&mut self, pid: u32, stream: u64, identity: Identity) {
        self.event(pid, EventBody::StreamOpened { stream: StreamId(stream), identity });
    }

    fn pipe(&mut self, stream: u64) {
        self.open(0, stream, Identity::Pipe { named: false });
    }

    fn moved(&mut self, pid: u32, stream: u64, direction: Direction, count: usize, data: &[u8]) {
        let stream = StreamId(stream);
        let position = self.positions.entry((stream, direction)).or_default();
        let at = *position;
        *position += count as u64;
        let moved = count as u64;
        self.event(pid, EventBody::Bytes { stream, direction, position: at, moved, data });
    }

    fn sent(&mut self, pid: u32, stream: u64, text: &str) {
        self.moved(pid, stream, Direction::Sent, text.len(), b"");
    }

    fn received(&mut self, pid: u32, stream: u64, text: &str) {
        self.moved(pid, stream, Direction::Received, text.len(), text.as_bytes());
    }

    fn lost(&mut self, stream: u64, direction: Direction, count: u64) {
        *self.positions.entry((StreamId(stream), direction)).or_default() += count;
    }

    /// A text sent and received on a pipe.
    fn tell(&mut self, stream: u64, from: u32, to: u32, text: &str) {
        self.sent(from, stream, text);
        self.received(to, stream, text);
    }

    fn pass(&mut self, time: Duration) {
        self.now_ms += u64::try_from(time.as_millis()).unwrap();
        self.pipeline.feed(Input::Time(Timestamp::from_nanos(self.now_ms * 1_000_000)));
        self.drain();
    }

    fn calls(&self) -> Vec<&Call> {
        self.seen
            .iter()
            .filter_map(|observation| match observation {
                Observation::Call(call) => Some(&**call),
                _ => None,
            })
            .collect()
    }

    fn outcomes(&self) -> Vec<(&str, Outcome)> {
        self.calls().iter().map(|call| (&*call.method, call.outcome)).collect()
    }
}

fn call(id: u32, tool: &str) -> String {
    format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"tools/call\",\"params\":{{\"name\":\"{tool}\"}}}}\n"
    )
}

fn result(id: u32) -> String {
    format!("{{\"result\":{{\"content\":[]}},\"jsonrpc\":\"2.0\",\"id\":{id}}}\n")
}

const fn ms(count: u64) -> Option<Duration> {
    Some(Duration::from_millis(count))
}

#[test]
fn a_stdio_call_has_times_from_both_ends() {
    let mut host = Host::new();
    host.pipe(1);
    host.pipe(2);
    let facts = ProcessFacts {
        exe: "/usr/bin/python3".into(),
        arguments: vec!["python3".into(), "server.py".into(), "--secret".into()].into(),
        ..Default::default()
    };
    host.event(SERVER, EventBody::ProcessSeen(Box::new(facts)));
    host.tell(1, CLIENT, SERVER, &call(1, "echo"));
    host.pass(Duration::from_millis(10));
    host.tell(2, SERVER, CLIENT, &result(1));
    let calls = host.calls();
    let [call] = calls.as_slice() else { unreachable!("{calls:?}") };
    assert_eq!(call.outcome, Outcome::Ok);
    assert_eq!((call.client_duration, call.server_duration), (ms(13), ms(11)));
    assert_eq!(call.at, Timestamp::from_nanos(4_000_000));
    assert_eq!(call.client.process.as_ref().unwrap().id.pid, CLIENT);
    assert_eq!(&*call.server.process.as_ref().unwrap().command, "python3 server.py");
    assert_eq!(call.certainty, Certainty::Whole);
    assert_eq!(call.transport, Transport::Stdio);
    assert_eq!(host.pipeline.next_verdict(), Some((StreamId(1), Verdict::Capture)));
    assert_eq!(host.pipeline.next_verdict(), Some((StreamId(2), Verdict::Capture)));
}

#[test]
fn equal_ids_in_parallel_sessions_do_not_mix() {
    let mut host = Host::new();
    for session in 0..8u32 {
        host.pipe(u64::from(session) * 2 + 1);
        host.pipe(u64::from(session) * 2 + 2);
    }
    for id in 1..4 {
        for session in 0..8 {
            host.tell(
                u64::from(session) * 2 + 1,
                CLIENT,
                SERVER + session,
                &call(id, &format!("t{session}")),
            );
        }
        for session in (0..8).rev() {
            host.tell(u64::from(session) * 2 + 2, SERVER + session, CLIENT, &result(id));
        }
    }
    assert_eq!(host.calls().len(), 24);
    for call in host.calls() {
        let session = call.server.process.as_ref().unwrap().id.pid - SERVER;
        assert_eq!(
            call.subject.as_ref().unwrap(),
            &super::observation::Subject::Tool(format!("t{session}").into())
        );
    }
}

#[test]
fn the_senders_report_may_come_after_the_receivers() {
    let mut host = Host::new();
    host.pipe(1);
    host.pipe(2);
    host.received(SERVER, 1, &call(1, "echo"));
    host.sent(CLIENT, 1, &call(1, "echo"));
    host.received(CLIENT, 2, &result(1));
    assert_eq!(host.calls().len(), 0, "nobody knows yet who answered");
    host.sent(SERVER, 2, &result(1));
    assert_eq!(host.outcomes(), [("tools/call", Outcome::Ok)]);
    assert_eq!(host.calls()[0].client_duration, ms(2), "sent no later than received");
}

#[test]
fn node_style_socket_pairs_and_requests_of_the_server() {
    let mut host = Host::new();
    // Two pairs, each used one way.
    host.open(CLIENT, 1, Identity::Unix { inode: 100, peer_inode: 101 });
    host.open(SERVER, 2, Identity::Unix { inode: 101, peer_inode: 100 });
    host.open(SERVER, 3, Identity::Unix { inode: 201, peer_inode: 200 });
    host.open(CLIENT, 4, Identity::Unix { inode: 200, peer_inode: 201 });
    host.sent(CLIENT, 1, &call(0, "ask"));
    host.received(SERVER, 2, &call(0, "ask"));
    let sampling = "{\"method\":\"sampling/createMessage\",\"params\":{},\"jsonrpc\":\"2.0\",\"id\":0}\n";
    host.sent(SERVER, 3, sampling);
    host.received(CLIENT, 4, sampling);
    host.sent(CLIENT, 1, &result(0));
    host.received(SERVER, 2, &result(0));
    host.sent(SERVER, 3, &result(0));
    host.received(CLIENT, 4, &result(0));
    let calls = host.calls();
    assert_eq!(host.outcomes(), [("sampling/createMessage", Outcome::Ok), ("tools/call", Outcome::Ok)]);
    assert_eq!(calls[0].direction, CallDirection::ServerToClient);
    for call in calls {
        assert_eq!(call.client.process.as_ref().unwrap().id.pid, CLIENT);
        assert_eq!(call.server.process.as_ref().unwrap().id.pid, SERVER);
    }
}

#[test]
fn a_message_cut_at_any_byte_is_the_same_call() {
    let (request, answer) = (call(7, "echo"), result(7));
    let mut expected: Option<Vec<(String, Outcome)>> = None;
    for cut in 0..request.len() {
        let mut host = Host::new();
        host.pipe(1);
        host.pipe(2);
        for part in [&request[..cut], &request[cut..]] {
            if !part.is_empty() {
                host.tell(1, CLIENT, SERVER, part);
            }
        }
        for part in answer.as_bytes().chunks(cut.max(1)) {
            host.tell(2, SERVER, CLIENT, std::str::from_utf8(part).unwrap());
        }
        let seen: Vec<_> =
            host.outcomes().iter().map(|(method, outcome)| ((*method).to_owned(), *outcome)).collect();
        assert_eq!(
            &seen,
            expected.get_or_insert(vec![("tools/call".to_owned(), Outcome::Ok)]),
            "cut at {cut}"
        );
    }
}

#[test]
fn a_hole_in_an_answer_leaves_its_times() {
    let mut host = Host::new();
    host.pipe(1);
    host.pipe(2);
    host.tell(1, CLIENT, SERVER, &call(1, "big"));
    let answer = result(1);
    let (head, rest) = answer.split_at(15);
    host.tell(2, SERVER, CLIENT, head);
    host.lost(2, Direction::Sent, 5);
    host.lost(2, Direction::Received, 5);
    host.tell(2, SERVER, CLIENT, &rest[5..]);
    assert_eq!(host.outcomes(), [("tools/call", Outcome::Ok)]);
    assert_eq!(host.calls()[0].certainty, Certainty::Inferred);
}

#[test]
fn a_hole_never_pairs_an_answer_with_the_wrong_call() {
    let mut host = Host::new();
    host.pipe(1);
    host.pipe(2);
    host.tell(1, CLIENT, SERVER, &call(1, "one"));
    host.tell(1, CLIENT, SERVER, &call(2, "two"));
    // The hole swallows the end of the first answer and the beginning of the second.
    let both = format!("{}{}", result(1), result(2));
    host.tell(2, SERVER, CLIENT, &both[..20]);
    let tail = both.len() - 12;
    let missing = (tail - 20) as u64;
    host.lost(2, Direction::Sent, missing);
    host.lost(2, Direction::Received, missing);
    host.tell(2, SERVER, CLIENT, &both[tail..]);
    assert_eq!(host.outcomes(), []);
}

#[test]
fn look_alikes_and_logs_are_not_calls() {
    for text in [
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":{\"protocolVersion\":1,\"clientInfo\":{}}}\n",
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"eth_blockNumber\",\"params\":[]}\n",
        "{\"level\":\"info\",\"msg\":\"tools/call\"}\n",
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n",
    ] {
        let mut host = Host::new();
        host.pipe(1);
        host.pipe(2);
        host.tell(1, CLIENT, SERVER, text);
        host.tell(2, SERVER, CLIENT, &result(1));
        host.pipeline.finish(Timestamp::from_nanos(u64::MAX / 2));
        host.drain();
        assert_eq!(host.seen, [], "{text}");
    }
}

#[test]
fn what_came_before_the_proof_is_shown_with_it() {
    let mut host = Host::new();
    host.pipe(1);
    host.pipe(2);
    host.tell(1, CLIENT, SERVER, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n");
    host.tell(2, SERVER, CLIENT, &result(1));
    assert_eq!(host.outcomes(), []);
    host.tell(1, CLIENT, SERVER, &call(2, "echo"));
    assert_eq!(host.outcomes(), [("ping", Outcome::Ok)]);
}

#[test]
fn a_call_ends_with_its_cancellation_its_client_or_its_wire() {
    let mut host = Host::new();
    host.pipe(1);
    host.pipe(2);
    host.tell(1, CLIENT, SERVER, &call(1, "echo"));
    host.tell(2, SERVER, CLIENT, &result(1));
    host.tell(1, CLIENT, SERVER, &call(2, "slow"));
    let cancel =
        "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":2}}\n";
    host.tell(1, CLIENT, SERVER, cancel);
    host.pass(Duration::from_secs(5));
    host.tell(1, CLIENT, SERVER, &call(3, "slow"));
    host.event(CLIENT, EventBody::StreamClosed { stream: StreamId(2) });
    host.tell(1, CLIENT, SERVER, &call(4, "slow"));
    host.event(CLIENT, EventBody::ProcessExited { status: 9 });
    let ends: Vec<_> = host.calls().iter().map(|call| call.outcome).collect();
    assert_eq!(ends, [Outcome::Ok, Outcome::Cancelled, Outcome::Abandoned, Outcome::Abandoned]);
}

#[test]
fn nothing_is_said_of_calls_that_outlast_the_observer() {
    let mut host = Host::new();
    host.pipe(1);
    host.tell(1, CLIENT, SERVER, &call(1, "slow"));
    let end = Timestamp::from_nanos(host.now_ms * 1_000_000);
    assert_eq!(host.pipeline.finish(end), 1);
    host.drain();
    assert_eq!(host.outcomes(), []);
}

#[test]
fn a_line_like_another_protocols_head_is_only_a_line() {
    let mut host = Host::new();
    host.pipe(1);
    host.pipe(2);
    host.tell(1, CLIENT, SERVER, &call(1, "t"));
    host.tell(2, SERVER, CLIENT, &result(1));
    host.tell(1, CLIENT, SERVER, &call(2, "t"));
    host.tell(2, SERVER, CLIENT, "Content-Length: 12\r\n");
    host.tell(2, SERVER, CLIENT, &result(2));
    assert_eq!(host.outcomes(), [("tools/call", Outcome::Ok); 2]);
}

#[test]
fn an_answer_may_be_read_after_the_end_of_its_server() {
    let mut host = Host::new();
    host.pipe(1);
    host.pipe(2);
    host.tell(1, CLIENT, SERVER, &call(1, "once"));
    host.sent(SERVER, 2, &result(1));
    host.event(SERVER, EventBody::ProcessExited { status: 0 });
    host.pass(Duration::from_secs(1));
    host.received(CLIENT, 2, &result(1));
    assert_eq!(host.outcomes(), [("tools/call", Outcome::Ok)]);
}

fn tcp(local: u16, peer: u16) -> Identity {
    let address = |port| std::net::SocketAddr::from(([127, 0, 0, 1], port));
    Identity::Tcp { namespace: 1, local: address(local), peer: address(peer) }
}

fn post(body: &str, headers: &str) -> String {
    let body = body.trim_end();
    format!(
        "POST /mcp HTTP/1.1\r\nHost: localhost:80\r\nContent-Type: application/json\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn reply(body: &str, headers: &str) -> String {
    let body = body.trim_end();
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// A loopback connection: stream 1 is the client's end, stream 2 the server's.
fn connect(host: &mut Host, client_stream: u64, server_stream: u64, port: u16) {
    host.open(CLIENT, client_stream, tcp(port, 80));
    host.open(SERVER, server_stream, tcp(80, port));
}

#[test]
fn an_http_call_is_one_although_both_ends_are_here() {
    let mut host = Host::new();
    connect(&mut host, 1, 2, 4000);
    for id in 1..4 {
        let (request, answer) = (post(&call(id, "echo"), ""), reply(&result(id), ""));
        host.sent(CLIENT, 1, &request);
        host.received(SERVER, 2, &request);
        host.sent(SERVER, 2, &answer);
        host.received(CLIENT, 1, &answer);
    }
    assert_eq!(host.outcomes(), [("tools/call", Outcome::Ok); 3]);
    for call in host.calls() {
        assert_eq!((call.client_duration, call.server_duration), (ms(3), ms(1)));
        assert_eq!(call.server.address, Some(([127, 0, 0, 1], 80).into()));
        assert_eq!(call.transport, Transport::StreamableHttp);
    }
}

#[test]
fn an_event_stream_carries_progress_and_the_answer() {
    let mut host = Host::new();
    connect(&mut host, 1, 2, 4000);
    let body = "{\"method\":\"tools/call\",\"params\":{\"name\":\"t\",\"_meta\":{\"progressToken\":5}},\"jsonrpc\":\"2.0\",\"id\":9}";
    let request = post(body, "");
    host.sent(CLIENT, 1, &request);
    host.received(SERVER, 2, &request);
    let mut answer =
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned();
    let progress = "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progressToken\":5,\"progress\":1}}";
    for text in [progress, progress, result(9).trim_end()] {
        let event = format!("event: message\ndata: {text}\n\n");
        answer += &format!("{:x}\r\n{event}\r\n", event.len());
    }
    answer += "0\r\n\r\n";
    for part in answer.as_bytes().chunks(50) {
        let part = std::str::from_utf8(part).unwrap();
        host.sent(SERVER, 2, part);
        host.received(CLIENT, 1, part);
    }
    assert_eq!(host.outcomes(), [("tools/call", Outcome::Ok)]);
    assert_eq!(host.calls()[0].progress, 2);
}

#[test]
fn a_status_is_the_end_of_a_call() {
    let mut host = Host::new();
    connect(&mut host, 1, 2, 4000);
    for (id, status) in [(1, "401 Unauthorized"), (2, "200 OK")] {
        let request = post(&call(id, "t"), "");
        host.sent(CLIENT, 1, &request);
        host.received(SERVER, 2, &request);
        let answer = if id == 1 {
            format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n")
        } else {
            reply(&result(2), "")
        };
        host.sent(SERVER, 2, &answer);
        host.received(CLIENT, 1, &answer);
    }
    assert_eq!(host.outcomes(), [("tools/call", Outcome::HttpError), ("tools/call", Outcome::Ok)]);
    assert_eq!(host.calls()[0].error_code, Some(401));
}

#[test]
fn a_redirected_request_is_the_call_that_it_becomes() {
    let mut host = Host::new();
    connect(&mut host, 1, 2, 4000);
    let request = post(&call(1, "t"), "");
    let moved = "HTTP/1.1 307 Temporary Redirect\r\nLocation: /mcp/\r\nContent-Length: 0\r\n\r\n".to_owned();
    for answer in [moved, reply(&result(1), "")] {
        host.sent(CLIENT, 1, &request);
        host.received(SERVER, 2, &request);
        host.sent(SERVER, 2, &answer);
        host.received(CLIENT, 1, &answer);
    }
    assert_eq!(host.outcomes(), [("tools/call", Outcome::Ok)]);
}

#[test]
fn an_answer_of_2024_comes_on_the_event_stream() {
    let mut host = Host::new();
    connect(&mut host, 1, 2, 4000);
    connect(&mut host, 3, 4, 4001);
    let exchange = |host: &mut Host, (client, server): (u64, u64), up: &str, down: &str| {
        if !up.is_empty() {
            host.sent(CLIENT, client, up);
            host.received(SERVER, server, up);
        }
        if !down.is_empty() {
            host.sent(SERVER, server, down);
            host.received(CLIENT, client, down);
        }
    };
    let get = "GET /sse HTTP/1.1\r\nHost: localhost:80\r\nAccept: text/event-stream\r\n\r\n";
    let stream = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\nevent: endpoint\ndata: /mcp\n\n";
    exchange(&mut host, (1, 2), get, stream);
    exchange(
        &mut host,
        (3, 4),
        &post(&call(0, "t"), ""),
        "HTTP/1.1 202 Accepted\r\nContent-Length: 8\r\n\r\nAccepted",
    );
    assert_eq!(host.outcomes(), []);
    exchange(&mut host, (1, 2), "", &format!("event: message\ndata: {}\n", result(0)));
    assert_eq!(host.outcomes(), [("tools/call", Outcome::Ok)]);
    assert_eq!(host.calls()[0].transport, Transport::HttpSse);
    assert_eq!((host.calls()[0].client_duration, host.calls()[0].server_duration), (ms(5), ms(3)));
}

#[test]
fn a_server_asks_on_an_event_stream_and_is_answered_by_a_post() {
    let mut host = Host::new();
    connect(&mut host, 1, 2, 4000);
    connect(&mut host, 3, 4, 4001);
    let session = "Mcp-Session-Id: abc\r\n";
    let request = post(&call(0, "t"), session);
    host.sent(CLIENT, 1, &request);
    host.received(SERVER, 2, &request);
    let sampling = "{\"method\":\"sampling/createMessage\",\"params\":{},\"jsonrpc\":\"2.0\",\"id\":0}";
    let stream = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nMcp-Session-Id: abc\r\n\r\ndata: {sampling}\n\n"
    );
    host.sent(SERVER, 2, &stream);
    host.received(CLIENT, 1, &stream);
    let request = post(&result(0), session);
    host.sent(CLIENT, 3, &request);
    host.received(SERVER, 4, &request);
    let event = format!("data: {}\n", result(0));
    host.sent(SERVER, 2, &event);
    host.received(CLIENT, 1, &event);
    assert_eq!(host.outcomes(), [("sampling/createMessage", Outcome::Ok), ("tools/call", Outcome::Ok)]);
    assert!(host.calls()[1].session.is_some());
}

#[test]
fn the_plaintext_of_both_ends_is_one_call() {
    let mut host = Host::new();
    connect(&mut host, 1, 2, 4000);
    let tls = Identity::Tls { library: TlsLibrary::OpenSsl };
    host.open(CLIENT, 11, tls.clone());
    host.open(SERVER, 12, tls);
    // The sockets' own bytes are counted only.
    host.moved(CLIENT, 1, Direction::Sent, 100, b"");
    host.moved(SERVER, 2, Direction::Sent, 100, b"");
    for id in 1..3 {
        let (request, answer) = (post(&call(id, "t"), ""), reply(&result(id), ""));
        let both = |host: &mut Host, pid, stream, direction, text: &str| {
            host.moved(pid, stream, direction, text.len(), text.as_bytes());
        };
        both(&mut host, CLIENT, 11, Direction::Sent, &request);
        host.event(CLIENT, EventBody::TlsBound { stream: StreamId(11), socket: StreamId(1) });
        both(&mut host, SERVER, 12, Direction::Received, &request);
        host.event(SERVER, EventBody::TlsBound { stream: StreamId(12), socket: StreamId(2) });
        both(&mut host, SERVER, 12, Direction::Sent, &answer);
        both(&mut host, CLIENT, 11, Direction::Received, &answer);
    }
    assert_eq!(host.outcomes(), [("tools/call", Outcome::Ok); 2]);
    for call in host.calls() {
        assert_eq!((call.client_duration, call.server_duration), (ms(5), ms(2)));
        assert_eq!(call.tls, Some(TlsLibrary::OpenSsl));
        assert_eq!(call.client.process.as_ref().unwrap().id.pid, CLIENT);
        assert_eq!(call.server.process.as_ref().unwrap().id.pid, SERVER);
        assert_eq!(call.server.address, Some(([127, 0, 0, 1], 80).into()));
    }
}

#[test]
fn a_session_inside_tls_is_one_although_both_ends_are_read() {
    let mut host = Host::new();
    connect(&mut host, 1, 2, 4000);
    let tls = Identity::Tls { library: TlsLibrary::OpenSsl };
    host.open(CLIENT, 11, tls.clone());
    host.open(SERVER, 12, tls);
    host.event(CLIENT, EventBody::TlsBound { stream: StreamId(11), socket: StreamId(1) });
    host.event(SERVER, EventBody::TlsBound { stream: StreamId(12), socket: StreamId(2) });
    let initialize = "{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"initialize\",\"params\":{\"protocolVersion\":\"2025-11-25\"}}";
    let initialized = "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}";
    let result = "{\"result\":{\"protocolVersion\":\"2025-11-25\",\"serverInfo\":{\"name\":\"py\"}},\"jsonrpc\":\"2.0\",\"id\":0}";
    let session = "Mcp-Session-Id: abc\r\n";
    let accepted = "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n".to_owned();
    for (up, down) in [(post(initialize, ""), reply(result, session)), (post(initialized, session), accepted)]
    {
        host.moved(CLIENT, 11, Direction::Sent, up.len(), up.as_bytes());
        host.moved(SERVER, 12, Direction::Received, up.len(), up.as_bytes());
        host.moved(SERVER, 12, Direction::Sent, down.len(), down.as_bytes());
        host.moved(CLIENT, 11, Direction::Received, down.len(), down.as_bytes());
    }
    let sessions: Vec<_> = host
        .seen
        .iter()
        .filter_map(|seen| match seen {
            Observation::SessionStarted(session) => Some(session),
            _ => None,
        })
        .collect();
    let [session] = sessions.as_slice() else { unreachable!("{sessions:?}") };
    assert_eq!(session.server.name.as_deref(), Some("py"));
    assert_eq!(session.revision.as_deref(), Some("2025-11-25"));
    let [call] = host.calls()[..] else { unreachable!("{:?}", host.outcomes()) };
    assert_eq!(call.session, session.session);
    let notifications = host.seen.iter().filter(|seen| matches!(seen, Observation::Notification(_)));
    assert_eq!(notifications.count(), 1);
}

#[test]
fn plaintext_that_is_read_at_one_end_only_is_shown_at_once() {
    let mut host = Host::new();
    host.open(CLIENT, 11, Identity::Tls { library: TlsLibrary::OpenSsl });
    let (request, answer) = (post(&call(1, "t"), ""), reply(&result(1), ""));
    host.moved(CLIENT, 11, Direction::Sent, request.len(), request.as_bytes());
    host.moved(CLIENT, 11, Direction::Received, answer.len(), answer.as_bytes());
    assert_eq!(host.outcomes(), [("tools/call", Outcome::Ok)]);
    assert_eq!((host.calls()[0].client_duration, host.calls()[0].server_duration), (ms(1), None));
}

#[test]
fn a_connection_that_was_ignored_is_read_again() {
    let mut host = Host::new();
    connect(&mut host, 1, 2, 4000);
    let page = "GET /index.html HTTP/1.1\r\nHost: localhost\r\n\r\n";
    host.sent(CLIENT, 1, page);
    host.received(SERVER, 2, page);
    assert_eq!(host.pipeline.next_verdict(), Some((StreamId(1), Verdict::Ignore)));
    // Counted only from here on, until a head comes again.
    host.moved(SERVER, 2, Direction::Sent, 900, b"");
    host.moved(CLIENT, 1, Direction::Received, 900, b"");
    host.moved(CLIENT, 1, Direction::Sent, 70, b"");
    host.moved(SERVER, 2, Direction::Received, 70, b"");
    host.moved(SERVER, 2, Direction::Sent, 900, b"");
    host.moved(CLIENT, 1, Direction::Received, 900, b"");
    let (request, answer) = (post(&call(1, "t"), ""), reply(&result(1), ""));
    host.sent(CLIENT, 1, &request);
    host.received(SERVER, 2, &request);
    host.sent(SERVER, 2, &answer);
    host.received(CLIENT, 1, &answer);
    assert_eq!(host.outcomes(), [("tools/call", Outcome::Ok)]);
    assert_eq!(host.calls()[0].certainty, Certainty::Whole);
}

#[test]
fn a_reused_id_abandons_the_call_before() {
    let mut host = Host::new();
    host.pipe(1);
    host.pipe(2);
    host.tell(1, CLIENT, SERVER, &call(1, "one"));
    host.tell(1, CLIENT, SERVER, &call(1, "two"));
    host.tell(2, SERVER, CLIENT, &result(1));
    assert_eq!(host.outcomes(), [("tools/call", Outcome::Abandoned), ("tools/call", Outcome::Ok)]);
    assert_eq!(host.calls()[1].subject.as_ref().unwrap(), &super::observation::Subject::Tool("two".into()));
}

#[test]
fn names_and_revision_come_from_both_parties() {
    let mut host = Host::new();
    host.pipe(1);
    host.pipe(2);
    host.tell(
        1,
        CLIENT,
        SERVER,
        "{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"initialize\",\"params\":{\"protocolVersion\":\"2026-07-28\",\"clientInfo\":{\"name\":\"rmcp\",\"version\":\"3\"}}}\n",
    );
    host.tell(
        2,
        SERVER,
        CLIENT,
        "{\"result\":{\"protocolVersion\":\"2025-11-25\",\"serverInfo\":{\"name\":\"py\",\"version\":\"\"}},\"jsonrpc\":\"2.0\",\"id\":0}\n",
    );
    host.tell(1, CLIENT, SERVER, &call(1, "echo"));
    host.tell(2, SERVER, CLIENT, &result(1));
    for call in host.calls() {
        assert_eq!(call.revision.as_deref(), Some("2025-11-25"), "what the server said");
        assert_eq!(call.client.name.as_deref(), Some("rmcp"));
        assert_eq!(call.server.name.as_deref(), Some("py"));
        assert_eq!(call.server.version, None);
    }
    let started = host.seen.iter().any(|seen| matches!(seen, Observation::SessionStarted(_)));
    assert!(started && host.seen.iter().any(|seen| matches!(seen, Observation::ServerStarted(_))));
}
