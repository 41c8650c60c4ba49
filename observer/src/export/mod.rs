//! Where observations go. An exporter is a file here and a line where a command puts its exporters together.

pub mod http;
pub mod json_lines;
pub mod json_members;
pub mod labels;
pub mod prometheus;
pub mod semconv;
pub mod span_attributes;
pub mod terminal;
#[cfg(test)]
pub mod testing;
pub mod trace;
pub mod warnings;

use std::io;

use crate::capture::kernel::{KernelState, StartFacts};
use crate::pipeline::health::Health;
use crate::pipeline::observation::Observation;
use crate::pipeline::time::{Timestamp, WallClock};

/// Takes observations, in order.
pub trait Exporter {
    /// Every probe is attached. Never told in a replay.
    ///
    /// # Errors
    /// The output cannot be written.
    fn ready(&mut self, _facts: &StartFacts) -> io::Result<()> {
        Ok(())
    }

    /// One observation.
    ///
    /// # Errors
    /// The output cannot be written.
    fn export(&mut self, observation: &Observation, clock: WallClock) -> io::Result<()>;

    /// Nothing more is there for now: what was held back for efficiency goes out.
    ///
    /// # Errors
    /// The output cannot be written.
    fn turn(&mut self, vitals: &Vitals<'_>) -> io::Result<()>;
}

/// How the observer itself does.
#[derive(Clone, Copy, Debug)]
pub struct Vitals<'a> {
    /// Now.
    pub at: Timestamp,
    /// Records taken so far.
    pub records: u64,
    /// Streams that the pipeline knows.
    pub streams: usize,
    /// How the kernel's side does; absent in a replay.
    pub kernel: Option<&'a KernelState>,
    /// Counters of the pipeline and of what stands in front of it.
    pub health: [&'a Health; 2],
}
