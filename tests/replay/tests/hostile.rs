//! Bytes that are meant to eat memory: what the process takes for them is measured. One test, for memory is the
//! process's.

use std::net::SocketAddr;

use mcp_observer::pipeline::input::{Direction, Event, EventBody, Identity, Input, ProcessId, StreamId};
use mcp_observer::pipeline::limits::{Budget, Limits};
use mcp_observer::pipeline::time::Timestamp;
use mcp_observer::pipeline::{Pipeline, Settings};
use replay::memory::resident_bytes;
use replay::wire::{self, Http2};

/// Connections that each do the same at once.
const CONNECTIONS: u64 = 500;
/// What all heads, streams and tables may take, and all decoders.
const BUDGET: u64 = 8 << 20;
/// What an open connection takes whatever it carries, and what the allocator keeps.
const PER_CONNECTION: u64 = 32 << 10;
const ALL: u64 = 2 * BUDGET + CONNECTIONS * PER_CONNECTION;

type Attack = (&'static str, fn(u64) -> Vec<Vec<u8>>);

const ATTACKS: &[Attack] = &[
    ("heads without end", |_| vec![b"POST /mcp HTTP/1.1\r\nx: ".to_vec(), vec![b'x'; 120 << 10]]),
    ("many fields", |_| vec![b"POST /mcp HTTP/1.1\r\n".to_vec(), b"a: b\r\n".repeat(20 << 10)]),
    ("blocks without end", |_| {
        let up = Http2::default();
        let head = vec![0, 0, 1, 1, 0, 0, 0, 0, 1, 0x83];
        let more = [&[0, 0x3F, 0xFF, 9, 0, 0, 0, 0, 1][..], &[0; 0x3FFF]].concat();
        vec![up.preface(), head, more.repeat(7)]
    }),
    ("large tables", |_| {
        let up = Http2::default();
        // A size of 64 KiB, and 6000 entries that are as small as can be.
        let block = [&[0x3F, 0xE1, 0xFF, 3][..], &[0x40, 1, b'a', 0].repeat(2000)].concat();
        let len = u16::try_from(block.len()).expect("a frame").to_be_bytes();
        let frame = [&[0, len[0], len[1], 1, 4, 0, 0, 0, 1][..], &block].concat();
        vec![up.preface(), frame.repeat(3)]
    }),
    ("streams with unfinished texts", |_| {
        let mut up = Http2::default();
        let mut bytes = up.preface();
        for stream in (1..800).step_by(2) {
            bytes.extend(up.post(stream, &[]));
            bytes.extend(wire::data(stream, false, "{\"jsonrpc\":"));
        }
        vec![bytes]
    }),
    ("windows of 16 MiB", |_| {
        let head = "POST /mcp HTTP/1.1\r\ncontent-type: application/json\r\ncontent-encoding: br\r\n\
                    content-length: 100000000\r\n\r\n";
        vec![head.as_bytes().to_vec(), vec![0x0F, 0xFF, 0xFF, 0xFF, 0, 0, 0]]
    }),
    ("decoders that wait", |_| {
        let head = "POST /mcp HTTP/1.1\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\n\
                    content-length: 100000000\r\n\r\n";
        vec![head.as_bytes().to_vec(), vec![0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3, 0x4A]]
    }),
    ("methods and names without end", |n| {
        let method = "m".repeat(60 << 10);
        let body = format!(
            "{{\"jsonrpc\":\"2.0\",\"id\":{n},\"method\":\"tools/call\",\"params\":{{\"name\":\"{method}"
        );
        vec![body.into_bytes()]
    }),
];

#[test]
fn memory_stays_within_its_bound() {
    for (name, bytes) in ATTACKS {
        let before = resident_bytes();
        let budget = || Budget::new(BUDGET);
        let limits = Limits { buffers: budget(), decoders: budget(), ..Limits::default() };
        let mut pipeline = Pipeline::new(Settings { limits, payloads: false });
        let mut peak = 0;
        for number in 0..CONNECTIONS {
            open(&mut pipeline, number);
            let mut position = 0;
            for part in bytes(number) {
                receive(&mut pipeline, number, position, &part);
                position += part.len() as u64;
            }
            while pipeline.next().is_some() {}
            while pipeline.next_verdict().is_some() {}
            if number % 50 == 0 {
                peak = peak.max(resident_bytes());
            }
        }
        let taken = peak.max(resident_bytes()).saturating_sub(before);
        assert!(taken < ALL, "{name}: {} KiB, more than {} KiB", taken >> 10, ALL >> 10);
    }
}

fn open(pipeline: &mut Pipeline, number: u64) {
    let port = u16::try_from(2000 + number).expect("a port");
    let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
    let identity = Identity::Tcp { namespace: 1, local: address(80), peer: address(port), sequence: None };
    feed(pipeline, EventBody::StreamOpened { stream: StreamId(number), identity });
}

fn receive(pipeline: &mut Pipeline, number: u64, position: u64, data: &[u8]) {
    let (stream, direction, moved) = (StreamId(number), Direction::Received, data.len() as u64);
    feed(pipeline, EventBody::Bytes { stream, direction, position, moved, data });
}

fn feed(pipeline: &mut Pipeline, body: EventBody<'_>) {
    let process = ProcessId { pid: 1, started_ns: 1 };
    pipeline.feed(Input::Seen(Event { at: Timestamp::from_nanos(1), process, body }));
}
