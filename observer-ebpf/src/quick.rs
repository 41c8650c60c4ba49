//! The usual call: one small buffer, so one record, written in place without an entry in the table of calls.
//!
//! What is special goes the long way, through `call` and `copy`: a stream that was not told of yet, several segments
//! or messages, more bytes than a small record holds. Not for library probes, which have too little stack for this.

use aya_ebpf::helpers::generated::bpf_get_smp_processor_id;
use observer_common::loss::LossCause;
use observer_common::process::ProcessKey;
use observer_common::record::{LAYOUT, RecordHeader};

use crate::emit::{self, Room};
use crate::maps::DATA;
use crate::moved::Moved;
use crate::pressure::{self, Pressure};
use crate::settings::*;
use crate::user_copy::{self, current_task, of_task};

/// Most bytes of a call that goes this way.
const BYTES_MAX: u64 = 4096;

/// Records the call. Returns false if it is not a usual one. `TYPED`: see [`current_task`].
#[inline(always)]
pub fn record<const TYPED: bool>(
    stream: u64,
    moved: &Moved,
    position: u64,
    now: u64,
    with_bytes: bool,
) -> bool {
    let bytes = &moved.bytes;
    if moved.messages != 0 {
        return false;
    }
    if !with_bytes {
        count::<TYPED>(stream, moved, position, now);
        return true;
    }
    if bytes.gap != 0 || bytes.first.len < moved.len || moved.len > BYTES_MAX {
        return false;
    }
    if pressure::now() == Pressure::Counters {
        emit::lost(LossCause::ShedToCounters, 1, moved.len);
        count::<TYPED>(stream, moved, position, now);
        return true;
    }
    let written = match moved.len {
        0..=192 => one::<TYPED, 192>(stream, moved, position, now),
        193..=1024 => one::<TYPED, 1024>(stream, moved, position, now),
        _ => one::<TYPED, 4096>(stream, moved, position, now),
    };
    if !written {
        emit::lost(LossCause::RingFull, 1, moved.len);
    }
    true
}

#[inline(always)]
fn one<const TYPED: bool, const N: usize>(stream: u64, moved: &Moved, position: u64, now: u64) -> bool {
    let Some(mut room) = DATA.reserve::<Room<N>>(0) else { return false };
    let record = room.as_mut_ptr();
    // SAFETY: the ring gave memory of this size, and the copy is bounded by it.
    unsafe {
        head::<TYPED>(&raw mut (*record).header, stream, moved, position, now);
        if user_copy::user_bytes::<N>((&raw mut (*record).payload).cast(), moved.len, moved.bytes.first.base)
        {
            (*record).header.payload_len = moved.len as u32;
        } else {
            emit::lost(LossCause::UserMemoryFault, 1, moved.len);
        }
    }
    room.submit(0);
    true
}

#[inline(always)]
fn count<const TYPED: bool>(stream: u64, moved: &Moved, position: u64, now: u64) {
    let Some(mut room) = DATA.reserve::<RecordHeader>(0) else {
        return emit::lost(LossCause::RingFull, 1, 0);
    };
    // SAFETY: the ring gave memory of this size.
    unsafe { head::<TYPED>(room.as_mut_ptr(), stream, moved, position, now) };
    room.submit(0);
}

#[inline(always)]
unsafe fn head<const TYPED: bool>(
    header: *mut RecordHeader,
    stream: u64,
    moved: &Moved,
    position: u64,
    now: u64,
) {
    let leader = of_task::<TYPED>(current_task::<TYPED>(), &TASK_GROUP_LEADER).unwrap_or(0);
    let started_ns = of_task::<TYPED>(leader, &TASK_START_BOOTTIME).unwrap_or(0);
    header.write(RecordHeader {
        layout: LAYOUT,
        kind: moved.direction.kind() as u16,
        payload_len: 0,
        moved_len: moved.len as u32,
        cpu: bpf_get_smp_processor_id(),
        at_ns: now,
        position,
        process: ProcessKey { pid: moved.caller.pid(), tid: moved.caller.tid(), started_ns },
        stream,
    });
}
