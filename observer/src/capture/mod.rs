//! Where records come from: the kernel with the host's facts, or a capture file. Same records out of both.

pub mod file;
pub mod host;
pub mod kernel;
#[cfg(feature = "kernel")]
pub mod tls;

use observer_common::record::RecordHeader;

/// One record, owned by nobody yet: header and payload as they lie in a ring or a file.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// What it is.
    pub header: RecordHeader,
    /// The bytes behind the header.
    pub payload: &'a [u8],
}
