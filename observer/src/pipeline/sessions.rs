//! Sessions: when they begin and end.
//!
//! A stdio session begins with the answer to `initialize` and ends with its wires; an HTTP session has an id that
//! the server gives out. Requests of the stateless era (2026-07-28) have neither.

use std::time::Duration;

use super::connection::Connection;
use super::health::Stage;
use super::mcp::session::Parties;
use super::observation::{Observation, Peer, Session, Transport};
use super::reassembly::stdio_pair::Wire;
use super::reassembly::twin::{ConnectionId, End};
use super::{HttpSession, Pipeline};

impl Pipeline {
    pub(super) fn begin_http_session(&mut self, id: ConnectionId, session: u64) {
        let parties = self.connections.value(&id).map(|c| c.parties.clone()).unwrap_or_default();
        let Some(known) = self.sessions.value_mut(&session) else { return };
        known.parties.fill_from(&parties);
        let first = !std::mem::replace(&mut known.started, true);
        let (transport, shown) = (known.transport, known.shown);
        if first {
            self.show_session(id, transport, Some(shown), None);
        }
    }

    /// A session was named, by its id or its address, of which `shown` is a hash.
    pub(super) fn meet_session(&mut self, session: u64, transport: Transport, shown: u64) {
        if self.sessions.value(&session).is_none() {
            let (parties, since) = (Parties::default(), self.now);
            let [client_ids, server_ids] = Default::default();
            let new =
                HttpSession { parties, transport, since, shown, started: false, client_ids, server_ids };
            if let Some((_, oldest)) = self.sessions.insert(session, new) {
                self.health.shed(Stage::Pairing, "sessions");
                self.give_session_up(oldest);
            }
        }
    }

    /// A session had to go although it has not ended: who was in it is not known any more.
    fn give_session_up(&mut self, session: HttpSession) {
        if session.started {
            let ended = Session {
                at: self.now,
                transport: session.transport,
                revision: session.parties.revision,
                session: Some(session.shown),
                duration: Some(self.now.since(session.since)),
                client: Peer::default(),
                server: Peer::default(),
            };
            self.observations.push_back(Observation::SessionEnded(Box::new(ended)));
        }
    }

    pub(super) fn end_http_session(&mut self, id: ConnectionId, session: Option<u64>) {
        let Some(session) = session else { return };
        if let Some(ended) = self.sessions.remove(&session)
            && ended.started
        {
            let lasted = self.now.since(ended.since);
            self.show_session(id, ended.transport, Some(ended.shown), Some(lasted));
        }
    }

    pub(super) fn begin_session(&mut self, id: ConnectionId, transport: Transport) {
        if !matches!(transport, Transport::Stdio | Transport::WebSocket) {
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
        let answers = [End::A, End::B].map(|from| Wire { connection: id, from });
        let partner =
            answers.into_iter().find_map(|wire| self.wires.partner(wire)).map(|wire| wire.connection);
        for id in [Some(id), partner].into_iter().flatten() {
            let Some(connection) = self.connections.value_mut(&id) else { continue };
            let transport = connection.transport();
            if let Some(since) = connection.session_since.take() {
                self.show_session(id, transport, None, Some(self.now.since(since)));
            }
        }
    }

    /// The session of a connection that is no longer in the table.
    pub(super) fn end_session_of(&mut self, connection: &Connection) {
        if let Some(since) = connection.session_since {
            let session = Session {
                at: self.now,
                transport: connection.transport(),
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
        duration: Option<Duration>,
    ) {
        let Some(connection) = self.connections.value(&id) else { return };
        if self.is_shown_by_the_server(connection) {
            return;
        }
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
}
