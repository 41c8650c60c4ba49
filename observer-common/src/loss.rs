//! Why bytes or facts were not recorded.

/// One cause of loss. Its name is the `cause` label of the loss metrics.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LossCause {
    /// The data ring had no room.
    RingFull = 0,
    /// The ring for process facts had no room.
    ControlRingFull = 1,
    /// Reading the process's memory faulted.
    UserMemoryFault = 2,
    /// The call moved more than one program run may copy.
    ChunkLimit = 3,
    /// The table of streams was full.
    StreamTableFull = 4,
    /// The table of TLS calls in progress was full.
    CallTableFull = 5,
    /// An undecided stream had used up its budget.
    Undecided = 6,
    /// The kernel skipped the program because it was already running on that CPU.
    Recursion = 7,
    /// The file descriptor no longer named the stream when the call returned.
    DescriptorGone = 8,
    /// The bytes went from one file to another without passing through the process's memory.
    Spliced = 9,
    /// The data ring was filling up: only the first bytes of each call were recorded.
    ShedToHeaders = 10,
    /// The data ring was nearly full: bytes were counted, not recorded.
    ShedToCounters = 11,
    /// The return of a kernel function was not noticed: too many threads were inside it (mode `kprobe`).
    MissedReturn = 12,
    /// The process threw the bytes away without reading them (`MSG_TRUNC`).
    Discarded = 13,
}

impl LossCause {
    /// All causes, in the order of their numbers.
    pub const ALL: [Self; 14] = [
        Self::RingFull,
        Self::ControlRingFull,
        Self::UserMemoryFault,
        Self::ChunkLimit,
        Self::StreamTableFull,
        Self::CallTableFull,
        Self::Undecided,
        Self::Recursion,
        Self::DescriptorGone,
        Self::Spliced,
        Self::ShedToHeaders,
        Self::ShedToCounters,
        Self::MissedReturn,
        Self::Discarded,
    ];

    /// The value of the `cause` label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RingFull => "ring_full",
            Self::ControlRingFull => "control_ring_full",
            Self::UserMemoryFault => "user_memory_fault",
            Self::ChunkLimit => "chunk_limit",
            Self::StreamTableFull => "stream_table_full",
            Self::CallTableFull => "call_table_full",
            Self::Undecided => "undecided",
            Self::Recursion => "recursion",
            Self::DescriptorGone => "descriptor_gone",
            Self::Spliced => "spliced",
            Self::ShedToHeaders => "shed_to_headers",
            Self::ShedToCounters => "shed_to_counters",
            Self::MissedReturn => "missed_return",
            Self::Discarded => "discarded",
        }
    }
}

/// Payload of [`Lost`](crate::record::RecordKind::Lost).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// A [`LossCause`].
    pub cause: u32,
    /// Always zero.
    pub reserved: u32,
    /// Records since the last report.
    pub records: u64,
    /// Bytes since the last report.
    pub bytes: u64,
}

impl Lost {
    /// Its bytes, in the byte order of this host.
    pub fn to_bytes(&self) -> [u8; size_of::<Self>()] {
        let mut bytes = [0; size_of::<Self>()];
        bytes[..4].copy_from_slice(&self.cause.to_ne_bytes());
        bytes[8..16].copy_from_slice(&self.records.to_ne_bytes());
        bytes[16..].copy_from_slice(&self.bytes.to_ne_bytes());
        bytes
    }
}
