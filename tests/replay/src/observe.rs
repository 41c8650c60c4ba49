//! What the observer says of a capture.

use std::cell::RefCell;
use std::io::{self, Write};
use std::path::Path;
use std::rc::Rc;

use mcp_observer::agent::Agent;
use mcp_observer::capture::file::Reader;
use mcp_observer::export::json_lines::JsonLines;
use mcp_observer::export::prometheus::{Prometheus, exposition};
use mcp_observer::export::{Exporter, Vitals};
use mcp_observer::pipeline::Settings;
use mcp_observer::pipeline::observation::Observation;
use mcp_observer::pipeline::time::WallClock;
use serde_json::Value;

use crate::captures::Capture;

/// All that the observer says of a capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// JSON lines.
    pub lines: String,
    /// Metrics, in the text format of Prometheus.
    pub metrics: String,
    /// Faults and what was shed, all stages together, and calls that are told to be still in flight.
    pub troubles: u64,
}

impl Seen {
    /// The lines of one type.
    pub fn of_type(&self, r#type: &str) -> Vec<Value> {
        let values =
            self.lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line is JSON"));
        values.filter(|value| value["type"] == r#type).collect()
    }

    /// The calls.
    pub fn calls(&self) -> Vec<Value> {
        self.of_type("call")
    }
}

/// Takes a capture through the observer, as `replay` does.
pub fn observe(capture: &Capture) -> Seen {
    let (lines, troubles) = (Shared::default(), Rc::new(RefCell::new(0)));
    let prometheus = Prometheus::default();
    let registry = prometheus.registry();
    let exporters: Vec<Box<dyn Exporter>> = vec![
        Box::new(JsonLines::new(lines.clone(), false)),
        Box::new(prometheus),
        Box::new(Troubles(troubles.clone())),
    ];
    let bytes = capture.to_bytes();
    let reader = Reader::new(Path::new("memory"), bytes.as_slice()).expect("what was written is read");
    let agent = Agent::new(Settings::default(), capture.head.clock, exporters);
    let tally = agent.replay(reader).expect("memory is writable");
    let lines = String::from_utf8(lines.0.take()).expect("lines are UTF-8");
    let metrics = String::from_utf8(exposition::plain_text(&registry)).expect("metrics are UTF-8");
    Seen { lines, metrics, troubles: troubles.take() + tally.in_flight }
}

/// Output that can be read after the exporter is gone.
#[derive(Clone, Debug, Default)]
struct Shared(Rc<RefCell<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Counts what went wrong.
struct Troubles(Rc<RefCell<u64>>);

impl Exporter for Troubles {
    fn export(&mut self, _observation: &Observation, _clock: WallClock) -> io::Result<()> {
        Ok(())
    }

    fn turn(&mut self, vitals: &Vitals<'_>) -> io::Result<()> {
        let counts = vitals.health.iter().flat_map(|health| health.faults().chain(health.sheds()));
        self.0.replace(counts.map(|(_, _, count)| count).sum());
        Ok(())
    }
}
