//! Which process: a number that the kernel reuses, made unique by the time at which the process began.

/// A process (thread group), as the initial process namespace numbers it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProcessKey {
    /// Thread group id.
    pub pid: u32,
    /// The thread that acted; not part of the identity. Zero where no thread is meant.
    pub tid: u32,
    /// Start of the thread group's leader, nanoseconds of `CLOCK_BOOTTIME`, cut by the agent to the
    /// clock ticks in which `/proc/PID/stat` shows it, so that both sources agree.
    pub started_ns: u64,
}
