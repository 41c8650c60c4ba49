//! One body for "so many bytes moved on this stream", whatever noticed it: positions, verdict, records.

use aya_ebpf::helpers::generated::{
    bpf_get_current_pid_tgid, bpf_get_current_task, bpf_ktime_get_boot_ns, bpf_loop,
};
use observer_common::loss::LossCause;
use observer_common::record::{RecordHeader, RecordKind};
use observer_common::stream::{StreamKind, Verdict};
use observer_common::table::{Nearness, StreamState};

use crate::bound;
use crate::emit;
use crate::iov::{self, Bytes, CountedMessage, Segment};
use crate::maps::{CALLS, NEW_CALL, STREAMS};
use crate::settings::*;
use crate::streams::{self, Object};
use crate::user_copy::{kernel_into, user_bytes, user_into};
use crate::verdict::{self, Head, Treatment};

/// One call whose bytes are being copied, or that is inside a library function.
///
/// It lives in a map and not on the stack: library probes have less than 64 bytes of that, and the verifier
/// follows each value on a stack through each turn of a loop, but takes map memory as it comes.
#[repr(C)]
pub struct Call {
    /// What the records of this call begin with. `position` is that of the next byte.
    pub header: RecordHeader,
    /// Where the next byte is, and how many follow it in this segment.
    pub segment: u64,
    pub segment_left: u64,
    /// The segments after it.
    pub segments_at: u64,
    pub segments: u64,
    /// Bytes that moved, and how many of them are not yet dealt with.
    pub moved: u64,
    pub left: u64,
    /// Further messages of the same call.
    pub messages_at: u64,
    pub messages: u64,
    /// Not zero: this message received nothing, which is the end of the stream if it had room.
    pub may_end: u64,
    /// Not zero: the bytes themselves are recorded.
    pub with_bytes: u64,
    /// Memory for reading user structures.
    pub scratch: [u64; 8],
    /// What a library function was called with.
    pub library: crate::tls::Arguments,
}

/// Which way bytes moved.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Received,
    Sent,
}

/// What a finished system call moved.
pub struct Moved {
    pub direction: Direction,
    /// How many bytes; of the first message only, if there are more.
    pub len: u64,
    pub bytes: Bytes,
    /// Messages after the first, in user memory.
    pub messages_at: u64,
    pub messages: u64,
}

/// Turns of a loop that `bpf_loop` makes: segments and chunks of one call.
const TURNS: u32 = 2048;
/// The same where the verifier has to walk through each turn.
const FLAT_TURNS: u32 = 128;

/// Records that a system call moved bytes on an object. `LOOP`: whether the kernel has `bpf_loop`, and with it
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
    let with_bytes = moved.direction == Direction::Received || nearness(state, object) == Nearness::Remote;
    let charge = moved.direction == Direction::Received || object.kind != StreamKind::Pipe;
    let head = if verdict::wants_head(state) {
        head_of(&moved.bytes.first, moved.len)
    } else {
        Head { bytes: 0, len: 0 }
    };
    let treatment = verdict::judge(state, head, moved.len, charge);
    if treatment == Treatment::Skip {
        return;
    }
    let mut binding = None;
    if treatment == Treatment::Opaque {
        binding = bound::socket_used(object.stream, moved.direction, moved.len);
        if state.opened != 0 && binding.is_none() {
            return;
        }
    }
    let Some(call) = begin_call(moved, object.stream, position, now) else { return };
    call.with_bytes = with_bytes as u64;
    if state.opened == 0 && emit::opened(call, |identity| object.identity(identity)) {
        state.opened = 1;
    }
    if treatment == Treatment::Record {
        run::<LOOP>(call);
    } else if let Some((plaintext, evidence)) = binding {
        call.header.stream = plaintext;
        bound::bind(call, object.stream, evidence);
    }
    end_call();
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
    let Some(call) = begin_call(&nothing, object.stream, state.received, now) else { return };
    call.header.kind = RecordKind::StreamEnded as u16;
    emit::count(call, 0);
    end_call();
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
pub fn head_of(first: &Segment, moved: u64) -> Head {
    let mut bytes = 0u64;
    let len = if first.len < moved { first.len } else { moved };
    let len = if len < 8 { len } else { 8 };
    if user_bytes::<8>((&raw mut bytes).cast(), len, first.base) {
        Head { bytes, len }
    } else {
        Head { bytes: 0, len: 0 }
    }
}

#[inline(always)]
fn begin_call(moved: &Moved, stream: u64, position: u64, now: u64) -> Option<&'static mut Call> {
    // SAFETY: no conditions.
    let key = unsafe { bpf_get_current_pid_tgid() };
    let call = new_call(&key, moved.len)?;
    let kind = match moved.direction {
        Direction::Received => RecordKind::Received,
        Direction::Sent => RecordKind::Sent,
    };
    // SAFETY: a live map value.
    unsafe { emit::begin(&raw mut call.header, kind, now) };
    fill_process(call);
    call.header.stream = stream;
    call.header.position = position;
    call.segment = moved.bytes.first.base;
    call.segment_left = moved.bytes.first.len;
    call.segments_at = moved.bytes.segments_at;
    call.segments = moved.bytes.segments;
    call.moved = moved.len;
    call.left = moved.len;
    call.messages_at = moved.messages_at;
    call.messages = moved.messages;
    Some(call)
}

/// A zeroed entry for the call with this key.
#[inline(always)]
pub fn new_call(key: &u64, bytes: u64) -> Option<&'static mut Call> {
    if CALLS.insert(key, NEW_CALL.value(), 0).is_err() {
        emit::lost(LossCause::CallTableFull, 1, bytes);
        return None;
    }
    // SAFETY: only this thread uses the entry.
    CALLS.get_ptr_mut(key).map(|call| unsafe { &mut *call })
}

#[inline(always)]
fn end_call() {
    // SAFETY: no conditions.
    let key = unsafe { bpf_get_current_pid_tgid() };
    let _ = CALLS.remove(&key);
}

/// Names the current process in the header.
#[inline(always)]
pub fn fill_process(call: &mut Call) {
    // SAFETY: no conditions.
    let (ids, task) = unsafe { (bpf_get_current_pid_tgid(), bpf_get_current_task()) };
    call.header.process.pid = (ids >> 32) as u32;
    call.header.process.tid = ids as u32;
    let leader = &raw mut call.scratch[0];
    kernel_into(leader, member(task, &TASK_GROUP_LEADER));
    // SAFETY: a word of a live map value.
    let leader = unsafe { leader.read_volatile() };
    kernel_into(&raw mut call.header.process.started_ns, member(leader, &TASK_START_BOOTTIME));
    call.header.process.started_ns = in_ticks(call.header.process.started_ns);
}

/// Cuts a time to the ticks in which `/proc` tells it: 100 a second on every architecture with BPF.
#[inline(always)]
pub fn in_ticks(ns: u64) -> u64 {
    ns - ns % 10_000_000
}

/// Copies all that the call moved.
#[inline(always)]
pub fn run<const LOOP: bool>(call: &mut Call) {
    if LOOP {
        let mut context: *mut Call = call;
        let context = (&raw mut context).cast();
        // SAFETY: the callback takes what is given to it here.
        unsafe { bpf_loop(TURNS, turn::<LOOP> as *mut _, context, 0) };
    } else {
        for _ in 0..FLAT_TURNS {
            if step::<LOOP>(call) != 0 {
                break;
            }
        }
    }
    if call.left != 0 {
        emit::lost(LossCause::ChunkLimit, 1, call.left);
    }
}

/// The callback of `bpf_loop`.
#[inline(never)]
extern "C" fn turn<const LOOP: bool>(_: u32, context: *mut *mut Call) -> i64 {
    // SAFETY: `run` passes this.
    step::<LOOP>(unsafe { &mut **context })
}

/// Deals with the next part of the call. Returns not zero when nothing is left.
#[inline(never)]
fn step<const LOOP: bool>(call: &mut Call) -> i64 {
    if call.left == 0 {
        if call.may_end != 0 {
            return look_for_room(call);
        }
        return !next_message::<LOOP>(call) as i64;
    }
    if call.with_bytes == 0 {
        emit::count(call, call.left);
        call.left = 0;
        return 0;
    }
    if call.segment_left == 0 {
        if !iov::advance(call) {
            emit::lost(LossCause::UserMemoryFault, 1, call.left);
            call.left = 0;
        }
        return 0;
    }
    let done = emit::chunk(call);
    call.segment += done;
    call.segment_left -= done;
    call.left -= done;
    call.header.position += done;
    0
}

/// Goes to the next message of `sendmmsg` or `recvmmsg`. Returns whether there is one.
#[inline(always)]
fn next_message<const LOOP: bool>(call: &mut Call) -> bool {
    if call.messages == 0 {
        return false;
    }
    call.messages -= 1;
    if !user_into((&raw mut call.scratch).cast::<CountedMessage>(), call.messages_at) {
        return false;
    }
    call.messages_at += size_of::<CountedMessage>() as u64;
    call.segment_left = 0;
    call.segments_at = call.scratch[2];
    call.segments = call.scratch[3];
    call.left = call.scratch[7] & 0xffff_ffff;
    let Some(state) = STREAMS.get_ptr_mut(&call.header.stream) else { return false };
    let direction =
        if call.header.kind == RecordKind::Sent as u16 { Direction::Sent } else { Direction::Received };
    call.may_end = (call.left == 0 && direction == Direction::Received) as u64;
    // SAFETY: a live map value.
    call.header.position = advance::<LOOP>(unsafe { &mut *state }, direction, call.left);
    true
}

/// Looks at one more segment of a message that received nothing: with room in it, the stream has ended.
/// Returns not zero then, since nothing can follow.
#[inline(always)]
fn look_for_room(call: &mut Call) -> i64 {
    if call.segment_left == 0 {
        call.may_end = iov::advance(call) as u64;
        return 0;
    }
    let Some(state) = STREAMS.get_ptr_mut(&call.header.stream) else { return 1 };
    // SAFETY: a live map value.
    let state = unsafe { &mut *state };
    if state.opened != 0 && state.ended == 0 {
        state.ended = 1;
        call.header.kind = RecordKind::StreamEnded as u16;
        call.header.position = state.received;
        emit::count(call, 0);
    }
    1
}
