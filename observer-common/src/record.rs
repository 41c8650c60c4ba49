//! The record: one fact from outside, with its time, its process and its place in a stream.

use crate::process::ProcessKey;

/// Version of the layout of everything in this crate, stamped into each record, so that an agent never reads
/// what kernel programs or a capture file of another version have written.
pub const LAYOUT: u16 = 2;

/// What stands in front of every payload, in the rings and in capture files.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHeader {
    /// [`LAYOUT`] of the writer.
    pub layout: u16,
    /// A [`RecordKind`].
    pub kind: u16,
    /// Bytes of payload that follow the header.
    pub payload_len: u32,
    /// Bytes that moved on the stream. More than `payload_len` where only the count was recorded.
    pub moved_len: u32,
    /// The CPU that wrote the record.
    pub cpu: u32,
    /// When the call that moved the bytes returned; nanoseconds of `CLOCK_BOOTTIME`.
    pub at_ns: u64,
    /// Position in the stream and direction of the first byte that moved. The kernel assigns it before it
    /// asks for ring space, so a lost record is a hole of known size.
    pub position: u64,
    /// Who made the call.
    pub process: ProcessKey,
    /// The stream: a hash of its [`StreamIdentity`](crate::stream::StreamIdentity). Zero where there is none.
    pub stream: u64,
}

impl RecordHeader {
    /// Reads a header from its bytes, in the byte order of this host.
    pub const fn from_bytes(bytes: &[u8; HEADER_LEN]) -> Self {
        Self {
            layout: u16::from_ne_bytes([bytes[0], bytes[1]]),
            kind: u16::from_ne_bytes([bytes[2], bytes[3]]),
            payload_len: u32_at(bytes, 4),
            moved_len: u32_at(bytes, 8),
            cpu: u32_at(bytes, 12),
            at_ns: u64_at(bytes, 16),
            position: u64_at(bytes, 24),
            process: ProcessKey {
                pid: u32_at(bytes, 32),
                tid: u32_at(bytes, 36),
                started_ns: u64_at(bytes, 40),
            },
            stream: u64_at(bytes, 48),
        }
    }
}

const fn u32_at(bytes: &[u8; HEADER_LEN], at: usize) -> u32 {
    u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

const fn u64_at(bytes: &[u8; HEADER_LEN], at: usize) -> u64 {
    let mut word = [0; 8];
    let mut i = 0;
    while i < 8 {
        word[i] = bytes[at + i];
        i += 1;
    }
    u64::from_ne_bytes(word)
}

/// Size of the header in the rings and in capture files.
pub const HEADER_LEN: usize = size_of::<RecordHeader>();

/// What a record tells. The payload of each is named with it.
#[repr(u16)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RecordKind {
    /// First sight of a stream. Payload: [`StreamIdentity`](crate::stream::StreamIdentity).
    StreamOpened = 1,
    /// Bytes that `process` took out of the stream. Payload: these bytes, or none of them.
    Received = 2,
    /// Bytes that `process` put into the stream. Payload: these bytes, or none of them.
    Sent = 3,
    /// `process` read the end of the stream. No payload.
    StreamEnded = 4,
    /// The plaintext stream `stream` travels on a socket. Payload: the socket's stream, a `u64`.
    TlsBound = 5,
    /// A process exists, or now runs another program. Payload: JSON, see `capture::host`.
    ProcessSeen = 32,
    /// The last thread of `process` has ended. Payload: the wait status, an `i32`.
    ProcessExited = 33,
    /// A TLS library was found and its probes are attached. Payload: JSON, see `capture::tls`.
    LibraryFound = 34,
    /// Records that were not written or not delivered, since the last such record. Payload:
    /// [`Lost`](crate::loss::Lost).
    Lost = 35,
    /// Something that cannot be seen. Payload: JSON, see `capture`.
    BlindSpot = 36,
    /// Nothing but the passing of time. No payload.
    Time = 37,
    /// What is known of a container. Payload: JSON, see `capture::host::identity`.
    ContainerSeen = 40,
    /// What is known of a pod. Payload: JSON, see `capture::host::identity`.
    PodSeen = 41,
    /// What `process` takes. Payload: [`ProcessUsage`](crate::process::ProcessUsage).
    ProcessUsage = 38,
}

impl RecordKind {
    /// The kind with this number.
    pub const fn from_number(number: u16) -> Option<Self> {
        Some(match number {
            1 => Self::StreamOpened,
            2 => Self::Received,
            3 => Self::Sent,
            4 => Self::StreamEnded,
            5 => Self::TlsBound,
            32 => Self::ProcessSeen,
            33 => Self::ProcessExited,
            34 => Self::LibraryFound,
            35 => Self::Lost,
            36 => Self::BlindSpot,
            37 => Self::Time,
            40 => Self::ContainerSeen,
            41 => Self::PodSeen,
            38 => Self::ProcessUsage,
            _ => return None,
        })
    }
}
