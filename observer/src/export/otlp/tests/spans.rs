//! What a call becomes: its spans, attribute by attribute.

use super::*;

#[test]
fn a_call_is_two_spans_with_everything_that_the_conventions_name() {
    for variables in [&[NO_METRICS][..], &[NO_METRICS, GRPC], &[GZIP, GRPC, NO_METRICS], &[GZIP, NO_METRICS]]
    {
        let taken = taken(vec![whole_call()], variables, Choice::default());
        let [(asker, client), (asked, server)] = spans(&taken).try_into().unwrap();
        assert_eq!([&*asker, &*asked], ["mcp", "everything"]);
        for span in [&client, &server] {
            assert_eq!(span.name, "tools/call echo");
            assert_eq!((span.trace_id.len(), span.span_id.len(), span.flags & 0xff), (16, 8, 1));
            assert_eq!(span.trace_id, client.trace_id);
            assert_eq!(span.status, None);
            let [progress, message] = span.events.clone().try_into().unwrap();
            assert_eq!(
                [&*progress.name, &*message.name],
                ["notifications/progress", "notifications/message"]
            );
            assert_eq!(progress.time_unix_nano, BASE_NS + 124_000_000);
            assert_eq!((span.dropped_events_count, span.dropped_attributes_count), (3, 0));
            expect(
                &span.attributes,
                &[
                    ("mcp.method.name", "tools/call"),
                    ("gen_ai.tool.name", "echo"),
                    ("gen_ai.operation.name", "execute_tool"),
                    ("jsonrpc.request.id", "3"),
                    ("mcp.protocol.version", "2025-11-25"),
                    ("network.transport", "pipe"),
                    ("mcp_observer.transport", "stdio"),
                    ("mcp_observer.direction", "client_to_server"),
                    ("mcp_observer.outcome", "ok"),
                    ("mcp_observer.certainty", "whole"),
                    ("mcp_observer.request.size", "#118"),
                    ("mcp_observer.response.size", "#20140"),
                    ("mcp_observer.progress", "#1"),
                    ("mcp_observer.client.name", "mcp"),
                    ("mcp_observer.client.version", "0.1.0"),
                    ("mcp_observer.server.name", "everything"),
                    ("mcp_observer.server.version", "1.0"),
                ],
            );
        }
        assert_eq!((client.kind, server.kind), (3, 2), "CLIENT, SERVER");
        assert_eq!((client.parent_span_id.len(), &server.parent_span_id), (0, &client.span_id));
        assert_ne!(client.span_id, server.span_id);
        let times = |span: &Span| [span.start_time_unix_nano - BASE_NS, span.end_time_unix_nano - BASE_NS];
        assert_eq!(times(&client), [123_456_789, 123_456_789 + 12_345_000]);
        assert_eq!(times(&server), [123_500_000, 123_500_000 + 12_101_000]);
    }
}

const GZIP: (&str, &str) = ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip");

#[test]
fn errors_are_told_as_the_conventions_have_it() {
    let failed = |outcome, error_code| {
        let call = Call { outcome, error_code, ..whole_call() };
        let taken = taken(vec![call], &ONLY_TRACES, Choice::default());
        let [(_, client), (_, server)] = spans(&taken).try_into().unwrap();
        [client, server].map(|span| {
            let attributes = attributes(&span.attributes);
            let of = |key: &str| attributes.get(key).cloned().unwrap_or_default();
            let status = span.status.map(|status| (status.code, status.message));
            (of("error.type"), of("rpc.response.status_code"), status)
        })
    };
    let error = |kind: &str, code: &str| (kind.to_owned(), code.to_owned(), Some((2, String::new())));
    let callers = failed(Outcome::RpcError, Some(-32602));
    assert_eq!(callers, [error("-32602", "-32602"), (String::new(), "-32602".into(), None)]);
    let servers = failed(Outcome::RpcError, Some(-32603));
    assert_eq!(servers, [error("-32603", "-32603"), error("-32603", "-32603")]);
    assert_eq!(failed(Outcome::RpcError, Some(7)), [error("_OTHER", "7"), error("_OTHER", "7")]);
    assert_eq!(failed(Outcome::ToolError, None), [error("tool_error", ""), error("tool_error", "")]);
    assert_eq!(failed(Outcome::HttpError, Some(503)), [error("503", ""), error("503", "")]);
}

#[test]
fn a_call_without_an_answer_ends_when_it_is_over() {
    let (client_duration, server_duration) = (None, None);
    let span = SpanFacts { ended_at: Timestamp::from_nanos(9_000_000_000), ..whole_call().span };
    let call = Call { outcome: Outcome::Cancelled, client_duration, server_duration, span, ..call() };
    let taken = taken(vec![call], &ONLY_TRACES, Choice::default());
    let all = spans(&taken);
    assert_eq!(all.len(), 2);
    for (_, span) in all {
        assert_eq!(span.end_time_unix_nano, BASE_NS + 9_000_000_000);
        assert_eq!(attributes(&span.attributes)["error.type"], "cancelled");
    }
}

#[test]
fn http_has_its_addresses_its_link_and_its_session() {
    let own = TraceContext { trace_id: 0xab, parent_span_id: 0xcd, sampled: true };
    let http = TraceContext { trace_id: 0x12, parent_span_id: 0x34, sampled: false };
    let mut call = Call {
        transport: Transport::StreamableHttp,
        session: Some(0x1f),
        trace: Some(own),
        span: SpanFacts {
            http_context: Some(http),
            http_host: Some("mcp.example:8443".into()),
            http_version: Some("2"),
            trace_state: Some("vendor=1".into()),
            ..whole_call().span
        },
        ..call()
    };
    call.client.address = Some(([192, 0, 2, 7], 40_000).into());
    call.server.address = Some("[::ffff:c000:208]:80".parse().unwrap());
    let taken = taken(vec![call], &ONLY_TRACES, Choice::default());
    let [(_, client), (_, server)] = spans(&taken).try_into().unwrap();
    for span in [&client, &server] {
        assert_eq!(span.trace_id, 0xab_u128.to_be_bytes());
        assert_eq!(span.trace_state, "vendor=1");
        let attributes = attributes(&span.attributes);
        let of = |key: &str| attributes[key].as_str();
        assert_eq!([of("network.transport"), of("network.protocol.name")], ["tcp", "http"]);
        assert_eq!([of("network.protocol.version"), of("mcp.session.id")], ["2", "000000000000001f"]);
    }
    assert_eq!((client.parent_span_id.clone(), client.links.len()), (0xcd_u64.to_be_bytes().to_vec(), 0));
    assert_eq!(server.parent_span_id, client.span_id);
    let [link] = server.links.try_into().unwrap();
    assert_eq!(
        (link.trace_id, link.span_id),
        (0x12_u128.to_be_bytes().to_vec(), 0x34_u64.to_be_bytes().to_vec())
    );
    let (client, server) = (attributes(&client.attributes), attributes(&server.attributes));
    assert_eq!([&*client["server.address"], &*client["server.port"]], ["mcp.example", "#8443"]);
    assert_eq!([&*server["client.address"], &*server["client.port"]], ["192.0.2.7", "#40000"]);
    assert!(!client.contains_key("client.address") && !server.contains_key("server.address"));
}

#[test]
fn a_client_elsewhere_has_no_span_and_is_the_parent_only_in_a_fleet() {
    let mut elsewhere = Call { client_duration: None, ..whole_call() };
    elsewhere.client.process = None;
    let server = |call: &Call, fleet| {
        let taken = taken(vec![call.clone()], &ONLY_TRACES, Choice { fleet, ..Choice::default() });
        let [(service, server)] = spans(&taken).try_into().unwrap();
        assert_eq!(service, "everything");
        server
    };
    assert_eq!(server(&elsewhere, false).parent_span_id.len(), 0, "no trace without its root");
    assert_eq!(server(&elsewhere, true).parent_span_id.len(), 8);
    let context = TraceContext { trace_id: 0xab, parent_span_id: 0xcd, sampled: true };
    let traced = Call { trace: Some(context), ..elsewhere };
    assert_eq!(server(&traced, false).parent_span_id, 0xcd_u64.to_be_bytes());
}

#[test]
fn what_the_server_asks_is_the_servers_span() {
    let asked = Call {
        direction: CallDirection::ServerToClient,
        method: "sampling/createMessage".into(),
        ..whole_call()
    };
    let taken = taken(vec![Call { subject: None, ..asked }], &ONLY_TRACES, Choice::default());
    let [(asker, client), (asked, server)] = spans(&taken).try_into().unwrap();
    assert_eq!([&*asker, &*asked, &*client.name], ["everything", "mcp", "sampling/createMessage"]);
    assert_eq!(server.parent_span_id, client.span_id);
}

#[test]
fn processes_that_trace_themselves_are_left_out_as_the_user_wants() {
    let context = TraceContext { trace_id: 0xab, parent_span_id: 0xcd, sampled: true };
    let shown = |trace, sends_spans, own_spans| {
        let receiver = Receiver::start(ANYWHERE.into(), &[]);
        let mut exporter = exporter(&receiver, &ONLY_TRACES, Choice { own_spans, ..Choice::default() });
        let span = SpanFacts { sends_spans, ..whole_call().span };
        export(&mut exporter, Call { trace, span, ..call() });
        exporter.finish();
        let mut health = Health::default();
        exporter.account(&mut health);
        let left_out: u64 =
            health.sheds().filter(|(_, cause, _)| *cause == "otlp_own_spans").map(|it| it.2).sum();
        let spans = spans(&receiver.wait(|_| true));
        assert_eq!(spans.len() as u64 + left_out, 2);
        spans.into_iter().map(|(service, span)| (service, span.parent_span_id)).collect::<Vec<_>>()
    };
    let parent = || 0xcd_u64.to_be_bytes().to_vec();
    assert_eq!(shown(Some(context), [true, false], OwnSpans::Auto), [("everything".into(), parent())]);
    assert_eq!(shown(Some(context), [false, true], OwnSpans::Auto), [("mcp".into(), parent())]);
    assert_eq!(shown(None, [true, true], OwnSpans::Auto).len(), 2, "no sign that MCP is what it traces");
    assert_eq!(shown(Some(context), [false; 2], OwnSpans::Auto).len(), 2);
    assert_eq!(shown(Some(context), [true; 2], OwnSpans::Keep).len(), 2);
    assert_eq!(shown(Some(context), [false; 2], OwnSpans::LeaveOut).len(), 0);
}

#[test]
fn content_is_there_only_with_payloads() {
    let secret = |text: &str| Some(Private::new(format!("{{\"a\":\"{text}\"}}").into_bytes().into()));
    let told = |payloads| {
        let mut tool = Call { arguments: secret(SECRET), result: secret(SECRET), ..whole_call() };
        tool.span.error_message = Some(Private::new(SECRET.into()));
        let subject = Some(Subject::Resource(Private::new(format!("file:///{SECRET}").into())));
        let read = Call { method: "resources/read".into(), subject, ..tool.clone() };
        let failed = Call { outcome: Outcome::RpcError, error_code: Some(1), ..tool.clone() };
        let calls = vec![tool, read, failed];
        taken(calls, &[NO_METRICS], Choice { payloads, ..Choice::default() })
    };
    let hidden = told(false);
    assert_eq!((spans(&hidden).len(), hidden.logs.len()), (6, 1));
    assert!(!format!("{:?}", (hidden.traces, hidden.logs)).contains(SECRET));
    let all = spans(&told(true));
    let with = |key: &str, text: String| {
        all.iter().filter(|(_, span)| attributes(&span.attributes).get(key) == Some(&text)).count()
    };
    let json = format!("{{\"a\":\"{SECRET}\"}}");
    assert_eq!(with("gen_ai.tool.call.arguments", json.clone()), 4);
    assert_eq!(with("gen_ai.tool.call.result", json), 2, "of what succeeded");
    assert_eq!(with("mcp.resource.uri", format!("file:///{SECRET}")), 2);
    let messages = all.iter().filter(|(_, span)| span.status.as_ref().is_some_and(|it| it.message == SECRET));
    assert_eq!(messages.count(), 2);
    assert!(all.iter().all(|(_, span)| !span.name.contains(SECRET)));
}

#[test]
fn two_exporters_of_one_call_agree() {
    let ids = |call: Call| {
        let taken = taken(vec![call], &ONLY_TRACES, Choice::default());
        spans(&taken).into_iter().map(|(_, span)| (span.trace_id, span.span_id)).collect::<Vec<_>>()
    };
    let process = Arc::new(call().client.process.as_deref().unwrap().clone());
    let client = Peer { process: Some(process), ..Peer::default() };
    assert_eq!(ids(call()), ids(Call { client, ..call() }));
}
