//! Which two pipes (or socket pairs) are one stdio session.
//!
//! A client and its server are joined by two one-way wires: requests go on one and answers come on the other.
//! The wires belong together when the same two processes are at their ends, crosswise. Descriptor numbers say
//! nothing: servers move their wire to high descriptors, wrappers hand it on.

use std::collections::{BTreeMap, BTreeSet};

use super::twin::{ConnectionId, End};
use crate::pipeline::input::ProcessId;

/// One way of one connection: the end that asks on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Wire {
    /// The connection.
    pub connection: ConnectionId,
    /// The end that sends on it.
    pub from: End,
}

/// Which process is at which wire, and which wires are known to belong together.
#[derive(Debug, Default)]
pub struct Wires {
    of_process: BTreeMap<ProcessId, BTreeSet<ConnectionId>>,
    partners: BTreeMap<Wire, Wire>,
}

impl Wires {
    /// `process` moves bytes on `connection`.
    pub fn attach(&mut self, process: ProcessId, connection: ConnectionId) {
        self.of_process.entry(process).or_default().insert(connection);
    }

    /// `process` is no longer at `connection`.
    pub fn detach(&mut self, process: ProcessId, connection: ConnectionId) {
        if let Some(connections) = self.of_process.get_mut(&process) {
            connections.remove(&connection);
            if connections.is_empty() {
                self.of_process.remove(&process);
            }
        }
    }

    /// All connections that `process` moves bytes on.
    pub fn of_process(&self, process: ProcessId) -> impl Iterator<Item = ConnectionId> + '_ {
        self.of_process.get(&process).into_iter().flatten().copied()
    }

    /// The wire whose requests are answered on `answers`.
    pub fn partner(&self, answers: Wire) -> Option<Wire> {
        self.partners.get(&answers).copied()
    }

    /// Answers to the requests on `requests` come on `answers`, and the other way round.
    pub fn join(&mut self, answers: Wire, requests: Wire) {
        self.partners.insert(answers, requests);
        self.partners.insert(requests, answers);
    }

    /// Forgets a connection.
    pub fn close(&mut self, connection: ConnectionId, processes: [Option<ProcessId>; 2]) {
        for process in processes.into_iter().flatten() {
            self.detach(process, connection);
        }
        for from in [End::A, End::B] {
            if let Some(partner) = self.partners.remove(&Wire { connection, from }) {
                self.partners.remove(&partner);
            }
        }
    }
}
