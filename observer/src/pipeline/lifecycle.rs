//! The processes of servers: when they begin and end, what they take, and how much they have to do.
//!
//! ```text
//! answers server/discover ----> held --answers anything else, or a second passes--> started --ends--> stopped
//! answers anything else --------------------------------------------------------------^
//!                                held --ends--> a probe: both at once
//! ```
//!
//! Clients that speak both eras start a server only to ask it what it is, and end it. Such a probe is no restart.

use std::collections::{BTreeMap, VecDeque};

use observer_common::process::ProcessUsage;

use super::Pipeline;
use super::connection::Label;
use super::health::Stage;
use super::input::ProcessId;
use super::limits::Table;
use super::mcp::session::Declared;
use super::observation::{InFlight, Observation, Peer, Server, ServerUsage};
use super::pairing::OpenCall;
use super::pairing::expiry::Due;
use super::reassembly::twin::ConnectionId;
use super::time::Timestamp;

/// The processes that answer as MCP servers.
#[derive(Debug)]
pub(super) struct Servers {
    known: Table<ProcessId, Life>,
    /// Those that may be probes.
    held: Due<ProcessId>,
    /// Those whose usage is asked for.
    watched: usize,
    /// What the capture is to be told of that.
    watches: VecDeque<(ProcessId, bool)>,
    /// When calls in flight are to be counted, if that may have changed.
    in_flight_at: Option<Timestamp>,
    /// Whether some were in flight when they were last told.
    had_in_flight: bool,
}

/// Starts of processes are known in ticks of a hundredth of a second.
const TICK_NS: u64 = 10_000_000;

/// What is known of a server process.
#[derive(Debug)]
struct Life {
    declared: Declared,
    /// How it began.
    started: Server,
    /// Until when its beginning is not told, if it may be a probe.
    held_until: Option<Timestamp>,
    is_watched: bool,
}

impl Servers {
    /// For at most so many processes.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            known: Table::new(limit),
            held: Due::default(),
            watched: 0,
            watches: VecDeque::new(),
            in_flight_at: None,
            had_in_flight: false,
        }
    }

    /// What a server process called itself.
    pub(super) fn declared(&self, process: ProcessId) -> Option<&Declared> {
        self.known.value(&process).map(|life| &life.declared)
    }

    /// When something is due.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        [self.held.first(), self.in_flight_at].into_iter().flatten().min()
    }

    fn remove(&mut self, process: ProcessId) -> Option<Life> {
        let life = self.known.remove(&process)?;
        self.forget(process, &life);
        Some(life)
    }

    /// What else is known of a process that is no longer in the table.
    fn forget(&mut self, process: ProcessId, life: &Life) {
        if let Some(until) = life.held_until {
            self.held.clear(process, until);
        }
        if life.is_watched {
            self.watched -= 1;
            self.watches.push_back((process, false));
        }
    }
}

impl Pipeline {
    /// A server process whose usage is to be told from time to time by
    /// [`RecordKind::ProcessUsage`](observer_common::record::RecordKind::ProcessUsage), or no longer.
    pub fn next_watch(&mut self) -> Option<(ProcessId, bool)> {
        self.servers.watches.pop_front()
    }

    /// `process` has answered `call` as an MCP server; what it calls itself was heard on the connection `on`.
    pub(super) fn greet_server(&mut self, call: &OpenCall, process: ProcessId, on: ConnectionId) {
        let may_be_probe = &*call.method == "server/discover";
        let declared = || self.connections.value(&on).map(|on| on.parties.server.clone()).unwrap_or_default();
        match self.servers.known.value_mut(&process) {
            Some(life) => {
                if life.declared.name.is_none() {
                    life.declared = declared();
                }
                if !may_be_probe && life.held_until.is_some() {
                    self.tell_start(process);
                }
            }
            None => {
                let declared = declared();
                self.meet_server(call, process, declared, may_be_probe);
            }
        }
    }

    fn meet_server(&mut self, call: &OpenCall, process: ProcessId, declared: Declared, may_be_probe: bool) {
        let connection = self.connections.value(&call.connection);
        let server = connection.map(|it| self.party(it, false)).unwrap_or_default();
        let (at, transport) = (self.now, call.transport);
        let was_running = self.began.is_none_or(|began| process.started_ns + TICK_NS <= began.as_nanos());
        let started = Server { at, server, status: None, transport, is_probe: false, was_running };
        let held_until = at.after(self.settings.limits.probe_for);
        let is_watched = self.servers.watched < self.settings.limits.watched;
        let life = Life { declared, started, held_until: Some(held_until), is_watched };
        self.servers.held.set(process, held_until);
        if is_watched {
            self.servers.watched += 1;
            self.servers.watches.push_back((process, true));
        } else {
            self.health.shed(Stage::Input, "watched");
        }
        if let Some((oldest, life)) = self.servers.known.insert(process, life) {
            self.servers.forget(oldest, &life);
            self.health.shed(Stage::Mcp, "servers");
        }
        if !may_be_probe {
            self.tell_start(process);
        }
    }

    /// A server that was held has proved to be more than a probe.
    fn tell_start(&mut self, process: ProcessId) {
        let Some(life) = self.servers.known.value_mut(&process) else { return };
        let Some(until) = life.held_until.take() else { return };
        self.servers.held.clear(process, until);
        let mut started = life.started.clone();
        started.server = self.server_peer(process).unwrap_or(started.server);
        self.observations.push_back(Observation::ServerStarted(Box::new(started)));
    }

    /// The process of a server has ended.
    pub(super) fn stop_server(&mut self, process: ProcessId, at: Timestamp, status: i32) {
        let server = self.server_peer(process);
        let (Some(life), Some(server)) = (self.servers.remove(process), server) else { return };
        let is_probe = life.held_until.is_some();
        if is_probe {
            let started = Server { server: server.clone(), is_probe, ..life.started.clone() };
            self.observations.push_back(Observation::ServerStarted(Box::new(started)));
        }
        let stopped = Server { at, server, status: Some(status), is_probe, ..life.started };
        self.observations.push_back(Observation::ServerStopped(Box::new(stopped)));
    }

    /// A server process, as it is known by now.
    fn server_peer(&self, process: ProcessId) -> Option<Peer> {
        let life = self.servers.known.value(&process)?;
        let Declared { name, version } = life.declared.clone();
        let process = Some(self.processes.process(process));
        Some(Peer { name, version, process, address: life.started.server.address })
    }

    /// What a process takes: told if it is a server's.
    pub(super) fn take_usage(&mut self, process: ProcessId, at: Timestamp, usage: ProcessUsage) {
        let Some(server) = self.server_peer(process) else { return };
        let usage = ServerUsage {
            at,
            uptime: std::time::Duration::from_nanos(usage.uptime_ns),
            resident_bytes: usage.resident_bytes,
            cpu: std::time::Duration::from_nanos(usage.cpu_ns),
            server,
        };
        self.observations.push_back(Observation::ServerUsage(Box::new(usage)));
    }

    /// What is due for servers by now.
    pub(super) fn pass_servers(&mut self) {
        while let Some(process) = self.servers.held.pop(self.now) {
            self.tell_start(process);
        }
        if self.servers.in_flight_at.is_some_and(|at| at <= self.now) {
            self.tell_in_flight();
        }
    }

    /// A call has begun or ended.
    pub(super) fn note_in_flight(&mut self) {
        let due = self.now.after(self.settings.limits.in_flight_every);
        self.servers.in_flight_at.get_or_insert(due);
    }

    /// Tells how many calls are in flight, unless it is none as before.
    pub(super) fn tell_in_flight(&mut self) {
        self.servers.in_flight_at = None;
        let mut by_connection = BTreeMap::<ConnectionId, u64>::new();
        for call in self.calls.iter() {
            *by_connection.entry(call.connection).or_default() += 1;
        }
        let counted = by_connection.into_iter().filter_map(|(id, count)| {
            let connection = self.connections.value(&id)?;
            let counts = connection.label == Label::Mcp && !self.is_shown_by_the_server(connection);
            counts.then(|| (self.party(connection, false), count))
        });
        let servers: Box<[_]> = counted.collect();
        if !servers.is_empty() || self.servers.had_in_flight {
            self.servers.had_in_flight = !servers.is_empty();
            let in_flight = InFlight { at: self.now, servers };
            self.observations.push_back(Observation::InFlight(Box::new(in_flight)));
        }
    }
}
