//! What a capture tells of streams, apart from how it is stored.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Result, ensure};
use mcp_observer::capture::file::Reader;
use mcp_observer::pipeline::input::BlindSpotFacts;
use observer_common::loss::{LossCause, Lost};
use observer_common::record::{RecordHeader, RecordKind};
use observer_common::stream::{StreamIdentity, StreamKind};

use crate::streams::Name;

/// Reads a capture file to its end.
pub fn read(path: &Path) -> Result<Capture> {
    let mut reader = Reader::open(path)?;
    let mut capture = Capture { mode: reader.head().facts.mode.clone(), ..Capture::default() };
    while let Some(record) = reader.next()? {
        capture.add(&record.header, record.payload);
    }
    ensure!(reader.torn_bytes() == 0, "the last record is torn");
    Ok(capture)
}

/// Everything that was recorded, by stream.
#[derive(Debug, Default)]
pub struct Capture {
    /// How it was captured.
    pub mode: String,
    /// The streams, by the capture's number for them.
    pub streams: BTreeMap<u64, Recorded>,
    /// Bytes and records that the observer counted as lost, by cause.
    pub lost: BTreeMap<&'static str, (u64, u64)>,
    /// Processes that the observer said it cannot see into, with the kind of what it cannot see.
    pub blind_spots: BTreeSet<(u32, String)>,
}

/// What was recorded of one stream.
#[derive(Debug, Default)]
pub struct Recorded {
    /// What it is.
    pub name: Option<Name>,
    /// Bytes that came out, in the order of the records.
    pub received: Vec<Part>,
    /// Bytes that went in.
    pub sent: Vec<Part>,
    /// Where the reader met the end.
    pub ended_at: Option<u64>,
}

/// Bytes that moved in one go.
#[derive(Debug)]
pub struct Part {
    /// Who moved them.
    pub pid: u32,
    /// Place of the first.
    pub position: u64,
    /// How many.
    pub moved: u64,
    /// As many of them as were recorded.
    pub bytes: Vec<u8>,
}

impl Capture {
    /// Takes the next record.
    pub fn add(&mut self, header: &RecordHeader, payload: &[u8]) {
        let part = || Part {
            pid: header.process.pid,
            position: header.position,
            moved: u64::from(header.moved_len),
            bytes: payload.to_vec(),
        };
        let stream = header.stream;
        match RecordKind::from_number(header.kind) {
            Some(RecordKind::StreamOpened) => self.stream(stream).name = name(payload),
            Some(RecordKind::Received) => self.stream(stream).received.push(part()),
            Some(RecordKind::Sent) => self.stream(stream).sent.push(part()),
            Some(RecordKind::StreamEnded) => self.stream(stream).ended_at = Some(header.position),
            Some(RecordKind::Lost) => self.add_lost(payload),
            Some(RecordKind::BlindSpot) => self.add_blind_spot(header.process.pid, payload),
            _ => {}
        }
    }

    /// Whether the mode sees what goes through io_uring.
    pub fn sees_rings(&self) -> bool {
        self.mode != "syscall"
    }

    /// The streams with this name; more than one, where the kernel used an inode again.
    pub fn named(&self, name: Name) -> impl Iterator<Item = &Recorded> {
        self.streams.values().filter(move |stream| stream.name == Some(name))
    }

    fn stream(&mut self, number: u64) -> &mut Recorded {
        self.streams.entry(number).or_default()
    }

    fn add_blind_spot(&mut self, pid: u32, payload: &[u8]) {
        if let Ok(facts) = serde_json::from_slice::<BlindSpotFacts>(payload) {
            self.blind_spots.insert((pid, facts.kind));
        }
    }

    fn add_lost(&mut self, payload: &[u8]) {
        let number = |at: usize| payload.get(at..at + 8)?.try_into().ok().map(u64::from_ne_bytes);
        let cause = payload.first().and_then(|cause| LossCause::ALL.get(usize::from(*cause)));
        let (Some(cause), Some(records), Some(bytes)) = (cause, number(8), number(16)) else { return };
        let lost = self.lost.entry(cause.name()).or_default();
        *lost = (lost.0 + records, lost.1 + bytes);
    }
}

/// Reads an identity from its bytes, at the offsets of the `repr(C)` struct.
fn name(payload: &[u8]) -> Option<Name> {
    let short = |at: usize| payload.get(at..at + 2)?.try_into().ok().map(u16::from_ne_bytes);
    let kind = u32::from_ne_bytes(payload.get(..4)?.try_into().ok()?);
    let inode = u64::from_ne_bytes(payload.get(8..16)?.try_into().ok()?);
    match StreamKind::from_number(kind)? {
        StreamKind::Pipe | StreamKind::Fifo => Some(Name::Pipe { inode }),
        StreamKind::Unix => Some(Name::Unix { inode }),
        StreamKind::Tcp => Some(Name::Tcp { local_port: short(36)?, peer_port: short(38)? }),
        StreamKind::Tls => None,
    }
}

const _: () = assert!(
    std::mem::offset_of!(StreamIdentity, inode) == 8
        && std::mem::offset_of!(StreamIdentity, local_port) == 36
        && std::mem::offset_of!(StreamIdentity, peer_port) == 38
        && std::mem::offset_of!(Lost, records) == 8
        && std::mem::offset_of!(Lost, bytes) == 16
);
