//! Subscriptions: what comes on one, and how it ends.

use super::*;
use crate::pipeline::jsonrpc::Id;

const LISTEN: &str = "{\"jsonrpc\":\"2.0\",\"id\":\"l-1\",\"method\":\"subscriptions/listen\",\"params\":{\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\"},\"notifications\":{\"toolsListChanged\":true}}}\n";
const END: &str = "{\"jsonrpc\":\"2.0\",\"id\":\"l-1\",\"result\":{\"resultType\":\"complete\",\"_meta\":{\"io.modelcontextprotocol/subscriptionId\":\"l-1\"}}}\n";
const CANCELLED: &str =
    "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":\"l-1\"}}\n";

fn event(name: &str) -> String {
    format!(
        "{{\"jsonrpc\":\"2.0\",\"method\":\"notifications/{name}\",\"params\":{{\"_meta\":{{\"io.modelcontextprotocol/subscriptionId\":\"l-1\"}}}}}}\n"
    )
}

/// A subscription on stdio, acknowledged, and with one event.
fn listening() -> Host {
    let mut host = Host::new();
    host.pipe(1);
    host.pipe(2);
    host.tell(1, CLIENT, SERVER, &call(1, "t"));
    host.tell(2, SERVER, CLIENT, &result(1));
    host.tell(1, CLIENT, SERVER, LISTEN);
    host.tell(2, SERVER, CLIENT, &event("subscriptions/acknowledged"));
    host.pass(Duration::from_secs(30 * 3600));
    host.tell(2, SERVER, CLIENT, &event("tools/list_changed"));
    host
}

fn end(host: &Host) -> Vec<(Outcome, u32)> {
    let listens = host.calls().into_iter().filter(|call| &*call.method == "subscriptions/listen");
    listens.map(|call| (call.outcome, call.links.notifications)).collect()
}

#[test]
fn its_notifications_are_its_own() {
    let host = listening();
    assert_eq!(end(&host), [], "it has no age");
    let of: Vec<_> = host
        .seen
        .iter()
        .filter_map(|seen| match seen {
            Observation::Notification(it) => Some(it.subscription.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(of, [Some(Id::String("l-1".into())), Some(Id::String("l-1".into()))]);
}

#[test]
fn the_server_ends_it_in_either_way() {
    for texts in [&[END][..], &[END, CANCELLED], &[CANCELLED, END]] {
        let mut host = listening();
        texts.iter().for_each(|text| host.tell(2, SERVER, CLIENT, text));
        host.pass(Duration::from_secs(10));
        assert_eq!(end(&host), [(Outcome::Ok, 2)], "{texts:?}");
        assert!(host.faults().is_empty());
    }
    let mut host = listening();
    host.tell(2, SERVER, CLIENT, CANCELLED);
    host.pass(Duration::from_secs(10));
    assert_eq!(end(&host), [(Outcome::Cancelled, 2)]);
}

#[test]
fn the_client_ends_it() {
    let mut host = listening();
    host.tell(1, CLIENT, SERVER, CANCELLED);
    host.pass(Duration::from_secs(10));
    assert_eq!(end(&host), [(Outcome::Cancelled, 2)]);
}

#[test]
fn the_end_of_a_process_leaves_nothing_abandoned() {
    for process in [CLIENT, SERVER] {
        let mut host = listening();
        host.event(process, EventBody::ProcessExited { status: 0 });
        host.pass(Duration::from_secs(60));
        assert_eq!(end(&host), [(Outcome::Cancelled, 2)]);
    }
    let mut host = listening();
    host.event(CLIENT, EventBody::StreamClosed { stream: StreamId(2) });
    assert_eq!(end(&host), [(Outcome::Cancelled, 2)]);
}

#[test]
fn on_http_it_is_a_stream_of_events() {
    let mut host = Host::new();
    connect(&mut host, 1, 2, 4000);
    host.ask(post(LISTEN, "Mcp-Method: subscriptions/listen\r\n"));
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
    host.answer(format!("{head}data: {}\n", event("subscriptions/acknowledged")));
    host.answer(format!("data: {}\n", event("tools/list_changed")));
    host.pass(Duration::from_secs(30 * 3600));
    assert_eq!(end(&host), []);
    host.event(SERVER, EventBody::StreamClosed { stream: StreamId(2) });
    host.event(CLIENT, EventBody::StreamClosed { stream: StreamId(1) });
    host.pass(Duration::from_secs(100));
    assert_eq!(end(&host), [(Outcome::Cancelled, 2)]);
}

#[test]
fn it_may_be_all_that_was_ever_asked() {
    let mut host = stdio();
    host.tell(1, CLIENT, SERVER, LISTEN);
    host.tell(2, SERVER, CLIENT, &event("subscriptions/acknowledged"));
    host.tell(2, SERVER, CLIENT, &event("tools/list_changed"));
    host.tell(2, SERVER, CLIENT, END);
    assert_eq!(end(&host), [(Outcome::Ok, 2)]);
}
