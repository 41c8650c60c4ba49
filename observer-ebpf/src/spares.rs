//! Copies of a program for calls that find it busy.
//!
//! The kernel skips a tracing program that is already running on the CPU. Kernels from 7.0 on may preempt the
//! program at the end of system calls, and just then: a write wakes its reader, which takes over the CPU and
//! ends its read while the writer's program is not yet done. So there are copies. The first takes each call that
//! it is not skipped for; each further one takes those for which all before it are busy.
//!
//! What remains is the moment between the kernel's own mark and the one here. The kernel counts what it skips,
//! and here is counted what the copies took: the difference is lost, and reported.

use crate::emit;
use crate::maps::{BUSY, TAKEN};

/// Copies that there are.
pub const COPIES: u32 = 3;

/// Whether this copy takes the call that it runs for.
#[inline(always)]
pub fn takes<const COPY: u32>() -> bool {
    if COPY == 0 {
        return true;
    }
    if !is_busy(0) || COPY > 1 && !is_busy(1) {
        return false;
    }
    if let Some(taken) = TAKEN.get_ptr_mut(0) {
        // SAFETY: a live map value.
        unsafe { emit::add(taken, 1) };
    }
    true
}

/// Marks the copy as busy on this CPU.
#[inline(always)]
pub fn enter<const COPY: u32>() {
    mark::<COPY>(1);
}

/// The copy is done.
#[inline(always)]
pub fn leave<const COPY: u32>() {
    mark::<COPY>(0);
}

#[inline(always)]
fn is_busy(copy: u32) -> bool {
    // SAFETY: a word of this CPU's own.
    BUSY.get_ptr(copy).is_some_and(|busy| unsafe { busy.read_volatile() } != 0)
}

#[inline(always)]
fn mark<const COPY: u32>(busy: u64) {
    if let Some(mark) = BUSY.get_ptr_mut(COPY) {
        // SAFETY: a word of this CPU's own, which only this copy writes, and it runs here once at a time.
        unsafe { mark.write_volatile(busy) };
    }
}
