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

/// What a process takes: itself, not its children.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessUsage {
    /// How long it has run, in nanoseconds.
    pub uptime_ns: u64,
    /// Its memory that is resident.
    pub resident_bytes: u64,
    /// Processor time of all its threads so far, in nanoseconds.
    pub cpu_ns: u64,
}

impl ProcessUsage {
    /// Its bytes, in the byte order of this host.
    pub fn to_bytes(&self) -> [u8; 24] {
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&self.uptime_ns.to_ne_bytes());
        bytes[8..16].copy_from_slice(&self.resident_bytes.to_ne_bytes());
        bytes[16..].copy_from_slice(&self.cpu_ns.to_ne_bytes());
        bytes
    }
}
