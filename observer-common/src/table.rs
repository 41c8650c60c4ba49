//! The kernel's table of streams: one entry, as both sides see it.

/// What the kernel programs remember of a stream. Only they write it; the agent reads and removes entries.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct StreamState {
    /// Bytes taken out of the stream so far: position of the next.
    pub received: u64,
    /// Bytes put into the stream so far.
    pub sent: u64,
    /// Last use, nanoseconds of `CLOCK_BOOTTIME`.
    pub last_seen_ns: u64,
    /// The agent's decision that `verdict` follows from, as in the table of decisions. Zero: none yet.
    pub applied: u64,
    /// Bytes recorded or passed by while undecided.
    pub spent: u64,
    /// Bytes of budget, compared with `spent`.
    pub allowance: u64,
    /// When the connection ended, zero while it lives.
    pub closed_ns: u64,
    /// TLS: the socket that it was last seen to travel on.
    pub bound: u64,
    /// Inode of the pipe or socket, zero for TLS.
    pub inode: u64,
    /// How many decisions, on any stream, the agent had made when those on this one were last looked for.
    pub looked_at: u64,
    /// While nothing is recorded: the kernel's ticks at `last_seen_ns`, coarsely.
    pub last_seen_tick: u64,
    /// A [`Verdict`](crate::stream::Verdict).
    pub verdict: u32,
    /// A [`StreamKind`](crate::stream::StreamKind).
    pub kind: u32,
    /// Whether the stream's identity was recorded.
    pub opened: u32,
    /// Whether its end was recorded, and nothing moved since.
    pub ended: u32,
    /// How often an ignored stream was looked at again.
    pub reopens: u32,
    /// Chunks that would have reopened it but were passed over, since the last time.
    pub passed_over: u32,
    /// Process that used it last.
    pub owner: u32,
    /// TCP: whether the peer is on this host ([`Nearness`]). TLS: how sure `bound` is.
    pub evidence: u32,
}

/// Words of a [`StreamState`].
pub const STATE_WORDS: usize = size_of::<StreamState>() / 8;

/// Whether the other end of a connection is on this host.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nearness {
    /// Not looked at yet.
    Unknown = 0,
    /// On this host: its receiving end is the one that is recorded.
    Local = 1,
    /// On another host, or in another network namespace.
    Remote = 2,
}

/// What the agent needs to know of a stream to keep the table small.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamSummary {
    /// Last use, nanoseconds of `CLOCK_BOOTTIME`.
    pub last_seen_ns: u64,
    /// When the connection ended, zero while it lives.
    pub closed_ns: u64,
    /// Inode of the pipe or socket, zero for TLS.
    pub inode: u64,
    /// A [`Verdict`](crate::stream::Verdict).
    pub verdict: u32,
    /// A [`StreamKind`](crate::stream::StreamKind).
    pub kind: u32,
    /// Process that used it last.
    pub owner: u32,
}

impl StreamSummary {
    /// Reads it from an entry.
    pub const fn from_words(words: &[u64; STATE_WORDS]) -> Self {
        Self {
            last_seen_ns: words[2],
            closed_ns: words[6],
            inode: words[8],
            verdict: half(words[11], 0),
            kind: half(words[11], 4),
            owner: half(words[14], 0),
        }
    }
}

/// The `u32` at byte `at` of a word.
const fn half(word: u64, at: usize) -> u32 {
    let bytes = word.to_ne_bytes();
    u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

const _: () = {
    assert!(STATE_WORDS == 15, "the words of `from_words` follow the layout");
    assert!(core::mem::offset_of!(StreamState, closed_ns) == 6 * 8);
    assert!(core::mem::offset_of!(StreamState, verdict) == 11 * 8);
    assert!(core::mem::offset_of!(StreamState, owner) == 14 * 8);
};
