//! How calls, notifications and sessions become observations: times from both ends, names from wherever known.

use std::sync::Arc;

use super::Pipeline;
use super::connection::{Connection, Label};
use super::input::ProcessId;
use super::jsonrpc::{Member, Message};
use super::mcp::session::{Declared, Parties};
use super::observation::{
    Call, CallDirection, Certainty, Notification, Observation, Outcome, Peer, Server, Session, Transport,
};
use super::pairing::{CallId, OpenCall, outcome};
use super::reader::Envelope;
use super::reassembly::twin::{ConnectionId, End, Medium};

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
        let exchange = self.connections.value(&answer.connection).and_then(|c| c.exchanges.front());
        open.session = open.session.or(exchange.and_then(|exchange| exchange.session));
        self.learn_answer(&open, answer);
        let whole = open.whole && answer.message.whole;
        let certainty = if whole { Certainty::Whole } else { Certainty::TimesOnly };
        let (outcome, error_code) = outcome::of_answer(answer.message);
        let end = Ending { outcome, error_code, certainty };
        self.complete(open, Some((answer.connection, answer.to, answer.envelope)), Some(answer.message), end);
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
        let certainty = if outcome == Outcome::Ok { Certainty::Inferred } else { Certainty::Whole };
        let end = Ending { outcome, error_code, certainty };
        self.complete(open, Some((connection, to, envelope)), None, end);
    }

    /// A call ends without an answer.
    pub(super) fn end_unanswered(&mut self, open: OpenCall, outcome: Outcome) {
        let certainty = if open.whole { Certainty::Whole } else { Certainty::TimesOnly };
        self.complete(open, None, None, Ending { outcome, error_code: None, certainty });
    }

    /// A call ends because its connection had to go.
    pub(super) fn end_without_connection(&mut self, connection: &Connection, open: OpenCall) {
        if connection.label == Label::Mcp {
            let parties = [self.peer_of(connection, End::A), self.peer_of(connection, End::B)];
            let end =
                Ending { outcome: Outcome::Abandoned, error_code: None, certainty: Certainty::Inferred };
            let call = self.build(open, None, None, &end, parties);
            self.show(call);
        }
    }

    fn complete(
        &mut self,
        open: OpenCall,
        answer: Option<(ConnectionId, End, &Envelope)>,
        message: Option<&Message>,
        end: Ending,
    ) {
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
        let call = self.build(open, answer, message, &end, peers);
        let answered_on_mcp = answer.is_some_and(|(id, ..)| self.label(id) == Label::Mcp);
        match self.connections.value_mut(&connection) {
            Some(asked_on) if asked_on.label != Label::Mcp && !answered_on_mcp => {
                if asked_on.unproven.len() < self.settings.limits.held_messages {
                    asked_on.unproven.push(call);
                }
            }
            _ => self.settle(connection, position, call),
        }
    }

    fn build(
        &self,
        open: OpenCall,
        answer: Option<(ConnectionId, End, &Envelope)>,
        message: Option<&Message>,
        end: &Ending,
        [a, b]: [Peer; 2],
    ) -> Call {
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
            first_answer_at = first_answer_at.or(flow.received_at(envelope.first_byte));
        }
        let between = |from, to| Some(super::time::Timestamp::since(to?, from?));
        let (client, server, asker_is_client) = match open.direction {
            CallDirection::ClientToServer => (asker, asked, true),
            CallDirection::ServerToClient => (asked, asker, false),
        };
        let revision = self.revision(&open, answer, asker_is_client);
        let tls = self.connections.value(&open.connection).and_then(|connection| match connection.medium {
            Medium::Tls(library) => Some(library),
            _ => None,
        });
        Call {
            at: sent_at.unwrap_or(open.first_byte.at),
            method: open.method,
            subject: open.subject,
            id: open.id,
            direction: open.direction,
            transport: open.transport,
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
            session: open.session,
            trace: open.trace,
            client,
            server,
            certainty: end.certainty,
            arguments: open.arguments,
            result: message.and_then(|message| super::lines::raw(message, Member::Result)),
        }
    }

    /// A call whose other end is read too waits for it; any other is shown.
    fn settle(&mut self, connection: ConnectionId, position: u64, call: Call) {
        let Some(twin) = self.twin(connection) else { return self.show(call) };
        let until = self.now.after(self.settings.limits.settling_for);
        if let Some(call) = self.settling.settle(connection, twin, position, call, until) {
            self.show(call);
        }
    }

    /// The TLS object at the other end of the socket on which this one travels.
    fn twin(&self, id: ConnectionId) -> Option<ConnectionId> {
        let socket = self.connections.value(&id)?.socket?;
        let other = socket.end?.other();
        let twin = self.connections.value(&socket.connection)?.tls.get(other.index()).copied()??;
        (self.connections.value(&twin).is_some() && twin != id).then_some(twin)
    }

    pub(super) fn show(&mut self, call: Call) {
        self.observations.push_back(Observation::Call(Box::new(call)));
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
        if initialize && let Some(session) = session {
            self.begin_http_session(open.connection, session);
        }
        let mut server = Declared::default();
        for id in [Some(open.connection), (answer.connection != open.connection).then_some(answer.connection)]
            .into_iter()
            .flatten()
        {
            if let Some(connection) = self.connections.value_mut(&id) {
                connection.parties.hear_answer(answer.message);
                server = connection.parties.server.clone();
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
            self.greet_server(open.connection, process, server);
        }
        if initialize && session.is_none() {
            self.begin_session(open.connection, open.transport);
        }
    }

    fn begin_http_session(&mut self, id: ConnectionId, session: u64) {
        let parties = self.connections.value(&id).map(|c| c.parties.clone()).unwrap_or_default();
        if self.sessions.value(&session).is_none() {
            let transport = Transport::StreamableHttp;
            let new =
                super::HttpSession { parties: parties.clone(), transport, since: self.now, started: false };
            if self.sessions.insert(session, new).is_some() {
                self.health.shed(super::health::Stage::Pairing, "sessions");
            }
        }
        let Some(known) = self.sessions.value_mut(&session) else { return };
        known.parties.fill_from(&parties);
        let (first, transport) = (!std::mem::replace(&mut known.started, true), known.transport);
        if first {
            self.show_session(id, transport, Some(session), None);
        }
    }

    pub(super) fn end_http_session(&mut self, id: ConnectionId, session: Option<u64>) {
        let Some(session) = session else { return };
        if let Some(ended) = self.sessions.remove(&session)
            && ended.started
        {
            let lasted = self.now.since(ended.since);
            self.show_session(id, ended.transport, Some(session), Some(lasted));
        }
    }

    fn begin_session(&mut self, id: ConnectionId, transport: Transport) {
        if transport != Transport::Stdio {
            return; // without a session id there is no session
        }
        self.end_session(id);
        if let Some(connection) = self.connections.value_mut(&id) {
            connection.session_since = Some(self.now);
        }
        self.show_session(id, transport, None, None);
    }

    /// The connection's own session is over.
    pub(super) fn end_session(&mut self, id: ConnectionId) {
        let answers =
            [End::A, End::B].map(|from| super::reassembly::stdio_pair::Wire { connection: id, from });
        let partner =
            answers.into_iter().find_map(|wire| self.wires.partner(wire)).map(|wire| wire.connection);
        for id in [Some(id), partner].into_iter().flatten() {
            let since = self.connections.value_mut(&id).and_then(|c| c.session_since.take());
            if let Some(since) = since {
                self.show_session(id, Transport::Stdio, None, Some(self.now.since(since)));
            }
        }
    }

    /// The session of a connection that is no longer in the table.
    pub(super) fn end_session_of(&mut self, connection: &Connection) {
        if let Some(since) = connection.session_since {
            let session = Session {
                at: self.now,
                transport: Transport::Stdio,
                revision: connection.parties.revision.clone(),
                session: None,
                duration: Some(self.now.since(since)),
                client: self.party(connection, true),
                server: self.party(connection, false),
            };
            self.observations.push_back(Observation::SessionEnded(Box::new(session)));
        }
    }

    fn show_session(
        &mut self,
        id: ConnectionId,
        transport: Transport,
        session: Option<u64>,
        duration: Option<std::time::Duration>,
    ) {
        let Some(connection) = self.connections.value(&id) else { return };
        let shown = Session {
            at: self.now,
            transport,
            revision: connection.parties.revision.clone(),
            session,
            duration,
            client: self.party(connection, true),
            server: self.party(connection, false),
        };
        let shown = Box::new(shown);
        self.observations.push_back(match duration {
            None => Observation::SessionStarted(shown),
            Some(_) => Observation::SessionEnded(shown),
        });
    }

    /// `process` answers as an MCP server, and this is what it calls itself.
    fn greet_server(&mut self, id: ConnectionId, process: ProcessId, declared: Declared) {
        let known = self.servers.value(&process);
        if known.is_some_and(|known| known.name.is_some() || declared.name.is_none()) {
            return;
        }
        let first = known.is_none();
        let _ = self.servers.insert(process, declared);
        if first {
            let server = self.connections.value(&id).map(|connection| self.party(connection, false));
            let started = Server { at: self.now, server: server.unwrap_or_default(), status: None };
            self.observations.push_back(Observation::ServerStarted(Box::new(started)));
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
        if connection.label != Label::Mcp {
            return;
        }
        let Some(method) = message.method.clone() else { return };
        let to = match direction {
            CallDirection::ClientToServer => connection.client.map(End::other),
            CallDirection::ServerToClient => connection.client,
        };
        let sent_at = to.and_then(|to| connection.way(to).flow.sent_at(envelope.first_byte));
        let notification = Notification {
            at: sent_at.unwrap_or(envelope.first_byte.at),
            method,
            direction,
            transport,
            client: self.party(connection, true),
            server: self.party(connection, false),
        };
        self.observations.push_back(Observation::Notification(Box::new(notification)));
    }

    /// The client or the server of a connection.
    fn party(&self, connection: &Connection, client: bool) -> Peer {
        let end = connection.client.map(|end| if client { end } else { end.other() });
        end.map(|end| self.peer_of(connection, end)).unwrap_or_default()
    }

    /// Who is at `end` of a connection.
    pub(super) fn peer(&self, id: ConnectionId, end: End) -> Peer {
        self.connections.value(&id).map(|connection| self.peer_of(connection, end)).unwrap_or_default()
    }

    fn peer_of(&self, connection: &Connection, end: End) -> Peer {
        let mut process = connection.process(end);
        let mut address = address(connection, end);
        if let Some(place) = connection.socket
            && let Some(own) = place.end
            && let Some(socket) = self.connections.value(&place.connection)
        {
            // A TLS object is at end A; the socket's far end is its end B.
            let on_socket = if end == End::A { own } else { own.other() };
            process = process.or_else(|| socket.process(on_socket));
            address = address.or_else(|| self::address(socket, on_socket));
        }
        let declared = self.declared(connection, end, process);
        Peer {
            name: declared.name,
            version: declared.version,
            process: process.map(|process| self.processes.process(process)),
            address,
        }
    }

    fn declared(&self, connection: &Connection, end: End, process: Option<ProcessId>) -> Declared {
        let is_client = connection.client.is_none_or(|client| client == end);
        let session = connection.exchanges.front().and_then(|exchange| exchange.session);
        let session =
            session.and_then(|session| self.sessions.value(&session)).map(|session| &session.parties);
        let of = |parties: &Parties| if is_client { parties.client.clone() } else { parties.server.clone() };
        let told = session.map(of).filter(|declared| declared.name.is_some());
        let told = told.unwrap_or_else(|| of(&connection.parties));
        if is_client || told.name.is_some() {
            return told;
        }
        process.and_then(|process| self.servers.value(&process).cloned()).unwrap_or_default()
    }
}

fn address(connection: &Connection, end: End) -> Option<std::net::SocketAddr> {
    match connection.medium {
        Medium::Tcp([a, b]) => Some(if end == End::A { a } else { b }),
        _ => None,
    }
}
