//! From records to ordered bytes: every flow of bytes in order, with its holes.
//!
//! In: events. Out: [`Piece`]s for one direction of a connection.

pub mod stdio_pair;
pub mod stream;
pub mod twin;

use super::time::Timestamp;

/// The next part of a flow. Positions count from the first byte seen of the flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Bytes.
    Data {
        /// When the call that moved them returned.
        at: Timestamp,
        /// Position of the first of them.
        position: u64,
        /// The bytes.
        data: &'a [u8],
    },
    /// Bytes that moved but are not known.
    Gap {
        /// When the first byte after the gap was seen.
        at: Timestamp,
        /// Position of the first missing byte.
        position: u64,
        /// How many.
        missing: u64,
    },
    /// Nothing more will come.
    End {
        /// When that was seen.
        at: Timestamp,
    },
}

/// A place in a flow and the time at which it was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// When the byte at `position` was seen.
    pub at: Timestamp,
    /// The byte's position in the flow.
    pub position: u64,
}
