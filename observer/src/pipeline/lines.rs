//! One message of a line-framed connection: stdio in all its forms.
//!
//! Requests go on one wire and answers come on the other, see [`super::reassembly::stdio_pair`].

use super::Pipeline;
use super::completion::Answer;
use super::connection::{Connection, Held, Label};
use super::health::Stage;
use super::jsonrpc::{Id, Kept, Member, Message, MessageId, Shape};
use super::mcp::evidence::{self, Evidence};
use super::mcp::meta;
use super::mcp::method::{self, Sender};
use super::mcp::span_facts::SpanFacts;
use super::mcp::ties::RequestTies;
use super::observation::{CallDirection, Observation, Outcome, Transport, Unanswerable};
use super::pairing::scope::{AskedBy, CallKey, Scope};
use super::pairing::{CallId, OpenCall, is_subscription};
use super::reader::Envelope;
use super::reassembly::stdio_pair::Wire;
use super::reassembly::twin::{ConnectionId, End};

impl Pipeline {
    /// A message that came towards `to`.
    pub(super) fn take_line(&mut self, id: ConnectionId, to: End, envelope: &Envelope, mut message: Message) {
        if !self.weigh(id, to, &message) {
            return;
        }
        match message.shape() {
            Shape::Request => self.ask(id, to, envelope, &mut message),
            Shape::Notification => self.notify_line(id, to, envelope, &message),
            Shape::Success | Shape::Error if message.id_inferred || message.id == MessageId::Absent => {
                self.answer_with_hole(id, to, envelope, &message);
            }
            Shape::Success | Shape::Error => self.answer_line(id, to, envelope, message),
            Shape::Unknown => {}
        }
    }

    /// Learns from a message whether its connection carries MCP. Tells whether to go on with the message.
    pub(super) fn weigh(&mut self, id: ConnectionId, to: End, message: &Message) -> bool {
        let Some(connection) = self.connections.value_mut(&id) else { return false };
        if message.shape() == Shape::Unknown {
            if connection.label == Label::Mcp {
                self.health.fault(Stage::JsonRpc, "not_a_message");
            }
            return true; // a piece of one, perhaps: the exchange may know more
        }
        connection.way_mut(to).unread = 0;
        let label = match evidence::weigh(message) {
            Evidence::Mcp => Label::Mcp,
            Evidence::Other => Label::Other,
            Evidence::None => connection.label,
        };
        if label != connection.label {
            self.set_label(id, label);
        }
        label != Label::Other
    }

    /// A request that came towards `to`.
    fn ask(&mut self, id: ConnectionId, to: End, envelope: &Envelope, message: &mut Message) {
        let asker = to.other();
        let Some(direction) = self.direction(id, asker, message) else { return };
        let Some(connection) = self.connections.value_mut(&id) else { return };
        if direction == CallDirection::ClientToServer {
            connection.parties.hear_request(message);
        }
        if let MessageId::Id(request_id) = &message.id {
            connection.way_mut(to).ids.note(request_id);
        }
        let transport = connection.transport();
        let Some(mut call) = self.open_call(id, to, envelope, message, direction, transport) else {
            return;
        };
        call.keys = keys(Scope::Connection(id), AskedBy::End(asker), &call);
        self.register(call);
    }

    fn transport(&self, id: ConnectionId) -> Transport {
        self.connections.value(&id).map_or(Transport::Stdio, Connection::transport)
    }

    /// Who asks whom, by the method or else by what is known of the connection.
    fn direction(&mut self, id: ConnectionId, from: End, message: &Message) -> Option<CallDirection> {
        let connection = self.connections.value_mut(&id)?;
        let sender = message.method.as_deref().and_then(method::known).map(|method| method.sender);
        match sender {
            Some(Sender::Client) => connection.client = Some(from),
            Some(Sender::Server) => connection.client = Some(from.other()),
            Some(Sender::Either) | None => {}
        }
        let client = connection.client.or_else(|| self.client_by_wires(id));
        Some(if client.is_none_or(|client| client == from) {
            CallDirection::ClientToServer
        } else {
            CallDirection::ServerToClient
        })
    }

    /// What a request says, as a call without keys. Method and id are taken out of the message.
    pub(super) fn open_call(
        &self,
        id: ConnectionId,
        to: End,
        envelope: &Envelope,
        message: &mut Message,
        direction: CallDirection,
        transport: Transport,
    ) -> Option<Box<OpenCall>> {
        let subject = meta::subject(message);
        let MessageId::Id(request_id) = std::mem::take(&mut message.id) else { return None };
        let flow = &self.connections.value(&id)?.way(to).flow;
        let method = message.method.take()?;
        let limits = &self.settings.limits;
        let age = if is_subscription(&method) { limits.subscription_age } else { limits.call_age };
        Some(Box::new(OpenCall {
            number: CallId::default(),
            keys: Vec::new(),
            connection: id,
            asker: to.other(),
            exchange: None,
            posted_to: None,
            method,
            id: request_id,
            subject,
            direction,
            transport,
            revision: message.string(Member::MetaVersion).map(Into::into),
            session: None,
            trace: meta::trace(message),
            first_byte: envelope.first_byte,
            sent_at: flow.sent_at(envelope.first_byte),
            received_at: flow.received_at(envelope.last_byte).filter(|_| !envelope.end_unseen),
            request_bytes: envelope.bytes,
            whole: message.whole,
            inferred: message.id_inferred,
            first_answer_at: None,
            progress_token: message.member(Member::ProgressToken).and_then(as_id),
            progress: 0,
            cancelled_at: None,
            headers: super::private::Private::new(Default::default()),
            doom: (envelope.last_byte.at.after(age), Outcome::Expired),
            ties: RequestTies::read(message),
            notifications: 0,
            hops: 0,
            relayed: None,
            span: SpanFacts::of_request(message),
            goes_on: matches!(message.member(Member::Cursor), Some(Kept::String(_))),
            arguments: raw(message, Member::Arguments),
        }))
    }

    /// Takes a call in; those that it replaces end.
    pub(super) fn register(&mut self, call: Box<OpenCall>) {
        let (connection, session) = (call.connection, call.session);
        self.note_asked(&call);
        self.note_in_flight();
        let (id, ended) = self.calls.open(call);
        self.enter_session(session, id);
        for (old, call) in ended {
            self.forget_call(call.connection, old);
            self.end_unanswered(call, Outcome::Abandoned);
        }
        if let Some(connection) = self.connections.value_mut(&connection) {
            connection.calls.insert(id);
        }
        self.follow_hop(id);
    }

    /// An answer whose id was not read where it stands. A hole may have swallowed the end of one message and the
    /// beginning of another, so what is left of an id proves nothing: the answer counts only where a single call
    /// is open that it can belong to.
    fn answer_with_hole(&mut self, id: ConnectionId, to: End, envelope: &Envelope, message: &Message) {
        match self.only_asked((id, to), envelope, message) {
            Some(call) => self.answer(call, &Answer { connection: id, to, envelope, message }),
            None => self.health.fault(Stage::Pairing, "answer_without_id"),
        }
    }

    fn answer_line(&mut self, id: ConnectionId, to: End, envelope: &Envelope, message: Message) {
        let MessageId::Id(answer_id) = &message.id else {
            return self.health.fault(Stage::Pairing, "answer_without_id"); // an error for an unreadable request
        };
        let asked = self.find_asked(id, to, answer_id);
        if let Some(call) = asked.filter(|call| self.may_answer(id, to, envelope, *call)) {
            let answer = Answer { connection: id, to, envelope, message: &message };
            return self.answer(call, &answer);
        }
        let is_asked_by_unknown = self.is_asked_by_unknown(id, to.other(), answer_id);
        let Some(connection) = self.connections.value_mut(&id) else { return };
        let waits = is_asked_by_unknown || connection.process(to.other()).is_none();
        let way = connection.way_mut(to);
        if waits && way.held.len() < self.settings.limits.held_messages {
            let until = envelope.last_byte.at.after(self.settings.limits.held_for);
            self.held.set((id, to), until);
            way.held.push_back(Held { message, envelope: envelope.clone(), until });
            return;
        }
        self.unanswerable(id, to, envelope, Some(answer_id.clone()), self.transport(id));
    }

    /// The sender is known now, or waiting is over: what was held goes on.
    pub(super) fn release_held(&mut self, id: ConnectionId, to: End) {
        let Some(connection) = self.connections.value_mut(&id) else { return };
        let held = std::mem::take(&mut connection.way_mut(to).held);
        for Held { message, envelope, until } in held {
            self.held.clear((id, to), until);
            let MessageId::Id(answer_id) = message.id.clone() else { continue };
            let asked = self.find_asked(id, to, &answer_id);
            match asked.filter(|call| self.may_answer(id, to, &envelope, *call)) {
                Some(call) => {
                    self.answer(call, &Answer { connection: id, to, envelope: &envelope, message: &message });
                }
                None => self.unanswerable(id, to, &envelope, Some(answer_id), self.transport(id)),
            }
        }
    }

    fn notify_line(&mut self, id: ConnectionId, to: End, envelope: &Envelope, message: &Message) {
        let sender = to.other();
        let Some(direction) = self.direction(id, sender, message) else { return };
        let own = (Scope::Connection(id), AskedBy::End(sender));
        let answers = Wire { connection: id, from: sender };
        let same = Wire { connection: id, from: to };
        let requests =
            self.wires.partner(answers).or_else(|| self.find_wire_by_notification(same, answers, message));
        let requests = requests.unwrap_or(same);
        let others = (Scope::Connection(requests.connection), AskedBy::End(requests.from));
        self.heed_notification(id, to, envelope, message, &[own], &[others]);
        self.show_notification(id, envelope, message, direction, self.transport(id));
    }

    /// Cancellation names a call of the sender; progress one of the receiver.
    pub(super) fn heed_notification(
        &mut self,
        id: ConnectionId,
        to: End,
        envelope: &Envelope,
        message: &Message,
        senders: &[(Scope, AskedBy)],
        receivers: &[(Scope, AskedBy)],
    ) {
        let sent_at = self.connections.value(&id).and_then(|it| it.way(to).flow.sent_at(envelope.first_byte));
        let sent_at = sent_at.unwrap_or(envelope.first_byte.at);
        self.heed_subscription(id, to, envelope, message, receivers);
        match message.method.as_deref() {
            Some("notifications/cancelled") => {
                let Some(request) = message.member(Member::CancelledId).and_then(as_id) else { return };
                let call = senders
                    .iter()
                    .find_map(|(scope, by)| self.calls.find(&CallKey::new(*scope, *by, &request), &request));
                if let Some(call) = call {
                    self.tell_of(call, message, true, sent_at);
                    // An answer may still cross the cancellation.
                    let until = envelope.last_byte.at.after(self.settings.limits.held_for);
                    self.calls.doom(call, until, Outcome::Cancelled);
                    let flow = self.connections.value(&id).map(|connection| &connection.way(to).flow);
                    let read_at = flow.and_then(|flow| flow.received_at(envelope.last_byte));
                    if let Some(open) = self.calls.call_mut(call) {
                        open.cancelled_at = open.cancelled_at.or(read_at);
                    }
                }
            }
            Some("notifications/progress") => {
                let Some(token) = message.member(Member::ProgressToken).and_then(as_id) else { return };
                let call = receivers.iter().find_map(|(scope, by)| {
                    self.calls.find(&CallKey::of_progress(*scope, *by, &token), &token)
                });
                let Some(connection) = self.connections.value(&id) else { return };
                let at = connection.way(to).flow.received_at(envelope.first_byte);
                if let Some(open) = call.and_then(|call| self.calls.call_mut(call)) {
                    open.progress += 1;
                    open.first_answer_at = open.first_answer_at.or(at);
                }
                if let Some(call) = call {
                    self.tell_of(call, message, false, sent_at);
                }
            }
            _ => {
                let answered = receivers.iter().find_map(|(scope, _)| match scope {
                    Scope::Exchange(id, number) => self.only_call(*id, *number),
                    Scope::Connection(_) | Scope::Session(_) => None,
                });
                if let Some(call) = answered {
                    self.tell_of(call, message, false, sent_at);
                }
            }
        }
    }

    pub(super) fn unanswerable(
        &mut self,
        id: ConnectionId,
        to: End,
        envelope: &Envelope,
        answer_id: Option<Id>,
        transport: Transport,
    ) {
        if self.label(id) != Label::Mcp {
            // Counted if it turns out to be MCP.
            self.connections.value_mut(&id).into_iter().for_each(|connection| connection.orphans += 1);
            return;
        }
        let (from, to) = (self.peer(id, to.other()), self.peer(id, to));
        let at = envelope.first_byte.at;
        let unanswerable = Unanswerable { at, id: answer_id, transport, from, to };
        self.observations.push_back(Observation::Unanswerable(Box::new(unanswerable)));
    }
}

/// The keys under which an answer and progress find `call`.
pub(super) fn keys(scope: Scope, by: AskedBy, call: &OpenCall) -> Vec<CallKey> {
    let answer = CallKey::new(scope, by, &call.id);
    let progress = call.progress_token.as_ref().map(|token| CallKey::of_progress(scope, by, token));
    std::iter::once(answer).chain(progress).collect()
}

pub(super) fn as_id(kept: &Kept) -> Option<Id> {
    match kept {
        Kept::Number(text) => Some(Id::Number(text.clone())),
        Kept::String(text) => Some(Id::String(text.clone())),
        _ => None,
    }
}

pub(super) fn raw(message: &Message, member: Member) -> Option<super::private::Private<Box<[u8]>>> {
    match message.member(member)? {
        Kept::Raw(raw) => Some(raw.clone()),
        _ => None,
    }
}
