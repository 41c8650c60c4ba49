//! Captures in memory, and what the laws do to them.

use std::fs;
use std::path::Path;

use mcp_observer::capture::Record;
use mcp_observer::capture::file::{Head, Reader, Writer};
use observer_common::record::{RecordHeader, RecordKind};

/// A record of a capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedRecord {
    /// What it is.
    pub header: RecordHeader,
    /// The bytes behind the header.
    pub payload: Vec<u8>,
}

/// A recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capture {
    /// What stands in front of the records.
    pub head: Head,
    /// The records, in order.
    pub records: Vec<OwnedRecord>,
}

impl Capture {
    /// Reads a capture file.
    pub fn read(path: &Path) -> Self {
        let mut reader = Reader::open(path).unwrap_or_else(|error| panic!("{error}"));
        let mut records = Vec::new();
        while let Some(record) = reader.next().unwrap_or_else(|error| panic!("{error}")) {
            records.push(OwnedRecord { header: record.header, payload: record.payload.to_vec() });
        }
        assert_eq!(reader.torn_bytes(), 0, "{} is torn", path.display());
        Self { head: reader.head().clone(), records }
    }

    /// As the bytes of a capture file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut writer =
            Writer::new(Path::new("memory"), Vec::new(), &self.head).expect("memory is writable");
        for OwnedRecord { header, payload } in &self.records {
            writer.write(&Record { header: *header, payload }).expect("memory is writable");
        }
        writer.finish().expect("memory is writable")
    }

    /// Writes a capture file.
    pub fn write(&self, path: &Path) {
        fs::write(path, self.to_bytes()).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }

    /// The same bytes in other calls: each record of bytes is cut where `cut` says, by the bytes that are left of it.
    pub fn resplit(&self, mut cut: impl FnMut(usize) -> usize) -> Self {
        let mut records = Vec::new();
        for record in &self.records {
            let mut rest = record.clone();
            while carries_bytes(&rest) && rest.header.moved_len > 1 {
                let left = rest.header.moved_len as usize;
                let at = cut(left).clamp(1, left);
                if at == left {
                    break;
                }
                records.push(split_off_front(&mut rest, at));
            }
            records.push(rest);
        }
        Self { records, ..self.clone() }
    }

    /// Without the record at this place.
    pub fn without(&self, place: usize) -> Self {
        let mut less = self.clone();
        less.records.remove(place);
        less
    }

    /// The same at another time after boot, with the same wall clock.
    pub fn shifted(&self, by_ns: u64) -> Self {
        let mut later = self.clone();
        later.head.clock.unix_ns_at_boot -= i64::try_from(by_ns).expect("a small shift");
        for RecordHeader { at_ns, process, .. } in later.records.iter_mut().map(|record| &mut record.header) {
            *at_ns += by_ns;
            // The kernel itself has no beginning.
            process.started_ns += if process.started_ns == 0 { 0 } else { by_ns };
        }
        later
    }
}

/// Whether bytes moved on a stream.
pub fn carries_bytes(record: &OwnedRecord) -> bool {
    [RecordKind::Sent as u16, RecordKind::Received as u16].contains(&record.header.kind)
}

/// Takes the first `at` bytes out of a record, as a record of their own.
fn split_off_front(record: &mut OwnedRecord, at: usize) -> OwnedRecord {
    let payload = record.payload.drain(..at.min(record.payload.len())).collect::<Vec<_>>();
    let mut front = record.header;
    front.moved_len = at as u32;
    front.payload_len = payload.len() as u32;
    record.header.moved_len -= at as u32;
    record.header.payload_len = record.payload.len() as u32;
    record.header.position += at as u64;
    OwnedRecord { header: front, payload }
}
