//! The fuzz targets for records, and for all that becomes of them.

use std::io::{self, Read, Write};
use std::path::Path;

use mcp_observer::agent::Agent;
use mcp_observer::capture::Record;
use mcp_observer::capture::file::{Head, HostFacts, Reader, Writer};
use mcp_observer::export::json_lines::JsonLines;
use mcp_observer::export::prometheus::{Prometheus, exposition};
use mcp_observer::export::{Exporter, Vitals};
use mcp_observer::pipeline::health::Health;
use mcp_observer::pipeline::input::{Event, EventBody, Input};
use mcp_observer::pipeline::limits::Limits;
use mcp_observer::pipeline::time::{Timestamp, WallClock};
use mcp_observer::pipeline::{Pipeline, Settings};
use observer_common::process::ProcessKey;
use observer_common::record::{LAYOUT, RecordHeader, RecordKind};
use serde::de::{DeserializeOwned, IgnoredAny};

/// Any bytes as what lies in a ring, as the records of a capture file, and as a whole capture file.
pub fn record(input: &[u8]) {
    if let Some(record) = Record::in_ring(input) {
        decode(&record);
    }
    let head = Head { clock: WallClock { unix_ns_at_boot: 0 }, facts: HostFacts::default() };
    let file = Writer::new(memory(), Vec::new(), &head).and_then(Writer::finish).expect("memory is writable");
    file_of([&file, input].concat());
    file_of(input.to_vec());
}

/// A capture file that may be damaged. What is read of it is the same however it comes in; written again it is the same
/// file; and a replay goes to its end.
fn file_of(bytes: Vec<u8>) {
    let Ok(mut reader) = Reader::new(memory(), bytes.as_slice()) else { return };
    let mut slow = Reader::new(memory(), ByteByByte(&bytes)).expect("the same head");
    assert_eq!(slow.head(), reader.head());
    let head = reader.head().clone();
    let mut copy = Writer::new(memory(), Vec::new(), &head).expect("memory is writable");
    let is_undamaged = loop {
        let found = reader.next();
        let again = slow.next();
        match (found, again) {
            (Ok(Some(record)), Ok(Some(again))) => {
                assert_eq!((record.header, record.payload), (again.header, again.payload));
                decode(&record);
                copy.write(&record).expect("memory is writable");
            }
            (Ok(None), Ok(None)) => break true,
            (Err(_), Err(_)) => break false,
            _ => panic!("another end where the bytes come one by one"),
        }
    };
    assert_eq!(reader.torn_bytes(), slow.torn_bytes());
    let copy = copy.finish().expect("memory is writable");
    let mut again = Reader::new(memory(), copy.as_slice()).expect("what was written is read");
    assert_eq!(again.head(), &head);
    let mut kept = 0;
    while let Some(record) = again.next().expect("what was written is read") {
        kept += size_of::<RecordHeader>() + record.payload.len();
    }
    let untorn = &bytes[..bytes.len() - reader.torn_bytes() as usize];
    assert!(
        untorn.ends_with(&copy[copy.len() - kept..]) || !is_undamaged,
        "nothing but what was torn is missing"
    );
    replay(&bytes, head.clock);
}

/// What is decoded of a record.
fn decode(record: &Record<'_>) {
    let Ok(input) = Input::decode(&record.header, record.payload) else { return };
    let Input::Seen(Event { body, .. }) = input else { return };
    match body {
        EventBody::Bytes { moved, data, .. } => {
            assert_eq!(data, record.payload);
            assert!(moved >= data.len() as u64);
        }
        EventBody::ProcessSeen(facts) => unchanged(*facts),
        EventBody::LibraryFound(facts) => unchanged(*facts),
        EventBody::BlindSpot(facts) => unchanged(*facts),
        EventBody::ContainerSeen(facts) => unchanged(*facts),
        EventBody::PodSeen(facts) => unchanged(*facts),
        _ => {}
    }
}

/// Facts that were read and are written again are the same facts.
fn unchanged<T: DeserializeOwned + serde::Serialize + PartialEq>(facts: T) {
    let json = serde_json::to_vec(&facts).expect("facts can be written");
    let again: T = serde_json::from_slice(&json).expect("what was written is read");
    assert!(again == facts, "facts that are written and read are the same");
}

/// All of a file through the agent.
fn replay(bytes: &[u8], clock: WallClock) {
    let reader = Reader::new(memory(), bytes).expect("it was read before");
    let prometheus = Prometheus::default();
    let registry = prometheus.registry();
    let exporters: Vec<Box<dyn Exporter>> =
        vec![Box::new(JsonLines::new(LinesOfJson, true)), Box::new(prometheus)];
    let settings = Settings { payloads: true, ..Settings::default() };
    // Where the file is damaged, it is said so.
    let _ = Agent::new(settings, clock, exporters).replay(reader);
    String::from_utf8(exposition::plain_text(&registry)).expect("metrics are UTF-8");
}

/// The whole pipeline under any records: two pipes and a TCP connection whose bytes are read, lost and cut; processes
/// that come and go; and what is shown of them. Its tables are small, so that inputs fill them.
pub fn pipeline(input: &[u8]) {
    let limits = Limits {
        streams: 3,
        processes: 2,
        calls: 3,
        sessions: 2,
        settling: 2,
        held_messages: 2,
        early_bytes_each: 200,
        early_bytes: 300,
        ..Limits::default()
    };
    let mut pipeline = Pipeline::new(Settings { payloads: true, limits });
    let (mut lines, mut prometheus) = (JsonLines::new(LinesOfJson, true), Prometheus::default());
    let registry = prometheus.registry();
    let mut positions = [[0u64; 2]; 4];
    let mut rest = input;
    let mut at = 1;
    while let [how, count, tail @ ..] = rest {
        let (payload, behind) = tail.split_at(usize::from(*count).min(tail.len()));
        rest = behind;
        at += u64::from(*how) << (how % 32);
        let stream = usize::from(how % 4);
        let kind = match how / 4 % 8 {
            0 | 1 => RecordKind::Sent as u16,
            2..=4 => RecordKind::Received as u16,
            5 => RecordKind::StreamOpened as u16,
            6 => RecordKind::Time as u16,
            _ => RARE[usize::from(*count) % RARE.len()] as u16,
        };
        let way = usize::from(kind == RecordKind::Received as u16);
        let lost = if how & 0x80 == 0 { 0 } else { 7 };
        let header = RecordHeader {
            layout: LAYOUT,
            kind,
            payload_len: payload.len() as u32,
            moved_len: payload.len() as u32 + lost,
            cpu: 0,
            at_ns: at,
            position: positions[stream][way],
            process: ProcessKey { pid: 1 + stream as u32 / 2, tid: 0, started_ns: 1 },
            stream: stream as u64,
        };
        positions[stream][way] += u64::from(header.moved_len) + u64::from(lost);
        if let Ok(input) = Input::decode(&header, payload) {
            pipeline.feed(input);
        }
        show(&mut pipeline, &mut [&mut lines, &mut prometheus]);
    }
    pipeline.finish(Timestamp::from_nanos(at + 1));
    show(&mut pipeline, &mut [&mut lines, &mut prometheus]);
    let health = [pipeline.health(), &Health::default()];
    let (at, streams) = (Timestamp::from_nanos(at + 1), pipeline.streams());
    let vitals = Vitals { at, records: 0, streams, kernel: None, health };
    prometheus.turn(&vitals).expect("memory is writable");
    String::from_utf8(exposition::plain_text(&registry)).expect("metrics are UTF-8");
}

fn show(pipeline: &mut Pipeline, exporters: &mut [&mut dyn Exporter]) {
    while let Some(observation) = pipeline.next() {
        for exporter in &mut *exporters {
            exporter.export(&observation, WallClock { unix_ns_at_boot: 0 }).expect("memory is writable");
        }
    }
    while pipeline.next_verdict().is_some() {}
    while pipeline.next_watch().is_some() {}
}

/// Kinds that come seldom.
const RARE: [RecordKind; 10] = [
    RecordKind::StreamEnded,
    RecordKind::TlsBound,
    RecordKind::ProcessSeen,
    RecordKind::ProcessExited,
    RecordKind::LibraryFound,
    RecordKind::Lost,
    RecordKind::BlindSpot,
    RecordKind::ContainerSeen,
    RecordKind::PodSeen,
    RecordKind::ProcessUsage,
];

/// What stands in messages instead of a path.
fn memory() -> &'static Path {
    Path::new("memory")
}

/// Gives one byte at a time.
struct ByteByByte<'a>(&'a [u8]);

impl Read for ByteByByte<'_> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let most = room.len().min(1);
        self.0.read(&mut room[..most])
    }
}

/// Wants lines of JSON, and keeps none.
struct LinesOfJson;

impl Write for LinesOfJson {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        assert_eq!(line.iter().position(|&byte| byte == b'\n'), Some(line.len() - 1), "one line");
        serde_json::from_slice::<IgnoredAny>(line).expect("a line is JSON");
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
