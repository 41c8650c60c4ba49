//! One body for "so many bytes moved on this stream", whatever noticed it: positions, verdict, records.

use aya_ebpf::helpers::generated::{bpf_jiffies64, bpf_ktime_get_boot_ns};
use observer_common::loss::LossCause;
use observer_common::record::RecordKind;
use observer_common::stream::{StreamKind, Verdict};
use observer_common::table::{Nearness, StreamState};

use crate::bound;
use crate::call::{self, Call};
use crate::copy;
use crate::emit;
use crate::iov::{Bytes, Segment};
use crate::maps::STREAMS;
use crate::quick;
use crate::streams::{self, Object};
use crate::user_copy::{Caller, user_bytes};
use crate::verdict::{self, Head, Treatment};

/// Which way bytes moved.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Received,
    Sent,
}

const ECONNRESET: i64 = 104;

impl Direction {
    /// What records of bytes that moved this way are.
    #[inline(always)]
    pub fn kind(self) -> RecordKind {
        match self {
            Self::Received => RecordKind::Received,
            Self::Sent => RecordKind::Sent,
        }
    }

    /// Whether a call that returned this tells something. A connection that was reset has ended, as one that was
    /// closed; other errors moved nothing.
    #[inline(always)]
    pub fn is_told_by(self, result: i64) -> bool {
        result >= 0 || result == -ECONNRESET && self == Self::Received
    }
}

/// What a finished call moved.
pub struct Moved {
    pub direction: Direction,
    /// How many bytes; of the first message only, if there are more.
    pub len: u64,
    pub bytes: Bytes,
    /// Messages after the first, in user memory.
    pub messages_at: u64,
    pub messages: u64,
    /// Who moved them.
    pub caller: Caller,
}

/// A call on a stream, with the positions of its bytes given out.
struct Noticed {
    state: &'static mut StreamState,
    position: u64,
    /// The bytes themselves are recorded: those that were received, and those whose receipt nobody here sees.
    is_wanted: bool,
}

/// Notes that `len` bytes moved on an object. `LOOP`: whether the kernel has `bpf_loop`, and with it atomic operations
/// that return the old value.
#[inline(always)]
fn notice<const LOOP: bool>(object: &Object, direction: Direction, len: u64) -> Option<Noticed> {
    let Some(state) = streams::entry(&object.stream, object.kind) else {
        emit::lost(LossCause::StreamTableFull, 1, len);
        return None;
    };
    if state.ended != 0 {
        again(state);
    }
    if state.inode == 0 {
        state.inode = object.inode_number();
    }
    verdict::apply_decision(state, &object.stream);
    let position = advance::<LOOP>(state, direction, len);
    let is_wanted = direction == Direction::Received || nearness(state, object) == Nearness::Remote;
    Some(Noticed { state, position, is_wanted })
}

/// Records that a call moved bytes on an object.
#[inline(always)]
pub fn on_object<const LOOP: bool>(object: &Object, moved: &Moved) {
    let Some(noticed) = notice::<LOOP>(object, moved.direction, moved.len) else { return };
    let Noticed { state, position, is_wanted } = noticed;
    let charge = moved.direction == Direction::Received || object.kind != StreamKind::Pipe;
    let treatment = if moved.bytes.gap == 0 {
        let head =
            if verdict::wants_head(state) { head_of(&moved.bytes.first, moved.len) } else { Head::NONE };
        verdict::judge(state, head, moved.len, charge)
    } else {
        verdict::of_gap(state)
    };
    if treatment == Treatment::Skip {
        return passed_by(state, moved.caller);
    }
    let at_ns = now();
    used(state, at_ns, moved.caller);
    if treatment == Treatment::Record
        && state.opened != 0
        && quick::record::<LOOP>(object.stream, moved, position, at_ns, is_wanted)
    {
        return;
    }
    let mut binding = None;
    if treatment == Treatment::Opaque {
        binding = bound::socket_used(object.stream, moved.direction, moved.len);
        if state.opened != 0 && binding.is_none() {
            return;
        }
    }
    let Some(call) = call::begin(moved, object.stream, position, at_ns) else { return };
    call.with_bytes = is_wanted as u64;
    call.gap = moved.bytes.gap as u64;
    open(state, call, object);
    if treatment == Treatment::Record {
        copy::run::<LOOP>(call);
    } else if let Some((plaintext, evidence)) = binding {
        call.header.stream = plaintext;
        bound::bind(call, object.stream, evidence);
    }
    call::end();
}

/// Records that `len` bytes moved on an object that are in no memory of the process. There is nothing to copy, and so
/// no loop that the verifier would have to walk through once more.
#[inline(always)]
pub fn spliced<const LOOP: bool>(object: &Object, direction: Direction, len: u64, caller: Caller) {
    let Some(noticed) = notice::<LOOP>(object, direction, len) else { return };
    let Noticed { state, position, is_wanted } = noticed;
    if verdict::of_gap(state) != Treatment::Record {
        return passed_by(state, caller);
    }
    let at_ns = now();
    used(state, at_ns, caller);
    let bytes = Bytes::gap(LossCause::Spliced);
    let moved = Moved { direction, len, bytes, messages_at: 0, messages: 0, caller };
    let Some(call) = call::begin(&moved, object.stream, position, at_ns) else { return };
    open(state, call, object);
    if is_wanted {
        emit::lost(LossCause::Spliced, 1, len);
    }
    emit::count(call, len);
    call::end();
}

/// Tells of the stream before anything else of it.
#[inline(always)]
fn open(state: &mut StreamState, call: &Call, object: &Object) {
    if state.opened == 0 && emit::opened(call, |identity| object.identity(identity)) {
        state.opened = 1;
    }
}

/// Records that the reader met the end of an object.
#[inline(always)]
pub fn end_of_object(object: &Object) {
    let Some(state) = STREAMS.get_ptr_mut(&object.stream) else { return };
    // SAFETY: a live map value.
    let state = unsafe { &mut *state };
    if state.opened == 0 || state.ended != 0 {
        return;
    }
    state.ended = 1;
    let nothing = Moved {
        direction: Direction::Received,
        len: 0,
        bytes: Bytes::buffer(0, 0),
        messages_at: 0,
        messages: 0,
        caller: Caller::current(),
    };
    let Some(call) = call::begin(&nothing, object.stream, state.received, now()) else { return };
    call.header.kind = RecordKind::StreamEnded as u16;
    emit::count(call, 0);
    call::end();
}

/// The observer itself wrote here: what it prints is never looked at.
#[inline(always)]
pub fn never_look(object: &Object) {
    let own = streams::entry(&object.stream, object.kind);
    if let Some(state) = own {
        state.verdict = Verdict::Never as u32;
    }
    if object.kind == StreamKind::Unix
        && let Some(peer) = object.unix_peer()
        && let Some(state) = streams::entry(&peer.stream, peer.kind)
    {
        state.verdict = Verdict::Never as u32;
    }
}

/// Notes that a stream is in use.
#[inline(always)]
pub fn touch(state: &mut StreamState, now: u64) {
    if state.ended != 0 {
        again(state);
    }
    used(state, now, Caller::current());
}

#[inline(always)]
fn used(state: &mut StreamState, now: u64, caller: Caller) {
    state.last_seen_ns = now;
    state.owner = caller.pid();
}

/// Notes the use of a stream of which nothing is recorded. The clock costs as much as the rest of that, so it is only
/// asked when the kernel's count of ticks has gone on: between a quarter of a second and three.
#[inline(always)]
fn passed_by(state: &mut StreamState, caller: Caller) {
    const TICKS: u64 = 256;
    // SAFETY: no conditions.
    let tick = unsafe { bpf_jiffies64() } / TICKS;
    if state.last_seen_tick != tick {
        state.last_seen_tick = tick;
        used(state, now(), caller);
    }
}

/// Nanoseconds of `CLOCK_BOOTTIME`.
#[inline(always)]
fn now() -> u64 {
    // SAFETY: no conditions.
    unsafe { bpf_ktime_get_boot_ns() }
}

/// Something moves after the end: a named pipe has a writer again, or both ports and the socket's memory serve
/// another connection, which is told of as a new stream.
#[inline(always)]
fn again(state: &mut StreamState) {
    state.ended = 0;
    if state.kind == StreamKind::Tcp as u32 {
        state.opened = 0;
        state.closed_ns = 0;
        state.inode = 0;
        state.evidence = Nearness::Unknown as u32;
    }
}

/// Gives out the positions of `len` bytes, before there is a record that could be lost.
#[inline(always)]
pub fn advance<const FETCH: bool>(state: &mut StreamState, direction: Direction, len: u64) -> u64 {
    let at = match direction {
        Direction::Received => &raw mut state.received,
        Direction::Sent => &raw mut state.sent,
    };
    // SAFETY: a word of a live map value.
    unsafe {
        if FETCH {
            return emit::fetch_add(at, len);
        }
        let position = at.read_volatile();
        emit::add(at, len);
        position
    }
}

#[inline(always)]
fn nearness(state: &mut StreamState, object: &Object) -> Nearness {
    if object.kind != StreamKind::Tcp {
        return Nearness::Local;
    }
    if state.evidence == Nearness::Unknown as u32 {
        state.evidence = object.nearness() as u32;
    }
    if state.evidence == Nearness::Remote as u32 { Nearness::Remote } else { Nearness::Local }
}

/// The first bytes of what moved, none if they cannot be read.
#[inline(always)]
fn head_of(first: &Segment, moved: u64) -> Head {
    let mut bytes = 0u64;
    let len = if first.len < moved { first.len } else { moved };
    let len = if len < 8 { len } else { 8 };
    if user_bytes::<8>((&raw mut bytes).cast(), len, first.base) { Head { bytes, len } } else { Head::NONE }
}
