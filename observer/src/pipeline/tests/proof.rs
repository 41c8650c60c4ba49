//! What is claimed where bytes are missing, and what is not.

use super::*;
use crate::pipeline::observation::Subject;

const OTHER: u32 = 30;

fn stdio() -> Host {
    let mut host = Host::new();
    (1..=4).for_each(|pipe| host.pipe(pipe));
    host
}

/// Read, but the record of it was lost.
fn lose_received(host: &mut Host, from: u32, stream: u64, text: &str) {
    host.sent(from, stream, text);
    host.lost(stream, Direction::Received, text.len() as u64);
}

fn tool(call: &Call) -> Option<&str> {
    call.subject.as_ref().and_then(Subject::tool)
}

#[test]
fn an_answer_to_a_lost_request_is_not_that_of_another_server() {
    let mut host = stdio();
    host.tell(1, CLIENT, SERVER, &call(1, "first"));
    host.tell(2, SERVER, CLIENT, &result(1));
    host.tell(3, CLIENT, OTHER, &call(2, "of the other"));
    lose_received(&mut host, CLIENT, 1, &call(2, "lost"));
    host.tell(2, SERVER, CLIENT, &result(2));
    host.pass(Duration::from_secs(3));
    assert_eq!(host.outcomes(), [("tools/call", Outcome::Ok)]);
    host.tell(4, OTHER, CLIENT, &result(2));
    assert_eq!(tool(host.calls()[1]), Some("of the other"));
    assert_eq!(host.calls()[1].client_duration, ms(3_006), "its own answer");
}

#[test]
fn answers_may_come_through_a_filter() {
    const FILTER: u32 = 40;
    let mut host = stdio();
    host.tell(1, CLIENT, SERVER, &call(1, "a"));
    host.tell(2, FILTER, CLIENT, &result(1));
    assert_eq!(host.outcomes(), [("tools/call", Outcome::Ok)]);
    // Of two wires that can be meant one has lost something: the request may have been in it.
    let mut host = stdio();
    lose_received(&mut host, CLIENT, 3, &call(1, "lost"));
    host.tell(3, CLIENT, OTHER, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}\n");
    host.tell(1, CLIENT, SERVER, &call(1, "a"));
    host.tell(2, FILTER, CLIENT, &result(1));
    assert_eq!(host.outcomes(), []);
}

#[test]
fn an_answer_that_began_before_the_request_is_anothers() {
    let mut host = stdio();
    host.tell(1, CLIENT, SERVER, &call(0, "first"));
    host.tell(2, SERVER, CLIENT, &result(0));
    let (begin, end) = ("{\"id\":7,\"result\":{\"content\":[", "]},\"jsonrpc\":\"2.0\"}\n");
    host.tell(2, SERVER, CLIENT, begin);
    host.tell(1, CLIENT, SERVER, &call(7, "late"));
    lose_received(&mut host, SERVER, 2, "]}}\n{\"id\":8,\"result\":{\"content\":[");
    host.tell(2, SERVER, CLIENT, end);
    assert_eq!(host.outcomes(), [("tools/call", Outcome::Ok)]);
}

#[test]
fn an_id_proves_nothing_where_it_may_have_been_used_twice() {
    for (ids, paired) in [([1, 2, 3], true), ([5, 3, 4], false)] {
        let mut host = stdio();
        let [first, open, next] = ids;
        host.tell(1, CLIENT, SERVER, &call(first, "first"));
        host.tell(2, SERVER, CLIENT, &result(first));
        host.tell(1, CLIENT, SERVER, &call(open, "answered unseen"));
        lose_received(&mut host, SERVER, 2, &result(open));
        lose_received(&mut host, CLIENT, 1, &call(open, "asked unseen"));
        host.tell(1, CLIENT, SERVER, &call(next, "seen"));
        host.tell(2, SERVER, CLIENT, &result(open));
        host.tell(2, SERVER, CLIENT, &result(next));
        let tools: Vec<_> = host.calls().into_iter().filter_map(tool).collect();
        assert_eq!(tools.contains(&"answered unseen"), paired, "{ids:?}");
        assert!(tools.contains(&"seen"), "what came after the hole is not in doubt: {ids:?}");
    }
}

#[test]
fn a_line_that_goes_on_behind_a_hole_may_be_two() {
    let mut host = stdio();
    let request = call(1, "a");
    host.tell(1, CLIENT, SERVER, &request[..60]);
    lose_received(
        &mut host,
        CLIENT,
        1,
        "\"a\"}}\n{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"tools/call\",\"params\":{",
    );
    host.pass(Duration::from_secs(1));
    host.tell(1, CLIENT, SERVER, "\"name\":\"b\"}}\n");
    host.tell(2, SERVER, CLIENT, &result(1));
    let first = host.calls()[0].clone();
    assert_eq!(
        (first.certainty, tool(&first)),
        (Certainty::TimesOnly, None),
        "what is in the hole is absent"
    );
    assert_eq!((first.client_duration, first.server_duration), (ms(1_006), None));

    host.tell(1, CLIENT, SERVER, &call(3, "c"));
    host.tell(2, SERVER, CLIENT, "{\"id\":3,\"jsonrpc\":\"2.0\",\"result\":{\"content\":[");
    lose_received(&mut host, SERVER, 2, "]}}\n{\"result\":{\"content\":[");
    host.tell(2, SERVER, CLIENT, "]},\"jsonrpc\":\"2.0\"}\n");
    assert_eq!(host.calls()[1].certainty, Certainty::Inferred, "its end is that of another");
}

#[test]
fn a_text_whose_end_did_not_come_has_no_time() {
    let mut host = stdio();
    host.tell(1, CLIENT, SERVER, &call(1, "a"));
    host.tell(2, SERVER, CLIENT, "{\"id\":1,\"jsonrpc\":\"2.0\",\"result\":{");
    host.event(CLIENT, EventBody::StreamClosed { stream: StreamId(2) });
    let ends: Vec<_> = host.calls().iter().map(|call| (call.outcome, call.certainty)).collect();
    assert_eq!(ends, [(Outcome::Ok, Certainty::Inferred)]);
}

#[test]
fn a_connection_whose_first_response_was_lost_goes_on_with_the_second() {
    for is_sent_unseen in [false, true] {
        let mut host = Host::new();
        connect(&mut host, 1, 2, 4000);
        host.ask(post(&call(1, "first"), ""));
        let lost = reply(&result(1), "");
        if is_sent_unseen {
            host.lost(2, Direction::Sent, lost.len() as u64);
        } else {
            host.moved(SERVER, 2, Direction::Sent, lost.len(), b"");
        }
        host.lost(1, Direction::Received, lost.len() as u64);
        host.ask(post(&call(2, "second"), ""));
        host.answer("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n");
        let ended: Vec<_> = host.calls().iter().map(|call| (tool(call), call.outcome)).collect();
        assert!(ended.contains(&(Some("second"), Outcome::HttpError)), "{ended:?}");
        assert!(!ended.contains(&(Some("first"), Outcome::HttpError)), "{ended:?}");
    }
}

#[test]
fn a_posts_response_answers_nothing_that_was_posted_elsewhere() {
    let mut host = Host::new();
    connect(&mut host, 1, 2, 4000);
    connect(&mut host, 3, 4, 4001);
    let session = "Mcp-Session-Id: abc\r\n";
    let other = |host: &mut Host, text: &str| {
        host.carry((CLIENT, SERVER), (3, 4), post(text, session).as_bytes());
    };
    other(&mut host, &call(8, "before"));
    host.carry((SERVER, CLIENT), (4, 3), reply(&result(8), "").as_bytes());
    host.ask(post(&call(7, "open"), session));
    // The same id at a time: only its own exchange can be meant.
    other(&mut host, &call(9, "another"));
    host.carry((SERVER, CLIENT), (4, 3), reply(&result(7), "").as_bytes());
    assert_eq!(host.calls().iter().filter(|call| tool(call) == Some("open")).count(), 0);
}

#[test]
fn a_status_does_not_make_a_damaged_request_whole() {
    let mut host = Host::new();
    connect(&mut host, 1, 2, 4000);
    let request = post(&call(1, "a"), "");
    let (head, tail) = request.split_at(request.len() - 9);
    host.ask(head);
    host.sent(CLIENT, 1, tail);
    host.lost(2, Direction::Received, 4);
    host.received(SERVER, 2, &tail[4..]);
    host.answer("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(host.outcomes(), [("tools/call", Outcome::HttpError)]);
    assert_eq!((host.calls()[0].certainty, tool(host.calls()[0])), (Certainty::TimesOnly, None));
}

/// Both ends of TLS, of which the client loses so many bytes from a place in the answer on.
fn lossy_tls(answer: &str, from: usize, missing: usize) -> Host {
    let mut host = tls();
    let request = post(&call(1, "t"), "");
    host.moved(CLIENT, 11, Direction::Sent, request.len(), request.as_bytes());
    host.moved(SERVER, 12, Direction::Received, request.len(), request.as_bytes());
    host.moved(SERVER, 12, Direction::Sent, answer.len(), answer.as_bytes());
    host.moved(CLIENT, 11, Direction::Received, from, &answer.as_bytes()[..from]);
    host.lost(11, Direction::Received, missing as u64);
    let rest = &answer.as_bytes()[from + missing..];
    if !rest.is_empty() {
        host.moved(CLIENT, 11, Direction::Received, rest.len(), rest);
    }
    host
}

#[test]
fn of_two_ends_the_one_counts_that_was_read_whole() {
    let failed = "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"content\":[],\"isError\":true}}";
    let answer = reply(failed, "");
    let host = lossy_tls(&answer, answer.len() - 16, 8);
    assert_eq!(host.outcomes(), [("tools/call", Outcome::ToolError)]);
}

#[test]
fn a_call_whose_end_one_side_did_not_see_is_shown_once() {
    let answer = reply(&result(1), "");
    let mut host = lossy_tls(&answer, 20, answer.len() - 20);
    host.pass(Duration::from_secs(10));
    host.event(CLIENT, EventBody::StreamClosed { stream: StreamId(11) });
    host.pass(Duration::from_secs(600));
    assert_eq!(host.outcomes(), [("tools/call", Outcome::Ok)]);
}
