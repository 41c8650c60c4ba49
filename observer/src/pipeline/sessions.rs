//! Sessions: when they begin and end.
//!
//! A stdio session begins with the answer to `initialize` and ends with its wires; an HTTP session has an id that
//! the server gives out. Requests of the stateless era (2026-07-28) have neither.

use std::collections::BTreeSet;

use super::connection::Connection;
use super::health::Stage;
use super::mcp::session::{Declared, Parties};
use super::observation::{Observation, Peer, Session, Transport};
use super::pairing::CallId;
use super::pairing::scope::shared_hash;
use super::reassembly::stdio_pair::Wire;
use super::reassembly::twin::{ConnectionId, End};
use super::{HttpSession, Pipeline};

/// A session that is over and is told of after its calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Parting {
    /// By the number of the HTTP session.
    Http(u64),
    /// By the connection that carried its requests.
    Wire(ConnectionId),
}

impl Pipeline {
    pub(super) fn begin_http_session(&mut self, id: ConnectionId, session: u64) {
        let parties = self.connections.value(&id).map(|c| c.parties.clone()).unwrap_or_default();
        let Some(known) = self.sessions.value_mut(&session) else { return };
        known.parties.fill_from(&parties);
        let first = !std::mem::replace(&mut known.started, true);
        if first {
            let known = self.sessions.value(&session);
            let shown = known.and_then(|known| self.http_session(id, known));
            self.observations.extend(shown.map(Observation::SessionStarted));
        }
    }

    /// A session was named, by its id or its address.
    pub(super) fn meet_session(&mut self, session: u64, transport: Transport, name: &str) {
        if self.sessions.value(&session).is_none() {
            let [client_ids, server_ids] = Default::default();
            let new = HttpSession {
                parties: Parties::default(),
                transport,
                since: self.now,
                shown: shared_hash(name),
                started: false,
                client_ids,
                server_ids,
                calls: BTreeSet::new(),
                over: None,
            };
            if let Some((_, oldest)) = self.sessions.insert(session, new) {
                self.health.shed(Stage::Pairing, "sessions");
                self.give_session_up(oldest);
            }
        }
    }

    /// A session had to go. If it has not ended, it is not known any more who was in it.
    fn give_session_up(&mut self, session: HttpSession) {
        let cut_short = session.started.then(|| {
            Box::new(Session {
                at: self.now,
                transport: session.transport,
                revision: session.parties.revision,
                session: Some(session.shown),
                duration: Some(self.now.since(session.since)),
                client: Peer::default(),
                server: Peer::default(),
            })
        });
        self.observations.extend(session.over.or(cut_short).map(Observation::SessionEnded));
    }

    /// A call of a session begins.
    pub(super) fn enter_session(&mut self, session: Option<u64>, call: CallId) {
        if let Some(session) = session.and_then(|session| self.sessions.value_mut(&session)) {
            session.calls.insert(call);
        }
    }

    /// A call of a session is over.
    pub(super) fn leave_session(&mut self, session: Option<u64>, call: CallId) {
        if let Some(session) = session.and_then(|session| self.sessions.value_mut(&session)) {
            session.calls.remove(&call);
        }
    }

    pub(super) fn end_http_session(&mut self, id: ConnectionId, session: Option<u64>) {
        let Some(number) = session else { return };
        let Some(session) = self.sessions.value(&number).filter(|session| session.over.is_none()) else {
            return;
        };
        let is_started = session.started;
        let waits = !session.calls.is_empty() || self.shared_socket(id).is_some();
        let over = self.http_session(id, session).filter(|_| is_started);
        let over = over.map(|over| Session { duration: Some(self.now.since(session.since)), ..*over });
        match self.sessions.value_mut(&number) {
            Some(session) if waits => {
                session.over = over.map(Box::new);
                self.parting.set(Parting::Http(number), self.now.after(self.settings.limits.settling_for));
            }
            _ => {
                self.sessions.remove(&number);
                self.observations.extend(over.map(Box::new).map(Observation::SessionEnded));
            }
        }
    }

    pub(super) fn begin_session(&mut self, id: ConnectionId, transport: Transport) {
        if !matches!(transport, Transport::Stdio | Transport::WebSocket) {
            return; // without a session id there is no session
        }
        self.end_session(id, false);
        self.part(Parting::Wire(id), true);
        if let Some(connection) = self.connections.value_mut(&id) {
            connection.session_since = Some(self.now);
        }
        let shown = self.connections.value(&id).and_then(|connection| self.session(connection));
        self.observations.extend(shown.map(Observation::SessionStarted));
    }

    /// The connection's own session is over; where it may have to wait, after its open calls are.
    pub(super) fn end_session(&mut self, id: ConnectionId, may_wait: bool) {
        let answers = [End::A, End::B].map(|from| Wire { connection: id, from });
        let partner =
            answers.into_iter().find_map(|wire| self.wires.partner(wire)).map(|wire| wire.connection);
        let both = [Some(id), partner];
        let calls = |id: ConnectionId| self.connections.value(&id).is_some_and(|it| !it.calls.is_empty());
        let waits = may_wait && (both.into_iter().flatten().any(calls) || self.shared_socket(id).is_some());
        for id in both.into_iter().flatten() {
            let Some(connection) = self.connections.value(&id) else { continue };
            let Some(since) = connection.session_since else { continue };
            let over = self.session(connection);
            let over = over.map(|over| Box::new(Session { duration: Some(self.now.since(since)), ..*over }));
            let Some(connection) = self.connections.value_mut(&id) else { continue };
            connection.session_since = None;
            if waits {
                connection.session_over = over;
                self.parting.set(Parting::Wire(id), self.now.after(self.settings.limits.settling_for));
            } else {
                self.observations.extend(over.map(Observation::SessionEnded));
            }
        }
    }

    /// The session of a connection that is no longer in the table.
    pub(super) fn end_session_of(&mut self, mut connection: Connection) {
        let since = connection.session_since;
        let over = since.and_then(|since| {
            let over = self.session(&connection)?;
            Some(Box::new(Session { duration: Some(self.now.since(since)), ..*over }))
        });
        let over = connection.session_over.take().or(over);
        self.observations.extend(over.map(Observation::SessionEnded));
    }

    /// A session that is over was waited for. It is told unless calls of it are still open.
    pub(super) fn part(&mut self, parting: Parting, at_once: bool) {
        let (over, is_open) = match parting {
            Parting::Http(number) => {
                let Some(session) = self.sessions.value(&number) else { return };
                (session.over.as_ref(), session.calls.iter().any(|call| self.calls.call(*call).is_some()))
            }
            Parting::Wire(id) => {
                let Some(connection) = self.connections.value(&id) else { return };
                (connection.session_over.as_ref(), !connection.calls.is_empty())
            }
        };
        let patience = self.settings.limits.resume_for;
        let is_late = over.is_none_or(|over| self.now.since(over.at) > patience);
        if is_open && !is_late && !at_once {
            return self.parting.set(parting, self.now.after(self.settings.limits.settling_for));
        }
        let over = match parting {
            Parting::Http(number) => self.sessions.remove(&number).and_then(|session| session.over),
            Parting::Wire(id) => self.connections.value_mut(&id).and_then(|it| it.session_over.take()),
        };
        self.observations.extend(over.map(Observation::SessionEnded));
    }

    /// What is shown of an HTTP session, of which `id` is a connection: not each knows who its parties are.
    fn http_session(&self, id: ConnectionId, session: &HttpSession) -> Option<Box<Session>> {
        let connection = self.connections.value(&id)?;
        let shown = self.session(connection)?;
        let named = |peer: Peer, declared: &Declared| match &declared.name {
            Some(name) => Peer { name: Some(name.clone()), version: declared.version.clone(), ..peer },
            None => peer,
        };
        let parties = &session.parties;
        Some(Box::new(Session {
            transport: session.transport,
            revision: parties.revision.clone().or(shown.revision),
            session: Some(session.shown),
            client: named(shown.client, &parties.client),
            server: named(shown.server, &parties.server),
            ..*shown
        }))
    }

    /// What is shown of the session of a connection.
    fn session(&self, connection: &Connection) -> Option<Box<Session>> {
        if self.is_shown_by_the_server(connection) {
            return None;
        }
        Some(Box::new(Session {
            at: self.now,
            transport: connection.transport(),
            revision: connection.parties.revision.clone(),
            session: None,
            duration: None,
            client: self.party(connection, true),
            server: self.party(connection, false),
        }))
    }
}
