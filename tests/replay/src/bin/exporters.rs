//! What exporters cost for each call: observations in, on one core.
//!
//! Prints one JSON object with the nanoseconds that each takes. Times are of the processor, so that other work on the
//! machine matters little.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

use mcp_observer::export::Exporter;
use mcp_observer::export::otlp::{self, Choice, Otlp, Wishes};
use mcp_observer::export::prometheus::Prometheus;
use mcp_observer::export::trace::Sampler;
use mcp_observer::pipeline::input::Input;
use mcp_observer::pipeline::observation::Observation;
use mcp_observer::pipeline::time::WallClock;
use mcp_observer::pipeline::{Pipeline, Settings};
use replay::messages::{call, line, notification, result};
use replay::scenario::Scenario;
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Map, json};

/// Passes, of which the fastest counts.
const PASSES: usize = 7;
const CALLS: u64 = 20_000;
/// Each call is one of these.
const TOOLS: [&str; 12] = [
    "search",
    "fetch",
    "create_issue",
    "list_issues",
    "read_file",
    "write_file",
    "list_directory",
    "query",
    "run_tests",
    "deploy",
    "rollback",
    "status",
];
const CLOCK: WallClock = WallClock { unix_ns_at_boot: 1_795_255_200_000_000_000 };

/// An exporter's name and how it is made.
type Candidate = (&'static str, fn() -> Box<dyn Exporter>);

const EXPORTERS: [Candidate; 3] = [
    ("exporter_prometheus_ns_per_call", || Box::new(Prometheus::default())),
    // Where spans are exported too, exemplars need their ids.
    ("exporter_prometheus_with_exemplars_ns_per_call", || Box::new(Prometheus::new(Sampler::default()))),
    // All of it, on both threads: copying, making two spans, encoding and sending, and a collector that reads and forgets.
    ("exporter_otlp_spans_ns_per_call", || Box::new(otlp())),
];

fn main() {
    let calls = calls();
    let mut figures = Map::new();
    for (name, exporter) in EXPORTERS {
        let fastest = (0..PASSES).map(|_| pass(&mut *exporter(), &calls)).fold(f64::INFINITY, f64::min);
        figures.insert(name.into(), json!(fastest * 1e9 / calls.len() as f64));
    }
    println!("{}", serde_json::Value::Object(figures));
}

/// Processor seconds that all calls take.
fn pass(exporter: &mut dyn Exporter, calls: &[Observation]) -> f64 {
    let began = processor_time();
    for call in calls {
        exporter.export(call, CLOCK).expect("memory takes everything");
    }
    exporter.finish();
    (processor_time() - began).as_secs_f64()
}

/// An exporter of spans alone.
fn otlp() -> Otlp {
    let endpoint = format!("http://{}", collector());
    let look_up = |name: &str| match name {
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" => Some(endpoint.clone()),
        _ => None,
    };
    let settings = otlp::Settings::read(&look_up, &Wishes::default()).expect("these settings are right");
    let choice = Choice { waits: true, ..Choice::default() };
    Otlp::start(settings, choice, Prometheus::default().registry()).expect("a thread")
}

/// Takes whatever comes.
fn collector() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("an address");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        let (stream, _) = listener.accept().expect("the exporter");
        let mut reader = BufReader::with_capacity(1 << 16, stream);
        loop {
            let (mut head, mut length) = (String::new(), 0);
            while head != "\r\n" {
                head.clear();
                if reader.read_line(&mut head).unwrap_or(0) == 0 {
                    return;
                }
                length =
                    head.strip_prefix("content-length: ").map_or(length, |it| it.trim().parse().unwrap_or(0));
            }
            let body = std::io::copy(&mut reader.by_ref().take(length), &mut std::io::sink());
            assert_eq!(body.expect("a body"), length);
            reader
                .get_mut()
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                .expect("the exporter");
        }
    });
    address
}

/// Calls of one stdio session, as the pipeline tells them.
fn calls() -> Vec<Observation> {
    let mut scenario = Scenario::new();
    let stdio = scenario.greeted();
    scenario.moves(stdio.requests, line(&notification("notifications/initialized")));
    for (id, tool) in (1..=CALLS).zip(TOOLS.into_iter().cycle()) {
        scenario.moves(stdio.requests, line(&call(id, tool, r#"{"query":"all of it"}"#)));
        scenario.moves(stdio.answers, line(&result(id, r#"{"content":[{"type":"text","text":"nothing"}]}"#)));
    }
    let mut pipeline = Pipeline::new(Settings::default());
    let mut calls = Vec::new();
    for record in &scenario.into_capture().records {
        pipeline.feed(Input::decode(&record.header, &record.payload).expect("a record of a scenario"));
        while let Some(observation) = pipeline.next() {
            calls.extend(matches!(observation, Observation::Call(_)).then_some(observation));
        }
        while pipeline.next_verdict().is_some() {}
    }
    assert!(calls.len() as u64 >= CALLS, "{} calls", calls.len());
    calls
}

fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
