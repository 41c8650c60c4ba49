//! Ties plaintext to the socket that it travels on, by what one thread does after the other.
//!
//! Sure: a socket that carries TLS is read or written while the thread is inside the library's function.
//! Likely: it is read shortly before the function that reads (or written after the one that writes), with about
//! as many bytes; so libraries work that the program feeds from its own event loop. Something sure overrides
//! something likely, and never the other way round.

use aya_ebpf::helpers::generated::{bpf_get_current_pid_tgid, bpf_ktime_get_boot_ns};
use observer_common::record::RecordKind;
use observer_common::table::StreamState;

use crate::emit;
use crate::maps::{NEW_THREAD, STREAMS, THREADS};
use crate::moved::{Call, Direction};

/// What is remembered of a thread's last TLS traffic.
#[repr(C)]
pub struct Thread {
    /// Socket that it last received TLS on, how much, and when.
    pub received_on: u64,
    pub received_bytes: u64,
    pub received_ns: u64,
    /// Plaintext stream that it last wrote to, how much, and when.
    pub writing: u64,
    pub writing_bytes: u64,
    pub writing_ns: u64,
    /// Not zero: it is inside the function that writes.
    pub inside: u64,
    /// Socket that it wrote TLS to inside that function.
    pub sent_on: u64,
}

const LIKELY: u32 = 1;
const SURE: u32 = 2;

/// How long likely evidence holds.
const FRESH_NS: u64 = 1_000_000_000;
/// What TLS adds to a record at least and at most, and the plaintext of one record.
const OVERHEAD_MIN: u64 = 17;
const OVERHEAD_MAX: u64 = 128;
const RECORD: u64 = 16_384;

#[inline(always)]
fn thread(make: bool) -> Option<&'static mut Thread> {
    // SAFETY: no conditions.
    let key = unsafe { bpf_get_current_pid_tgid() };
    let mut found = THREADS.get_ptr_mut(&key);
    if found.is_none() && make {
        let _ = THREADS.insert(&key, NEW_THREAD.value(), 0);
        found = THREADS.get_ptr_mut(&key);
    }
    // SAFETY: only this thread writes it; evicted, it is memory of the same kind.
    found.map(|thread| unsafe { &mut *thread })
}

/// The thread enters a function that writes plaintext.
#[inline(never)]
pub fn writing(call: &mut Call) {
    let Some(thread) = thread(true) else { return };
    thread.writing = call.header.stream;
    thread.writing_bytes = call.library.length;
    thread.writing_ns = call.library.entered_ns;
    thread.inside = 1;
    thread.sent_on = 0;
}

/// The thread leaves a function of the library. Called before the bytes are recorded, so that whoever reads them
/// knows by then which socket they travel on.
#[inline(never)]
pub fn left(call: &mut Call) {
    let Some(thread) = thread(false) else { return };
    if call.header.kind == RecordKind::Sent as u16 {
        thread.inside = 0;
        if call.moved != 0 && thread.sent_on != 0 {
            bind(call, thread.sent_on, SURE);
        }
        return;
    }
    let moved = call.moved;
    if moved == 0 || thread.received_on == 0 {
        return;
    }
    if thread.received_ns >= call.library.entered_ns {
        bind(call, thread.received_on, SURE);
    } else if thread.received_bytes >= moved && call.library.entered_ns - thread.received_ns < FRESH_NS {
        bind(call, thread.received_on, LIKELY);
    }
}

/// The thread moved bytes on a socket that carries TLS. Returns the plaintext stream that it belongs to and how
/// sure that is, if something says so.
#[inline(always)]
pub fn socket_used(socket: u64, direction: Direction, len: u64) -> Option<(u64, u32)> {
    let thread = thread(direction == Direction::Received)?;
    // SAFETY: no conditions.
    let now = unsafe { bpf_ktime_get_boot_ns() };
    if direction == Direction::Received {
        thread.received_on = socket;
        thread.received_bytes = len;
        thread.received_ns = now;
        return None;
    }
    if thread.writing == 0 {
        return None;
    }
    let (stream, plain) = (thread.writing, thread.writing_bytes);
    if thread.inside != 0 {
        thread.sent_on = socket;
        return Some((stream, SURE));
    }
    // Counts once: the next write on a socket belongs to something else.
    thread.writing = 0;
    let records = plain / RECORD + 1;
    let fits = len >= plain + OVERHEAD_MIN && len <= plain + OVERHEAD_MAX * records;
    (fits && now - thread.writing_ns < FRESH_NS).then_some((stream, LIKELY))
}

/// Tells the binding of the call's stream, if it is new.
#[inline(always)]
pub fn bind(call: &mut Call, socket: u64, evidence: u32) {
    let Some(state) = STREAMS.get_ptr_mut(&call.header.stream) else { return };
    // SAFETY: a live map value.
    let state: &mut StreamState = unsafe { &mut *state };
    if state.opened == 0 || state.evidence > evidence {
        return;
    }
    let is_new = state.bound != socket;
    state.evidence = evidence;
    if !is_new {
        return;
    }
    // SAFETY: ring memory of this size.
    if emit::fixed::<u64>(call, RecordKind::TlsBound, |into| unsafe { *into = socket }) {
        state.bound = socket;
    }
}
