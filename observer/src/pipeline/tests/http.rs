//! HTTP: exchanges, event streams, sessions, and the transport of 2024.

use super::*;

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
fn only_the_headers_that_the_user_asks_for_are_kept() {
    let mut host = Host::new();
    host.keep_headers(&["x-tenant", "accept", "x-other"]);
    connect(&mut host, 1, 2, 4000);
    let fields = "X-Secret: s3cr3t\r\nX-TENANT:  acme \r\nX-Tenant: second\r\nAccept: text/plain\r\n";
    let (request, answer) = (post(&call(1, "echo"), fields), reply(&result(1), ""));
    host.sent(CLIENT, 1, &request);
    host.received(SERVER, 2, &request);
    host.sent(SERVER, 2, &answer);
    host.received(CLIENT, 1, &answer);
    assert_eq!(chosen(host.calls()[0]), [(0, "acme"), (1, "text/plain")]);
}
