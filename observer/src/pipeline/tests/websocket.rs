//! Messages of MCP in an upgraded connection.

use super::*;
use crate::pipeline::transport::websocket::tests::frame;

const ASK: &str = "GET /mcp HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Protocol: mcp\r\n\r\n";
const AGREE: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";

fn upgraded() -> Host {
    let mut host = Host::new();
    connect(&mut host, 1, 2, 4000);
    host.ask(ASK);
    host.answer(AGREE);
    host
}

#[test]
fn both_ends_ask_on_an_upgraded_connection() {
    let mut host = upgraded();
    host.ask(frame(0x81, true, call(0, "t").trim_end().as_bytes()));
    let sampling = "{\"method\":\"sampling/createMessage\",\"params\":{},\"jsonrpc\":\"2.0\",\"id\":0}";
    host.answer(frame(0x81, false, sampling.as_bytes()));
    host.ask(frame(0x81, true, result(0).trim_end().as_bytes()));
    host.answer(frame(0x81, false, result(0).trim_end().as_bytes()));
    assert_eq!(host.outcomes(), [("sampling/createMessage", Outcome::Ok), ("tools/call", Outcome::Ok)]);
    for call in host.calls() {
        assert_eq!((call.transport, call.certainty), (Transport::WebSocket, Certainty::Whole));
    }
    assert_eq!(host.calls()[1].client_duration, ms(7));
    assert_eq!(host.calls()[0].direction, CallDirection::ServerToClient);
}

#[test]
fn a_refused_upgrade_leaves_http() {
    let mut host = Host::new();
    connect(&mut host, 1, 2, 4000);
    host.ask(ASK);
    host.answer("HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n");
    host.ask(post(&call(1, "t"), ""));
    host.answer(reply(&result(1), ""));
    assert_eq!(host.outcomes(), [("tools/call", Outcome::Ok)]);
    assert_eq!(host.calls()[0].transport, Transport::StreamableHttp);
}

#[test]
fn what_is_asked_ends_with_the_connection() {
    let mut host = upgraded();
    host.ask(frame(0x81, true, call(1, "t").trim_end().as_bytes()));
    host.event(CLIENT, EventBody::StreamClosed { stream: StreamId(1) });
    assert_eq!(host.outcomes(), [("tools/call", Outcome::Abandoned)]);
}

#[test]
fn a_late_join_reads_the_next_message() {
    let mut host = Host::new();
    connect(&mut host, 1, 2, 4000);
    host.ask(frame(0x81, true, call(1, "t").trim_end().as_bytes()));
    host.answer(frame(0x81, false, result(1).trim_end().as_bytes()));
    assert_eq!(host.outcomes(), [("tools/call", Outcome::Ok)]);
    assert_eq!(host.calls()[0].transport, Transport::WebSocket);
}
