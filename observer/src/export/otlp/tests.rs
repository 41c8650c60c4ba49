//! What arrives at a collector, attribute by attribute, and what becomes of it when the collector does not do well.

mod accounting;
mod receiver;
mod tls;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::trace::v1::Span;

use self::receiver::{Answer, Receiver, Taken};
use super::*;
use crate::capture::host::Options as HostOptions;
use crate::export::prometheus::Prometheus;
use crate::export::testing::{CLOCK, SECRET, call};
use crate::pipeline::attribution::Processes;
use crate::pipeline::input::{ProcessFacts, ProcessId};
use crate::pipeline::jsonrpc::Id;
use crate::pipeline::limits::Limits;
use crate::pipeline::observation::{
    CallDirection, CallEvent, Outcome, Peer, SpanFacts, Subject, TraceContext, Transport,
};
use crate::pipeline::private::Private;
use crate::pipeline::time::Timestamp;

const ANYWHERE: ([u8; 4], u16) = ([127, 0, 0, 1], 0);

/// An exporter to `receiver`, with more variables.
fn exporter(receiver: &Receiver, variables: &[(&str, &str)], choice: Choice) -> Otlp {
    let endpoint = format!("http://{}", receiver.address);
    let look_up = |name: &str| {
        let own = variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        own.or_else(|| match name {
            "OTEL_EXPORTER_OTLP_ENDPOINT" => Some(endpoint.clone()),
            // Long: what goes out goes because a portion is full, or at the end.
            "OTEL_BSP_SCHEDULE_DELAY" | "OTEL_BLRP_SCHEDULE_DELAY" => Some("60000".into()),
            _ => None,
        })
    };
    let settings = Settings::read(&look_up, &Wishes::default()).unwrap();
    assert_eq!(settings.complaints, Vec::<String>::new());
    let prometheus = Prometheus::new(settings.sampler);
    Otlp::start(settings, choice, prometheus.registry()).unwrap()
}

const NO_METRICS: (&str, &str) = ("OTEL_METRICS_EXPORTER", "none");
const ONLY_TRACES: [(&str, &str); 2] = [NO_METRICS, ("OTEL_LOGS_EXPORTER", "none")];
const GRPC: (&str, &str) = ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");

fn numbered(number: usize) -> Call {
    Call { id: Id::Number(number.to_string().into()), ..call() }
}

fn export(exporter: &mut Otlp, call: Call) {
    exporter.export(&Observation::Call(Box::new(call)), CLOCK).unwrap();
}

/// What a collector has once these calls were exported.
fn taken(calls: Vec<Call>, variables: &[(&str, &str)], choice: Choice) -> Taken {
    let receiver = Receiver::start(ANYWHERE.into(), &[]);
    let mut exporter = exporter(&receiver, variables, choice);
    calls.into_iter().for_each(|call| export(&mut exporter, call));
    exporter.finish();
    assert_eq!(exporter.counts.lost(), 0);
    receiver.wait(|_| true)
}

/// All spans with the name of their service.
fn spans(taken: &Taken) -> Vec<(String, Span)> {
    let resources = taken.traces.iter().flat_map(|request| &request.resource_spans);
    let named = resources.flat_map(|it| {
        let resource = attributes(&it.resource.as_ref().unwrap().attributes);
        let spans = it.scope_spans.iter().inspect(|it| {
            assert_eq!(it.scope.as_ref().unwrap().name, "mcp-observer");
            assert!(it.schema_url.starts_with("https://opentelemetry.io/schemas/"));
        });
        let spans = spans.flat_map(|it| it.spans.clone());
        spans.map(move |span| (resource["service.name"].clone(), span)).collect::<Vec<_>>()
    });
    named.collect()
}

/// Attributes as text; twice the same key is a fault.
fn attributes(list: &[KeyValue]) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for KeyValue { key, value, .. } in list {
        let value = match value.as_ref().unwrap().value.clone().unwrap() {
            Value::StringValue(text) => text,
            Value::IntValue(number) => format!("#{number}"),
            Value::DoubleValue(number) => format!("#{number}"),
            other => format!("{other:?}"),
        };
        assert!(all.insert(key.clone(), value).is_none(), "{key} twice");
    }
    all
}

fn expect(list: &[KeyValue], expected: &[(&str, &str)]) {
    let expected: BTreeMap<_, _> = expected.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    assert_eq!(attributes(list), expected);
}

const BASE_NS: u64 = 1_795_255_200_000_000_000;

/// The call of the contract's example, with what only spans tell.
fn whole_call() -> Call {
    let event = |at, method| CallEvent {
        at: Timestamp::from_nanos(at),
        method,
        direction: CallDirection::ServerToClient,
    };
    Call {
        span: SpanFacts {
            received_at: Some(Timestamp::from_nanos(123_500_000)),
            events: vec![
                event(124_000_000, "notifications/progress"),
                event(125_000_000, "notifications/message"),
            ],
            dropped_events: 3,
            ..SpanFacts::default()
        },
        progress: 1,
        ..call()
    }
}

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
fn whatever_is_sent_is_in_the_reference() {
    use crate::export::span_attributes::{ATTRIBUTES, On};
    let known = |on, list: &[KeyValue]| {
        for KeyValue { key, .. } in list {
            assert!(ATTRIBUTES.iter().any(|it| it.on == on && it.name == key), "{key} of {on:?}");
        }
    };
    let failed = Call { outcome: Outcome::RpcError, error_code: Some(1), ..whole_call() };
    let host = Some(Host::here(&HostOptions::default()));
    let taken = taken(
        vec![whole_call(), failed],
        &[NO_METRICS],
        Choice { host, payloads: true, ..Choice::default() },
    );
    for resource in taken.traces.iter().flat_map(|request| &request.resource_spans) {
        known(On::Resource, &resource.resource.as_ref().unwrap().attributes);
        for span in resource.scope_spans.iter().flat_map(|it| &it.spans) {
            known(On::Call, &span.attributes);
            span.events.iter().for_each(|event| known(On::Event, &event.attributes));
        }
    }
}

#[test]
fn attributes_of_the_user_are_sent_and_replace_none() {
    use crate::pipeline::observation::{Attribute, AttributeValue};
    let attribute = |name: &str, value| Attribute { name: name.into(), value };
    let attributes_of_user = vec![
        attribute("team", AttributeValue::Text("blue".into())),
        attribute("mcp.method.name", AttributeValue::Int(1)),
    ];
    let taken =
        taken(vec![Call { attributes: attributes_of_user, ..call() }], &[NO_METRICS], Choice::default());
    let records = taken.logs.iter().flat_map(|it| &it.resource_logs).flat_map(|it| &it.scope_logs);
    let records = records.flat_map(|it| it.log_records.iter().map(|it| it.attributes.clone()));
    let lists = spans(&taken).into_iter().map(|(_, span)| span.attributes).chain(records);
    let sent: Vec<_> = lists.map(|list| attributes(&list)).collect();
    assert_eq!(sent.len(), 3, "two spans and a record");
    for sent in sent {
        assert_eq!([&*sent["team"], &*sent["mcp.method.name"]], ["blue", "tools/call"]);
    }
}

#[test]
fn every_service_is_a_resource_of_its_own() {
    let other = Peer { name: Some("other".into()), process: None, ..call().server };
    let calls = vec![call(), numbered(4), Call { server: other, server_duration: None, ..numbered(5) }];
    let variables = [
        NO_METRICS,
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test,service.name=x,host.name=mine"),
        ("OTEL_SERVICE_NAME", "observer"),
    ];
    let host = Some(Host::here(&HostOptions::default()));
    let taken = taken(calls, &variables, Choice { host, ..Choice::default() });
    let [request] = taken.traces.try_into().unwrap();
    let resources = request.resource_spans.iter();
    let resources: Vec<_> =
        resources.map(|it| (attributes(&it.resource.as_ref().unwrap().attributes), it)).collect();
    let counts: Vec<_> = resources
        .iter()
        .map(|(it, spans)| (&*it["service.name"], spans.scope_spans[0].spans.len()))
        .collect();
    assert_eq!(counts, [("mcp", 3), ("everything", 2)]);
    let (server, _) = &resources[1];
    let of = |key: &str| server[key].as_str();
    assert_eq!(
        [of("service.version"), of("process.pid"), of("process.executable.name")],
        ["1.0", "#4243", "node"]
    );
    assert_eq!([of("process.executable.path"), of("process.command")], ["/usr/bin/node", "node server.js"]);
    assert_eq!(of("process.creation.time"), "2026-11-21T10:00:00.000000001Z");
    assert_eq!([of("deployment.environment.name"), of("host.name")], ["test", "mine"]);
    assert_eq!([of("os.type"), of("telemetry.sdk.language")], ["linux", "rust"]);
    let instances: HashSet<_> = resources.iter().map(|(it, _)| it["service.instance.id"].clone()).collect();
    assert_eq!(instances.len(), 2);
    assert!(instances.iter().all(|id| id.len() == 36 && id.as_bytes()[14] == b'8'), "{instances:?}");
    assert!(!format!("{resources:?}").contains(SECRET), "no arguments of commands");
}

#[test]
fn the_host_is_the_one_whose_files_were_named_and_a_pods_node_is_named_too() {
    let root = std::env::temp_dir().join(format!("mcp-observer-host-{}", std::process::id()));
    std::fs::create_dir_all(root.join("etc")).unwrap();
    std::fs::write(root.join("etc/hostname"), "metal-7\n").unwrap();
    std::fs::write(root.join("etc/machine-id"), "0af1\n").unwrap();
    let options = HostOptions { root: Some(root.clone()), node: Some("node-7".into()) };
    let host = Some(Host::here(&options));
    std::fs::remove_dir_all(root).unwrap();
    let mut processes = Processes::new(&Limits::default());
    let id = ProcessId { pid: 4243, started_ns: 1 };
    processes.see(id, ProcessFacts { pod: Some("u1".into()), ..ProcessFacts::default() });
    let server = Peer { process: Some(processes.process(id)), ..call().server };
    let choice = Choice { host, ..Choice::default() };
    let taken = taken(vec![Call { server, ..call() }], &ONLY_TRACES, choice);
    let resources = taken.traces.iter().flat_map(|request| &request.resource_spans);
    let resources = resources.map(|it| attributes(&it.resource.as_ref().unwrap().attributes));
    let [client, server] = resources.collect::<Vec<_>>().try_into().unwrap();
    for resource in [&client, &server] {
        assert_eq!([&*resource["host.name"], &*resource["host.id"]], ["metal-7", "0af1"]);
    }
    assert_eq!((client.get("k8s.node.name"), &*server["k8s.node.name"]), (None, "node-7"));
}

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
fn a_log_record_for_each_call_is_bound_to_its_span() {
    let failed = Call { outcome: Outcome::ToolError, ..numbered(4) };
    let taken = taken(vec![whole_call(), failed], &[NO_METRICS, GRPC], Choice::default());
    let resources = taken.logs.iter().flat_map(|request| &request.resource_logs);
    let records: Vec<_> = resources.flat_map(|it| &it.scope_logs).flat_map(|it| &it.log_records).collect();
    let [good, bad] = records.try_into().unwrap();
    assert_eq!(
        (&*good.event_name, &*good.severity_text, &*bad.severity_text),
        ("mcp_observer.call", "INFO", "ERROR")
    );
    let all = spans(&taken);
    let server = all.iter().find(|(service, _)| service == "everything").unwrap();
    assert_eq!((&good.trace_id, &good.span_id), (&server.1.trace_id, &server.1.span_id));
    assert_eq!(good.time_unix_nano, server.1.end_time_unix_nano);
    let told = attributes(&good.attributes);
    assert_eq!(
        [&*told["mcp_observer.client.duration"], &*told["mcp_observer.server.duration"]],
        ["#0.012345", "#0.012101"]
    );
}

#[test]
fn the_sampler_decides_about_spans_and_not_about_records() {
    let variables = [NO_METRICS, ("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "0.5")];
    let taken = taken((0..400).map(numbered).collect(), &variables, Choice::default());
    let all = spans(&taken);
    assert!((250..550).contains(&all.len()), "{}", all.len());
    let records = taken.logs.iter().flat_map(|it| &it.resource_logs).flat_map(|it| &it.scope_logs);
    assert_eq!(records.map(|it| it.log_records.len()).sum::<usize>(), 400);
}

#[test]
fn limits_and_headers_are_those_of_the_environment() {
    let variables = [
        NO_METRICS,
        ("OTEL_LOGS_EXPORTER", "none"),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "2"),
        ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "3"),
        ("OTEL_SPAN_EVENT_COUNT_LIMIT", "1"),
        ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "x-tenant=a%20b"),
        ("OTEL_SEMCONV_STABILITY_OPT_IN", "http,rpc/dup"),
    ];
    let taken = taken(vec![whole_call()], &variables, Choice::default());
    assert_eq!(taken.heads[0]["x-tenant"], "a b");
    let (_, span) = &spans(&taken)[0];
    expect(&span.attributes, &[("mcp.method.name", "too"), ("gen_ai.tool.name", "ech")]);
    assert_eq!((span.dropped_attributes_count, span.events.len(), span.dropped_events_count), (15, 1, 4));
}

#[test]
fn metrics_are_those_of_the_scrape() {
    let receiver = Receiver::start(ANYWHERE.into(), &[]);
    for (histogram, kind) in [("explicit_bucket_histogram", 0), ("base2_exponential_bucket_histogram", 1)] {
        let endpoint = format!("http://{}/v1/metrics", receiver.address);
        let look_up = |name: &str| match name {
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT" => Some(endpoint.clone()),
            "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION" => Some(histogram.to_owned()),
            "OTEL_SERVICE_NAME" => Some("here".to_owned()),
            _ => None,
        };
        let settings = Settings::read(&look_up, &Wishes::default()).unwrap();
        let mut prometheus = Prometheus::new(settings.sampler);
        let mut exporter = Otlp::start(settings, Choice::default(), prometheus.registry()).unwrap();
        prometheus.export(&Observation::Call(Box::new(call())), CLOCK).unwrap();
        exporter.finish();
        let taken = receiver.wait(|taken| taken.metrics.len() > kind);
        let resource = &taken.metrics[kind].resource_metrics[0];
        assert_eq!(attributes(&resource.resource.as_ref().unwrap().attributes)["service.name"], "here");
        let metric =
            |name: &str| resource.scope_metrics[0].metrics.iter().find(|it| it.name == name).unwrap();
        let Some(Data::Sum(requests)) = &metric("mcp_requests").data else { panic!("no sum") };
        assert!(requests.is_monotonic && requests.aggregation_temporality == 2);
        assert!(requests.data_points[0].start_time_unix_nano >= BASE_NS);
        expect(
            &requests.data_points[0].attributes,
            &[("server", "everything"), ("method", "tools/call"), ("outcome", "ok")],
        );
        let duration = metric("mcp.client.operation.duration");
        assert_eq!(duration.unit, "s");
        match (&duration.data, kind) {
            (Some(Data::Histogram(it)), 0) => {
                let point = &it.data_points[0];
                assert_eq!((point.count, point.sum), (1, Some(0.012_345)));
                assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
                assert_eq!(point.bucket_counts[1], 1, "from 10 ms to 20 ms");
                assert_eq!(attributes(&point.attributes)["mcp.method.name"], "tools/call");
            }
            (Some(Data::ExponentialHistogram(it)), 1) => {
                let point = &it.data_points[0];
                let buckets = point.positive.as_ref().unwrap();
                assert_eq!((point.count, &buckets.bucket_counts), (1, &vec![1]));
                let base = 2_f64.powf(2_f64.powi(-point.scale));
                let lower = base.powi(buckets.offset);
                assert!(lower < 0.012_345 && 0.012_345 <= lower * base, "{lower}");
            }
            (other, _) => panic!("{other:?}"),
        }
    }
}

/// Ids of all client spans that came; one that came twice is a fault.
fn ids(taken: &Taken) -> HashSet<String> {
    let all = spans(taken);
    let ids: Vec<_> = all.iter().filter(|(_, span)| span.kind == 3).collect();
    let ids = ids.iter().map(|(_, span)| attributes(&span.attributes)["jsonrpc.request.id"].clone());
    let ids: Vec<_> = ids.collect();
    let unique: HashSet<_> = ids.iter().cloned().collect();
    assert_eq!(unique.len(), ids.len());
    unique
}

#[test]
fn what_may_pass_is_tried_again_and_arrives_once() {
    let answers = [
        Answer::Status(503, None),
        Answer::Status(429, Some("1")),
        Answer::Status(502, None),
        Answer::Status(504, None),
    ];
    let receiver = Receiver::start(ANYWHERE.into(), &answers);
    let variables = [&ONLY_TRACES[..], &[("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "10")]].concat();
    let mut exporter = exporter(&receiver, &variables, Choice::default());
    (0..10).for_each(|number| export(&mut exporter, numbered(number)));
    let taken = receiver.wait(|taken| !taken.traces.is_empty());
    let second = taken.attempts[2].duration_since(taken.attempts[1]);
    assert!(second >= Duration::from_secs(1), "as the collector had asked: {second:?}");
    assert_eq!((ids(&taken).len(), taken.attempts.len()), (10, 5));
    exporter.finish();
    assert!(exporter.counts.is_up());
    assert_eq!(exporter.counts.lost(), 0);
}

#[test]
fn what_is_refused_or_turned_down_is_counted() {
    let answers = [Answer::Status(400, None), Answer::Partly(3)];
    let receiver = Receiver::start(ANYWHERE.into(), &answers);
    let variables = [&ONLY_TRACES[..], &[("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "10")]].concat();
    let mut exporter = exporter(&receiver, &variables, Choice::default());
    (0..20).for_each(|number| export(&mut exporter, numbered(number)));
    exporter.finish();
    let mut health = Health::default();
    exporter.account(&mut health);
    let counted: BTreeMap<_, _> =
        health.sheds().map(|(stage, cause, count)| ((stage.name(), cause), count)).collect();
    let expected = [(("export", "otlp_traces_refused"), 20), (("export", "otlp_traces_rejected"), 3)];
    assert_eq!(counted, expected.into());
    assert_eq!(receiver.wait(|_| true).attempts.len(), 2, "neither is sent again");
}

#[test]
fn grpc_is_tried_again_for_what_may_pass_only() {
    let receiver = Receiver::start(ANYWHERE.into(), &[Answer::Code(14), Answer::Code(3)]);
    let variables = [&ONLY_TRACES[..], &[GRPC, ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "10")]].concat();
    let mut exporter = exporter(&receiver, &variables, Choice::default());
    (0..20).for_each(|number| export(&mut exporter, numbered(number)));
    exporter.finish();
    let taken = receiver.wait(|_| true);
    assert_eq!((taken.attempts.len(), ids(&taken).len()), (3, 10));
    assert_eq!(exporter.counts.lost(), 20, "two spans of each call in the first portion");
}

#[test]
fn a_collector_that_comes_back_gets_what_the_queue_holds() {
    for protocol in [&[][..], &[GRPC]] {
        let first = Receiver::start(ANYWHERE.into(), &[]);
        let address = first.address;
        let variables = [
            &ONLY_TRACES[..],
            protocol,
            &[("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "10"), ("OTEL_BSP_MAX_QUEUE_SIZE", "50")],
        ];
        let mut exporter = exporter(&first, &variables.concat(), Choice::default());
        (0..10).for_each(|number| export(&mut exporter, numbered(number)));
        let before = first.wait(|taken| !taken.traces.is_empty());
        drop(first);
        (10..200).for_each(|number| export(&mut exporter, numbered(number)));
        let until = Instant::now() + Duration::from_secs(20);
        while exporter.counts.is_up() {
            assert!(Instant::now() < until, "nobody noticed");
            std::thread::sleep(Duration::from_millis(5));
        }
        let second = Receiver::start(address, &[]);
        let kept = 190 - exporter.counts.lost() as usize / 2;
        assert!((50..=60).contains(&kept), "the queue and a portion: {kept}");
        let after = second.wait(|taken| ids(taken).len() == kept);
        assert!(ids(&before).is_disjoint(&ids(&after)));
        exporter.finish();
        assert_eq!(ids(&second.wait(|_| true)).len(), kept);
    }
}

#[test]
fn a_slow_collector_slows_nobody() {
    let receiver = Receiver::start(ANYWHERE.into(), &[Answer::Late(Duration::from_secs(60))]);
    let variables = [&ONLY_TRACES[..], &[("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "10")]].concat();
    let mut exporter = exporter(&receiver, &variables, Choice::default());
    let began = Instant::now();
    (0..5000).for_each(|number| export(&mut exporter, numbered(number)));
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    let kept = 2048 + 10;
    assert!(exporter.counts.lost() >= 2 * (5000 - kept));
    exporter.finish();
    assert!(began.elapsed() < Duration::from_secs(30), "the end is bounded");
    assert_eq!(exporter.counts.lost(), 10_000, "whatever did not arrive is counted");
}

#[test]
fn large_payloads_go_in_portions_that_collectors_take() {
    let large = || Some(Private::new(vec![b'x'; 64 << 10].into_boxed_slice()));
    let call = |number| Call { arguments: large(), result: large(), ..numbered(number) };
    let choice = Choice { payloads: true, waits: true, ..Choice::default() };
    let taken = taken((0..100).map(call).collect(), &ONLY_TRACES, choice);
    assert_eq!(ids(&taken).len(), 100);
    let largest = taken.traces.iter().map(prost::Message::encoded_len).max().unwrap();
    assert!(largest < 4 << 20, "{largest}");
}

#[test]
fn a_queue_is_bounded_in_bytes() {
    let receiver = Receiver::start(ANYWHERE.into(), &[Answer::Late(Duration::from_secs(60))]);
    let choice = Choice { payloads: true, ..Choice::default() };
    let mut exporter = exporter(&receiver, &ONLY_TRACES, choice);
    let payload = Private::new(vec![b'x'; 64 << 10].into_boxed_slice());
    (0..1000).for_each(|number| {
        export(&mut exporter, Call { arguments: Some(payload.clone()), ..numbered(number) })
    });
    let mut health = Health::default();
    exporter.account(&mut health);
    let lost = health.sheds().find(|(_, cause, _)| *cause == "otlp_traces_queue_bytes").unwrap().2;
    assert!(lost > 2 * 700, "{lost}");
    exporter.finish();
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
