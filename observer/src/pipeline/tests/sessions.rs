//! How sessions end: with what is known of them, and after their calls.

use super::*;
use crate::pipeline::observation::Session;

const INITIALIZE: &str = "{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"initialize\",\"params\":{\"protocolVersion\":\"2025-11-25\",\"clientInfo\":{\"name\":\"c\",\"version\":\"1\"}}}\n";
const INITIALIZED: &str = "{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":{\"protocolVersion\":\"2025-06-18\",\"serverInfo\":{\"name\":\"s\",\"version\":\"2\"}}}\n";
const SESSION: &str = "Mcp-Session-Id: abc\r\n";

fn stdio() -> Host {
    let mut host = super::stdio();
    exchange(&mut host, INITIALIZE, INITIALIZED);
    host
}

fn http() -> Host {
    let mut host = Host::new();
    connect(&mut host, 1, 2, 4000);
    connect(&mut host, 3, 4, 4001);
    host.ask(post(INITIALIZE, ""));
    host.answer(reply(INITIALIZED, SESSION));
    host
}

fn delete(host: &mut Host) {
    let delete = format!("DELETE /mcp HTTP/1.1\r\nHost: localhost:80\r\n{SESSION}\r\n");
    host.carry((CLIENT, SERVER), (3, 4), delete.as_bytes());
    host.carry((SERVER, CLIENT), (4, 3), b"HTTP/1.1 204 No Content\r\n\r\n");
}

fn ended(host: &Host) -> Vec<&Session> {
    let ended = host.seen.iter().filter_map(|seen| match seen {
        Observation::SessionEnded(it) => Some(&**it),
        _ => None,
    });
    ended.collect()
}

/// Whether the end of the session is the last that was told.
fn is_last(host: &Host) -> bool {
    ended(host).len() == 1 && matches!(host.seen.last(), Some(Observation::SessionEnded(_)))
}

#[test]
fn the_end_of_an_http_session_tells_who_had_it() {
    let mut host = http();
    delete(&mut host);
    assert_eq!(ended(&host).len(), 1);
    let end = ended(&host)[0];
    assert_eq!(end.revision.as_deref(), Some("2025-06-18"));
    let names = [&end.client, &end.server].map(|peer| (peer.name.as_deref(), peer.version.as_deref()));
    assert_eq!(names, [(Some("c"), Some("1")), (Some("s"), Some("2"))]);
    assert!(end.session.is_some() && end.duration.is_some());
}

#[test]
fn answers_after_the_end_of_the_requests_are_told_first() {
    let mut host = stdio();
    host.tell(1, CLIENT, SERVER, &call(1, "t"));
    host.event(SERVER, EventBody::StreamClosed { stream: StreamId(1) });
    let ended_at = host.now_ms;
    assert_eq!(ended(&host).len(), 0);
    host.tell(2, SERVER, CLIENT, &result(1));
    host.event(CLIENT, EventBody::StreamClosed { stream: StreamId(2) });
    host.pass(Duration::from_secs(1));
    assert!(is_last(&host), "{:?}", host.seen);
    assert_eq!(host.outcomes()[1].1, Outcome::Ok);
    assert_eq!(ended(&host)[0].at, Timestamp::from_nanos(ended_at * 1_000_000), "when it ended");
}

#[test]
fn calls_that_outlive_their_session_are_told_first() {
    let mut host = http();
    host.ask(post(&call(1, "t"), SESSION));
    host.answer("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n");
    delete(&mut host);
    assert_eq!(ended(&host).len(), 0);
    host.answer(format!("data: {}\n", result(1)));
    host.pass(Duration::from_secs(1));
    assert!(is_last(&host), "{:?}", host.seen);
}

#[test]
fn a_session_is_not_waited_for_without_end() {
    let mut host = http();
    host.ask(post(&call(1, "t"), SESSION));
    delete(&mut host);
    host.pass(Duration::from_secs(50));
    assert_eq!(ended(&host).len(), 0);
    host.pass(Duration::from_secs(15));
    assert_eq!(ended(&host).len(), 1);
}

#[test]
fn whatever_waits_is_told_at_the_end() {
    let mut host = stdio();
    host.tell(1, CLIENT, SERVER, &call(1, "t"));
    host.event(SERVER, EventBody::StreamClosed { stream: StreamId(1) });
    host.pipeline.finish(Timestamp::from_nanos(host.now_ms * 1_000_000));
    host.drain();
    assert!(is_last(&host));
}

#[test]
fn a_new_session_begins_after_the_old_one_has_ended() {
    let mut host = stdio();
    host.tell(1, CLIENT, SERVER, &call(1, "t"));
    host.tell(1, CLIENT, SERVER, INITIALIZE);
    host.tell(2, SERVER, CLIENT, INITIALIZED);
    let sessions: Vec<bool> = host
        .seen
        .iter()
        .filter_map(|seen| match seen {
            Observation::SessionStarted(_) => Some(true),
            Observation::SessionEnded(_) => Some(false),
            _ => None,
        })
        .collect();
    assert_eq!(sessions, [true, false, true]);
}
