//! How full the data ring is, and what is left out meanwhile: first the rest of large calls, then all bytes.
//!
//! Each record asks anew, so that everything is recorded again as soon as the agent has caught up. Positions, times
//! and the control ring are not affected: what is left out is a gap of known size.

use aya_ebpf::bindings::BPF_RB_AVAIL_DATA;

use crate::maps::DATA;
use crate::settings::RING_BYTES;

/// What there is room for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Pressure {
    /// Everything.
    None,
    /// The first bytes of each call.
    Headers,
    /// Counts.
    Counters,
}

/// The first bytes of a call: the head of an HTTP message, the method and the id of most JSON-RPC messages.
pub const HEADER_BYTES: u64 = 4096;

/// The pressure at this moment.
#[inline(always)]
pub fn now() -> Pressure {
    let used = DATA.query(BPF_RB_AVAIL_DATA as u64);
    let size = RING_BYTES.load();
    if used < size / 2 {
        Pressure::None
    } else if used < size - size / 8 {
        Pressure::Headers
    } else {
        Pressure::Counters
    }
}
