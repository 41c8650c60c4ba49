//! How HTTP exchanges end: with their response, with their connection, or by a change of protocol; and what becomes
//! of the calls in them.

use super::Pipeline;
use super::observation::{Outcome, Transport};
use super::pairing::scope::hash;
use super::pairing::{CallId, outcome};
use super::reader::Envelope;
use super::reassembly::Mark;
use super::reassembly::twin::{ConnectionId, End, Medium};
use super::time::Timestamp;
use super::transport::streamable_http::Exchange;
use super::transport::{Carrier, Field, Protocol};
use super::unseen_endpoint::may_be_of_2024;

impl Pipeline {
    /// The response whose last byte came towards `to` is over.
    pub(super) fn end_exchange(
        &mut self,
        id: ConnectionId,
        to: End,
        last_byte: Mark,
        (whole, is_read): (bool, bool),
    ) {
        let ended = self.connections.value_mut(&id).and_then(|c| c.exchanges.end());
        let Some(mut exchange) = ended else { return };
        self.note_exchanged(id, &mut exchange);
        let status = exchange.response.as_ref().map_or(0, |response| response.status);
        let failed = outcome::of_status(status);
        let carrier = Carrier::HttpBody;
        let envelope = Envelope { first_byte: last_byte, last_byte, carrier, bytes: 0, end_unseen: false };
        for call in self.calls_of(id, exchange.number) {
            match failed {
                // The client sends it again, elsewhere.
                None if (300..400).contains(&status) => self.forget_redirected(call),
                Some(end) => self.end_by_status(call, id, to, &envelope, end),
                None if self.is_taken_back(call) => self.leave_unanswered(call, &exchange, last_byte.at),
                None if !whole && status == 200 && (!is_event_stream(&exchange) || !is_read) => {
                    self.end_by_status(call, id, to, &envelope, (Outcome::Ok, None));
                }
                None => self.leave_unanswered(call, &exchange, last_byte.at),
            }
        }
        let deleted = &*exchange.request.method == "DELETE" && (200..300).contains(&status);
        let unknown = status == 404 && exchange.request.fields.value(Field::SessionId).is_some();
        if deleted || unknown && !exchange.is_modern() {
            self.end_http_session(id, exchange.session);
        }
        let Some(connection) = self.connections.value_mut(&id) else { return };
        connection.way_mut(to).flow.forget_until(last_byte.position);
    }

    fn is_taken_back(&self, call: CallId) -> bool {
        self.calls.call(call).is_some_and(|open| open.doom.1 == Outcome::Cancelled)
    }

    fn forget_redirected(&mut self, call: CallId) {
        if let Some(open) = self.calls.close(call) {
            self.forget_call(open.connection, call);
            self.leave_session(open.session, call);
        }
    }

    /// The response is over and has no answer to the call: it may still come on another connection.
    fn leave_unanswered(&mut self, call: CallId, exchange: &Exchange, at: Timestamp) {
        let accepted = exchange.response.as_ref().is_some_and(|response| response.status == 202);
        let is_unknown = exchange.response.as_ref().is_some_and(|it| it.damaged && it.status == 0);
        if exchange.session.is_some() && accepted {
            return; // HTTP+SSE of 2024: the answer comes on the event stream
        }
        let modern = self.calls.call(call).is_some_and(|open| is_modern(open.revision.as_deref()))
            || exchange.is_modern();
        if accepted
            && !modern
            && let Some(open) = self.calls.call_mut(call)
        {
            open.transport = Transport::HttpSse; // no other accepts a request
            if let Some(connection) = self.connections.value_mut(&open.connection) {
                connection.accepts = Some(hash(&exchange.request.target));
            }
        }
        let (until, outcome) = match exchange.session {
            _ if modern => (at, Outcome::Cancelled),
            Some(_) => (at.after(self.settings.limits.resume_for), Outcome::Abandoned),
            None if accepted || is_unknown => (at.after(self.settings.limits.resume_for), Outcome::Abandoned),
            None => (at, Outcome::Abandoned),
        };
        self.calls.doom(call, until, outcome);
    }

    /// The server has agreed to go on in another protocol; `to` is the client.
    pub(super) fn upgrade(&mut self, id: ConnectionId, to: End, protocol: Protocol) {
        let Some(connection) = self.connections.value_mut(&id) else { return };
        match protocol {
            Protocol::Http2 => connection.exchanges.upgrade(),
            Protocol::WebSocket(_) | Protocol::Attached => drop(connection.exchanges.end()),
        }
        if let Some(reader) = &mut connection.way_mut(to.other()).reader {
            reader.upgrade(protocol);
        }
        match protocol {
            Protocol::Http2 => {}
            Protocol::WebSocket(_) => self.upgrade_to(id, Transport::WebSocket),
            Protocol::Attached => self.upgrade_to(id, Transport::Stdio),
        }
    }

    /// A connection that began as HTTP carries messages in another way from now on.
    pub(super) fn upgrade_to(&mut self, id: ConnectionId, transport: Transport) {
        if let Some(connection) = self.connections.value_mut(&id) {
            connection.upgraded = Some(transport);
        }
    }

    /// The peer of `to` ends a stream of HTTP/2 before its time.
    pub(super) fn reset_exchange(&mut self, id: ConnectionId, to: End) {
        let Some(connection) = self.connections.value_mut(&id) else { return };
        let (Some(stream), exchange) = (connection.exchanges.selected(), connection.exchanges.end()) else {
            return;
        };
        if let Some(reader) = &mut connection.way_mut(to.other()).reader {
            reader.forget_stream(stream);
        }
        if let Some(exchange) = exchange {
            self.abandon_exchange(id, &exchange, self.now);
        }
    }

    pub(super) fn abandon_exchange(&mut self, id: ConnectionId, exchange: &Exchange, at: Timestamp) {
        for call in self.calls_of(id, exchange.number) {
            self.leave_unanswered(call, exchange, at);
        }
    }

    /// The reader at `to` met the end of the connection.
    pub(super) fn end_http(&mut self, id: ConnectionId, to: End, at: Timestamp) {
        let Some(connection) = self.connections.value_mut(&id) else { return };
        // What the server has sent before an end was closed may not have been read yet: it still finds its request.
        let is_read_to_the_end = connection.client == Some(to);
        let limits = &self.settings.limits;
        let at = match connection.streams.len() {
            _ if is_read_to_the_end => at,
            // What this end sent inside TLS has been read here too.
            _ if matches!(connection.medium, Medium::Tls(_)) => at,
            // The client's end is on this host and tells when it is over; until then it may read, however slowly.
            2.. => at.after(limits.resume_for),
            _ => at.after(limits.held_for),
        };
        let mut exchanges = std::mem::take(&mut connection.exchanges);
        for exchange in exchanges.iter() {
            self.abandon_exchange(id, exchange, at);
            if self.http_transport(exchange.session) == Transport::HttpSse
                && &*exchange.request.method == "GET"
            {
                self.end_http_session(id, exchange.session);
            }
        }
        if is_read_to_the_end {
            exchanges.drop_all_but(0).for_each(drop);
        }
        if let Some(connection) = self.connections.value_mut(&id) {
            connection.exchanges = exchanges;
        }
    }

    /// A response was lost and where the next begins is not known yet: by then there may be a newer request.
    pub(super) fn misalign(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.value_mut(&id) {
            connection.misaligned = true;
        }
    }

    /// Bytes towards `to` were skipped on purpose. Where these were requests, the open exchanges are over; where
    /// responses, the next one is that of the newest request.
    pub(super) fn restart_exchanges(&mut self, id: ConnectionId, to: End) {
        let Some(connection) = self.connections.value(&id) else { return };
        if connection.client != Some(to) {
            return self.give_exchanges_up(id, 0);
        }
        if connection.exchanges.selected().is_none() {
            self.misalign(id);
        }
        if self.is_answered_in_the_hole(id, to)
            && let Some(exchange) = self.connections.value_mut(&id).and_then(|it| it.exchanges.answering())
        {
            exchange.answered_unseen = true;
        }
        self.give_exchanges_up(id, 1);
    }

    /// All but the newest `keep` exchanges end, and their responses were not seen: these may have accepted what is
    /// answered on an event stream.
    pub(super) fn give_exchanges_up(&mut self, id: ConnectionId, keep: usize) {
        let Some(connection) = self.connections.value_mut(&id) else { return };
        let exchanges: Vec<_> = connection.exchanges.drop_all_but(keep).collect();
        for exchange in exchanges {
            let waits = exchange.session.is_none() && may_be_of_2024(&exchange.request);
            let until = if waits { self.now.after(self.settings.limits.resume_for) } else { self.now };
            self.abandon_exchange(id, &exchange, until);
        }
    }
}

fn is_event_stream(exchange: &Exchange) -> bool {
    let response = exchange.response.as_ref();
    response
        .and_then(|head| head.fields.value(Field::ContentType))
        .is_some_and(|kind| kind.contains("event-stream"))
}

/// Whether a revision is of the stateless era, in which a closed response is a cancellation.
fn is_modern(revision: Option<&str>) -> bool {
    revision.is_some_and(|revision| revision >= "2026-07-28")
}
