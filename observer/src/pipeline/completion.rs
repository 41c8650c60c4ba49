//! How calls, notifications and sessions become observations: times from both ends, names from wherever known.

use std::sync::Arc;

use super::Pipeline;
use super::connection::{Connection, Label};
use super::health::Stage;
use super::jsonrpc::{Member, Message, MessageId};
use super::mcp::span_facts::SpanFacts;
use super::mcp::ties::{AnswerTies, RequestTies};
use super::observation::{
    Call, CallDirection, Certainty, Hop, Links, Notification, Observation, Outcome, Peer, Transport,
};
use super::pairing::{CallId, OpenCall, outcome};
use super::private::Private;
use super::reader::Envelope;
use super::reassembly::twin::{ConnectionId, End, Medium, Place};

/// An answer and where it came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer<'a> {
    /// The connection that carried it.
    pub connection: ConnectionId,
    /// The end that it came to.
    pub to: End,
    /// Where it was.
    pub envelope: &'a Envelope,
    /// What it says.
    pub message: &'a Message,
}

/// A call that has ended, with what ties it to others.
#[derive(Clone, Debug)]
pub struct Ended {
    /// The call. It goes through many hands, and is large.
    pub call: Box<Call>,
    /// What its request brought.
    pub request: RequestTies,
    /// What its answer leaves behind.
    pub answer: AnswerTies,
    /// The call that it passes on.
    pub passes_on: Option<CallId>,
}

impl From<Call> for Ended {
    fn from(call: Call) -> Self {
        Self {
            call: Box::new(call),
            request: RequestTies::default(),
            answer: AnswerTies::default(),
            passes_on: None,
        }
    }
}

/// How a call ended, beside its times.
struct Ending {
    outcome: Outcome,
    error_code: Option<i64>,
    certainty: Certainty,
}

impl Pipeline {
    /// `answer` ends `call`.
    pub(super) fn answer(&mut self, call: CallId, answer: &Answer<'_>) {
        let Some(mut open) = self.calls.close(call) else { return };
        self.forget_call(open.connection, call);
        if self.comes_after_cancellation(&open, answer) {
            return self.end_unanswered(open, Outcome::Cancelled);
        }
        let exchange = self.connections.value(&answer.connection).and_then(|c| c.exchanges.front());
        let stateless = open.revision.as_deref().is_some_and(|revision| revision >= "2026-07-28");
        let exchange = exchange.filter(|exchange| !stateless && !exchange.is_modern());
        open.session = open.session.or(exchange.and_then(|exchange| exchange.session));
        let response = exchange.and_then(|exchange| exchange.response.as_ref());
        let damaged = response.is_some_and(|response| response.damaged);
        self.learn_answer(&open, answer);
        self.note_answered(&open, answer);
        let whole = open.whole && answer.message.whole && !damaged;
        let id_read = !answer.message.id_inferred && answer.message.id != MessageId::Absent;
        let certainty = match (whole, id_read && !open.inferred && !answer.envelope.end_unseen) {
            (true, _) => Certainty::Whole,
            (false, true) => Certainty::TimesOnly,
            (false, false) => Certainty::Inferred,
        };
        let (outcome, error_code) = outcome::of_answer(&open.method, answer.message);
        let end = Ending { outcome, error_code, certainty };
        self.complete(open, Some((answer.connection, answer.to, answer.envelope)), Some(answer.message), end);
    }

    /// Whether an answer was sent by a process that knew that nobody waits for it. It says at most that the call was
    /// taken back; or it is the answer to a later request with the same id, which was lost. Where ids are used again,
    /// that is so unless the times prove the contrary.
    fn comes_after_cancellation(&self, open: &OpenCall, answer: &Answer<'_>) -> bool {
        let connection = self.connections.value(&answer.connection);
        let sent_at = connection.and_then(|it| it.way(answer.to).flow.sent_at(answer.envelope.first_byte));
        match (open.cancelled_at, sent_at) {
            (Some(cancelled_at), Some(sent_at)) => sent_at > cancelled_at,
            _ => open.doom.1 == Outcome::Cancelled && self.may_be_asked_again(open),
        }
    }

    /// The status of an HTTP response, or the mere end of one whose bytes were lost, ends `call`.
    pub(super) fn end_by_status(
        &mut self,
        call: CallId,
        connection: ConnectionId,
        to: End,
        envelope: &Envelope,
        (outcome, error_code): (Outcome, Option<i64>),
    ) {
        let Some(open) = self.calls.close(call) else { return };
        self.forget_call(open.connection, call);
        let certainty = match (outcome, open.whole, open.inferred) {
            (Outcome::Ok, ..) | (_, _, true) => Certainty::Inferred,
            (_, true, false) => Certainty::Whole,
            (_, false, false) => Certainty::TimesOnly,
        };
        let end = Ending { outcome, error_code, certainty };
        self.complete(open, Some((connection, to, envelope)), None, end);
    }

    /// A call ends without an answer.
    pub(super) fn end_unanswered(&mut self, open: Box<OpenCall>, outcome: Outcome) {
        let certainty = match (open.whole, open.inferred) {
            (true, _) => Certainty::Whole,
            (false, false) => Certainty::TimesOnly,
            (false, true) => Certainty::Inferred,
        };
        let outcome = open.outcome_without_answer(outcome);
        self.complete(open, None, None, Ending { outcome, error_code: None, certainty });
    }

    /// A call ends because its connection had to go.
    pub(super) fn end_without_connection(&mut self, connection: &Connection, open: Box<OpenCall>) {
        if connection.label == Label::Mcp {
            let parties = [self.peer_of(connection, End::A), self.peer_of(connection, End::B)];
            let outcome = open.outcome_without_answer(Outcome::Abandoned);
            let end = Ending { outcome, error_code: None, certainty: Certainty::Inferred };
            self.leave_session(open.session, open.number);
            let hops = self.take_hops(open.number);
            let ended = self.build(open, None, None, &end, (parties, hops));
            self.show(ended);
        }
    }

    fn complete(
        &mut self,
        open: Box<OpenCall>,
        answer: Option<(ConnectionId, End, &Envelope)>,
        message: Option<&Message>,
        end: Ending,
    ) {
        self.leave_session(open.session, open.number);
        let connection = open.connection;
        let position = open.first_byte.position;
        let peers = [End::A, End::B].map(|own| {
            let peer = self.peer(connection, own);
            // The answer's wire knows who sent it, where the request's does not know its reader.
            match answer {
                Some((wire, to, _)) if wire != connection && peer.process.is_none() => {
                    self.peer(wire, if own == open.asker { to } else { to.other() })
                }
                _ => peer,
            }
        });
        let hops = self.take_hops(open.number);
        let ended = self.build(open, answer, message, &end, (peers, hops));
        let answered_on_mcp = answer.is_some_and(|(id, ..)| self.label(id) == Label::Mcp);
        match self.connections.value_mut(&connection) {
            Some(asked_on) if asked_on.label != Label::Mcp && !answered_on_mcp => {
                if asked_on.unproven.len() < self.settings.limits.held_messages {
                    asked_on.unproven.push(ended);
                }
            }
            _ => self.settle(connection, position, ended),
        }
    }

    fn build(
        &self,
        open: Box<OpenCall>,
        answer: Option<(ConnectionId, End, &Envelope)>,
        message: Option<&Message>,
        end: &Ending,
        ([a, b], hops): ([Peer; 2], Vec<Hop>),
    ) -> Ended {
        let (asker, asked) = if open.asker == End::A { (a, b) } else { (b, a) };
        // What a process sent has been sent no later than it was received.
        let sent_at = open.sent_at.or(asker.process.is_some().then_some(open.first_byte.at));
        let (mut answer_sent_at, mut answer_received_at, mut first_answer_at) =
            (None, None, open.first_answer_at);
        if let Some((id, to, envelope)) = answer
            && let Some(connection) = self.connections.value(&id)
        {
            let flow = &connection.way(to).flow;
            let local = asked.process.is_some() && !matches!(connection.medium, Medium::Tls(_));
            answer_sent_at = flow.sent_at(envelope.last_byte).or(local.then_some(envelope.last_byte.at));
            answer_received_at = flow.received_at(envelope.last_byte);
            // The beginning of a text whose end has the id may be that of another.
            let begins_here = !(envelope.end_unseen && message.is_none_or(|message| message.id_inferred));
            let first = flow.received_at(envelope.first_byte).filter(|_| begins_here);
            first_answer_at = first_answer_at.or(first);
        }
        let between = |from, to| Some(super::time::Timestamp::since(to?, from?));
        let (client, server, asker_is_client) = match open.direction {
            CallDirection::ClientToServer => (asker, asked, true),
            CallDirection::ServerToClient => (asked, asker, false),
        };
        let (revision, transport) = (self.revision(&open, answer, asker_is_client), self.transport_of(&open));
        let tls = self.connections.value(&open.connection).and_then(|connection| match connection.medium {
            Medium::Tls(library) => Some(library),
            _ => None,
        });
        let links = Links { rounds: None, notifications: open.notifications, relay: self.relay(&open), hops };
        let error_message = message.filter(|_| self.settings.payloads);
        let error_message = error_message.and_then(|message| message.string(Member::ErrorMessage));
        let span = SpanFacts {
            ended_at: self.now,
            received_at: open.received_at,
            error_message: error_message.map(|text| Private::new(text.into())),
            sends_spans: self.senders_of_spans([&client, &server]),
            ..open.span
        };
        let call = Box::new(Call {
            at: sent_at.unwrap_or(open.first_byte.at),
            method: open.method,
            subject: open.subject,
            id: open.id,
            direction: open.direction,
            transport,
            tls,
            revision,
            outcome: end.outcome,
            error_code: end.error_code,
            client_duration: between(sent_at, answer_received_at),
            server_duration: between(open.received_at, answer_sent_at),
            first_answer: between(sent_at, first_answer_at),
            request_bytes: open.request_bytes,
            response_bytes: answer.map_or(0, |(_, _, envelope)| envelope.bytes),
            progress: open.progress,
            session: open.session.and_then(|session| Some(self.sessions.value(&session)?.shown)),
            trace: open.trace,
            client,
            server,
            certainty: end.certainty,
            span,
            attributes: Vec::new(),
            headers: open.headers,
            links,
            arguments: open.arguments,
            result: message.and_then(|message| super::lines::raw(message, Member::Result)),
        });
        let passes_on = open.relayed.filter(|_| call.links.relay.is_some()).map(|outer| outer.call);
        let answer = message.map(AnswerTies::read).unwrap_or_default();
        Ended { call, request: open.ties, answer, passes_on }
    }

    /// A call whose other end may be read too waits for it; any other is shown.
    fn settle(&mut self, connection: ConnectionId, position: u64, ended: Ended) {
        let Some((socket, end)) = self.shared_socket(connection) else { return self.show(ended) };
        let until = self.now.after(self.settings.limits.settling_for);
        if let Some(ended) = self.settling.settle(socket, end, position, ended, until) {
            self.show(ended);
        }
        while let Some(ended) = self.settling.pop_excess() {
            self.health.shed(Stage::Pairing, "settling");
            self.show(ended);
        }
    }

    /// The socket on which the plaintext of `id` travels, and the end at which `id` is read, if the other end is
    /// on this host too.
    pub(super) fn shared_socket(&self, id: ConnectionId) -> Option<(ConnectionId, End)> {
        let place = self.connections.value(&id)?.socket?;
        let end = place.end?;
        let socket = self.connections.value(&place.connection)?;
        (socket.streams.len() == 2).then_some((place.connection, end))
    }

    /// Whether this is the client's end of TLS whose other end is read too: what is not put together like a call is
    /// shown as the server's end has it.
    pub(super) fn is_shown_by_the_server(&self, connection: &Connection) -> bool {
        let Some(Place { connection: socket, end: Some(end) }) = connection.socket else { return false };
        let socket = self.connections.value(&socket);
        let other_is_read =
            socket.and_then(|socket| socket.is_read_inside_tls.get(end.other().index()).copied());
        connection.client == Some(End::A) && other_is_read == Some(true)
    }

    pub(super) fn show(&mut self, mut ended: Ended) {
        self.link_rounds(&mut ended);
        self.tell_hop(&ended);
        for process in
            [&ended.call.client, &ended.call.server].into_iter().filter_map(|it| it.process.as_ref())
        {
            if process.home.is_inherited {
                self.health.shed(Stage::Input, "process_gone");
            }
        }
        let task =
            (ended.call.outcome == Outcome::Task || ended.request.task.is_some()).then(|| ended.clone());
        self.observations.push_back(Observation::Call(ended.call));
        task.into_iter().for_each(|ended| self.follow_task(&ended));
    }

    fn revision(
        &self,
        open: &OpenCall,
        answer: Option<(ConnectionId, End, &Envelope)>,
        asker_is_client: bool,
    ) -> Option<Arc<str>> {
        let of = |id: ConnectionId| self.connections.value(&id).and_then(|c| c.parties.revision.clone());
        let session = open.session.and_then(|session| self.sessions.value(&session));
        let session = session.and_then(|session| session.parties.revision.clone());
        // A request's own statement counts where the client speaks; answers know what was agreed.
        let own = open.revision.clone().filter(|_| asker_is_client);
        let is_initialize = &*open.method == "initialize";
        let agreed = session.or_else(|| of(open.connection)).or_else(|| answer.and_then(|(id, ..)| of(id)));
        if is_initialize { agreed.or(own) } else { own.or(agreed) }
    }

    /// What an answer tells about the parties.
    fn learn_answer(&mut self, open: &OpenCall, answer: &Answer<'_>) {
        if open.direction != CallDirection::ClientToServer {
            return;
        }
        let initialize = &*open.method == "initialize" && answer.message.has_result;
        let session = open.session;
        let mut heard_on = open.connection;
        for id in [Some(open.connection), (answer.connection != open.connection).then_some(answer.connection)]
            .into_iter()
            .flatten()
        {
            if let Some(connection) = self.connections.value_mut(&id) {
                connection.parties.hear_answer(answer.message);
                heard_on = id;
            }
        }
        if let Some(session) = session.and_then(|session| self.sessions.value_mut(&session)) {
            session.parties.hear_answer(answer.message);
        }
        let asked = self.connections.value(&open.connection).and_then(|c| c.process(open.asker.other()));
        let asked = asked.or_else(|| {
            self.connections.value(&answer.connection).and_then(|c| c.process(answer.to.other()))
        });
        if let Some(process) = asked
            && self.label(open.connection) == Label::Mcp
        {
            self.greet_server(open, process, heard_on);
        }
        match session {
            _ if !initialize => {}
            Some(session) => self.begin_http_session(open.connection, session),
            None => self.begin_session(open.connection, open.transport),
        }
    }

    pub(super) fn show_notification(
        &mut self,
        id: ConnectionId,
        envelope: &Envelope,
        message: &Message,
        direction: CallDirection,
        transport: Transport,
    ) {
        let Some(connection) = self.connections.value(&id) else { return };
        if connection.label != Label::Mcp || self.is_shown_by_the_server(connection) {
            return;
        }
        let Some(method) = message.method.clone() else { return };
        let to = match direction {
            CallDirection::ClientToServer => connection.client.map(End::other),
            CallDirection::ServerToClient => connection.client,
        };
        let sent_at = to.and_then(|to| connection.way(to).flow.sent_at(envelope.first_byte));
        let at = sent_at.unwrap_or(envelope.first_byte.at);
        let subscription = message.member(Member::Subscription).and_then(super::lines::as_id);
        let [client, server] = [true, false].map(|is_client| self.party(connection, is_client));
        let notification = Notification {
            at,
            method,
            direction,
            transport,
            subscription,
            client: client.clone(),
            server: server.clone(),
        };
        self.observations.push_back(Observation::Notification(Box::new(notification)));
        self.heed_task(message, at, direction, [&client, &server]);
    }
}
