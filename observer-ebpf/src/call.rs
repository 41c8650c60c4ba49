//! One call whose bytes are being recorded, in a map: what its records begin with, and where its bytes are.

use aya_ebpf::helpers::generated::{bpf_get_current_pid_tgid, bpf_get_current_task};
use observer_common::loss::LossCause;
use observer_common::record::RecordHeader;

use crate::emit;
use crate::maps::{CALLS, NEW_CALL};
use crate::moved::Moved;
use crate::settings::*;
use crate::user_copy::kernel_into;

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
    /// Bytes of this message that were copied.
    pub copied: u64,
    /// How many more may be copied, as full as the ring is.
    pub limit: u64,
    /// Further messages of the same call.
    pub messages_at: u64,
    pub messages: u64,
    /// Not zero: this message received nothing, which is the end of the stream if it had room.
    pub may_end: u64,
    /// Not zero: the bytes themselves are recorded.
    pub with_bytes: u64,
    /// Not zero: they cannot be read; one more than the number of the cause.
    pub gap: u64,
    /// Not zero: the array of segments is in kernel memory.
    pub kernel_segments: u64,
    /// Memory for reading user structures.
    pub scratch: [u64; 8],
    /// What a library function was called with.
    pub library: crate::tls::Arguments,
}

/// An entry for what the current thread has just moved.
#[inline(always)]
pub fn begin(moved: &Moved, stream: u64, position: u64, now: u64) -> Option<&'static mut Call> {
    // SAFETY: no conditions.
    let key = unsafe { bpf_get_current_pid_tgid() };
    let call = new_call(&key, moved.len)?;
    // SAFETY: a live map value.
    unsafe { emit::begin(&raw mut call.header, moved.direction.kind(), now) };
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
    call.kernel_segments = moved.bytes.kernel_segments as u64;
    Some(call)
}

/// Key of a call of a probed function: a thread is in each at most once. Thread ids leave the upper bits free.
#[inline(always)]
pub fn key_of(function: u64) -> u64 {
    // SAFETY: no conditions.
    unsafe { bpf_get_current_pid_tgid() | function << 56 }
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

/// Removes the entry that [`begin`] made.
#[inline(always)]
pub fn end() {
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
}
