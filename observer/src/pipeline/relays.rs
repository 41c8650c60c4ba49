//! Calls that pass on other calls: through a wrapper of stdio, `mcp-remote`, a gateway, one call of a tool crosses
//! several hops, each of them a call of its own. The outermost is the call; the others are marked as its hops.
//!
//! A hop passes on a call when it is asked by the process that was asked that call, or by a descendant of it, while
//! that call is open, with the same method, subject and arguments. A gateway may put something in front of names.
//! Calls that are equal in all of this are told apart by their ids if the process keeps ids, else by their order.
//!
//! A container's pipes may be held by a process that nothing ties to the command that it does it for: `conmon` loses
//! its parent, and talks to `podman` where nobody reads along. Such a hop is inferred, from the same id too, and only if
//! a single open call can be meant.

use std::collections::VecDeque;

use super::Pipeline;
use super::completion::Ended;
use super::connection::Label;
use super::health::Stage;
use super::input::{ProcessFacts, ProcessId};
use super::limits::Table;
use super::mcp::meta::Subject;
use super::observation::{Call, Hop, Relay};
use super::pairing::scope::hash;
use super::pairing::{CallId, OpenCall, Relayed};
use super::reassembly::twin::{ConnectionId, End};

/// Generations between the process that was asked and the one that asks on.
const ANCESTORS: usize = 8;
/// Programs that pass their input and output on to a container.
const COMMANDS: [&str; 4] = ["ctr", "docker", "nerdctl", "podman"];
/// Programs that hold a container's pipes.
const HOLDERS: [&str; 4] = ["conmon", "conmonrs", "containerd-shim", "containerd-shim-runc-v2"];

/// What is needed to see that a call passes on another.
#[derive(Debug)]
pub(super) struct Relays {
    /// Open calls by who was asked what, of processes that may pass them on; closed ones are left until others are
    /// added. The oldest kind of call goes first, even if it is still asked: with the next request it is there again.
    asked: Table<u64, VecDeque<CallId>>,
    /// Processes that were asked, and what they do then.
    asked_processes: Table<u32, Asked>,
    /// Processes by their parents.
    parents: Table<u32, u32>,
    /// Processes that pass on to containers, and those that hold containers' pipes.
    part_of_containers: Table<u32, Part>,
    /// Hops that have ended, by the open call that they pass on.
    hops: Table<CallId, Vec<Hop>>,
    each: usize,
}

/// What a process that is asked does, with its descendants.
#[derive(Clone, Copy, Debug, Default)]
struct Asked {
    /// It asks others. Most servers never do: nothing is kept of their calls.
    asks: bool,
    /// It asks under ids of its own.
    renumbers: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Command,
    Holder,
}

impl Relays {
    /// For so many calls and processes, and of each process so many calls of one kind.
    pub(super) fn new(calls: usize, processes: usize, each: usize) -> Self {
        Self {
            asked: Table::new(calls),
            asked_processes: Table::new(processes),
            parents: Table::new(processes),
            part_of_containers: Table::new(processes),
            hops: Table::new(calls),
            each,
        }
    }

    /// Facts of a process, which may be another program by now.
    pub(super) fn see(&mut self, process: ProcessId, facts: &ProcessFacts) {
        let _ = self.parents.insert(process.pid, facts.parent);
        let name = facts.exe.rsplit('/').next().unwrap_or_default();
        let part = if COMMANDS.contains(&name) {
            Part::Command
        } else if HOLDERS.contains(&name) {
            Part::Holder
        } else {
            self.part_of_containers.remove(&process.pid);
            return;
        };
        let _ = self.part_of_containers.insert(process.pid, part);
    }

    fn is(&self, part: Part, process: ProcessId) -> bool {
        self.part_of_containers.value(&process.pid) == Some(&part)
    }

    /// A process and its ancestors, as far as a relay's helpers are nested.
    fn lineage(&self, pid: u32) -> impl Iterator<Item = u32> {
        let parent = |pid: &u32| self.parents.value(pid).copied().filter(|parent| *parent > 1);
        std::iter::successors(Some(pid), parent).take(ANCESTORS)
    }

    fn add(&mut self, key: u64, call: CallId, is_open: impl Fn(&CallId) -> bool) {
        let Some(known) = self.asked.value_mut(&key) else {
            let _ = self.asked.insert(key, VecDeque::from([call]));
            return;
        };
        // The first to come are the first to end, mostly.
        while known.len() >= self.each || known.front().is_some_and(|first| !is_open(first)) {
            known.pop_front();
        }
        known.push_back(call);
    }
}

impl Pipeline {
    /// A request has come: it may pass on one that is open, and others may pass it on.
    pub(super) fn follow_hop(&mut self, id: CallId) {
        let Some(call) = self.calls.call(id) else { return };
        let on = call.connection;
        if self.connections.value(&on).is_some_and(|on| self.is_shown_by_the_server(on)) {
            return; // it comes again, from the other end
        }
        let (asker, asked) = (self.process_at(on, call.asker), self.process_at(on, call.asker.other()));
        asker.into_iter().for_each(|asker| self.expect_hops_by(asker, id));
        let outer = asker.and_then(|asker| self.passed_on(id, asker, asked));
        let Some(call) = self.calls.call(id) else { return };
        let outer = outer.or_else(|| asker.and_then(|asker| self.passed_into_container(call, asker)));
        if let Some(asked) = asked.filter(|asked| Some(*asked) != asker) {
            if self.relays.is(Part::Command, asked) {
                self.relays.add(same(call), id, |open| self.calls.call(*open).is_some());
            }
            match self.relays.asked_processes.value(&asked.pid) {
                Some(Asked { asks: true, .. }) => self.keep_asked(id, asked.pid),
                Some(_) => {}
                None => drop(self.relays.asked_processes.insert(asked.pid, Asked::default())),
            }
        }
        if let Some(outer) = &outer
            && let Some(passed_on) = self.calls.call_mut(outer.call)
        {
            passed_on.hops = passed_on.hops.saturating_add(1);
        }
        if let Some(call) = self.calls.call_mut(id) {
            call.relayed = outer;
        }
    }

    /// `asker` asks others, for the first time perhaps: then the calls that it was asked itself, or that its ancestors
    /// were asked, may be passed on from now on. Not `inner`, which it asks.
    fn expect_hops_by(&mut self, asker: ProcessId, inner: CallId) {
        let asks_now = |pid: &u32| self.relays.asked_processes.value(pid).is_some_and(|asked| !asked.asks);
        let new: Vec<u32> = self.relays.lineage(asker.pid).filter(asks_now).collect();
        for pid in new {
            let _ = self.relays.asked_processes.insert(pid, Asked { asks: true, renumbers: false });
            let is_asked = |call: &&OpenCall| call.number != inner && self.is_asked_of(call, pid);
            let calls: Vec<CallId> = self.calls.iter().filter(is_asked).map(|call| call.number).collect();
            calls.into_iter().for_each(|call| self.keep_asked(call, pid));
        }
    }

    fn is_asked_of(&self, call: &OpenCall, pid: u32) -> bool {
        let on = call.connection;
        let (asker, asked) = (self.process_at(on, call.asker), self.process_at(on, call.asker.other()));
        let is_asked = asked.is_some_and(|asked| asked.pid == pid) && asked != asker;
        is_asked && !self.connections.value(&on).is_some_and(|on| self.is_shown_by_the_server(on))
    }

    /// A call that was asked of the process `pid` may be passed on.
    fn keep_asked(&mut self, id: CallId, pid: u32) {
        let Some(call) = self.calls.call(id) else { return };
        for key in keys(call, pid) {
            self.relays.add(key, id, |open| self.calls.call(*open).is_some());
        }
    }

    /// What is shown of the call that `open` passes on.
    pub(super) fn relay(&self, open: &OpenCall) -> Option<Relay> {
        let relayed = open.relayed.as_ref()?;
        let outer = self.calls.call(relayed.call);
        let is_shown = outer.is_none_or(|outer| self.label(outer.connection) == Label::Mcp);
        is_shown.then(|| Relay { at: relayed.at, id: relayed.id.clone(), inferred: relayed.inferred })
    }

    /// The hops of a call that ends.
    pub(super) fn take_hops(&mut self, call: CallId) -> Vec<Hop> {
        self.relays.hops.remove(&call).unwrap_or_default()
    }

    /// Makes a hop that has ended known to the call that it passes on.
    pub(super) fn tell_hop(&mut self, ended: &Ended) {
        let Some(outer) = ended.passes_on.filter(|outer| self.calls.call(*outer).is_some()) else { return };
        let Call { server, transport, .. } = &*ended.call;
        let hop = Hop { server: server.clone(), transport: *transport, duration: ended.call.duration() };
        match self.relays.hops.value_mut(&outer) {
            Some(hops) if hops.len() < self.settings.limits.hops => hops.push(hop),
            Some(_) => self.health.shed(Stage::Mcp, "hops"),
            None => drop(self.relays.hops.insert(outer, vec![hop])),
        }
    }

    /// The open call that a request of `asker` passes on: of those with the fewest hops the one with its id, or the
    /// first. If no other could be meant, it tells whether the relay keeps ids.
    fn passed_on(&mut self, inner: CallId, asker: ProcessId, asked: Option<ProcessId>) -> Option<Relayed> {
        let inner = self.calls.call(inner)?;
        // A child of the process that was asked may also be the one that asked it, as servers ask their clients.
        let leads_on = |outer: &&OpenCall| {
            self.process_at(outer.connection, outer.asker) != Some(asker)
                && self.process_at(outer.connection, outer.asker.other()) != asked
        };
        let meant_by = |pid: u32| {
            let kept = keys(inner, pid).filter_map(|key| self.relays.asked.value(&key)).flatten();
            let open = kept.filter_map(|call| self.calls.call(*call));
            open.filter(|outer| agree(outer, inner)).filter(leads_on)
        };
        let (pid, outer, renumbers) = self.relays.lineage(asker.pid).find_map(|pid| {
            let renumbers = self.relays.asked_processes.value(&pid)?.renumbers;
            let has_its_id = |outer: &OpenCall| !renumbers && outer.id == inner.id;
            let rank = |outer: &&OpenCall| (outer.hops, !has_its_id(outer), outer.number);
            Some((pid, meant_by(pid).min_by_key(rank)?, renumbers))
        })?;
        let is_only = || meant_by(pid).all(|other| other.number == outer.number);
        let is_news = !renumbers && outer.id != inner.id && is_only();
        let outer = relayed(outer, false);
        if is_news && let Some(relay) = self.relays.asked_processes.value_mut(&pid) {
            relay.renumbers = true;
        }
        Some(outer)
    }

    /// The only open call of a container's command that a request of a holder of pipes can pass on.
    fn passed_into_container(&self, inner: &OpenCall, asker: ProcessId) -> Option<Relayed> {
        if !self.relays.is(Part::Holder, asker) {
            return None;
        }
        let known = self.relays.asked.value(&same(inner))?.iter();
        let open = known.filter_map(|call| self.calls.call(*call));
        let mut meant = open.filter(|outer| outer.hops == 0 && outer.id == inner.id && agree(outer, inner));
        let outer = meant.next()?;
        meant.next().is_none().then(|| relayed(outer, true))
    }

    fn process_at(&self, id: ConnectionId, end: End) -> Option<ProcessId> {
        let connection = self.connections.value(&id)?;
        connection.process(end).or_else(|| {
            let place = connection.socket?;
            let own = place.end?;
            // A TLS object is at end A; the socket's far end is its end B.
            let on_socket = if end == End::A { own } else { own.other() };
            self.connections.value(&place.connection)?.process(on_socket)
        })
    }
}

fn relayed(outer: &OpenCall, inferred: bool) -> Relayed {
    let at = outer.sent_at.unwrap_or(outer.first_byte.at);
    Relayed { call: outer.number, at, id: outer.id.clone(), inferred }
}

/// Under which calls of a container's command are kept, whatever its process: by all that is the same in a copy.
fn same(call: &OpenCall) -> u64 {
    hash(&(&call.method, call.direction, &call.id, name(call), call.ties.arguments))
}

/// Under which calls that are asked of a process are kept: by their subject, and by their arguments.
fn keys(call: &OpenCall, pid: u32) -> impl Iterator<Item = u64> {
    let about = (pid, &call.method, call.direction);
    let by_subject = hash(&(about, name(call)));
    let by_arguments = call.ties.arguments.map(|arguments| hash(&(about, arguments, ())));
    std::iter::once(by_subject).chain(by_arguments)
}

/// Whether two requests ask for the same.
fn agree(outer: &OpenCall, inner: &OpenCall) -> bool {
    let same_arguments = match (outer.ties.arguments, inner.ties.arguments) {
        (Some(outer), Some(inner)) => outer == inner,
        (None, _) | (_, None) => true,
    };
    let same_subject = match (name(outer), name(inner)) {
        (Some(outer), Some(inner)) => outer == inner || is_prefixed(outer, inner),
        (outer, inner) => outer == inner,
    };
    outer.method == inner.method && outer.direction == inner.direction && same_arguments && same_subject
}

/// Whether a name is another one with something in front of it, as gateways do to tell servers apart.
fn is_prefixed(prefixed: &str, name: &str) -> bool {
    let before = prefixed.strip_suffix(name).and_then(|before| before.chars().next_back());
    before.is_some_and(|last| !last.is_alphanumeric())
}

fn name(call: &OpenCall) -> Option<&str> {
    match call.subject.as_ref()? {
        Subject::Tool(name) | Subject::Prompt(name) => Some(name),
        Subject::Resource(uri) => Some(uri.reveal()),
    }
}
