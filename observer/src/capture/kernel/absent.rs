//! Stands in for the kernel source where feature `kernel` is off: it refuses, with what to do.

use std::convert::Infallible;
use std::time::Duration;

use observer_common::stream::Verdict;

use super::{KernelState, Options, StartFacts};
use crate::capture::Record;
use crate::error::Error;
use crate::pipeline::input::ProcessId;
use crate::pipeline::time::{Timestamp, WallClock};

/// Never made.
pub struct KernelSource(Infallible);

impl KernelSource {
    /// Refuses.
    ///
    /// # Errors
    /// Always.
    pub fn start(_: Options) -> Result<Self, Error> {
        Err(Error::Unable {
            what: "this build has no kernel programs: only `replay` works".to_owned(),
            mend: "Build with feature `kernel` (the default); `cargo xtask setup` installs what that needs."
                .to_owned(),
        })
    }

    /// What was found at the start.
    pub fn facts(&self) -> &StartFacts {
        match self.0 {}
    }

    /// How the kernel's side does now.
    pub fn state(&self) -> &KernelState {
        match self.0 {}
    }

    /// How the records' times relate to wall-clock time.
    pub fn wall_clock(&self) -> WallClock {
        match self.0 {}
    }

    /// The time now, on the records' clock.
    pub fn now(&self) -> Timestamp {
        match self.0 {}
    }

    /// Waits for records.
    pub async fn wait(&mut self, _: Option<Duration>) {
        match self.0 {}
    }

    /// Hands over records.
    pub fn drain(&mut self, _: &mut dyn FnMut(Record<'_>)) {
        match self.0 {}
    }

    /// Hands over what was lost.
    pub fn tell_losses(&mut self, _: &mut dyn FnMut(Record<'_>)) {
        match self.0 {}
    }

    /// Asks what a process takes.
    pub fn watch(&mut self, _: ProcessId, _: bool) {
        match self.0 {}
    }

    /// Tells the kernel what to do with a stream.
    pub fn decide(&mut self, _: u64, _: Verdict) {
        match self.0 {}
    }
}
