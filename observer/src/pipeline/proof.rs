//! What may be claimed where bytes are missing.
//!
//! A hole may hold anything: the end of one message and the beginning of another, a request, its answer, a
//! cancellation. So much is certain nonetheless, and no more is said:
//!
//! * **What was read was said.** A member that stands before a hole is the message's own; one that is in the hole is
//!   absent, never guessed.
//! * **What is left of a message is an answer if it shows a result or an error**, or is alone in the body of a response.
//! * **What is in a hole has no time.** A text that ends in one is `inferred`.
//! * **Only a frame that says how long it is goes on behind a hole** (an HTTP body, a chunk, a message of WebSocket).
//!   The end of a line may be that of another message: the call whose answer it may end is `inferred`, and a request
//!   has no time at which it was received.
//! * **Nothing is answered before it was asked.** An answer whose first byte is older than the request is another's.
//! * **An id proves a pair only as long as it cannot have been used twice**, see [`Ids`](super::pairing::ids::Ids).
//!   Where it can, an answer is nobody's if a request may have been lost since, or the request's own answer, or if the
//!   request was taken back and the answer is not known to have been sent before.
//! * **A response behind a hole belongs to the newest request**, if no newer one can have been lost, and unless it was
//!   the only one that can have been answered in the hole.
//! * **What is concluded from an absence holds only where nothing is missing**: the only open call is the one that is
//!   meant, the only wire the one that is answered, only if no other can have been lost.

use super::Pipeline;
use super::jsonrpc::{Id, Message, MessageId};
use super::observation::CallDirection;
use super::pairing::scope::{AskedBy, CallKey, Scope};
use super::pairing::{CallId, OpenCall};
use super::reader::Envelope;
use super::reassembly::Mark;
use super::reassembly::twin::{ConnectionId, End};
use super::transport::Field;

impl Pipeline {
    /// Whether an answer on lines, towards `to`, can be that of `call`, whose id it has.
    pub(super) fn may_answer(&self, id: ConnectionId, to: End, answer: &Envelope, call: CallId) -> bool {
        let Some(open) = self.calls.call(call) else { return false };
        open.first_byte.at <= answer.first_byte.at && !self.may_be_of_another(open, (id, to), answer)
    }

    /// Whether a request may have been lost that came after this one and had the same id.
    fn may_be_of_another(&self, open: &OpenCall, (id, to): (ConnectionId, End), answer: &Envelope) -> bool {
        let ids = |id: ConnectionId, to: End| self.connections.value(&id).map(|it| it.way(to).ids);
        let (Some(asked), Some(answered)) = (ids(open.connection, open.asker.other()), ids(id, to)) else {
            return false;
        };
        asked.may_have_repeated_behind(open.first_byte.position)
            || asked.may_repeat() && answered.are_torn_between(open.first_byte.at, answer.first_byte.position)
    }

    /// The call with this id, for an answer in an exchange, or in a session, on whatever connection the request came.
    pub(super) fn find_asked_in(
        &self,
        scope: (Scope, AskedBy),
        answer: &Envelope,
        id: &Id,
    ) -> Option<CallId> {
        let call = self.calls.find(&CallKey::new(scope.0, scope.1, id), id)?;
        let Scope::Session(session) = scope.0 else { return Some(call) };
        let (session, open) = (self.sessions.value(&session)?, self.calls.call(call)?);
        let (asked, answered) = match scope.1 {
            AskedBy::Server => (session.server_ids, session.client_ids),
            AskedBy::Client | AskedBy::End(_) => (session.client_ids, session.server_ids),
        };
        let since = open.first_byte.at;
        let is_lost = asked.may_repeat() && (asked.are_torn_since(since) || answered.are_torn_since(since));
        (since <= answer.first_byte.at && !is_lost).then_some(call)
    }

    /// Whether who asks uses its ids again, in what this call's answer is looked for in.
    pub(super) fn may_be_asked_again(&self, open: &OpenCall) -> bool {
        let session = open.session.and_then(|session| self.sessions.value(&session));
        let ids = match (session, open.direction) {
            (Some(session), CallDirection::ClientToServer) => Some(session.client_ids),
            (Some(session), CallDirection::ServerToClient) => Some(session.server_ids),
            (None, _) => self.connections.value(&open.connection).map(|it| it.way(open.asker.other()).ids),
        };
        ids.is_some_and(|ids| ids.may_repeat())
    }

    /// Whether a request may have been lost that came after the newest of the connection.
    pub(super) fn may_miss_the_newest_request(&self, id: ConnectionId, server: End) -> bool {
        let Some(connection) = self.connections.value(&id) else { return false };
        let way = connection.way(server);
        let newest = connection.exchanges.iter().last().and_then(|exchange| exchange.request.first_byte);
        way.flow.has_unread() || newest.is_some_and(|newest| way.ids.are_torn_behind(newest.position))
    }

    /// Whether the response to the one open request has begun in the hole, towards `to`, that was just found: all
    /// others were answered. That the hole only announced a response is as good as excluded.
    pub(super) fn is_answered_in_the_hole(&self, id: ConnectionId, to: End) -> bool {
        let Some(connection) = self.connections.value(&id) else { return false };
        let mut open = connection.exchanges.iter();
        let (Some(only), None) = (open.next(), open.next()) else { return false };
        let asked = only.request.first_byte.filter(|_| only.request.fields.value(Field::Expect).is_none());
        connection.way(to.other()).is_all_read()
            && asked.is_some_and(|asked| connection.way(to).ids.are_torn_since(asked.at))
    }

    /// Bytes towards `to` are missing: messages may have been in them, also of the connection's HTTP session.
    pub(super) fn tear(&mut self, id: ConnectionId, to: End, found: Mark) {
        let Some(connection) = self.connections.value_mut(&id) else { return };
        let way = connection.way_mut(to);
        let last = Mark { position: found.position.saturating_sub(1), ..found };
        // They were lost no later than they were sent, though that may have been noticed much later.
        let at = way.flow.sent_at(last).unwrap_or(found.at);
        let end = Mark { at, ..found };
        way.ids.tear(end);
        let by_client = connection.client != Some(to);
        let Some(session) = connection.session.and_then(|session| self.sessions.value_mut(&session)) else {
            return;
        };
        let ids = if by_client { &mut session.client_ids } else { &mut session.server_ids };
        ids.tear(end);
    }

    /// The one open call on these wires that an answer with a hole can belong to. Its id was not read where it stands,
    /// so it counts only where nothing else can be meant.
    pub(super) fn only_asked(
        &self,
        (id, to): (ConnectionId, End),
        envelope: &Envelope,
        answer: &Message,
    ) -> Option<CallId> {
        let wires = self.asked_wires(id, to);
        let open: Vec<CallId> = wires.iter().flat_map(|wire| self.asked_on(*wire)).collect();
        let [call] = open.as_slice() else { return None };
        let meant = self.calls.call(*call)?;
        let is_proven = match &answer.id {
            MessageId::Id(read) => *read == meant.id && !self.may_be_of_another(meant, (id, to), envelope),
            MessageId::Absent | MessageId::Null => wires.iter().all(|wire| self.is_wholly_read(*wire)),
        };
        is_proven.then_some(*call)
    }
}
