//! Stand-in for capture from the kernel: it has the functions and refuses.

use std::convert::Infallible;
use std::time::Duration;

use observer_common::stream::Verdict;
use serde::Serialize;

use super::Record;
use crate::error::Error;
use crate::pipeline::time::{Timestamp, WallClock};

/// How the kernel is to be asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ModeChoice {
    /// The first that works.
    #[default]
    Auto,
    /// `fexit`.
    Fexit,
    /// `kprobe`.
    Kprobe,
    /// `syscall`.
    Syscall,
}

/// How to start.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Capture mode.
    pub mode: ModeChoice,
    /// Size of the data ring.
    pub ring_bytes: u32,
}

/// What was attached.
#[derive(Clone, Debug)]
pub struct StartFacts {
    /// Capture mode.
    pub mode: &'static str,
    /// Number of probes.
    pub probes: u32,
    /// TLS libraries found.
    pub libraries: Vec<String>,
    /// Release of the kernel.
    pub kernel: String,
}

/// The kernel as a source of records.
#[derive(Debug)]
pub struct KernelSource(Infallible);

impl KernelSource {
    /// Refuses.
    pub fn start(_options: Options) -> Result<Self, Error> {
        Err(Error::Unable {
            what: "this build cannot capture from the kernel".into(),
            mend: "Build it with its default features: cargo build --release".into(),
        })
    }

    /// What was attached.
    pub fn facts(&self) -> &StartFacts {
        match self.0 {}
    }

    /// The wall clock of the run.
    pub fn wall_clock(&self) -> WallClock {
        match self.0 {}
    }

    /// Now.
    pub fn now(&self) -> Timestamp {
        match self.0 {}
    }

    /// Waits for records.
    pub async fn wait(&mut self, _at_most: Option<Duration>) {
        match self.0 {}
    }

    /// Hands over the records that are there.
    pub fn drain(&mut self, _sink: &mut dyn FnMut(Record<'_>)) {
        match self.0 {}
    }

    /// Tells the kernel what to do with a stream.
    pub fn decide(&mut self, _stream: u64, _verdict: Verdict) {
        match self.0 {}
    }
}

/// What this host supports.
#[derive(Clone, Debug, Serialize)]
pub struct Survey {
    /// Whether this build can capture at all.
    pub kernel_capture: bool,
}

/// Looks at this host.
pub fn survey() -> Survey {
    Survey { kernel_capture: false }
}
