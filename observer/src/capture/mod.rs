//! Where records come from: the kernel with the host's facts, or a capture file. Same records out of both.

pub mod file;
pub mod host;
pub mod kernel;
#[cfg(feature = "kernel")]
pub mod tls;

use observer_common::process::ProcessKey;
use observer_common::record::{LAYOUT, RecordHeader, RecordKind};

use crate::pipeline::time::Timestamp;

/// One record, owned by nobody yet: header and payload as they lie in a ring or a file.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// What it is.
    pub header: RecordHeader,
    /// The bytes behind the header.
    pub payload: &'a [u8],
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
