//! Streams of bytes between processes, as the kernel knows them.

/// What a stream is. A pipe has one direction and one inode for both ends; a socket or TLS object is one end of
/// a connection, with a direction each way.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StreamKind {
    /// Anonymous pipe.
    Pipe = 1,
    /// Named pipe.
    Fifo = 2,
    /// One end of a connected Unix stream socket.
    Unix = 3,
    /// One end of a TCP connection, IPv4 (then written as an IPv4-mapped address) or IPv6.
    Tcp = 4,
    /// Plaintext of one TLS object in one process, both directions.
    Tls = 5,
}

impl StreamKind {
    /// The kind with this number.
    pub const fn from_number(number: u32) -> Option<Self> {
        Some(match number {
            1 => Self::Pipe,
            2 => Self::Fifo,
            3 => Self::Unix,
            4 => Self::Tcp,
            5 => Self::Tls,
            _ => return None,
        })
    }
}

/// Payload of [`StreamOpened`](crate::record::RecordKind::StreamOpened).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamIdentity {
    /// A [`StreamKind`].
    pub kind: u32,
    /// Device of the inode (pipes), or the [`TlsLibrary`] (TLS).
    pub device: u32,
    /// Inode of the pipe or of this end's socket; for TLS a hash of the object's address.
    pub inode: u64,
    /// Inode of the peer's socket on this host (Unix sockets), zero where it is unknown.
    pub peer_inode: u64,
    /// Tells two streams apart that had the same inode or address one after the other.
    pub generation: u64,
    /// Inode of the network namespace (TCP).
    pub network_namespace: u32,
    /// Local TCP port, host byte order.
    pub local_port: u16,
    /// Peer's TCP port, host byte order.
    pub peer_port: u16,
    /// Local address (TCP), IPv4 as IPv4-mapped.
    pub local: [u8; 16],
    /// Peer's address (TCP), IPv4 as IPv4-mapped.
    pub peer: [u8; 16],
    /// Sequence number of the first byte that this end sent (TCP), zero where it is unknown. One less, that of
    /// its SYN, at the end that opened the connection.
    pub sent_from: u32,
    /// Sequence number of the first byte that this end received (TCP), zero where it is unknown.
    pub received_from: u32,
}

/// What is done with the bytes of a stream. The kernel starts at `Undecided`; the agent decides.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Recorded up to a budget, until the agent has decided.
    Undecided = 0,
    /// All bytes are recorded.
    Capture = 1,
    /// Bytes are counted only. A chunk that begins like JSON or an HTTP head makes it undecided again.
    Ignore = 2,
    /// Carries TLS: counted only, the plaintext comes from the library.
    OpaqueTls = 3,
    /// As `Ignore`, and never looked at again (the observer's own streams).
    Never = 4,
}

/// Which TLS library a plaintext stream was read from.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TlsLibrary {
    /// OpenSSL 1.1 or 3.x, shared or linked into the program.
    OpenSsl = 1,
}

impl TlsLibrary {
    /// The library with this number.
    pub const fn from_number(number: u32) -> Option<Self> {
        match number {
            1 => Some(Self::OpenSsl),
            _ => None,
        }
    }

    /// The name that users see.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OpenSsl => "openssl",
        }
    }
}
