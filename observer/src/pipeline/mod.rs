//! From records to observations. Pure: the same records give the same observations.
//!
//! [`Pipeline`] has three verbs. One rule: after each [`feed`](Pipeline::feed), call [`next`](Pipeline::next)
//! until it gives nothing, and feed [`Input::Time`] no later than [`deadline`](Pipeline::deadline).
//!
//! 1. `feed(input)`: takes one record.
//! 2. `while let Some(observation) = next()`: what became known by it.
//! 3. `while let Some((stream, verdict)) = next_verdict()`: what the kernel should do with streams.
#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::indexing_slicing, clippy::unwrap_used)]
#![deny(clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking"))]

use std::collections::VecDeque;

use observer_common::stream::Verdict;

pub mod health;
pub mod input;
pub mod jsonrpc;
pub mod limits;
pub mod observation;
pub mod private;
pub mod reassembly;
pub mod time;
pub mod transport;

use health::Health;
use input::{Input, StreamId};
use limits::Limits;
use observation::Observation;
use time::Timestamp;

/// What a pipeline is told once.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Its bounds.
    pub limits: Limits,
    /// Whether arguments and results are kept for the exporters.
    pub payloads: bool,
}

/// The whole way from records to observations.
#[derive(Debug)]
pub struct Pipeline {
    observations: VecDeque<Observation>,
    verdicts: VecDeque<(StreamId, Verdict)>,
    health: Health,
}

impl Pipeline {
    /// A pipeline that has seen nothing.
    pub fn new(_settings: Settings) -> Self {
        Self { observations: VecDeque::new(), verdicts: VecDeque::new(), health: Health::default() }
    }

    /// Takes one record.
    pub fn feed(&mut self, _input: Input<'_>) {}

    /// What became known.
    #[expect(clippy::should_implement_trait, reason = "more may come after the end, unlike with an iterator")]
    pub fn next(&mut self) -> Option<Observation> {
        self.observations.pop_front()
    }

    /// What the kernel should do with a stream.
    pub fn next_verdict(&mut self) -> Option<(StreamId, Verdict)> {
        self.verdicts.pop_front()
    }

    /// When to feed [`Input::Time`] at the latest.
    pub fn deadline(&self) -> Option<Timestamp> {
        None
    }

    /// No more will come: what is open is shown as far as it is known.
    pub fn finish(&mut self, _at: Timestamp) {}

    /// Counters of what could not be used.
    pub fn health(&self) -> &Health {
        &self.health
    }
}
