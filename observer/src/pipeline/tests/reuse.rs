//! Ids that are used again while something is missing: whose answer it is, and who asked.

use super::*;
use crate::pipeline::observation::Subject;

/// A client that does not count its ids, with a call of which the answer is still to come.
fn not_counting(tool: &str) -> Host {
    let mut host = stdio();
    exchange(&mut host, &call(5, "before"), &result(5));
    host.tell(1, CLIENT, SERVER, &call(3, tool));
    host
}

/// Asked and read, but the record of the reading was lost.
fn ask_unseen(host: &mut Host, text: &str) {
    host.sent(CLIENT, 1, text);
    host.lost(1, Direction::Received, text.len() as u64);
}

fn answered(host: &Host) -> Vec<&str> {
    let answered = host.calls().into_iter().filter(|call| call.outcome == Outcome::Ok);
    answered.filter_map(|call| call.subject.as_ref().and_then(Subject::tool)).collect()
}

fn cancelled(id: u32) -> String {
    format!(
        "{{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{{\"requestId\":{id}}}}}\n"
    )
}

#[test]
fn what_was_taken_back_is_not_answered_by_what_came_later() {
    let mut host = not_counting("taken back");
    host.tell(1, CLIENT, SERVER, &cancelled(3));
    ask_unseen(&mut host, &call(3, "later"));
    // When the answer was sent is not known either.
    host.lost(2, Direction::Sent, result(3).len() as u64);
    host.received(CLIENT, 2, &result(3));
    assert_eq!(answered(&host), ["before"]);
    assert_eq!(host.calls().last().unwrap().outcome, Outcome::Cancelled);
}

#[test]
fn what_may_have_been_answered_in_a_hole_is_not_answered_again() {
    let mut host = not_counting("answered unseen");
    host.sent(SERVER, 2, &result(3));
    host.lost(2, Direction::Received, result(3).len() as u64);
    ask_unseen(&mut host, &call(3, "asked unseen"));
    host.tell(2, SERVER, CLIENT, &result(3));
    assert_eq!(answered(&host), ["before"]);
}

/// The kernel passes over bytes as it was told to: none of them is missed, but requests may be among them.
#[test]
fn what_was_passed_over_may_have_asked_again() {
    let ping = |id: u32| format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"ping\"}}\n");
    let mut host = stdio();
    exchange(&mut host, &ping(5), &result(5));
    host.tell(1, CLIENT, SERVER, &ping(3));
    host.tell(1, CLIENT, SERVER, &"no message\n".repeat(2000));
    assert!(
        std::iter::from_fn(|| host.pipeline.next_verdict()).any(|(_, verdict)| verdict == Verdict::Ignore)
    );
    host.moved(CLIENT, 1, Direction::Sent, 100, b"");
    host.moved(SERVER, 1, Direction::Received, 100, b"");
    exchange(&mut host, &call(6, "behind"), &result(6));
    host.tell(2, SERVER, CLIENT, &result(3));
    let pings = host.calls().into_iter().filter(|call| &*call.method == "ping");
    assert_eq!(pings.filter(|call| call.outcome == Outcome::Ok).count(), 1, "only the first is proven");
}

#[test]
fn a_response_behind_a_hole_answers_no_older_request_than_the_newest() {
    for is_read_in_part in [false, true] {
        let mut host = Host::new();
        connect(&mut host, 1, 2, 4000);
        host.ask(post(&call(1, "first"), ""));
        let lost = reply(&result(1), "");
        host.moved(SERVER, 2, Direction::Sent, lost.len(), b"");
        host.lost(1, Direction::Received, lost.len() as u64);
        let second = post(&call(2, "second"), "");
        host.sent(CLIENT, 1, &second);
        host.lost(2, Direction::Received, 100);
        if is_read_in_part {
            host.received(SERVER, 2, &second[100..]);
        }
        host.answer("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n");
        host.pass(Duration::from_secs(1));
        assert_eq!(host.outcomes(), [("tools/call", Outcome::Abandoned)], "{is_read_in_part}");
    }
}

/// Of the second request and of how the first was answered nothing was recorded at the other end either.
#[test]
fn a_request_that_was_answered_in_a_hole_is_not_answered_again() {
    let mut host = Host::new();
    connect(&mut host, 1, 2, 4000);
    host.ask(post(&call(1, "first"), ""));
    let response = reply(&result(1), "");
    host.lost(2, Direction::Sent, response.len() as u64);
    host.lost(1, Direction::Received, 50);
    host.received(CLIENT, 1, &response[50..]);
    let second = post(&call(1, "second"), "").len() as u64;
    host.lost(1, Direction::Sent, second);
    host.lost(2, Direction::Received, second);
    host.answer(response);
    assert_eq!(answered(&host), [""; 0]);
}

#[test]
fn what_was_in_a_hole_may_have_been_the_leave_to_go_on() {
    let mut host = Host::new();
    connect(&mut host, 1, 2, 4000);
    let request = post(&call(1, "t"), "Expect: 100-continue\r\n");
    let (head, body) = request.split_at(request.find("\r\n\r\n").unwrap() + 4);
    host.ask(head);
    let leave = "HTTP/1.1 100 Continue\r\n\r\n";
    host.sent(SERVER, 2, leave);
    host.lost(1, Direction::Received, leave.len() as u64);
    host.ask(body);
    host.answer(reply(&result(1), ""));
    assert_eq!(answered(&host), ["t"]);
}

#[test]
fn an_event_that_began_before_the_request_is_anothers() {
    let session = "Mcp-Session-Id: abc\r\n";
    let mut host = Host::new();
    connect(&mut host, 1, 2, 4000);
    connect(&mut host, 3, 4, 4001);
    let listen = format!("GET /mcp HTTP/1.1\r\nHost: h\r\nAccept: text/event-stream\r\n{session}\r\n");
    host.carry((CLIENT, SERVER), (3, 4), listen.as_bytes());
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
    let (first, rest) = ("data: {\"jsonrpc\":\"2.0\",\"id\":7,\"result\":", "{}}\n\n");
    host.carry((SERVER, CLIENT), (4, 3), format!("{head}{first}").as_bytes());
    host.ask(post(&call(7, "later"), session));
    host.carry((SERVER, CLIENT), (4, 3), rest.as_bytes());
    assert_eq!(host.outcomes(), []);
}

/// The event stream of 2024 was not seen to begin, and the first answer on it was lost.
#[test]
fn an_answer_on_a_stream_that_was_joined_is_not_that_of_an_earlier_request() {
    for is_asked_unseen in [false, true] {
        let mut host = Host::new();
        connect(&mut host, 1, 2, 4000);
        connect(&mut host, 3, 4, 4001);
        let answer = format!("data: {}\n\n", result(7).trim_end());
        let answer = format!("{:x}\r\n{answer}\r\n", answer.len());
        let accepted = "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n";
        let ask = |tool| post(&call(7, tool), "").replacen("/mcp", "/message?s=1", 1);
        host.ask(ask("answered unseen"));
        host.answer(accepted);
        host.sent(SERVER, 4, &answer);
        host.lost(3, Direction::Received, answer.len() as u64);
        if is_asked_unseen {
            host.sent(CLIENT, 1, &ask("asked unseen"));
            host.lost(2, Direction::Received, ask("asked unseen").len() as u64);
        } else {
            host.ask(ask("asked again"));
        }
        host.answer(accepted);
        host.carry((SERVER, CLIENT), (4, 3), answer.as_bytes());
        assert_eq!(answered(&host), [""; 0], "{is_asked_unseen}");
    }
}

#[test]
fn an_event_stream_whose_request_is_in_a_hole_may_be_the_response_to_a_post() {
    let mut host = Host::new();
    connect(&mut host, 1, 2, 4000);
    connect(&mut host, 3, 4, 4001);
    host.ask(post(&call(7, "of 2024"), "").replacen("/mcp", "/message?s=1", 1));
    host.answer("HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n");
    let other = post(&call(7, "in a hole"), "Mcp-Session-Id: abc\r\n");
    host.sent(CLIENT, 3, &other);
    host.received(SERVER, 4, &other[..90]);
    host.lost(4, Direction::Received, other.len() as u64 - 90);
    let event = format!("data: {}\n\n", result(7).trim_end());
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n";
    let response = format!("{head}Content-Length: {}\r\n\r\n{event}", event.len());
    host.carry((SERVER, CLIENT), (4, 3), response.as_bytes());
    assert_eq!(host.outcomes(), []);
}

#[test]
fn what_is_left_of_a_notification_is_no_answer() {
    let mut host = Host::new();
    connect(&mut host, 1, 2, 4000);
    host.ask(post(&call(7, "t"), ""));
    host.answer("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n");
    host.answer("data: {\"jsonrpc\":\"2.0\",\"params\":{\"progress\":1},\"method\":\"noti");
    host.sent(SERVER, 2, "fications/progr");
    host.lost(1, Direction::Received, 15);
    host.answer("ess\"}\n\n");
    assert_eq!(host.outcomes(), []);
}

/// One end of TLS reads what the other one has lost.
#[test]
fn two_ends_of_different_calls_are_not_one() {
    let mut host = tls();
    let both = |host: &mut Host, (up, down): (&str, &str)| {
        host.moved(CLIENT, 11, Direction::Sent, up.len(), up.as_bytes());
        host.moved(SERVER, 12, Direction::Received, up.len(), up.as_bytes());
        host.moved(SERVER, 12, Direction::Sent, down.len(), down.as_bytes());
        host.moved(CLIENT, 11, Direction::Received, down.len(), down.as_bytes());
    };
    both(&mut host, (&post(&call(1, "first"), ""), &reply(&result(1), "")));
    let (failed, nothing) = (
        post(&call(3, "failed"), ""),
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 0\r\n\r\n",
    );
    host.moved(CLIENT, 11, Direction::Sent, failed.len(), failed.as_bytes());
    host.lost(12, Direction::Received, failed.len() as u64);
    host.moved(SERVER, 12, Direction::Sent, nothing.len(), nothing.as_bytes());
    host.moved(CLIENT, 11, Direction::Received, nothing.len(), nothing.as_bytes());
    both(&mut host, (&post(&call(3, "next"), ""), &reply(&result(3), "")));
    host.pass(Duration::from_secs(100));
    assert_eq!(answered(&host), ["first", "next"]);
    let failed = host.calls().into_iter().find(|call| call.outcome == Outcome::Abandoned).cloned();
    assert_eq!(failed.map(|call| call.server_duration), Some(None));
}

#[test]
fn who_asks_is_known_from_the_other_pipe_between_the_two() {
    let mut host = stdio();
    let initialize = "{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"initialize\",\"params\":{\"protocolVersion\":\"2025-11-25\"}}\n";
    host.tell(1, CLIENT, SERVER, initialize);
    host.sent(SERVER, 2, &result(0));
    host.lost(2, Direction::Received, result(0).len() as u64);
    host.tell(2, SERVER, CLIENT, "{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"ping\"}\n");
    host.tell(1, CLIENT, SERVER, &result(9));
    let ping = host.calls().into_iter().find(|call| &*call.method == "ping").unwrap();
    assert_eq!(ping.direction, CallDirection::ServerToClient);
    assert_eq!(ping.server.process.as_ref().map(|process| process.id.pid), Some(SERVER));
}

#[test]
fn a_request_is_answered_although_its_sender_is_known_later() {
    let mut host = stdio();
    host.lost(1, Direction::Sent, call(1, "first").len() as u64);
    host.received(SERVER, 1, &call(1, "first"));
    host.tell(2, SERVER, CLIENT, &result(1));
    assert_eq!(answered(&host), [""; 0]);
    host.sent(CLIENT, 1, &call(2, "second"));
    assert_eq!(answered(&host), ["first"]);
    assert_eq!(host.calls()[0].server_duration, ms(1));
}

#[test]
fn the_end_of_an_unknown_connection_ends_no_call_of_another() {
    let mut host = Host::new();
    connect(&mut host, 1, 2, 4000);
    connect(&mut host, 3, 4, 4001);
    host.ask(post(&call(1, "t"), ""));
    host.lost(4, Direction::Received, 100);
    host.carry((CLIENT, SERVER), (3, 4), b"the rest of something");
    host.event(SERVER, EventBody::StreamClosed { stream: StreamId(4) });
    host.event(CLIENT, EventBody::StreamClosed { stream: StreamId(3) });
    host.answer(reply(&result(1), ""));
    assert_eq!(host.outcomes(), [("tools/call", Outcome::Ok)]);
}

/// A connection that was not read on, until it turned out to carry MCP.
#[test]
fn behind_what_was_passed_over_a_response_is_that_of_the_newest_request() {
    let mut host = Host::new();
    connect(&mut host, 1, 2, 4000);
    host.ask("GET / HTTP/1.1\r\nHost: localhost:80\r\nAccept: text/html\r\n\r\n");
    assert_eq!(host.pipeline.next_verdict().map(|(_, verdict)| verdict), Some(Verdict::Ignore));
    host.answer("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let session = "Mcp-Session-Id: abc\r\n";
    host.ask(post(&call(1, "answered unseen"), session));
    let response = reply(&result(1), "");
    host.sent(SERVER, 2, &response);
    host.lost(1, Direction::Received, 50);
    host.received(CLIENT, 1, &response[50..]);
    for tool in ["second", "third"] {
        host.ask(post(&call(1, tool), session));
        host.answer(reply(&result(1), ""));
    }
    assert_eq!(answered(&host), ["second", "third"]);
}
