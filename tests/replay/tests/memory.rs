//! The memory of the pipeline does not grow with the size of a message.

use std::time::Duration;

use mcp_observer::pipeline::input::Input;
use mcp_observer::pipeline::observation::{Call, Certainty, Observation};
use mcp_observer::pipeline::{Pipeline, Settings};
use observer_common::record::{RecordHeader, RecordKind};
use replay::memory::peak_bytes;
use replay::messages::{call, line};
use replay::scenario::Scenario;

/// Bytes of one read.
const READ: usize = 65_536;
/// What the pipeline may need more than before: its buffers, not the message.
const MOST_GROWTH: u64 = 4 << 20;

/// One test, since the peak is the process's. The shorter comes first: a peak before hides what comes after.
#[test]
fn a_result_of_256_mib_is_not_held() {
    let row = r#"{"id":7,"name":"Ada","tags":["a","b"]},"#;
    is_read_without_being_held(16 << 20, r#"{"structuredContent":{"rows":["#, row, "0]}}");
    let line = "x".repeat(508) + r#"\n\""#;
    is_read_without_being_held(256 << 20, r#"{"content":[{"type":"text","text":""#, &line, r#""}]}"#);
}

/// A result of `size` bytes: `part` again and again, between what is before and behind.
fn is_read_without_being_held(size: usize, before: &str, part: &str, behind: &str) {
    let parts = part.repeat(READ);
    let reads = size.div_ceil(parts.len()) * part.len();
    let mut scenario = Scenario::new();
    let stdio = scenario.greeted();
    scenario.moves(stdio.requests, line(&call(1, "large", "{}")));
    scenario.moves(stdio.answers, format!(r#"{{"jsonrpc":"2.0","id":1,"result":{before}"#));
    let records = scenario.into_capture().records;

    let mut reader = Reader { pipeline: Pipeline::new(Settings::default()), calls: Vec::new() };
    records.iter().for_each(|record| reader.take(&record.header, &record.payload));
    let ways = [RecordKind::Sent, RecordKind::Received];
    let mut headers = ways.map(|kind| {
        records.iter().rfind(|record| record.header.kind == kind as u16).expect("bytes have moved").header
    });
    let peak_before = peak_bytes();
    for portion in parts.as_bytes().chunks(READ).cycle().take(reads) {
        reader.move_on(&mut headers, portion);
    }
    let growth = peak_bytes() - peak_before;
    assert!(growth <= MOST_GROWTH, "the pipeline took {growth} bytes more for a message of {size} bytes");
    reader.move_on(&mut headers, format!("{behind}}}\n").as_bytes());
    reader.pipeline.finish(mcp_observer::pipeline::time::Timestamp::from_nanos(u64::MAX / 2));
    reader.drain();
    let call = reader.calls.iter().find(|call| &*call.method == "tools/call").expect("the call is shown");
    assert!(
        call.response_bytes > size as u64 && call.certainty == Certainty::Whole,
        "{} bytes",
        call.response_bytes
    );
}

struct Reader {
    pipeline: Pipeline,
    calls: Vec<Call>,
}

impl Reader {
    /// The writer writes these bytes behind the last, and the reader reads them.
    fn move_on(&mut self, headers: &mut [RecordHeader; 2], bytes: &[u8]) {
        for header in headers {
            header.position += u64::from(header.moved_len);
            header.moved_len = bytes.len() as u32;
            header.at_ns += Duration::from_micros(50).as_nanos() as u64;
            let recorded = if header.kind == RecordKind::Received as u16 { bytes } else { &[] };
            header.payload_len = recorded.len() as u32;
            self.take(header, recorded);
        }
    }

    fn take(&mut self, header: &RecordHeader, payload: &[u8]) {
        self.pipeline.feed(Input::decode(header, payload).expect("a record of a scenario"));
        self.drain();
        while self.pipeline.next_verdict().is_some() {}
    }

    fn drain(&mut self) {
        while let Some(observation) = self.pipeline.next() {
            if let Observation::Call(call) = observation {
                self.calls.push(*call);
            }
        }
    }
}
