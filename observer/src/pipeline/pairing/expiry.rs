//! What has to happen at which time if nothing else happens before.

use std::collections::BTreeSet;

use crate::pipeline::time::Timestamp;

/// Names, each with a time.
#[derive(Debug)]
pub struct Due<T>(BTreeSet<(Timestamp, T)>);

impl<T> Default for Due<T> {
    fn default() -> Self {
        Self(BTreeSet::new())
    }
}

impl<T: Copy + Ord> Due<T> {
    /// `name` is due at `at`.
    pub fn set(&mut self, name: T, at: Timestamp) {
        self.0.insert((at, name));
    }

    /// `name` is no longer due at `at`.
    pub fn clear(&mut self, name: T, at: Timestamp) {
        self.0.remove(&(at, name));
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The earliest time.
    pub fn first(&self) -> Option<Timestamp> {
        self.0.first().map(|(at, _)| *at)
    }

    /// Takes out one that is due at `now`.
    pub fn pop(&mut self, now: Timestamp) -> Option<T> {
        self.first().filter(|at| *at <= now)?;
        self.0.pop_first().map(|(_, name)| name)
    }
}
