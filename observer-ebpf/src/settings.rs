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
