//! On which wire the request of an answer came: the two wires of a stdio session find each other by their answers.
//!
//! A wire is answered on the wire back between the same two processes. Where there is none, another program passes
//! the answers on (an output filter behind the server), and the wire is found by elimination: it is the only one that
//! can be meant. What is concluded from the absence of something holds only where nothing is missing, so a wire with a
//! hole, or whose reader was not seen, is never ruled out for not having the request.

use super::Pipeline;
use super::connection::Label;
use super::input::ProcessId;
use super::jsonrpc::{Id, Member, Message};
use super::lines::as_id;
use super::observation::Outcome;
use super::pairing::CallId;
use super::pairing::scope::{AskedBy, CallKey, Scope};
use super::reader::Kind;
use super::reassembly::stdio_pair::Wire;
use super::reassembly::twin::{ConnectionId, End};

impl Pipeline {
    /// The call that an answer towards `to` ends.
    pub(super) fn find_asked(&mut self, id: ConnectionId, to: End, answer_id: &Id) -> Option<CallId> {
        let answers = Wire { connection: id, from: to.other() };
        let asked_on =
            |wire: Wire| CallKey::new(Scope::Connection(wire.connection), AskedBy::End(wire.from), answer_id);
        let same = Wire { connection: id, from: to };
        if let Some(call) = self.calls.find(&asked_on(same), answer_id) {
            return Some(call);
        }
        if let Some(partner) = self.wires.partner(answers) {
            return self.calls.find(&asked_on(partner), answer_id);
        }
        let requests = self.find_partner(answers, &asked_on, answer_id)?;
        self.join_wires(answers, requests);
        self.calls.find(&asked_on(requests), answer_id)
    }

    /// The wire on which the reader of these answers asked their sender.
    fn find_partner(&self, answers: Wire, asked_on: &impl Fn(Wire) -> CallKey, id: &Id) -> Option<Wire> {
        let connection = self.connections.value(&answers.connection)?;
        let sender = connection.process(answers.from)?;
        let reader = connection.process(answers.from.other())?;
        let is_free = |wire: &Wire| self.wires.partner(*wire).is_none();
        let has_asked = |wire: &Wire| self.calls.find(&asked_on(*wire), id).is_some();
        let (direct, others): (Vec<Wire>, Vec<Wire>) = self
            .wires_from(reader)
            .filter(|wire| wire.connection != answers.connection)
            .partition(|wire| self.asked_process(*wire) == Some(sender));
        let asks_on_the_same = !connection.way(answers.from).flow.is_new();
        if !direct.is_empty() || asks_on_the_same {
            return direct.into_iter().filter(is_free).find(has_asked);
        }
        let mut possible =
            others.into_iter().filter(is_free).filter(|wire| has_asked(wire) || !self.is_wholly_read(*wire));
        let only = possible.find(|wire| !self.is_answered_directly(*wire))?;
        let is_only = possible.all(|wire| self.is_answered_directly(wire));
        (is_only && has_asked(&only)).then_some(only)
    }

    /// The wires that `process` writes to.
    fn wires_from(&self, process: ProcessId) -> impl Iterator<Item = Wire> {
        self.wires.of_process(process).filter_map(move |connection| {
            let from = self.connections.value(&connection)?.end_of(process)?;
            Some(Wire { connection, from })
        })
    }

    /// The process that reads what is written to `wire`.
    fn asked_process(&self, wire: Wire) -> Option<ProcessId> {
        self.connections.value(&wire.connection)?.process(wire.from.other())
    }

    /// Whether there can be no request on `wire` that was not read: it carries no lines, or nothing is missing of them.
    pub(super) fn is_wholly_read(&self, wire: Wire) -> bool {
        let Some(connection) = self.connections.value(&wire.connection) else { return true };
        let way = connection.way(wire.from.other());
        let may_ask = connection.label != Label::Other && matches!(way.kind(), Kind::Lines | Kind::Unknown);
        !may_ask || way.is_without_holes()
    }

    /// Whether who reads `wire` writes messages of MCP back to its writer himself.
    fn is_answered_directly(&self, wire: Wire) -> bool {
        let Some(connection) = self.connections.value(&wire.connection) else { return false };
        let (Some(asker), Some(asked)) =
            (connection.process(wire.from), connection.process(wire.from.other()))
        else {
            return false;
        };
        let answers_on_the_same = !connection.way(wire.from).flow.is_new();
        answers_on_the_same
            || self.wires_from(asked).any(|back| {
                back.connection != wire.connection
                    && self.asked_process(back) == Some(asker)
                    && self.label(back.connection) == Label::Mcp
            })
    }

    /// Progress, and what a subscription brings, may be told of before anything was answered: of a call on the same
    /// connection, or on another to the same process.
    pub(super) fn find_wire_by_notification(
        &self,
        same: Wire,
        answers: Wire,
        message: &Message,
    ) -> Option<Wire> {
        let named = |member| message.member(member).and_then(as_id);
        let (token, is_progress) = match named(Member::ProgressToken) {
            Some(token) => (token, true),
            None => (named(Member::Subscription)?, false),
        };
        let key = if is_progress { CallKey::of_progress } else { CallKey::new };
        let asked_on = |wire: Wire| key(Scope::Connection(wire.connection), AskedBy::End(wire.from), &token);
        if self.calls.find(&asked_on(same), &token).is_some() {
            return Some(same);
        }
        let sender = self.connections.value(&answers.connection)?.process(answers.from)?;
        let found = self.find_partner(answers, &asked_on, &token)?;
        (self.connections.value(&found.connection)?.process(found.from.other()) == Some(sender))
            .then_some(found)
    }

    /// Whether this answer's sender was asked with this id on a wire whose writer was not seen yet.
    pub(super) fn is_asked_by_unknown(&self, id: ConnectionId, sender: End, answer_id: &Id) -> bool {
        let sender = self.connections.value(&id).and_then(|connection| connection.process(sender));
        let Some(sender) = sender else { return false };
        self.wires.of_process(sender).take(MOST_WIRES).any(|other| {
            let Some(asked) = self.connections.value(&other) else { return false };
            let Some(from) = asked.end_of(sender).map(End::other) else { return false };
            let key = CallKey::new(Scope::Connection(other), AskedBy::End(from), answer_id);
            asked.process(from).is_none() && self.calls.find(&key, answer_id).is_some()
        })
    }

    /// Who asks the process at this end is known now: its answers that were waiting for that go on.
    pub(super) fn release_answers_of(&mut self, id: ConnectionId, asked: End) {
        let process = self.connections.value(&id).and_then(|connection| connection.process(asked));
        let Some(process) = process else { return };
        let waits = |answers: ConnectionId| {
            let connection = self.connections.value(&answers)?;
            let to = connection.end_of(process)?.other();
            (!connection.way(to).held.is_empty()).then_some((answers, to))
        };
        let waiting: Vec<_> = self.wires.of_process(process).take(MOST_WIRES).filter_map(waits).collect();
        for (answers, to) in waiting {
            self.release_held(answers, to);
        }
    }

    /// The client's end of a wire, where another wire between the same two processes tells who of them it is.
    pub(super) fn client_by_wires(&self, id: ConnectionId) -> Option<End> {
        let wire = self.connections.value(&id).filter(|it| it.medium.may_be_a_wire())?;
        let both = [wire.process(End::A)?, wire.process(End::B)?];
        let others = self.wires.of_process(both[0]).filter(|other| *other != id).take(MOST_WIRES);
        let client = others.filter_map(|other| {
            let other = self.connections.value(&other).filter(|it| it.medium.may_be_a_wire())?;
            let is_between = other.end_of(both[0])? != other.end_of(both[1])?;
            is_between.then_some(other.process(other.client?)?)
        });
        wire.end_of(client.into_iter().next()?)
    }

    fn join_wires(&mut self, answers: Wire, requests: Wire) {
        self.wires.join(answers, requests);
        let Some(asked) = self.connections.value(&requests.connection) else { return };
        let (label, parties) = (asked.label, asked.parties.clone());
        let client = asked.client.map(|client| client == requests.from);
        if let Some(connection) = self.connections.value_mut(&answers.connection) {
            connection.parties.fill_from(&parties);
            if let Some(asker_is_client) = client {
                let reader = answers.from.other();
                connection.client = Some(if asker_is_client { reader } else { reader.other() });
            }
        }
        if label == Label::Mcp {
            self.set_label(answers.connection, Label::Mcp);
        }
    }

    /// The reader on `to` met the end of its wire: what it asked is not answered any more.
    pub(super) fn end_wire(&mut self, id: ConnectionId, to: End) {
        self.release_held(id, to);
        for wire in self.asked_wires(id, to) {
            for call in self.asked_on(wire) {
                if let Some(open) = self.calls.close(call) {
                    self.forget_call(wire.connection, call);
                    self.end_unanswered(open, Outcome::Abandoned);
                }
            }
        }
        self.end_session(id, true);
    }

    /// The wires whose requests are answered towards `to`. Before the first answer these are the connection itself
    /// and all wires between the same processes.
    pub(super) fn asked_wires(&self, id: ConnectionId, to: End) -> Vec<Wire> {
        if let Some(partner) = self.wires.partner(Wire { connection: id, from: to.other() }) {
            return vec![partner];
        }
        let own = Wire { connection: id, from: to };
        let Some(connection) = self.connections.value(&id) else { return Vec::new() };
        if !connection.medium.may_be_a_wire() {
            return vec![own];
        }
        let (Some(reader), Some(writer)) = (connection.process(to), connection.process(to.other())) else {
            return vec![own];
        };
        let crosswise = self.wires.of_process(reader).filter(|other| *other != id).filter_map(|other| {
            let connection = self.connections.value(&other).filter(|it| it.medium.may_be_a_wire())?;
            let from = connection.end_of(reader)?;
            let wire = Wire { connection: other, from };
            let asked = connection.process(from.other());
            (asked == Some(writer) && self.wires.partner(wire).is_none()).then_some(wire)
        });
        std::iter::once(own).chain(crosswise).collect()
    }

    /// The open calls of a wire.
    pub(super) fn asked_on(&self, wire: Wire) -> Vec<CallId> {
        let calls = self.connections.value(&wire.connection).map(|connection| &connection.calls);
        let asked = |call: &CallId| self.calls.call(*call).is_some_and(|open| open.asker == wire.from);
        calls.into_iter().flatten().copied().filter(asked).collect()
    }
}

/// Wires of one process that are looked at for one message.
const MOST_WIRES: usize = 256;
