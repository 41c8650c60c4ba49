//! What the kernel counts of its programs, as `/proc` tells of their descriptors.
//!
//! In: a descriptor of this process. Out: numbers.

use std::os::fd::{AsRawFd as _, OwnedFd};

/// One number of a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// How often a program ran, while statistics are on.
    Runs,
    /// How long it ran in nanoseconds, while statistics are on.
    RunTime,
    /// How often it was skipped, since it was already running on that CPU. Told since 5.12.
    Skipped,
}

impl Told {
    const fn name(self) -> &'static str {
        match self {
            Self::Runs => "run_cnt:",
            Self::RunTime => "run_time_ns:",
            Self::Skipped => "recursion_misses:",
        }
    }
}

/// These numbers of a descriptor, zero where this kernel does not tell. None if nothing can be read.
pub(super) fn numbers<const N: usize>(descriptor: &OwnedFd, wanted: [Told; N]) -> Option<[u64; N]> {
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", descriptor.as_raw_fd())).ok()?;
    Some(wanted.map(|one| number(&text, one).unwrap_or(0)))
}

fn number(text: &str, wanted: Told) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(wanted.name()))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Linux 6.18 writes it, statistics being on.
    const PROGRAM: &str = "pos:\t0\nflags:\t02000002\nprog_type:\t26\nprog_id:\t15\nrun_time_ns:\t3400\n\
                           run_cnt:\t17\nrecursion_misses:\t2\nverified_insns:\t501\n";

    #[test]
    fn reads_what_the_kernel_tells() {
        let of_program = [Told::Runs, Told::RunTime, Told::Skipped].map(|one| number(PROGRAM, one));
        assert_eq!(of_program, [Some(17), Some(3400), Some(2)]);
        assert_eq!(number("run_cnt:\tmany\n", Told::Runs), None);
    }

    #[test]
    fn a_descriptor_that_tells_nothing_has_zeros() {
        let file: OwnedFd = std::fs::File::open("/dev/null").unwrap().into();
        assert_eq!(numbers(&file, [Told::Skipped]), Some([0]));
    }
}
