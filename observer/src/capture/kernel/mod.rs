//! Records from the kernel: what the agent may ask for, what it learns, and the source itself.
//!
//! `btf` and `types` read where kernel structs keep their members, `programs` loads and attaches, `ring` and `control` turn
//! what the kernel wrote into records, `losses` and `verdicts` keep the tables that both sides share, `attach`,
//! `worker` and `probed` the probes in libraries, `opaque` finds TLS that these miss, `survey` tells what this host can do. Without feature `kernel` there is `absent`, which refuses politely.

use std::time::Duration;

use serde::Serialize;

use super::host;
#[cfg(feature = "kernel")]
use super::host::BootClock;

#[cfg(not(feature = "kernel"))]
mod absent;
#[cfg(feature = "kernel")]
mod attach;
#[cfg(feature = "kernel")]
pub mod btf;
#[cfg(feature = "kernel")]
mod control;
#[cfg(feature = "kernel")]
mod descriptors;
#[cfg(feature = "kernel")]
mod hooks;
#[cfg(feature = "kernel")]
mod losses;
#[cfg(feature = "kernel")]
mod mode;
#[cfg(feature = "kernel")]
mod opaque;
#[cfg(feature = "kernel")]
mod preemption;
#[cfg(feature = "kernel")]
mod probed;
#[cfg(feature = "kernel")]
mod programs;
#[cfg(feature = "kernel")]
mod ring;
#[cfg(feature = "kernel")]
mod source;
#[cfg(feature = "kernel")]
mod types;
#[cfg(feature = "kernel")]
mod verdicts;
#[cfg(feature = "kernel")]
mod worker;

mod survey;

#[cfg(not(feature = "kernel"))]
pub use absent::KernelSource;
#[cfg(feature = "kernel")]
pub use source::KernelSource;
pub use survey::{Survey, survey};

/// How bytes that move are noticed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ModeChoice {
    /// The best that this kernel lets us use.
    #[default]
    Auto,
    /// At the end of the kernel functions that move bytes.
    Fexit,
    /// The same by kprobes.
    Kprobe,
    /// At the end of all system calls.
    Syscall,
}

impl ModeChoice {
    /// All modes, best first. `kprobe` is the last: it alone misses calls on a host that is not overloaded, once more
    /// threads wait inside a function than the kernel has room for.
    pub const ALL: [Self; 3] = [Self::Fexit, Self::Syscall, Self::Kprobe];

    /// The name that users see and type.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Fexit => "fexit",
            Self::Kprobe => "kprobe",
            Self::Syscall => "syscall",
        }
    }
}

/// What the agent wants of the kernel.
#[derive(Clone, Debug)]
pub struct Options {
    /// How bytes are noticed.
    pub mode: ModeChoice,
    /// Size of the data ring; a power of two, not less than a page.
    pub ring_bytes: u32,
    /// How long the agent lets records gather after it took some, and while nothing is new a few times that. Longer
    /// costs less processor time under load.
    pub pace: Duration,
    /// Whether libraries are looked for and probed.
    pub tls: bool,
    /// What is to be known of the host.
    pub host: host::Options,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            mode: ModeChoice::Auto,
            ring_bytes: DEFAULT_RING_BYTES,
            pace: DEFAULT_PACE,
            tls: true,
            host: host::Options::default(),
        }
    }
}

/// Holds the traffic of a busy host for as long as an agent may be kept from running.
pub const DEFAULT_RING_BYTES: u32 = 64 << 20;

/// Some hundred wake-ups a second under load; small beside what a call takes.
pub const DEFAULT_PACE: Duration = Duration::from_millis(5);

/// What was found and attached at the start.
#[derive(Clone, Debug, Default, Serialize)]
pub struct StartFacts {
    /// Release of the running kernel.
    pub kernel: String,
    /// The mode that runs.
    pub mode: String,
    /// Probes attached: kernel programs, and places in libraries.
    pub attached_probes: usize,
    /// Libraries with probes.
    pub libraries: usize,
    /// Processes that were already there.
    pub processes: usize,
    /// Size of the data ring.
    pub ring_bytes: u32,
    /// What was chosen by trial: `bpf_loop`, `uprobe_multi`.
    pub features: Vec<&'static str>,
}

/// How the kernel's side does now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KernelState {
    /// Probes that are attached: kernel programs, and places in libraries.
    pub attached_probes: usize,
    /// Most bytes that were found waiting in the data ring, within the last second or so.
    pub ring_used_bytes: u64,
    /// What is recorded of the calls of captured streams: 0 all, 1 their first bytes, 2 only how much they moved.
    pub degraded: u32,
    /// The kernel's statistics of its programs.
    pub programs: Vec<ProgramRuns>,
}

/// What the kernel counts of one program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProgramRuns {
    /// Its name.
    pub program: String,
    /// How often it ran; zero unless the kernel's statistics are on.
    pub runs: u64,
    /// How long, in nanoseconds; zero unless the kernel's statistics are on.
    pub nanoseconds: u64,
    /// How often it was skipped, since it was already running on that CPU.
    pub skipped: u64,
}

/// Release of the running kernel.
fn kernel_release() -> String {
    std::fs::read_to_string("/proc/sys/kernel/osrelease")
        .map(|text| text.trim().to_owned())
        .unwrap_or_default()
}

/// The clock that the kernel stamps records with.
#[cfg(feature = "kernel")]
fn boot_clock() -> BootClock {
    BootClock
}
