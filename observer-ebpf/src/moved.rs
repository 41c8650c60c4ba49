//! One body for "so many bytes moved on this stream", whatever noticed it: positions, verdict, records.

use aya_ebpf::helpers::generated::{bpf_get_current_pid_tgid, bpf_ktime_get_boot_ns};
use observer_common::loss::LossCause;
use observer_common::record::RecordKind;
use observer_common::stream::{StreamKind, Verdict};
use observer_common::table::{Nearness, StreamState};

use crate::bound;
use crate::call;
use crate::copy;
use crate::emit;
use crate::iov::{Bytes, Segment};
use crate::maps::STREAMS;
use crate::quick;
use crate::streams::{self, Object};
use crate::user_copy::user_bytes;
use crate::verdict::{self, Head, Treatment};

/// Which way bytes moved.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Received,
    Sent,
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
}

/// Records that a call moved bytes on an object. `LOOP`: whether the kernel has `bpf_loop`, and with it
/// atomic operations that return the old value.
#[inline(always)]
pub fn on_object<const LOOP: bool>(object: &Object, moved: &Moved) {
    let Some(state) = streams::entry(&object.stream, object.kind) else {
        emit::lost(LossCause::StreamTableFull, 1, moved.len);
        return;
    };
    // SAFETY: no conditions.
    let now = unsafe { bpf_ktime_get_boot_ns() };
    touch(state, now);
    if state.inode == 0 {
        state.inode = object.inode_number();
    }
    verdict::apply_decision(state, &object.stream);
    let position = advance::<LOOP>(state, moved.direction, moved.len);
    let is_wanted = moved.direction == Direction::Received || nearness(state, object) == Nearness::Remote;
    let charge = moved.direction == Direction::Received || object.kind != StreamKind::Pipe;
    let head = if verdict::wants_head(state) { head_of(&moved.bytes, moved.len) } else { Head::NONE };
    let treatment = verdict::judge(state, head, moved.len, charge);
    if treatment == Treatment::Skip {
        return;
    }
    if treatment == Treatment::Record
        && state.opened != 0
        && quick::record::<LOOP>(object.stream, moved, position, now, is_wanted)
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
    let Some(call) = call::begin(moved, object.stream, position, now) else { return };
    call.with_bytes = is_wanted as u64;
    call.gap = moved.bytes.gap as u64;
    if state.opened == 0 && emit::opened(call, |identity| object.identity(identity)) {
        state.opened = 1;
    }
    if treatment == Treatment::Record {
        copy::run::<LOOP>(call);
    } else if let Some((plaintext, evidence)) = binding {
        call.header.stream = plaintext;
        bound::bind(call, object.stream, evidence);
    }
    call::end();
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
    // SAFETY: no conditions.
    let now = unsafe { bpf_ktime_get_boot_ns() };
    let nothing = Moved {
        direction: Direction::Received,
        len: 0,
        bytes: Bytes::buffer(0, 0),
        messages_at: 0,
        messages: 0,
    };
    let Some(call) = call::begin(&nothing, object.stream, state.received, now) else { return };
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
    state.last_seen_ns = now;
    if state.ended != 0 {
        again(state);
    }
    // SAFETY: no conditions.
    state.owner = unsafe { (bpf_get_current_pid_tgid() >> 32) as u32 };
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
fn head_of(bytes: &Bytes, moved: u64) -> Head {
    if bytes.gap != 0 { Head::NONE } else { head_in(&bytes.first, moved) }
}

#[inline(always)]
fn head_in(first: &Segment, moved: u64) -> Head {
    let mut bytes = 0u64;
    let len = if first.len < moved { first.len } else { moved };
    let len = if len < 8 { len } else { 8 };
    if user_bytes::<8>((&raw mut bytes).cast(), len, first.base) { Head { bytes, len } } else { Head::NONE }
}
