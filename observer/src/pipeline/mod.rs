//! From records to observations. Pure: the same records give the same observations.
//!
//! [`Pipeline`] has three verbs. One rule: after each [`feed`](Pipeline::feed), call [`next`](Pipeline::next)
//! until it gives nothing, and feed [`Input::Time`] no later than [`deadline`](Pipeline::deadline).
//!
//! 1. `feed(input)`: takes one record.
//! 2. `while let Some(observation) = next()`: what became known by it.
//! 3. `while let Some((stream, verdict)) = next_verdict()`: what the kernel should do with streams; and
//!    `next_watch()` likewise: of which processes it should be told what they take.
//!
//! The stages are the folders; the files beside them join the stages: [`reader`] for one flow, `feed` for one
//! record, `labels` for what carries MCP, `early` for sends that wait for their receiver, `ends` for what is over,
//! `lines` and `http` for one message, `exchanges` for one response, `proof` for what holes leave of them, `completion`
//! for one call, `settle` for a call seen from both ends, `span_facts` for what only spans tell, `sessions`,
//! `lifecycle`, `parties`, `partners` and `unseen_endpoint` for what surrounds it, `rounds`, `tasks`, `subscriptions`
//! and `relays` for calls that belong together, `steps` and `auth` for what it tells of servers.
#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::indexing_slicing, clippy::unwrap_used)]
#![deny(clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking"))]

pub mod attribution;
mod auth;
mod completion;
pub mod connection;
pub mod early;
mod ends;
mod exchanges;
mod feed;
pub mod health;
mod holes;
mod http;
pub mod input;
pub mod jsonrpc;
mod labels;
mod lifecycle;
pub mod limits;
mod lines;
pub mod mcp;
pub mod observation;
pub mod pairing;
mod parties;
mod partners;
pub mod private;
mod proof;
pub mod reader;
pub mod reassembly;
mod relays;
mod rounds;
mod sessions;
mod settle;
mod span_facts;
mod steps;
mod subscriptions;
mod table;
mod tasks;
#[cfg(test)]
mod tests;
pub mod time;
pub mod transport;
mod unseen_endpoint;

use std::collections::{BTreeSet, VecDeque};

use observer_common::stream::Verdict;

use attribution::Processes;
use connection::Connection;
use health::Health;
use input::{ProcessId, StreamId};
use lifecycle::Servers;
use limits::{Limits, Table};
use mcp::inventory::Inventory;
use mcp::session::Parties;
use mcp::step::Progress;
use observation::Observation;
use pairing::Calls;
use pairing::expiry::Due;
use pairing::ids::Ids;
use reader::Found;
use reassembly::stdio_pair::Wires;
use reassembly::twin::{ConnectionId, End, Twins};
use settle::Settling;
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
    settings: Settings,
    /// Time of the newest record.
    now: Timestamp,
    /// Time of the first.
    began: Option<Timestamp>,
    processes: Processes,
    /// Processes that send spans of their own to a collector.
    span_senders: Table<ProcessId, ()>,
    servers: Servers,
    inventory: Inventory,
    /// How far each conversation has come.
    progress: Table<u64, Progress>,
    twins: Twins,
    /// When streams were first seen, the latest ones.
    opened: Table<StreamId, Timestamp>,
    wires: Wires,
    connections: Table<ConnectionId, Connection>,
    sessions: Table<u64, HttpSession>,
    calls: Calls,
    settling: Settling,
    rounds: rounds::OpenRounds,
    tasks: tasks::Tasks,
    relays: relays::Relays,
    /// Flows with messages that wait for their sender.
    held: Due<(ConnectionId, End)>,
    /// Connections whose first sends wait, and how many bytes these have.
    early: Due<ConnectionId>,
    early_bytes: usize,
    /// Connections with holes that were not yet told of, and when they are to be.
    torn: BTreeSet<ConnectionId>,
    torn_until: Timestamp,
    /// Connections one way of which has ended.
    closing: Due<ConnectionId>,
    /// Sessions that are over, until their calls are.
    parting: Due<sessions::Parting>,
    /// Processes that have ended, until the last of what they wrote was read.
    gone: Due<ProcessId>,
    observations: VecDeque<Observation>,
    verdicts: VecDeque<(StreamId, Verdict)>,
    health: Health,
    /// Reused between records.
    found: Vec<Found>,
}

/// A session of MCP over HTTP.
#[derive(Debug)]
struct HttpSession {
    parties: Parties,
    transport: transport::Transport,
    since: Timestamp,
    /// Hash of its id, by which it is shown: the same wherever it is read.
    shown: u64,
    /// Whether its `initialize` was answered.
    started: bool,
    /// Ids of the client's requests.
    client_ids: Ids,
    /// Ids of the server's requests.
    server_ids: Ids,
    /// Its open calls.
    calls: BTreeSet<pairing::CallId>,
    /// It is over; what is to be told of that.
    over: Option<Box<observation::Session>>,
}

impl Pipeline {
    /// A pipeline that has seen nothing.
    pub fn new(settings: Settings) -> Self {
        let limits = &settings.limits;
        Self {
            now: Timestamp::default(),
            began: None,
            processes: Processes::new(limits),
            span_senders: Table::new(limits.span_senders),
            servers: Servers::new(limits.processes),
            inventory: Inventory::new(limits),
            progress: Table::new(limits.sessions),
            twins: Twins::new(limits.streams),
            opened: Table::new(limits.recent_streams),
            wires: Wires::default(),
            connections: Table::new(limits.streams),
            sessions: Table::new(limits.sessions),
            calls: Calls::new(limits.calls),
            settling: Settling::new(limits.settling),
            rounds: rounds::OpenRounds::new(limits.rounds, limits.relayed),
            tasks: tasks::Tasks::new(limits.tasks),
            relays: relays::Relays::new(limits.calls, limits.processes, limits.relayed),
            held: Due::default(),
            early: Due::default(),
            early_bytes: 0,
            torn: BTreeSet::new(),
            torn_until: Timestamp::default(),
            closing: Due::default(),
            parting: Due::default(),
            gone: Due::default(),
            observations: VecDeque::new(),
            verdicts: VecDeque::new(),
            health: Health::default(),
            found: Vec::new(),
            settings,
        }
    }

    /// What became known.
    #[expect(clippy::should_implement_trait, reason = "more may come after the end, unlike with an iterator")]
    pub fn next(&mut self) -> Option<Observation> {
        self.observations.pop_front()
    }

    /// What the kernel should do with a stream.
    pub fn next_verdict(&mut self) -> Option<(StreamId, Verdict)> {
        self.verdicts.pop_front()
    }

    /// When to feed [`input::Input::Time`] at the latest.
    pub fn deadline(&self) -> Option<Timestamp> {
        let deadlines = [
            self.calls.deadline(),
            self.settling.deadline(),
            self.held.first(),
            self.early.first(),
            self.holes_due(),
            self.closing.first(),
            self.parting.first(),
            self.gone.first(),
            self.servers.deadline(),
        ];
        deadlines.into_iter().flatten().min()
    }

    /// How many streams are known.
    pub fn streams(&self) -> usize {
        self.twins.streams()
    }

    /// Counters of what could not be used.
    pub const fn health(&self) -> &Health {
        &self.health
    }
}
