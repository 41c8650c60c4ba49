//! How fast the pure pipeline is on one core: records in, observations out, nothing printed of them.
//!
//! Prints one JSON object: messages per second of small calls, bytes per second of large results by what is in them,
//! and of their mix. Times are of the processor, so that other work on the machine matters little.

use std::time::Duration;

use mcp_observer::pipeline::input::Input;
use mcp_observer::pipeline::observation::Observation;
use mcp_observer::pipeline::{Pipeline, Settings};
use replay::captures::Capture;
use replay::messages::{call, line, notification, result};
use replay::scenario::{Scenario, Wires};
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Map, json};

/// Passes over each capture, of which the fastest counts.
const PASSES: usize = 7;
const SMALL_CALLS: u64 = 20_000;
/// Bytes of one large result, about.
const LARGE: usize = 1 << 20;
const LARGE_CALLS: u64 = 24;
/// Bytes of one read of a pipe.
const READ: usize = 65_536;

fn main() {
    let mut figures = Map::new();
    let small =
        session(SMALL_CALLS, |_| r#"{"content":[{"type":"text","text":"0.8 s, nothing found"}]}"#.into());
    let seconds = fastest(&small, SMALL_CALLS);
    figures.insert("replay_small_messages_per_s".into(), json!(2.0 * SMALL_CALLS as f64 / seconds));
    let (mut all_bytes, mut all_seconds) = (0.0, 0.0);
    for (name, content) in CONTENTS {
        let large = session(LARGE_CALLS, |_| content());
        let bytes = large.records.iter().map(|record| record.payload.len() as f64).sum::<f64>();
        let seconds = fastest(&large, LARGE_CALLS);
        figures.insert(format!("replay_large_{name}_bytes_per_s"), json!(bytes / seconds));
        all_bytes += bytes;
        all_seconds += seconds;
    }
    figures.insert("replay_large_bytes_per_s".into(), json!(all_bytes / all_seconds));
    println!("{}", serde_json::Value::Object(figures));
}

/// A result's name and how it is made.
type Content = (&'static str, fn() -> String);

/// Results of about [`LARGE`] bytes, by what is in them.
const CONTENTS: [Content; 4] =
    [("text", text), ("base64", base64), ("tools", tools), ("structured", structured)];

/// Lines of program text, with the escapes that they need.
fn text() -> String {
    let line = r#"    if (name == \"value\") { return path.join(\"\\n\"); }  // as in the other case\n"#;
    format!(r#"{{"content":[{{"type":"text","text":"{}"}}]}}"#, line.repeat(LARGE / line.len()))
}

fn base64() -> String {
    format!(
        r#"{{"content":[{{"type":"image","mimeType":"image/png","data":"{}"}}]}}"#,
        "iVBORw0K".repeat(LARGE / 8)
    )
}

/// A list of tools, as servers for web services have them.
fn tools() -> String {
    let tool = |number: usize| {
        let name = format!("create_issue_{number}");
        let property = json!({"type": "string", "description": "The owner of the repository, by name"});
        json!({
            "name": name, "title": "Create issue",
            "description": "Creates a new issue in a repository, with a title, a body, labels and assignees.",
            "inputSchema": {"type": "object", "required": ["owner", "repo", "title"], "properties": {
                "owner": property, "repo": property, "title": property, "body": property,
                "labels": {"type": "array", "items": {"type": "string"}},
                "milestone": {"type": "number", "minimum": 1},
            }},
            "annotations": {"readOnlyHint": false, "destructiveHint": false},
        })
    };
    let len = tool(1000).to_string().len();
    json!({"tools": (0..LARGE / len).map(tool).collect::<Vec<_>>()}).to_string()
}

/// Rows of a data base: many small objects.
fn structured() -> String {
    let row = |number: usize| {
        json!({
            "id": number, "name": "Ada", "active": true, "score": 12.75, "tags": ["a", "b"],
            "at": {"lat": 52.52, "lon": 13.4},
        })
    };
    let len = row(5000).to_string().len();
    json!({"content": [], "structuredContent": {"rows": (0..LARGE / len).map(row).collect::<Vec<_>>()}})
        .to_string()
}

/// A stdio session in which each call gets this result.
fn session(calls: u64, content: impl Fn(u64) -> String) -> Capture {
    let mut scenario = Scenario::new();
    let stdio = scenario.greeted();
    scenario.moves(stdio.requests, line(&notification("notifications/initialized")));
    for id in 1..=calls {
        exchange(&mut scenario, stdio, id, &content(id));
    }
    scenario.into_capture()
}

fn exchange(scenario: &mut Scenario, stdio: Wires, id: u64, content: &str) {
    scenario.moves(stdio.requests, line(&call(id, "search", r#"{"query":"all of it","limit":10}"#)));
    for part in line(&result(id, content)).chunks(READ) {
        scenario.moves(stdio.answers, part);
    }
}

/// Processor seconds of the fastest pass.
fn fastest(capture: &Capture, calls: u64) -> f64 {
    (0..PASSES).map(|_| pass(capture, calls)).fold(f64::INFINITY, f64::min)
}

fn pass(capture: &Capture, calls: u64) -> f64 {
    let mut pipeline = Pipeline::new(Settings::default());
    let mut seen = 0;
    let began = processor_time();
    for record in &capture.records {
        pipeline.feed(Input::decode(&record.header, &record.payload).expect("a record of a scenario"));
        while let Some(observation) = pipeline.next() {
            seen +=
                u64::from(matches!(observation, Observation::Call(call) if &*call.method == "tools/call"));
        }
        while pipeline.next_verdict().is_some() {}
    }
    let took = processor_time() - began;
    assert!(seen + 1 >= calls, "{seen} of {calls} calls");
    took.as_secs_f64()
}

fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
