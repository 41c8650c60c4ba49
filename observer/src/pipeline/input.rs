//! Records as the pipeline takes them: decoded, borrowed, in order.
//!
//! In: a [`RecordHeader`] and its payload. Out: an [`Input`]. Deliberately no meaning: this stage knows neither
//! what bytes say nor which streams belong together.

mod facts;

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use observer_common::process::{ProcessKey, ProcessUsage};
use observer_common::record::{LAYOUT, RecordHeader, RecordKind};
use observer_common::stream::{StreamIdentity, StreamKind, TlsLibrary};

use super::time::Timestamp;

pub use facts::{
    BlindSpotFacts, ContainerFacts, LibraryFacts, PodFacts, PrivateArguments, ProcessFacts, WorkloadFacts,
};

/// Names one stream of the kernel (a pipe, one end of a socket, or a TLS object).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u64);

/// A process, without the thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProcessId {
    /// Process id in the initial namespace.
    pub pid: u32,
    /// When it began; makes the number unique.
    pub started_ns: u64,
}

impl From<ProcessKey> for ProcessId {
    fn from(key: ProcessKey) -> Self {
        Self { pid: key.pid, started_ns: key.started_ns }
    }
}

/// One record, decoded.
#[derive(Clone, Debug, PartialEq)]
pub enum Input<'a> {
    /// Something happened.
    Seen(Event<'a>),
    /// Nothing happened until this time.
    Time(Timestamp),
}

/// Something that happened, and when.
#[derive(Clone, Debug, PartialEq)]
pub struct Event<'a> {
    /// When.
    pub at: Timestamp,
    /// Who did it.
    pub process: ProcessId,
    /// What.
    pub body: EventBody<'a>,
}

/// Which way bytes went, seen from the process that moved them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// Out of the stream, into the process.
    Received,
    /// Into the stream.
    Sent,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum EventBody<'a> {
    /// A stream was seen for the first time.
    StreamOpened {
        /// Its name in later events.
        stream: StreamId,
        /// What it is.
        identity: Identity,
    },
    /// Bytes moved.
    Bytes {
        /// On this stream.
        stream: StreamId,
        /// This way.
        direction: Direction,
        /// Place of the first of them in the stream and direction.
        position: u64,
        /// How many.
        moved: u64,
        /// The first of them, as many as were recorded; often none on the side that is not canonical.
        data: &'a [u8],
    },
    /// The reader of the stream met its end.
    StreamClosed {
        /// The stream.
        stream: StreamId,
    },
    /// A TLS object's socket is known.
    TlsBound {
        /// The TLS object's stream.
        stream: StreamId,
        /// The socket's stream.
        socket: StreamId,
    },
    /// A process exists.
    ProcessSeen(Box<ProcessFacts>),
    /// A process has ended.
    ProcessExited {
        /// Wait status: exit code in bits 8 to 15, signal in bits 0 to 6.
        status: i32,
    },
    /// A TLS library's probes are attached.
    LibraryFound(Box<LibraryFacts>),
    /// Records were lost.
    Lost {
        /// Why: the `cause` label.
        cause: &'static str,
        /// How many records.
        records: u64,
        /// How many bytes.
        bytes: u64,
    },
    /// Something cannot be seen.
    BlindSpot(Box<BlindSpotFacts>),
    /// A container has a name, or more of it is known now.
    ContainerSeen(Box<ContainerFacts>),
    /// The same of a pod.
    PodSeen(Box<PodFacts>),
    /// What a process takes.
    ProcessUsage(ProcessUsage),
}

/// What a stream is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// A pipe or FIFO: one flow, from whoever writes to whoever reads.
    Pipe {
        /// Whether it has a name in the file system.
        named: bool,
    },
    /// One end of a Unix stream socket pair.
    Unix {
        /// This end's socket inode.
        inode: u64,
        /// The other end's, zero if unknown.
        peer_inode: u64,
    },
    /// One end of a TCP connection.
    Tcp {
        /// Inode of the network namespace.
        namespace: u32,
        /// This end.
        local: SocketAddr,
        /// The other end.
        peer: SocketAddr,
        /// Where the sequence numbers of both ways begin, if that is known.
        sequence: Option<Sequence>,
    },
    /// Plaintext of one TLS object.
    Tls {
        /// The library it was read from.
        library: TlsLibrary,
    },
}

/// Sequence numbers of the first bytes of a TCP connection, as one end has them. Chosen at random for each
/// connection, and carried unchanged through bridges and address translation: proof that two ends belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sequence {
    /// Of the first byte that this end sent; one less at the end that opened the connection.
    pub sent_from: u32,
    /// Of the first byte that this end received.
    pub received_from: u32,
}

/// Why a record was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadRecord(pub &'static str);

impl<'a> Input<'a> {
    /// Decodes one record.
    ///
    /// # Errors
    /// The cause, where the record is not one of this version.
    pub fn decode(header: &RecordHeader, payload: &'a [u8]) -> Result<Self, BadRecord> {
        if header.layout != LAYOUT {
            return Err(BadRecord("layout"));
        }
        let kind = RecordKind::from_number(header.kind).ok_or(BadRecord("kind"))?;
        let at = Timestamp::from_nanos(header.at_ns);
        let stream = StreamId(header.stream);
        let bytes = |direction| EventBody::Bytes {
            stream,
            direction,
            position: header.position,
            moved: u64::from(header.moved_len).max(payload.len() as u64),
            data: payload,
        };
        let body = match kind {
            RecordKind::Time => return Ok(Self::Time(at)),
            RecordKind::StreamOpened => EventBody::StreamOpened { stream, identity: identity(payload)? },
            RecordKind::Received => bytes(Direction::Received),
            RecordKind::Sent => bytes(Direction::Sent),
            RecordKind::StreamEnded => EventBody::StreamClosed { stream },
            RecordKind::TlsBound => {
                EventBody::TlsBound { stream, socket: StreamId(u64::from_ne_bytes(array(payload, 0)?)) }
            }
            RecordKind::ProcessSeen => EventBody::ProcessSeen(json(payload)?),
            RecordKind::ProcessExited => {
                EventBody::ProcessExited { status: i32::from_ne_bytes(array(payload, 0)?) }
            }
            RecordKind::LibraryFound => EventBody::LibraryFound(json(payload)?),
            RecordKind::BlindSpot => EventBody::BlindSpot(json(payload)?),
            RecordKind::Lost => lost(payload)?,
            RecordKind::ContainerSeen => EventBody::ContainerSeen(json(payload)?),
            RecordKind::PodSeen => EventBody::PodSeen(json(payload)?),
            RecordKind::ProcessUsage => {
                let number = |at| Ok(u64::from_ne_bytes(array(payload, at)?));
                let (uptime_ns, resident_bytes, cpu_ns) = (number(0)?, number(8)?, number(16)?);
                EventBody::ProcessUsage(ProcessUsage { uptime_ns, resident_bytes, cpu_ns })
            }
        };
        Ok(Self::Seen(Event { at, process: header.process.into(), body }))
    }
}

fn json<T: serde::de::DeserializeOwned>(payload: &[u8]) -> Result<Box<T>, BadRecord> {
    serde_json::from_slice(payload).map(Box::new).map_err(|_| BadRecord("payload"))
}

fn array<const N: usize>(payload: &[u8], at: usize) -> Result<[u8; N], BadRecord> {
    payload.get(at..at + N).and_then(|bytes| bytes.try_into().ok()).ok_or(BadRecord("payload"))
}

fn lost(payload: &[u8]) -> Result<EventBody<'static>, BadRecord> {
    let number = u32::from_ne_bytes(array(payload, 0)?);
    let cause = observer_common::loss::LossCause::ALL.get(number as usize).ok_or(BadRecord("payload"))?;
    Ok(EventBody::Lost {
        cause: cause.name(),
        records: u64::from_ne_bytes(array(payload, 8)?),
        bytes: u64::from_ne_bytes(array(payload, 16)?),
    })
}

/// Reads a [`StreamIdentity`] from its bytes; the offsets are those of the `repr(C)` struct.
fn identity(payload: &[u8]) -> Result<Identity, BadRecord> {
    let number = |at| Ok(u64::from_ne_bytes(array(payload, at)?));
    let address = |at, port_at| {
        let ip = IpAddr::V6(Ipv6Addr::from(array::<16>(payload, at)?)).to_canonical();
        Ok(SocketAddr::new(ip, u16::from_ne_bytes(array(payload, port_at)?)))
    };
    let kind = StreamKind::from_number(u32::from_ne_bytes(array(payload, 0)?)).ok_or(BadRecord("payload"))?;
    Ok(match kind {
        StreamKind::Pipe => Identity::Pipe { named: false },
        StreamKind::Fifo => Identity::Pipe { named: true },
        StreamKind::Unix => Identity::Unix { inode: number(8)?, peer_inode: number(16)? },
        StreamKind::Tcp => Identity::Tcp {
            namespace: u32::from_ne_bytes(array(payload, 32)?),
            local: address(40, 36)?,
            peer: address(56, 38)?,
            sequence: sequence(payload)?,
        },
        StreamKind::Tls => {
            let library = u32::from_ne_bytes(array(payload, 4)?);
            Identity::Tls { library: TlsLibrary::from_number(library).ok_or(BadRecord("payload"))? }
        }
    })
}

/// Zero is what the kernel programs write where they do not know; a true zero only costs a join.
fn sequence(payload: &[u8]) -> Result<Option<Sequence>, BadRecord> {
    let number = |at| Ok(u32::from_ne_bytes(array(payload, at)?));
    let sequence = Sequence { sent_from: number(72)?, received_from: number(76)? };
    Ok((sequence.sent_from != 0 && sequence.received_from != 0).then_some(sequence))
}

const _: () = assert!(size_of::<StreamIdentity>() == 80, "the offsets in `identity` follow its layout");
