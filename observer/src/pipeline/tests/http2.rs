//! HTTP/2: many exchanges at once, resets, upgrades, late joins and holes.

use super::*;
use crate::pipeline::observation::Subject;
use crate::pipeline::transport::http2::tests::{EVENTS, OK, POST, Peer};

fn connected() -> (Host, Peer, Peer) {
    let mut host = Host::new();
    connect(&mut host, 1, 2, 4000);
    (host, Peer::client(), Peer::server())
}

fn answer_on(server: &mut Peer, stream: u32, id: u32) -> Vec<u8> {
    server.head(stream, 0, &OK);
    server.frame(0, 1, stream, result(id).trim_end().as_bytes());
    server.take()
}

#[test]
fn exchanges_on_one_connection_are_told_apart() {
    let (mut host, mut client, mut server) = connected();
    host.answer(server.take());
    for stream in [1, 3, 5] {
        // The same id on all of them: every exchange has its own.
        client.head(stream, 0, &POST[..4]);
        client.frame(0, 1, stream, call(7, &format!("t{stream}")).trim_end().as_bytes());
        host.ask(client.take());
    }
    for (stream, after) in [(5, 2), (1, 8), (3, 8)] {
        let text = answer_on(&mut server, stream, 7);
        host.answer(text);
        let calls = host.calls();
        let last = calls.last().unwrap();
        assert_eq!(last.subject, Some(Subject::Tool(format!("t{stream}").into())));
        assert_eq!(last.server_duration, ms(after - 1), "stream {stream}");
        assert_eq!((last.outcome, last.certainty), (Outcome::Ok, Certainty::Whole));
    }
    assert_eq!(host.calls().len(), 3);
}

#[test]
fn the_headers_that_the_user_asks_for_are_kept_of_each_request() {
    let (mut host, mut client, mut server) = connected();
    host.keep_headers(&["x-tenant"]);
    connect(&mut host, 1, 2, 4000);
    host.answer(server.take());
    let tenants = ["acme", "acme", "other"];
    for (stream, tenant) in [1, 3, 5].into_iter().zip(tenants) {
        client.head(stream, 0, &[&POST[..4], &[("x-secret", "s3cr3t"), ("x-tenant", tenant)]].concat());
        client.frame(0, 1, stream, call(7, "t").trim_end().as_bytes());
        host.ask(client.take());
        let answer = answer_on(&mut server, stream, 7);
        host.answer(answer);
    }
    let calls = host.calls();
    assert_eq!(calls.iter().map(|call| chosen(call)).collect::<Vec<_>>(), tenants.map(|it| vec![(0, it)]));
}

#[test]
fn progress_and_the_answer_come_in_frames_of_an_event_stream() {
    let (mut host, mut client, mut server) = connected();
    let call = "{\"method\":\"tools/call\",\"params\":{\"name\":\"t\",\"_meta\":{\"progressToken\":5}},\"jsonrpc\":\"2.0\",\"id\":9}";
    client.post(1, call);
    host.ask(client.take());
    server.head(1, 0, &EVENTS);
    let progress = "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progressToken\":5,\"progress\":1}}";
    for text in [progress, progress, result(9).trim_end()] {
        server.frame(0, 0, 1, format!("data: {text}\n\n").as_bytes());
    }
    server.frame(0, 1, 1, &[]);
    for part in server.take().chunks(11) {
        host.answer(part);
    }
    assert_eq!(host.outcomes(), [("tools/call", Outcome::Ok)]);
    assert_eq!(host.calls()[0].progress, 2);
}

#[test]
fn a_reset_by_the_client_ends_its_call_only() {
    let (mut host, mut client, mut server) = connected();
    let modern = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;
    client.post(1, modern);
    client.post(3, call(3, "u").trim_end());
    host.ask(client.take());
    server.head(1, 0, &EVENTS);
    host.answer(server.take());
    client.frame(3, 0, 1, &[0, 0, 0, 8]);
    host.ask(client.take());
    host.pass(Duration::from_secs(1));
    assert_eq!(host.outcomes(), [("tools/call", Outcome::Cancelled)], "closing the stream cancels");
    host.answer(answer_on(&mut server, 3, 3));
    assert_eq!(host.outcomes().last(), Some(&("tools/call", Outcome::Ok)));
}

#[test]
fn an_upgraded_request_is_answered_on_the_first_stream() {
    let (mut host, mut client, mut server) = connected();
    host.ask(post(
        &call(1, "t"),
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n",
    ));
    host.answer("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n");
    host.ask(client.take());
    let text = [server.take(), answer_on(&mut server, 1, 1)].concat();
    host.answer(text);
    client.post(3, call(2, "t").trim_end());
    host.ask(client.take());
    host.answer(answer_on(&mut server, 3, 2));
    assert_eq!(host.outcomes(), [("tools/call", Outcome::Ok); 2]);
}

/// A call on stream 3, whose answer comes on the event stream of 2024, which is stream 1.
fn assert_is_answered_on_the_event_stream(mut host: Host, mut client: Peer, mut server: Peer) {
    client.head(3, 0, &[POST[0], (":path", "/message?s=1"), POST[3]]);
    client.frame(0, 1, 3, call(7, "t").trim_end().as_bytes());
    host.ask(client.take());
    server.head(3, 1, &[(":status", "202")]);
    server.frame(0, 0, 1, format!("event: message\ndata: {}\n\n", result(7).trim_end()).as_bytes());
    host.answer(server.take());
    assert_eq!(host.outcomes(), [("tools/call", Outcome::Ok)]);
    assert_eq!(host.calls()[0].transport, Transport::HttpSse);
}

#[test]
fn an_event_stream_of_2024_is_found_on_the_connection_of_its_posts() {
    let (mut host, mut client, mut server) = connected();
    host.answer(server.take());
    let get = [(":method", "GET"), (":scheme", "http"), (":path", "/sse"), ("accept", "text/event-stream")];
    client.head(1, 1, &get);
    host.ask(client.take());
    server.head(1, 0, &EVENTS);
    let endpoint = server.take();
    host.sent(SERVER, 2, &"x".repeat(endpoint.len()));
    host.lost(1, Direction::Received, endpoint.len() as u64);
    assert_is_answered_on_the_event_stream(host, client, server);
}

/// That it is missing shows when the next request is read; by then its response has begun.
#[test]
fn an_event_stream_of_2024_is_one_although_its_request_was_lost() {
    let (mut host, mut client, mut server) = connected();
    host.answer(server.take());
    host.ask(client.take());
    let get = [(":method", "GET"), (":scheme", "http"), (":path", "/sse"), ("accept", "text/event-stream")];
    client.head(1, 1, &get);
    let lost = client.take();
    let (front, back) = lost.split_at(lost.len() - 12);
    host.ask(front);
    host.moved(CLIENT, 1, Direction::Sent, back.len(), b"");
    host.lost(2, Direction::Received, back.len() as u64);
    server.head(1, 0, &EVENTS);
    server.frame(0, 0, 1, b"event: endpoint\ndata: /message?s=1\n\n");
    host.answer(server.take());
    assert_is_answered_on_the_event_stream(host, client, server);
}

#[test]
fn a_hole_in_the_padding_behind_an_answer_is_none_in_the_answer() {
    let (mut host, mut client, mut server) = connected();
    host.answer(server.take());
    client.post(1, call(1, "t").trim_end());
    host.ask(client.take());
    server.head(1, 0, &OK);
    let body = [&[5][..], result(1).trim_end().as_bytes(), &[0; 5]].concat();
    server.frame(0, 9, 1, &body);
    let bytes = server.take();
    let (front, padding) = bytes.split_at(bytes.len() - 5);
    host.answer(front);
    host.moved(SERVER, 2, Direction::Sent, padding.len(), padding);
    host.pass(Duration::from_secs(1));
    host.lost(1, Direction::Received, 3);
    host.moved(CLIENT, 1, Direction::Received, 2, &padding[3..]);
    assert_eq!(host.outcomes(), [("tools/call", Outcome::Ok)]);
    let call = host.calls()[0];
    assert_eq!((call.certainty, call.client_duration), (Certainty::Whole, ms(3)));
}

/// What was agreed on before is not known, so headers are known in part.
#[test]
fn a_late_join_gives_calls_with_right_times() {
    let (mut host, mut client, mut server) = connected();
    client.post(1, call(1, "t").trim_end());
    answer_on(&mut server, 1, 1);
    client.take();
    server.take();
    client.post(3, call(2, "t").trim_end());
    host.ask(client.take());
    host.answer(answer_on(&mut server, 3, 2));
    assert_eq!(host.outcomes(), [("tools/call", Outcome::Ok)]);
    assert_eq!(host.calls()[0].certainty, Certainty::TimesOnly);
    assert_eq!((host.calls()[0].client_duration, host.calls()[0].server_duration), (ms(3), ms(1)));
}

#[test]
fn after_a_hole_the_next_stream_is_read() {
    let (mut host, mut client, mut server) = connected();
    client.post(1, call(1, "t").trim_end());
    host.ask(client.take());
    let answer = answer_on(&mut server, 1, 1);
    host.answer(&answer[..answer.len() - 20]);
    host.lost(1, Direction::Received, 30);
    host.lost(2, Direction::Sent, 30);
    for id in [2, 3] {
        client.post(id * 2 + 1, call(id, "t").trim_end());
        host.ask(client.take());
        host.answer(answer_on(&mut server, id * 2 + 1, id));
    }
    let ids: Vec<_> = host.calls().iter().map(|call| (format!("{:?}", call.id), call.outcome)).collect();
    let number = |id: &str| (format!("Number({id:?})"), Outcome::Ok);
    assert_eq!(ids, [number("2"), number("3")]);
    assert!(host.faults().contains(&"http2_resync"), "{:?}", host.faults());
}

#[test]
fn other_traffic_on_the_same_connection_is_no_reason_to_look_away() {
    let (mut host, mut client, mut server) = connected();
    client.head(1, 1, &[(":method", "GET"), (":path", "/healthz")]);
    host.ask(client.take());
    server.head(1, 1, &[(":status", "200")]);
    host.answer(server.take());
    assert_eq!(host.pipeline.next_verdict(), None);
    client.head(3, 0, &POST);
    client.frame(0, 1, 3, call(1, "t").trim_end().as_bytes());
    host.ask(client.take());
    host.answer(answer_on(&mut server, 3, 1));
    assert_eq!(host.outcomes(), [("tools/call", Outcome::Ok)]);
}

/// HTTP over stdio, where that is a socket pair.
#[test]
fn r21_the_framing_is_not_tied_to_tcp() {
    let mut host = Host::new();
    host.open(CLIENT, 1, Identity::Unix { inode: 10, peer_inode: 20 });
    host.open(SERVER, 2, Identity::Unix { inode: 20, peer_inode: 10 });
    let (mut client, mut server) = (Peer::client(), Peer::server());
    host.answer(server.take());
    client.post(1, call(1, "t").trim_end());
    host.ask(client.take());
    host.answer(answer_on(&mut server, 1, 1));
    assert_eq!(host.outcomes(), [("tools/call", Outcome::Ok)]);
    assert_eq!(host.calls()[0].transport, Transport::StreamableHttp);
}
