//! Every map: what it holds, who writes it, who reads it, and why it has its size.
//!
//! | Map | Key | Value | Written by | Read by |
//! | --- | --- | --- | --- | --- |
//! | `DATA` | | records of streams | all programs | agent |
//! | `CONTROL` | | records of processes | lifecycle, `sys_exit` | agent |
//! | `STREAMS` | stream | [`StreamState`] | programs; agent removes | both |
//! | `DECISIONS` | stream | number << 32, verdict | agent | programs |
//! | `DECIDED` | 0 | number of the last decision | agent | programs |
//! | `CALLS` | thread, function | [`Call`] | programs | programs |
//! | `ENTERED` | thread, function | [`Entered`] | kprobe programs | kretprobe programs |
//! | `TLS_OBJECTS` | process, object | stream, process | TLS programs; agent removes | both |
//! | `THREADS` | thread | [`Thread`] | TLS programs, `sys_exit` | the same |
//! | `FILES` | device, inode | seen | `sys_exit`; agent removes | programs |
//! | `LOSSES` | cause | records, bytes | programs | agent |
//!
//! State of streams and calls is never in a map that evicts, and never in per-CPU memory: programs may be
//! preempted, and what is evicted is lost in silence.

use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, HashMap, LruHashMap, RingBuf};
use observer_common::loss::LossCause;
use observer_common::table::StreamState;

use crate::bound::Thread;
use crate::call::Call;
use crate::kprobe::Entered;

/// Streams known at a time. Idle ones that nobody wants are swept every half a minute.
const MAX_STREAMS: u32 = 65_536;
/// Calls in progress: one for each thread that is inside a TLS function or whose bytes are being copied.
const MAX_CALLS: u32 = 16_384;
/// Threads of which the last TLS traffic is remembered; losing one only delays a binding.
const MAX_THREADS: u32 = 16_384;
/// Files mapped as code; losing one only has the agent look at it again.
const MAX_FILES: u32 = 16_384;

/// Records of streams. The agent overrides the size.
#[map]
pub static DATA: RingBuf = RingBuf::with_byte_size(64 << 20, 0);

/// Facts about processes, which a flood of data must not push out.
#[map]
pub static CONTROL: RingBuf = RingBuf::with_byte_size(1 << 20, 0);

#[map]
pub static STREAMS: HashMap<u64, StreamState> = HashMap::with_max_entries(MAX_STREAMS, 0);

#[map]
pub static DECISIONS: HashMap<u64, u64> = HashMap::with_max_entries(MAX_STREAMS, 0);

#[map]
pub static DECIDED: Array<u64> = Array::with_max_entries(1, 0);

#[map]
pub static ENTERED: HashMap<u64, Entered> = HashMap::with_max_entries(MAX_CALLS, 0);

#[map]
pub static CALLS: HashMap<u64, Call> = HashMap::with_max_entries(MAX_CALLS, 0);

#[map]
pub static TLS_OBJECTS: HashMap<u64, [u64; 2]> = HashMap::with_max_entries(MAX_STREAMS, 0);

#[map]
pub static THREADS: LruHashMap<u64, Thread> = LruHashMap::with_max_entries(MAX_THREADS, 0);

#[map]
pub static FILES: LruHashMap<u64, u8> = LruHashMap::with_max_entries(MAX_FILES, 0);

#[map]
pub static LOSSES: Array<[u64; 2]> = Array::with_max_entries(LossCause::ALL.len() as u32, 0);

/// New entries are made from these, so that no zeroed value stands on the stack.
pub static NEW_STREAM: Zero<StreamState> = Zero::new();
pub static NEW_CALL: Zero<Call> = Zero::new();
pub static NEW_THREAD: Zero<Thread> = Zero::new();

/// A value of zero bytes in read-only memory.
#[repr(transparent)]
pub struct Zero<T>(core::mem::MaybeUninit<T>);

// SAFETY: it is never written.
unsafe impl<T> Sync for Zero<T> {}

impl<T> Zero<T> {
    const fn new() -> Self {
        Self(core::mem::MaybeUninit::zeroed())
    }

    /// The value. All types used here are valid with all bytes zero.
    #[inline(always)]
    pub fn value(&self) -> &T {
        // SAFETY: initialised with zeros.
        unsafe { self.0.assume_init_ref() }
    }
}
