//! Ties plaintext to the socket that it travels on, by what one thread does after the other.
//!
//! Sure: a socket that carries TLS is read or written while the thread is inside the library's function.
//! Likely: the program moves the bytes itself, from its own event loop. It writes to the socket after the library
//! function that writes, and reads from it before the one that reads; with several connections at once it does so
//! in turns, so the last few of each are remembered in order and told apart by their sizes.
//! Something better overrides something weaker, and never the other way round.

use aya_ebpf::helpers::generated::{bpf_get_current_pid_tgid, bpf_ktime_get_boot_ns};
use observer_common::record::RecordKind;
use observer_common::table::StreamState;

use crate::call::Call;
use crate::emit;
use crate::maps::{NEW_THREAD, STREAMS, THREADS};
use crate::moved::Direction;

/// Bytes that a thread moved: on which stream, how many, and when.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Trace {
    pub stream: u64,
    pub bytes: u64,
    pub at_ns: u64,
}

/// So many of each kind are remembered.
const TRACES: usize = 8;

/// What is remembered of a thread's last TLS traffic.
#[repr(C)]
pub struct Thread {
    /// What it received on sockets, and has not been seen to read from the library; oldest at `next_received`.
    pub received: [Trace; TRACES],
    pub next_received: u64,
    /// When it last received on which socket.
    pub received_on: u64,
    pub received_ns: u64,
    /// Plaintext that it wrote to the library, and has not been seen to send; oldest at `next_written`.
    pub written: [Trace; TRACES],
    pub next_written: u64,
    /// The plaintext stream that it is writing to: it is inside that function.
    pub inside: u64,
    /// Socket that it wrote TLS to inside that function.
    pub sent_on: u64,
}

const LIKELY_READ: u32 = 1;
const LIKELY_WRITTEN: u32 = 2;
const SURE: u32 = 3;

/// How long a trace means anything.
const FRESH_NS: u64 = 1_000_000_000;
/// What TLS adds to a record at least and at most, and the plaintext of one record.
const OVERHEAD_MIN: u64 = 17;
const OVERHEAD_MAX: u64 = 128;
const RECORD: u64 = 16_384;
/// What it adds to one record in TLS 1.3, and in 1.2 with AES-GCM and with ChaCha20.
const OVERHEADS: [u64; 3] = [22, 29, 21];

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
    thread.inside = call.header.stream;
    thread.sent_on = 0;
}

/// The thread leaves a function of the library. Called before the bytes are recorded, so that whoever reads them
/// knows by then which socket they travel on.
#[inline(always)]
pub fn left(call: &mut Call) {
    if call.header.kind == RecordKind::Sent as u16 { written(call) } else { read_done(call) }
}

#[inline(never)]
fn read_done(call: &mut Call) {
    if let Some(thread) = thread(false) {
        read(call, thread);
    }
}

/// The thread has written plaintext to the library.
#[inline(never)]
fn written(call: &mut Call) {
    let Some(thread) = thread(false) else { return };
    thread.inside = 0;
    if call.moved == 0 {
        return;
    }
    if thread.sent_on != 0 {
        return bind(call, thread.sent_on, SURE);
    }
    let slot = thread.next_written as usize % TRACES;
    let at_ns = call.library.entered_ns;
    thread.written[slot] = Trace { stream: call.header.stream, bytes: call.moved, at_ns };
    thread.next_written += 1;
}

/// The thread has read plaintext from the library.
#[inline(always)]
fn read(call: &mut Call, thread: &mut Thread) {
    if call.moved == 0 || thread.received_on == 0 {
        return;
    }
    if thread.received_ns >= call.library.entered_ns {
        return bind(call, thread.received_on, SURE);
    }
    call.scratch[0] = 0;
    received_for(call, thread);
    if call.scratch[0] != 0 {
        bind(call, call.scratch[0], LIKELY_READ);
    }
}

/// Finds the socket on which the plaintext of `call` was received: the first with as many bytes as TLS makes of
/// it, else the last, if that has enough. Leaves it in the scratch, zero if nothing is likely.
#[inline(never)]
fn received_for(call: &mut Call, thread: &mut Thread) {
    let oldest = call.library.entered_ns.saturating_sub(FRESH_NS);
    for turn in 0..TRACES {
        let trace = &mut thread.received[(thread.next_received as usize + turn) % TRACES];
        if trace.stream == 0 || trace.at_ns < oldest || trace.bytes < call.moved + OVERHEAD_MIN {
            continue;
        }
        call.scratch[0] = trace.stream;
        if OVERHEADS.iter().any(|overhead| trace.bytes == call.moved + overhead) {
            trace.stream = 0;
            return;
        }
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
        let slot = thread.next_received as usize % TRACES;
        thread.received[slot] = Trace { stream: socket, bytes: len, at_ns: now };
        thread.next_received += 1;
        thread.received_on = socket;
        thread.received_ns = now;
        return None;
    }
    if thread.inside != 0 {
        thread.sent_on = socket;
        return Some((thread.inside, SURE));
    }
    match sent_for(thread, socket, len, now) {
        0 => None,
        stream => Some((stream, LIKELY_WRITTEN)),
    }
}

/// Finds the plaintext that a write on a socket carries, and takes it out: of the stream that most surely travels
/// there, and of those of which nothing better is known the oldest. Plaintext that was sent together with something
/// else, such as the tickets at the end of a handshake, has stayed behind, and what others send is none of it.
#[inline(never)]
fn sent_for(thread: &mut Thread, socket: u64, len: u64, now: u64) -> u64 {
    let (mut chosen, mut chosen_rank) = (TRACES, 0);
    for turn in 0..TRACES {
        let slot = (thread.next_written as usize + turn) % TRACES;
        let trace = &thread.written[slot];
        let records = trace.bytes / RECORD + 1;
        let fits = len >= trace.bytes + OVERHEAD_MIN && len <= trace.bytes + OVERHEAD_MAX * records;
        if trace.stream == 0 || !fits || now - trace.at_ns >= FRESH_NS {
            continue;
        }
        let Some(state) = STREAMS.get_ptr(&trace.stream) else { continue };
        // SAFETY: a live map value.
        let (bound, evidence) = unsafe { ((*state).bound, (*state).evidence) };
        let rank = if bound == socket { 1 + evidence } else { (evidence < LIKELY_WRITTEN) as u32 };
        if rank > chosen_rank {
            (chosen, chosen_rank) = (slot, rank);
        }
    }
    if chosen >= TRACES {
        return 0;
    }
    // It counts once: the next write on a socket belongs to something else.
    core::mem::take(&mut thread.written[chosen].stream)
}

/// Tells the binding of the call's stream, if it is new.
#[inline(always)]
pub fn bind(call: &mut Call, socket: u64, evidence: u32) {
    let Some(state) = STREAMS.get_ptr_mut(&call.header.stream) else { return };
    // SAFETY: a live map value.
    let state: &mut StreamState = unsafe { &mut *state };
    if state.opened == 0 || state.evidence >= evidence {
        return;
    }
    state.evidence = evidence;
    if state.bound == socket {
        return;
    }
    // SAFETY: ring memory of this size.
    if emit::fixed::<u64>(call, RecordKind::TlsBound, |into| unsafe { *into = socket }) {
        state.bound = socket;
    }
}
