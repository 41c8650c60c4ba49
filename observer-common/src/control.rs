//! Records of the control ring: facts about processes, before the agent has completed them from `/proc`.
//!
//! Each begins with a [`RecordHeader`](crate::record::RecordHeader) whose `kind` is a [`ControlKind`].

/// What a record of the control ring tells. The payload of each is named with it.
#[repr(u16)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlKind {
    /// `process` now runs another program. Payload: [`Exec`].
    Exec = 1,
    /// `process` came to be. Payload: its parent's process id, a `u32`, and four bytes of zero.
    Fork = 2,
    /// The last thread of `process` has ended. Payload: the wait status, an `i32`, and four bytes of zero.
    Exit = 3,
    /// `process` mapped a file as code that had not been seen before. Payload: [`Mapped`].
    Mapped = 4,
    /// `process` does something that cannot be seen. Payload: a [`BlindSpotKind`], a `u32`, and four bytes
    /// of zero.
    BlindSpot = 5,
}

impl ControlKind {
    /// The kind with this number.
    pub const fn from_number(number: u16) -> Option<Self> {
        Some(match number {
            1 => Self::Exec,
            2 => Self::Fork,
            3 => Self::Exit,
            4 => Self::Mapped,
            5 => Self::BlindSpot,
            _ => return None,
        })
    }
}

/// What the kernel programs notice that they cannot see into.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BlindSpotKind {
    /// The process has set up io_uring.
    IoUring = 1,
    /// The process moves bytes through system calls of another word size.
    CompatCalls = 2,
}

impl BlindSpotKind {
    /// The kind with this number.
    pub const fn from_number(number: u32) -> Option<Self> {
        match number {
            1 => Some(Self::IoUring),
            2 => Some(Self::CompatCalls),
            _ => None,
        }
    }
}

/// Longest path of a program that is recorded.
pub const FILENAME_MAX: usize = 256;
/// Most bytes of arguments that are recorded; the agent reads longer ones from `/proc`.
pub const ARGUMENTS_MAX: usize = 1024;

/// Payload of [`ControlKind::Exec`].
#[repr(C)]
pub struct Exec {
    /// Parent's process id.
    pub parent: u32,
    /// Bytes of `filename` that count.
    pub filename_len: u32,
    /// Bytes of `arguments` that count.
    pub arguments_len: u32,
    /// Bytes of arguments that the process has.
    pub arguments_total: u32,
    /// Path as it was given to the kernel.
    pub filename: [u8; FILENAME_MAX],
    /// Arguments, each ended by a zero byte.
    pub arguments: [u8; ARGUMENTS_MAX],
}

/// Payload of [`ControlKind::Mapped`].
#[repr(C)]
pub struct Mapped {
    /// Where the mapping begins in the process.
    pub address: u64,
    /// Key of the file in the table of files that were seen.
    pub file: u64,
}
