//! Rules of MCP over HTTP, by their numbers: where an answer may come, what ends a session, what a status means.

use super::*;
use crate::pipeline::observation::Subject;

const SESSION: &str = "Mcp-Session-Id: abc\r\n";
const STREAM: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
const ACCEPTED: &str = "HTTP/1.1 202 Accepted\r\nContent-Length: 8\r\n\r\nAccepted";

fn event(text: &str) -> String {
    format!("event: message\ndata: {}\n\n", text.trim_end())
}

fn post_to(target: &str, body: &str) -> String {
    post(body, "").replacen("/mcp", target, 1)
}

/// Two connections: streams 1 and 2, and 3 and 4.
fn two_connections() -> Host {
    let mut host = Host::new();
    connect(&mut host, 1, 2, 4000);
    connect(&mut host, 3, 4, 4001);
    host
}

impl Host {
    fn ask_on_second(&mut self, text: &str) {
        self.carry((CLIENT, SERVER), (3, 4), text.as_bytes());
    }

    fn answer_on_second(&mut self, text: &str) {
        self.carry((SERVER, CLIENT), (4, 3), text.as_bytes());
    }

    fn close(&mut self, pid: u32, stream: u64) {
        self.event(pid, EventBody::StreamClosed { stream: StreamId(stream) });
    }

    fn unanswerable(&self) -> usize {
        self.seen.iter().filter(|seen| matches!(seen, Observation::Unanswerable(_))).count()
    }
}

#[test]
fn r8_an_answer_may_come_on_a_resumed_stream() {
    let mut host = two_connections();
    host.ask(post(&call(1, "t"), SESSION));
    host.answer(format!("{STREAM}id: 7\ndata:\n\nretry: 100\n\n"));
    host.close(CLIENT, 1);
    host.pass(Duration::from_secs(5));
    assert_eq!(host.outcomes(), [], "the client may come back");
    host.ask_on_second("GET /mcp HTTP/1.1\r\nHost: localhost:80\r\nAccept: text/event-stream\r\nMcp-Session-Id: abc\r\nLast-Event-ID: 7\r\n\r\n");
    host.answer_on_second(&format!("{STREAM}{}", event(&result(1))));
    assert_eq!(host.outcomes(), [("tools/call", Outcome::Ok)]);
}

#[test]
fn r8_in_the_stateless_era_a_broken_stream_is_a_cancellation() {
    let mut host = two_connections();
    host.ask(post(
        &call(1, "t"),
        "Mcp-Method: tools/call\r\nMcp-Name: t\r\nMCP-Protocol-Version: 2026-07-28\r\n",
    ));
    host.answer(STREAM);
    host.close(CLIENT, 1);
    host.pass(Duration::from_secs(1));
    assert_eq!(host.outcomes(), [("tools/call", Outcome::Cancelled)]);
}

#[test]
fn r8_so_it_is_where_it_was_compressed() {
    let mut host = two_connections();
    host.ask(post(&call(1, "t"), "Mcp-Method: tools/call\r\nMCP-Protocol-Version: 2026-07-28\r\n"));
    host.answer(STREAM.replace("\r\n\r\n", "\r\nContent-Encoding: gzip\r\n\r\n"));
    host.close(CLIENT, 1);
    host.pass(Duration::from_secs(1));
    assert_eq!(host.outcomes(), [("tools/call", Outcome::Cancelled)]);
}

/// The answer may have been in the hole, or a word that there is none.
#[test]
fn r8_a_compressed_event_stream_with_a_hole_is_no_answer() {
    let mut host = two_connections();
    host.ask(post(&call(1, "t"), ""));
    let head = STREAM.replace("\r\n\r\n", "\r\nContent-Encoding: gzip\r\nContent-Length: 40\r\n\r\n");
    host.answer(head);
    host.answer([0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3]);
    host.moved(SERVER, 2, Direction::Sent, 20, b"");
    host.lost(1, Direction::Received, 20);
    host.answer([0; 10]);
    host.pass(Duration::from_secs(1));
    assert_eq!(host.outcomes(), [("tools/call", Outcome::Abandoned)]);
}

/// HTTP+SSE of 2024 where the stream was opened before the observer came: neither its head nor the endpoint was seen.
#[test]
fn r8_an_event_stream_that_was_open_before_is_found() {
    let mut host = two_connections();
    for id in 1..4 {
        host.ask_on_second(&post_to("/message?sessionId=s1", &call(id, "t")));
        host.answer_on_second(ACCEPTED);
        let text = event(&result(id));
        host.answer(format!("{:x}\r\n{text}\r\n", text.len()));
    }
    assert_eq!(host.outcomes(), [("tools/call", Outcome::Ok); 3]);
    for call in host.calls() {
        assert_eq!(call.transport, Transport::HttpSse);
        assert_eq!((call.client_duration, call.server_duration), (ms(5), ms(3)));
        assert!(call.session.is_some());
    }
    let certainties: Vec<_> = host.calls().iter().map(|call| call.certainty).collect();
    assert_eq!(certainties, [Certainty::TimesOnly, Certainty::Whole, Certainty::Whole]);
    assert_eq!(host.unanswerable(), 0);
}

#[test]
fn r8_what_is_only_accepted_is_answered_on_an_event_stream() {
    let mut host = two_connections();
    host.ask_on_second(&post_to("/messages/s1", &call(1, "t")));
    host.answer_on_second(ACCEPTED);
    host.pass(Duration::from_secs(30));
    assert_eq!(host.outcomes(), [], "it may still come");
    host.pass(Duration::from_secs(31));
    assert_eq!(host.outcomes(), [("tools/call", Outcome::Abandoned)]);
    assert_eq!(host.calls()[0].transport, Transport::HttpSse);
}

/// A response that may have accepted the request was lost: the answer is waited for on an event stream.
#[test]
fn r8_a_lost_response_may_have_accepted() {
    for lost in [1, 2] {
        let mut host = two_connections();
        for id in 1..4 {
            host.ask_on_second(&post_to("/message?sessionId=s1", &call(id, "t")));
            if id == lost {
                host.sent(SERVER, 4, ACCEPTED);
                host.lost(3, Direction::Received, ACCEPTED.len() as u64);
            } else {
                host.answer_on_second(ACCEPTED);
            }
        }
        host.pass(Duration::from_secs(30));
        assert_eq!(host.outcomes(), [], "it may still come");
        host.pass(Duration::from_secs(31));
        let ends: Vec<_> = host.calls().iter().map(|call| (call.outcome, call.transport)).collect();
        assert_eq!(ends, [(Outcome::Abandoned, Transport::HttpSse); 3], "the others were accepted there");
    }
}

#[test]
fn r8_the_answer_may_overtake_the_accepted() {
    let mut host = two_connections();
    host.ask_on_second(&post_to("/message?session_id=s1", &call(1, "t")));
    let text = event(&result(1));
    host.answer(format!("{:x}\r\n{text}\r\n", text.len()));
    host.answer_on_second(ACCEPTED);
    assert_eq!(host.outcomes(), [("tools/call", Outcome::Ok)]);
}

#[test]
fn r8_of_several_calls_each_finds_its_answer_on_a_stream_that_was_open_before() {
    let mut host = two_connections();
    for id in 1..4 {
        host.ask_on_second(&post_to("/message?sessionId=s1", &call(id, "t")));
        host.answer_on_second(ACCEPTED);
    }
    for id in [2, 1, 3] {
        let text = event(&result(id));
        host.answer(format!("{:x}\r\n{text}\r\n", text.len()));
    }
    assert_eq!(host.outcomes(), [("tools/call", Outcome::Ok); 3]);
    assert_eq!(host.unanswerable(), 0);
}

#[test]
fn r6_of_two_sessions_that_could_be_meant_none_is() {
    let mut host = two_connections();
    connect(&mut host, 5, 6, 4002);
    host.ask_on_second(&post_to("/message?sessionId=s1", &call(1, "t")));
    host.answer_on_second(ACCEPTED);
    let other = post_to("/message?sessionId=s2", &call(1, "u"));
    host.carry((CLIENT, SERVER), (5, 6), other.as_bytes());
    host.carry((SERVER, CLIENT), (6, 5), ACCEPTED.as_bytes());
    let text = event(&result(1));
    host.answer(format!("{:x}\r\n{text}\r\n", text.len()));
    assert_eq!(host.outcomes(), []);
    host.pass(Duration::from_secs(61));
    assert_eq!(host.outcomes(), [("tools/call", Outcome::Abandoned); 2]);
}

#[test]
fn r11_an_error_without_an_id_belongs_to_its_exchange() {
    r15_with(
        "400 Bad Request",
        r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32020,"message":"x"}}"#,
        -32020,
    );
}

#[test]
fn r15_an_error_that_omits_the_id_does_too() {
    r15_with("404 Not Found", r#"{"jsonrpc":"2.0","error":{"code":-32601,"message":"x"}}"#, -32601);
}

fn r15_with(status: &str, body: &str, code: i64) {
    let mut host = two_connections();
    host.ask(post(&call(1, "t"), SESSION));
    host.answer(reply(body, "").replacen("200 OK", status, 1));
    assert_eq!(host.outcomes(), [("tools/call", Outcome::RpcError)], "{status}");
    assert_eq!(host.calls()[0].error_code, Some(code));
}

#[test]
fn r13_only_a_session_with_an_id_is_one() {
    let mut host = two_connections();
    let modern = format!("Mcp-Method: tools/call\r\n{SESSION}");
    for headers in ["", &modern] {
        host.ask(post(&call(1, "t"), headers));
        host.answer(reply(&result(1), ""));
    }
    assert!(host.calls().iter().all(|call| call.session.is_none()));
}

fn sessions_ended(host: &Host) -> usize {
    host.seen.iter().filter(|seen| matches!(seen, Observation::SessionEnded(_))).count()
}

fn started() -> Host {
    let mut host = two_connections();
    let initialize = r#"{"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}},"jsonrpc":"2.0","id":0}"#;
    let initialized = r#"{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-06-18","serverInfo":{"name":"s","version":"1"},"capabilities":{}}}"#;
    host.ask(post(initialize, ""));
    host.answer(reply(initialized, SESSION));
    host
}

#[test]
fn r12_the_server_says_which_revision_is_spoken() {
    let mut host = started();
    host.ask(post(&call(1, "t"), SESSION));
    host.answer(reply(&result(1), ""));
    assert_eq!(host.calls()[1].revision.as_deref(), Some("2025-06-18"));
    assert_eq!(host.calls()[0].revision.as_deref(), Some("2025-06-18"));
}

#[test]
fn r14_a_session_ends_when_it_is_deleted_or_unknown() {
    let mut host = started();
    host.ask(format!("DELETE /mcp HTTP/1.1\r\nHost: localhost:80\r\n{SESSION}\r\n"));
    host.answer("HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(sessions_ended(&host), 0, "the server does not do that");
    host.ask(format!("DELETE /mcp HTTP/1.1\r\nHost: localhost:80\r\n{SESSION}\r\n"));
    host.answer("HTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!(sessions_ended(&host), 1);
    let mut host = started();
    host.ask(post(&call(1, "t"), SESSION));
    host.answer("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(sessions_ended(&host), 1);
    assert_eq!(host.outcomes().last(), Some(&("tools/call", Outcome::HttpError)));
}

#[test]
fn the_name_in_the_header_stands_in_for_a_lost_one() {
    let mut host = two_connections();
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"lost","arguments":{}}}"#;
    let text = post(body, "Mcp-Method: tools/call\r\nMcp-Name: =?base64?w7xiZXI=?=\r\n");
    let from = text.find("params").unwrap();
    host.sent(CLIENT, 1, &text);
    host.moved(SERVER, 2, Direction::Received, from, &text.as_bytes()[..from]);
    host.lost(2, Direction::Received, 20);
    host.moved(SERVER, 2, Direction::Received, text.len() - from - 20, &text.as_bytes()[from + 20..]);
    host.answer(reply(&result(1), ""));
    assert_eq!(host.outcomes(), [("tools/call", Outcome::Ok)]);
    assert_eq!(host.calls()[0].subject, Some(Subject::Tool("über".into())));
    assert_eq!(host.calls()[0].certainty, Certainty::TimesOnly);
}

#[test]
fn a_client_that_waits_for_leave_may_keep_its_body() {
    let mut host = two_connections();
    let request = post(&call(1, "t"), "Expect: 100-continue\r\n");
    let (head, body) = request.split_at(request.find("\r\n\r\n").unwrap() + 4);
    host.ask(head);
    host.answer("HTTP/1.1 100 Continue\r\n\r\n");
    host.ask(body);
    host.answer(reply(&result(1), ""));
    host.ask(head);
    host.answer("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n");
    host.ask(post(&call(2, "t"), ""));
    host.answer(reply(&result(2), ""));
    assert_eq!(host.outcomes(), [("tools/call", Outcome::Ok); 2]);
    assert!(host.faults().is_empty(), "{:?}", host.faults());
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let mut host = two_connections();
    let requests = [1, 2, 3].map(|id| post(&call(id, "t"), "")).concat();
    host.ask(&requests);
    let answers = [1, 2, 3].map(|id| reply(&result(id), "")).concat();
    for part in answers.as_bytes().chunks(60) {
        host.answer(part);
    }
    assert_eq!(host.outcomes(), [("tools/call", Outcome::Ok); 3]);
}

#[test]
fn a_unix_socket_may_carry_http_and_tcp_may_carry_lines() {
    let mut host = Host::new();
    host.open(CLIENT, 1, Identity::Unix { inode: 10, peer_inode: 20 });
    host.open(SERVER, 2, Identity::Unix { inode: 20, peer_inode: 10 });
    host.ask(post(&call(1, "t"), ""));
    host.answer(reply(&result(1), ""));
    assert_eq!(host.calls()[0].transport, Transport::StreamableHttp);
    let mut host = two_connections();
    host.ask(call(1, "t"));
    host.answer(result(1));
    assert_eq!(host.outcomes(), [("tools/call", Outcome::Ok)]);
    assert_eq!(host.calls()[0].transport, Transport::Stdio);
}
