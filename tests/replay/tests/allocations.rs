//! Recording under label values that are known allocates nothing: it is done for each call of a host.

use std::fs;
use std::path::Path;

use mcp_observer::export::Exporter;
use mcp_observer::export::prometheus::Prometheus;
use mcp_observer::pipeline::input::Input;
use mcp_observer::pipeline::observation::Observation;
use mcp_observer::pipeline::{Pipeline, Settings};
use replay::captures::Capture;

#[test]
fn what_was_seen_before_is_recorded_without_allocating() {
    let mut calls = 0;
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures")).unwrap() {
        let path = entry.unwrap().path().join("capture.mcpcap");
        let capture = Capture::read(&path);
        let observations = observations(&capture);
        let mut exporter = Prometheus::default();
        let mut record = |observation| exporter.export(observation, capture.head.clock).unwrap();
        observations.iter().for_each(&mut record);
        for observation in &observations {
            let allocated = allocation_counter::measure(|| record(observation));
            assert_eq!(allocated.count_total, 0, "{}: {observation:?}", path.display());
            calls += usize::from(matches!(observation, Observation::Call(_)));
        }
    }
    assert!(calls > 100, "{calls} calls in all fixtures");
}

fn observations(capture: &Capture) -> Vec<Observation> {
    let mut pipeline = Pipeline::new(Settings::default());
    let mut seen = Vec::new();
    for record in &capture.records {
        if let Ok(input) = Input::decode(&record.header, &record.payload) {
            pipeline.feed(input);
        }
        seen.extend(std::iter::from_fn(|| pipeline.next()));
        while pipeline.next_verdict().is_some() {}
    }
    seen
}
