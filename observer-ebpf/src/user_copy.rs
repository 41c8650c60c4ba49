//! Bounded reads of kernel and user memory.
//!
//! All reads go through helpers that fail instead of faulting, into memory that the caller names, so that
//! nothing is put on the stack unseen.

use core::arch::asm;

use aya_ebpf::Global;
use aya_ebpf::helpers::generated::{
    bpf_get_current_pid_tgid, bpf_get_current_task, bpf_get_current_task_btf, bpf_probe_read_kernel,
    bpf_probe_read_user,
};

use crate::settings::member;

/// Reads a `T` of kernel memory.
#[inline(always)]
pub fn kernel<T: Copy + Default>(address: u64) -> Option<T> {
    let mut value = T::default();
    kernel_into(&raw mut value, address).then_some(value)
}

/// Reads a `T` of kernel memory into `into`.
#[inline(always)]
pub fn kernel_into<T>(into: *mut T, address: u64) -> bool {
    // SAFETY: `into` is a valid place of this size; the helper checks the other address.
    unsafe { bpf_probe_read_kernel(into.cast(), size_of::<T>() as u32, address as *const _) == 0 }
}

/// A thread: the number of its process in the upper half, its own in the lower.
#[derive(Clone, Copy)]
pub struct Caller(u64);

impl Caller {
    /// The one that runs.
    #[inline(always)]
    pub fn current() -> Self {
        // SAFETY: no conditions.
        Self(unsafe { bpf_get_current_pid_tgid() })
    }

    #[inline(always)]
    pub fn pid(self) -> u32 {
        (self.0 >> 32) as u32
    }

    #[inline(always)]
    pub fn tid(self) -> u32 {
        self.0 as u32
    }
}

/// The current task. `TYPED`: the kernel knows its type and lets its members be loaded (5.11), as [`of_task`] does.
#[inline(always)]
pub fn current_task<const TYPED: bool>() -> u64 {
    // SAFETY: no conditions.
    unsafe { if TYPED { bpf_get_current_task_btf() as u64 } else { bpf_get_current_task() } }
}

/// A pointer or number that is a member of the current task, or of something that a member points to.
#[inline(always)]
pub fn of_task<const TYPED: bool>(of: u64, offset: &Global<u32>) -> Option<u64> {
    if !TYPED {
        return kernel(member(of, offset));
    }
    Some(of_typed(of, offset))
}

/// A member of something whose type the verifier knows.
#[inline(always)]
pub fn of_typed<T: Copy>(of: u64, offset: &Global<u32>) -> T {
    // SAFETY: the verifier checks the type and the place, and the kernel catches a fault.
    unsafe { (member(of, offset) as *const T).read_volatile() }
}

/// Reads a `T` of the current process's memory into `into`.
#[inline(always)]
pub fn user_into<T>(into: *mut T, address: u64) -> bool {
    // SAFETY: as above.
    unsafe { bpf_probe_read_user(into.cast(), size_of::<T>() as u32, address as *const _) == 0 }
}

/// Reads `len` bytes, at most `MAX`, of the current process's memory to `into`, where `MAX` bytes have room.
#[inline(always)]
pub fn user_bytes<const MAX: usize>(into: *mut u8, len: u64, address: u64) -> bool {
    let len = at_most::<MAX>(len);
    // SAFETY: `len` is not more than the room there is.
    unsafe { bpf_probe_read_user(into.cast(), len as u32, address as *const _) == 0 }
}

/// The smaller of `value` and `MAX`, in a way that the compiler cannot move away from the use of the result:
/// the verifier would lose the bound.
#[inline(always)]
pub fn at_most<const MAX: usize>(value: u64) -> u64 {
    let bounded;
    // SAFETY: two instructions on one register.
    unsafe {
        asm!(
            "if {value} <= {max} goto +1",
            "{value} = {max}",
            value = inout(reg) value => bounded,
            max = const MAX,
        );
    }
    bounded
}
