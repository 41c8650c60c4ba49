//! What may be claimed where bytes are missing.
//!
//! A hole may hold anything: the end of one message and the beginning of another, a request, its answer, a
//! cancellation. So much is certain nonetheless, and no more is said:
//!
//! * **What was read was said.** A member that stands before a hole is the message's own; one that is in the hole is
//!   absent, never guessed.
//! * **Only a frame that says how long it is goes on behind a hole** (an HTTP body, a chunk, a message of WebSocket).
//!   The end of a line may be that of another message: the call whose answer it may end is `inferred`, and a request
//!   has no time at which it was received.
//! * **Nothing is answered before it was asked.** An answer whose first byte is older than the request is another's.
//! * **An id proves a pair only as long as it cannot have been used twice**, see [`Ids`](super::pairing::ids::Ids).
//!   Where it can, and where a request may have been lost since, an answer is nobody's.
//! * **What is concluded from an absence holds only where nothing is missing**: the only open call is the one that is
//!   meant, the only wire the one that is answered, only if no other can have been lost.

use super::Pipeline;
use super::jsonrpc::{Message, MessageId};
use super::pairing::scope::{AskedBy, Scope};
use super::pairing::{CallId, OpenCall};
use super::reader::Envelope;
use super::reassembly::stdio_pair::Wire;
use super::reassembly::twin::{ConnectionId, End};

impl Pipeline {
    /// Whether an answer on lines can be that of `call`, whose id it has.
    pub(super) fn may_answer(&self, answer: &Envelope, call: CallId) -> bool {
        let Some(open) = self.calls.call(call) else { return false };
        open.first_byte.at <= answer.first_byte.at && !self.may_be_of_another(open)
    }

    /// Whether a request may have been lost that came after this one and had the same id.
    fn may_be_of_another(&self, open: &OpenCall) -> bool {
        let way = self.connections.value(&open.connection).map(|asked| asked.way(open.asker.other()));
        way.is_some_and(|way| way.ids.may_have_repeated(open.first_byte.at))
    }

    /// The same for an answer that is found by its session, on whatever connection the request came.
    pub(super) fn may_be_of_another_in(&self, (scope, by): (Scope, AskedBy), call: CallId) -> bool {
        let Scope::Session(session) = scope else { return false };
        let (Some(session), Some(open)) = (self.sessions.value(&session), self.calls.call(call)) else {
            return false;
        };
        let ids = if by == AskedBy::Server { session.server_ids } else { session.client_ids };
        ids.may_have_repeated(open.first_byte.at)
    }

    /// Bytes towards `to` are missing: requests may have been in them that belong to the connection's HTTP session.
    pub(super) fn tear_session(&mut self, id: ConnectionId, to: End) {
        let Some(connection) = self.connections.value(&id) else { return };
        let by_client = connection.client != Some(to);
        let Some(session) = connection.session.and_then(|session| self.sessions.value_mut(&session)) else {
            return;
        };
        let ids = if by_client { &mut session.client_ids } else { &mut session.server_ids };
        ids.tear(self.now);
    }

    /// The one open call on these wires that an answer with a hole can belong to. Its id was not read where it stands,
    /// so it counts only where nothing else can be meant.
    pub(super) fn only_asked(&self, wires: &[Wire], answer: &Message) -> Option<CallId> {
        let open: Vec<CallId> = wires.iter().flat_map(|wire| self.asked_on(*wire)).collect();
        let [call] = open.as_slice() else { return None };
        let meant = self.calls.call(*call)?;
        let is_proven = match &answer.id {
            MessageId::Id(read) => *read == meant.id && !self.may_be_of_another(meant),
            MessageId::Absent | MessageId::Null => wires.iter().all(|wire| self.is_wholly_read(*wire)),
        };
        is_proven.then_some(*call)
    }
}
