//! What only spans tell: notifications about a call, the contexts of both kinds, and who makes spans of its own.

use super::*;
use crate::pipeline::mcp::span_facts::MOST_EVENTS;
use crate::pipeline::observation::{CallEvent, TraceContext};

const CONTEXT: &str = "00-0000000000000000000000000000abcd-00000000000000ef-01";

fn notification(method: &str, params: &str) -> String {
    format!("{{\"jsonrpc\":\"2.0\",\"method\":\"notifications/{method}\",\"params\":{{{params}}}}}\n")
}

fn call_with_token(id: u32, token: u32) -> String {
    let meta = format!("\"_meta\":{{\"progressToken\":{token},\"tracestate\":\"v=1\"}}");
    format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"tools/call\",\"params\":{{\"name\":\"t\",{meta}}}}}\n"
    )
}

fn told(events: &[CallEvent]) -> Vec<(u64, &'static str, CallDirection)> {
    let ms = |at: Timestamp| at.as_nanos() / 1_000_000;
    events.iter().map(|event| (ms(event.at), event.method, event.direction)).collect()
}

#[test]
fn what_is_told_of_a_call_has_its_time_and_its_call() {
    let mut host = Host::new();
    host.pipe(1);
    host.pipe(2);
    host.tell(1, CLIENT, SERVER, &call_with_token(1, 7));
    let asked_at = host.now_ms;
    host.tell(1, CLIENT, SERVER, &call_with_token(2, 8));
    host.tell(2, SERVER, CLIENT, &notification("progress", "\"progressToken\":8,\"progress\":1"));
    let told_at = host.now_ms - 1;
    host.tell(2, SERVER, CLIENT, &notification("message", "\"level\":\"info\",\"data\":1"));
    host.tell(1, CLIENT, SERVER, &notification("cancelled", "\"requestId\":2"));
    let cancelled_at = host.now_ms - 1;
    host.tell(2, SERVER, CLIENT, &result(1));
    host.pass(Duration::from_secs(10));
    let [first, second] = host.calls().try_into().unwrap();
    assert_eq!(told(&first.span.events), [], "progress of another call, and a message of none");
    assert_eq!(first.span.received_at, Some(Timestamp::from_nanos(asked_at * 1_000_000)));
    assert_eq!(first.span.trace_state.as_deref(), Some("v=1"));
    assert_eq!(
        told(&second.span.events),
        [
            (told_at, "notifications/progress", CallDirection::ServerToClient),
            (cancelled_at, "notifications/cancelled", CallDirection::ClientToServer)
        ]
    );
    assert_eq!(second.outcome, Outcome::Cancelled);
    assert!(second.span.ended_at > Timestamp::from_nanos(cancelled_at * 1_000_000));
}

#[test]
fn a_call_that_tells_much_is_bounded() {
    let mut host = Host::new();
    host.pipe(1);
    host.pipe(2);
    host.tell(1, CLIENT, SERVER, &call_with_token(1, 7));
    for _ in 0..MOST_EVENTS + 5 {
        host.tell(2, SERVER, CLIENT, &notification("progress", "\"progressToken\":7,\"progress\":1"));
    }
    host.tell(2, SERVER, CLIENT, &result(1));
    let span = &host.calls()[0].span;
    assert_eq!((span.events.len(), span.dropped_events), (MOST_EVENTS, 5));
}

#[test]
fn http_tells_its_context_and_what_comes_before_the_answer() {
    let mut host = Host::new();
    connect(&mut host, 1, 2, 4000);
    host.ask(post(&call(1, "t"), &format!("traceparent: {CONTEXT}\r\n")));
    let message = notification("message", "\"level\":\"info\",\"data\":1");
    let body = [message, result(1)].map(|text| format!("data: {}\n\n", text.trim_end())).concat();
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length:";
    host.answer(format!("{head} {}\r\n\r\n{body}", body.len()));
    let span = &host.calls()[0].span;
    let context = TraceContext { trace_id: 0xabcd, parent_span_id: 0xef, sampled: true };
    assert_eq!(span.http_context, Some(context));
    assert_eq!((span.http_version, span.http_host.as_deref()), (Some("1.1"), Some("localhost:80")));
    let methods: Vec<_> = span.events.iter().map(|event| event.method).collect();
    assert_eq!(methods, ["notifications/message"]);
}

#[test]
fn who_sends_spans_to_a_collector_is_known() {
    let mut host = Host::new();
    connect(&mut host, 3, 4, 5000);
    let export = "POST /v1/traces HTTP/1.1\r\nHost: c\r\nContent-Type: application/x-protobuf\r\nContent-Length: 1\r\n\r\nx";
    host.carry((CLIENT, 30), (3, 4), export.as_bytes());
    connect(&mut host, 1, 2, 4000);
    host.ask(post(&call(1, "t"), ""));
    host.answer(reply(&result(1), ""));
    assert_eq!(host.calls()[0].span.sends_spans, [true, false]);
}
