//! The only way to write a record of a stream: tiers of sizes, and what did not fit.
//!
//! A ring reserves only sizes that the verifier knows, so there are five of them. The bytes are copied straight
//! from the process into the ring; nothing stands in between that another task could overwrite.

use core::arch::asm;

use aya_ebpf::helpers::generated::bpf_get_smp_processor_id;
use observer_common::loss::LossCause;
use observer_common::record::{LAYOUT, RecordHeader, RecordKind};
use observer_common::stream::StreamIdentity;

use crate::call::Call;
use crate::maps::{DATA, LOSSES};
use crate::user_copy;

/// Most payload bytes of one record.
pub const CHUNK_MAX: u64 = 65_536;

/// A record with room for `N` bytes.
#[repr(C)]
pub struct Room<const N: usize> {
    pub header: RecordHeader,
    pub payload: [u8; N],
}

/// Counts something that was not recorded.
#[inline(always)]
pub fn lost(cause: LossCause, records: u64, bytes: u64) {
    lost_by_number(cause as u32, records, bytes);
}

/// The same by the cause's number.
#[inline(always)]
pub fn lost_by_number(cause: u32, records: u64, bytes: u64) {
    if let Some(counts) = LOSSES.get_ptr_mut(cause) {
        // SAFETY: a live map value. Atomic, since programs may be preempted and run elsewhere meanwhile.
        unsafe {
            add(&raw mut (*counts)[0], records);
            add(&raw mut (*counts)[1], bytes);
        }
    }
}

/// Adds without asking for the old value, which kernels before 5.12 cannot tell.
#[inline(always)]
pub unsafe fn add(to: *mut u64, what: u64) {
    asm!("lock *(u64 *)({to} + 0) += {what}", to = in(reg) to, what = in(reg) what);
}

/// Adds and returns the old value, in one.
#[inline(always)]
pub unsafe fn fetch_add(to: *mut u64, what: u64) -> u64 {
    let old;
    asm!("{what} = atomic_fetch_add((u64 *)({to} + 0), {what})", to = in(reg) to, what = inout(reg) what => old);
    old
}

/// Fills in what is the same in all records of one call, except process and stream.
#[inline(always)]
pub unsafe fn begin(header: *mut RecordHeader, kind: RecordKind, at_ns: u64) {
    (*header).layout = LAYOUT;
    (*header).kind = kind as u16;
    (*header).payload_len = 0;
    (*header).moved_len = 0;
    (*header).cpu = bpf_get_smp_processor_id();
    (*header).at_ns = at_ns;
}

/// How many of `left` bytes go into the next record: all that fit a tier, unless it would stay half empty.
#[inline(always)]
fn share(left: u64) -> u64 {
    match left {
        0..=192 => left,
        193..=1024 => left,
        1025..=2048 => 1024,
        2049..=4096 => left,
        4097..=8192 => 4096,
        8193..=16_384 => left,
        16_385..=32_768 => 16_384,
        32_769..=65_536 => left,
        _ => CHUNK_MAX,
    }
}

/// Writes the next bytes of the call's current segment, at most `limit`. Returns how many it dealt with.
#[inline(never)]
pub fn chunk(call: &mut Call, limit: u64) -> u64 {
    let left = if call.segment_left < call.left { call.segment_left } else { call.left };
    let len = share(if left < limit { left } else { limit });
    let written = match len {
        0..=192 => tier::<192>(call, len),
        193..=1024 => tier::<1024>(call, len),
        1025..=4096 => tier::<4096>(call, len),
        4097..=16_384 => tier::<16_384>(call, len),
        _ => tier::<65_536>(call, len),
    };
    if !written {
        lost(LossCause::RingFull, 1, len);
    }
    len
}

#[inline(always)]
fn tier<const N: usize>(call: &mut Call, len: u64) -> bool {
    let Some(mut room) = DATA.reserve::<Room<N>>(0) else { return false };
    let record = room.as_mut_ptr();
    // SAFETY: the ring gave memory of this size, and the copy is bounded by it.
    unsafe {
        (*record).header = call.header;
        (*record).header.moved_len = len as u32;
        if user_copy::user_bytes::<N>((&raw mut (*record).payload).cast(), len, call.segment) {
            (*record).header.payload_len = len as u32;
        } else {
            lost(LossCause::UserMemoryFault, 1, len);
        }
    }
    room.submit(0);
    true
}

/// Writes the call's header alone: so many bytes moved.
#[inline(always)]
pub fn count(call: &Call, moved: u64) {
    let Some(mut room) = DATA.reserve::<RecordHeader>(0) else {
        // No bytes were to be recorded, so none are lost; the hole in the count shows by the positions.
        lost(LossCause::RingFull, 1, 0);
        return;
    };
    let record = room.as_mut_ptr();
    // SAFETY: the ring gave memory of this size.
    unsafe {
        *record = call.header;
        (*record).moved_len = moved as u32;
    }
    room.submit(0);
}

/// A record with a payload of fixed size.
#[repr(C)]
pub struct With<T> {
    pub header: RecordHeader,
    pub payload: T,
}

/// Writes a record whose payload `fill` makes. Returns whether there was room.
#[inline(always)]
pub fn fixed<T: 'static>(call: &Call, kind: RecordKind, fill: impl FnOnce(*mut T)) -> bool {
    let Some(mut room) = DATA.reserve::<With<T>>(0) else {
        lost(LossCause::RingFull, 1, 0);
        return false;
    };
    let record = room.as_mut_ptr();
    // SAFETY: the ring gave memory of this size, and `fill` writes all of the payload.
    unsafe {
        (*record).header = call.header;
        (*record).header.kind = kind as u16;
        (*record).header.payload_len = size_of::<T>() as u32;
        (*record).header.position = 0;
        fill(&raw mut (*record).payload);
    }
    room.submit(0);
    true
}

/// Writes the identity of a stream.
#[inline(always)]
pub fn opened(call: &Call, fill: impl FnOnce(*mut StreamIdentity)) -> bool {
    fixed(call, RecordKind::StreamOpened, fill)
}
