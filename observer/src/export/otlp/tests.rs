//! What arrives at a collector: resources, records, metrics, and in the modules below spans and what delays them.

mod accounting;
mod delivery;
mod receiver;
mod spans;
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
