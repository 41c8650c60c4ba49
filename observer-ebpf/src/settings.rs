//! Read-only globals that the agent fills in before load; the verifier sees them as constants.

use aya_ebpf::Global;
use observer_common::for_each_offset;
use observer_common::settings::ABSENT;

macro_rules! as_globals {
    ($($name:ident: $of:literal, $path:literal;)*) => {
        $(
            #[doc = concat!("Offset of `", $path, "` in `struct ", $of, "`.")]
            #[unsafe(no_mangle)]
            pub static $name: Global<u32> = Global::new(ABSENT);
        )*
    };
}
for_each_offset!(as_globals);

/// Values of `enum iter_type` on this kernel, [`ABSENT`] if it has no such kind.
#[unsafe(no_mangle)]
pub static KIND_BUFFER: Global<u32> = Global::new(ABSENT);
#[unsafe(no_mangle)]
pub static KIND_SEGMENTS: Global<u32> = Global::new(ABSENT);

/// The bits of an iterator's kind that tell the kind.
#[unsafe(no_mangle)]
pub static KIND_MASK: Global<u32> = Global::new(0xff);

/// Size of the data ring.
#[unsafe(no_mangle)]
pub static RING_BYTES: Global<u64> = Global::new(0);

/// The agent's own process, which is not observed.
#[unsafe(no_mangle)]
pub static SELF_PID: Global<u32> = Global::new(0);

/// Random number that makes hashes of kernel addresses useless to who does not know it.
#[unsafe(no_mangle)]
pub static SECRET: Global<u64> = Global::new(0);

/// A member's address. Absent members are asked for with [`is_absent`] first.
#[inline(always)]
pub fn member(of: u64, offset: &Global<u32>) -> u64 {
    of + u64::from(offset.load())
}

/// Whether this kernel lacks the member.
#[inline(always)]
pub fn is_absent(offset: &Global<u32>) -> bool {
    offset.load() == ABSENT
}
