//! Where records come from: the kernel with the host's facts, or a capture file. Same records out of both.

pub mod file;
pub mod host;
pub mod kernel;
#[cfg(feature = "kernel")]
pub mod tls;

use observer_common::process::ProcessKey;
use observer_common::record::{HEADER_LEN, LAYOUT, RecordHeader, RecordKind};

use self::host::processes::TICK_NS;
use crate::pipeline::time::Timestamp;

/// One record, owned by nobody yet: header and payload as they lie in a ring or a file.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// What it is.
    pub header: RecordHeader,
    /// The bytes behind the header.
    pub payload: &'a [u8],
}

impl<'a> Record<'a> {
    /// The record in this memory of a ring, which is larger than what counts of it. None where it is not one of this
    /// version.
    pub fn in_ring(memory: &'a [u8]) -> Option<Self> {
        let (header, rest) = memory.split_first_chunk::<HEADER_LEN>()?;
        let mut header = RecordHeader::from_bytes(header);
        // The programs leave this to us: a division costs them more.
        header.process.started_ns -= header.process.started_ns % TICK_NS;
        if header.layout != LAYOUT {
            return None;
        }
        Some(Self { header, payload: rest.get(..header.payload_len as usize)? })
    }
}

impl Record<'static> {
    /// Nothing but the passing of time.
    pub const fn time(at: Timestamp) -> Self {
        let header = RecordHeader {
            layout: LAYOUT,
            kind: RecordKind::Time as u16,
            payload_len: 0,
            moved_len: 0,
            cpu: 0,
            at_ns: at.as_nanos(),
            position: 0,
            process: ProcessKey { pid: 0, tid: 0, started_ns: 0 },
            stream: 0,
        };
        Self { header, payload: &[] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payload_is_what_the_header_says() {
        let mut memory = vec![0; HEADER_LEN + 192];
        memory[..2].copy_from_slice(&LAYOUT.to_ne_bytes());
        memory[4..8].copy_from_slice(&3u32.to_ne_bytes());
        memory[HEADER_LEN..HEADER_LEN + 3].copy_from_slice(b"abc");
        let record = Record::in_ring(&memory).unwrap();
        assert_eq!((record.header.payload_len, record.payload), (3, b"abc".as_slice()));
    }

    #[test]
    fn a_record_that_claims_more_than_it_has_is_refused() {
        let mut memory = vec![0; HEADER_LEN + 8];
        memory[..2].copy_from_slice(&LAYOUT.to_ne_bytes());
        memory[4..8].copy_from_slice(&9u32.to_ne_bytes());
        assert!(Record::in_ring(&memory).is_none());
        assert!(Record::in_ring(&memory[..HEADER_LEN - 1]).is_none());
    }
}
