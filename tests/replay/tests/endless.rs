//! Input without end stays inside the memory that is stated for it.

use mcp_observer::pipeline::input::Input;
use mcp_observer::pipeline::limits::HOSTILE_BYTES;
use mcp_observer::pipeline::{Pipeline, Settings};
use replay::memory::peak_bytes;
use replay::messages as m;
use replay::scenario::{ProcessSpec, Scenario, Wires};

/// Requests that are never answered; more than may be in flight.
const FLOOD: usize = 100_000;
/// Sessions over HTTP.
const SESSIONS: usize = if cfg!(debug_assertions) { 50_000 } else { 1_000_000 };
/// Bytes of what does not end.
const ENDLESS: usize = 32 << 20;

/// One test, since the peak is the process's.
#[test]
fn memory_stays_inside_its_bound() {
    let before = peak_bytes();
    let deep = "[".repeat(64 << 10);
    let line = format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{deep}");
    let header = "x-a: b\r\n".repeat(8 << 10);
    let cases: [(&str, &str, &str, bool); 5] = [
        ("deep nesting", &line, &deep, false),
        ("an endless line", "{\"jsonrpc\":\"2.0\",\"method\":\"", &"x".repeat(64 << 10), false),
        ("endless lines", "", &"{\"a\":1}\n".repeat(8 << 10), false),
        ("an endless head", "POST /mcp HTTP/1.1\r\nmcp-method: x\r\nx: ", &"y".repeat(64 << 10), true),
        ("endless headers", "POST /mcp HTTP/1.1\r\nmcp-method: x\r\n", &header, true),
    ];
    for (what, begin, part, http) in cases {
        let mut feed = Feed::new(http);
        feed.moves(begin);
        (0..ENDLESS / part.len()).for_each(|_| feed.moves(part));
        within_bound(what, before);
    }
    let mut feed = Feed::new(false);
    let long = "i".repeat(900);
    for id in 0..FLOOD {
        let text =
            format!(r#"{{"jsonrpc":"2.0","id":"{long}{id}","method":"tools/call","params":{{"name":"t"}}}}"#);
        feed.moves(&format!("{text}\n"));
    }
    within_bound("a flood of ids", before);
    let mut feed = Feed::new(true);
    for number in 0..SESSIONS {
        let session = format!("mcp-session-id: {number}");
        let request = m::post(&[&session], &m::notification("notifications/initialized"));
        feed.moves(&String::from_utf8_lossy(&request));
        feed.answers(&String::from_utf8_lossy(&m::status("202 Accepted")));
    }
    within_bound("sessions", before);
}

fn within_bound(what: &str, before: u64) {
    let growth = peak_bytes().saturating_sub(before);
    println!("{what}: {} MiB", growth >> 20);
    assert!(growth <= HOSTILE_BYTES as u64, "{what}: {growth} bytes");
}

/// A pipeline that reads one connection; what was read is not kept.
struct Feed {
    pipeline: Pipeline,
    scenario: Scenario,
    wires: Wires,
}

impl Feed {
    fn new(http: bool) -> Self {
        let mut scenario = Scenario::new();
        let client = scenario.process(ProcessSpec { exe: "/usr/bin/client", arguments: &["client"] });
        let server = scenario.process(ProcessSpec { exe: "/usr/bin/server", arguments: &["server"] });
        let wires = if http {
            scenario.tcp((client, "127.0.0.1:40001"), (server, "127.0.0.1:8080"))
        } else {
            scenario.stdio(client, server)
        };
        let mut feed = Self { pipeline: Pipeline::new(Settings::default()), scenario, wires };
        feed.take();
        feed
    }

    fn moves(&mut self, text: &str) {
        self.scenario.moves(self.wires.requests, text);
        self.take();
    }

    fn answers(&mut self, text: &str) {
        self.scenario.moves(self.wires.answers, text);
        self.take();
    }

    fn take(&mut self) {
        for record in self.scenario.take_records() {
            self.pipeline
                .feed(Input::decode(&record.header, &record.payload).expect("a record of a scenario"));
            while self.pipeline.next().is_some() {}
            while self.pipeline.next_verdict().is_some() {}
        }
    }
}
