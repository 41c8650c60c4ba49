//! What clients and servers are free to do: ids, versions, sessions, framings.

use super::*;

/// An HTTP request and its response on the connection between streams 1 and 2.
fn exchange(host: &mut Host, request: &str, answer: &str) {
    host.sent(CLIENT, 1, request);
    host.received(SERVER, 2, request);
    host.sent(SERVER, 2, answer);
    host.received(CLIENT, 1, answer);
}

#[test]
fn a_number_and_a_string_are_two_ids() {
    let mut host = stdio();
    host.tell(1, CLIENT, SERVER, &call(1, "number"));
    host.tell(1, CLIENT, SERVER, &call(1, "string").replace("\"id\":1", "\"id\":\"1\""));
    host.tell(2, SERVER, CLIENT, &result(1).replace("\"id\":1", "\"id\":\"1\""));
    assert_eq!(host.calls().len(), 1);
    assert_eq!(host.calls()[0].id, crate::pipeline::jsonrpc::Id::String("1".into()));
    host.tell(2, SERVER, CLIENT, &result(1));
    assert_eq!(host.outcomes(), [("tools/call", Outcome::Ok); 2]);
}

#[test]
fn an_id_in_flight_that_is_used_again_ends_the_first_call() {
    let mut host = stdio();
    host.tell(1, CLIENT, SERVER, &call(1, "first"));
    host.tell(1, CLIENT, SERVER, &call(1, "second"));
    host.tell(2, SERVER, CLIENT, &result(1));
    assert_eq!(host.outcomes(), [("tools/call", Outcome::Abandoned), ("tools/call", Outcome::Ok)]);
}

#[test]
fn the_revision_is_the_one_that_the_server_answers() {
    let mut host = stdio();
    let wanted = "{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"initialize\",\"params\":{\"protocolVersion\":\"2026-07-28\",\"clientInfo\":{\"name\":\"c\"}}}\n";
    let agreed = "{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":{\"protocolVersion\":\"2025-11-25\",\"serverInfo\":{\"name\":\"s\"}}}\n";
    host.tell(1, CLIENT, SERVER, wanted);
    host.tell(2, SERVER, CLIENT, agreed);
    host.tell(1, CLIENT, SERVER, &call(1, "t"));
    host.tell(2, SERVER, CLIENT, &result(1));
    let revisions: Vec<_> = host.calls().iter().map(|call| call.revision.clone()).collect();
    assert_eq!(revisions, [Some("2025-11-25".into()), Some("2025-11-25".into())]);
}

#[test]
fn a_stateless_call_has_no_session() {
    let mut host = Host::new();
    connect(&mut host, 1, 2, 4000);
    let session = "Mcp-Session-Id: abc\r\n";
    exchange(&mut host, &post(&call(1, "t"), session), &reply(&result(1), ""));
    let modern = format!("{session}MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\n");
    exchange(&mut host, &post(&call(2, "t"), &modern), &reply(&result(2), ""));
    let sessions: Vec<_> = host.calls().iter().map(|call| call.session.is_some()).collect();
    assert_eq!(sessions, [true, false]);
}

#[test]
fn an_error_without_an_id_belongs_to_its_exchange() {
    // The last is what the first Python SDK has in place of an id.
    for id in [",\"id\":null", "", ",\"id\":\"server-error\""] {
        let mut host = Host::new();
        connect(&mut host, 1, 2, 4000);
        let error = format!("{{\"jsonrpc\":\"2.0\",\"error\":{{\"code\":-32700,\"message\":\"m\"}}{id}}}");
        exchange(
            &mut host,
            &post(&call(1, "t"), ""),
            &reply(&error, "").replace("200 OK", "400 Bad Request"),
        );
        assert_eq!(host.outcomes(), [("tools/call", Outcome::RpcError)]);
        assert_eq!(host.calls()[0].error_code, Some(-32700));
    }
}

#[test]
fn an_error_that_comes_with_success_ends_only_what_has_its_id() {
    let mut host = Host::new();
    connect(&mut host, 1, 2, 4000);
    let error = r#"{"jsonrpc":"2.0","id":2,"error":{"code":-32603,"message":"m"}}"#;
    exchange(&mut host, &post(&call(1, "t"), ""), &reply(error, ""));
    assert_eq!(host.outcomes(), []);
}

#[test]
fn an_answer_comes_on_a_resumed_stream_of_its_session() {
    let mut host = Host::new();
    connect(&mut host, 1, 2, 4000);
    connect(&mut host, 3, 4, 4001);
    let session = "Mcp-Session-Id: abc\r\n";
    let stream = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\nid: 7\ndata: \n\n";
    exchange(&mut host, &post(&call(1, "t"), session), stream);
    host.event(CLIENT, EventBody::StreamClosed { stream: StreamId(1) });
    let get = format!(
        "GET /mcp HTTP/1.1\r\nHost: localhost:80\r\nAccept: text/event-stream\r\n{session}Last-Event-ID: 7\r\n\r\n"
    );
    host.sent(CLIENT, 3, &get);
    host.received(SERVER, 4, &get);
    let rest =
        format!("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\nid: 8\ndata: {}\n", result(1));
    host.sent(SERVER, 4, &rest);
    host.received(CLIENT, 3, &rest);
    assert_eq!(host.outcomes(), [("tools/call", Outcome::Ok)]);
}

#[test]
fn an_answer_that_was_sent_after_the_cancellation_was_read_is_none() {
    let mut host = stdio();
    host.tell(1, CLIENT, SERVER, &call(1, "t"));
    host.tell(
        2,
        SERVER,
        CLIENT,
        "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{}}\n",
    );
    let cancelled =
        "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":1}}\n";
    host.tell(1, CLIENT, SERVER, cancelled);
    host.tell(2, SERVER, CLIENT, &result(1));
    assert_eq!(host.outcomes(), [("tools/call", Outcome::Cancelled)]);
}

#[test]
fn http_is_read_wherever_it_is_spoken() {
    let mut host = Host::new();
    host.open(CLIENT, 1, Identity::Unix { inode: 100, peer_inode: 101 });
    host.open(SERVER, 2, Identity::Unix { inode: 101, peer_inode: 100 });
    exchange(&mut host, &post(&call(1, "t"), ""), &reply(&result(1), ""));
    assert_eq!(host.outcomes(), [("tools/call", Outcome::Ok)]);
    assert_eq!(host.calls()[0].transport, Transport::StreamableHttp);
}

#[test]
fn progress_before_any_answer_counts() {
    let mut host = stdio();
    let request = call(1, "t").replace("\"name\"", "\"_meta\":{\"progressToken\":5},\"name\"");
    host.tell(1, CLIENT, SERVER, &request);
    host.tell(2, SERVER, CLIENT, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progressToken\":5,\"progress\":1}}\n");
    host.tell(2, SERVER, CLIENT, &result(1));
    assert_eq!(host.calls()[0].progress, 1);
}

#[test]
fn all_calls_of_a_batch_have_its_times() {
    let mut host = stdio();
    let batch = format!("[{},{}]\n", call(1, "t").trim_end(), call(2, "t").trim_end());
    let (first, rest) = batch.split_at(9);
    host.sent(CLIENT, 1, first);
    host.sent(CLIENT, 1, rest);
    host.received(SERVER, 1, &batch);
    host.tell(2, SERVER, CLIENT, &result(1));
    host.tell(2, SERVER, CLIENT, &result(2));
    let times: Vec<_> = host.calls().iter().map(|call| call.at).collect();
    assert_eq!(times, [Timestamp::from_nanos(3_000_000); 2]);
}
