//! Subscriptions (2026-07-28): `subscriptions/listen` is answered by a stream of notifications, each with the id of
//! the request, and by a result at most at the very end. It lasts as long as somebody listens, so it is never late and
//! never abandoned: one that ends without a result was given up.

use super::Pipeline;
use super::jsonrpc::{Member, Message};
use super::lines::as_id;
use super::observation::Outcome;
use super::pairing::OpenCall;
use super::pairing::scope::{AskedBy, CallKey, Scope};
use super::reader::Envelope;
use super::reassembly::twin::{ConnectionId, End};

impl Pipeline {
    /// A notification of a subscription counts on it. The server may end one by cancelling the client's request, with
    /// or without a result before or after.
    pub(super) fn heed_subscription(
        &mut self,
        id: ConnectionId,
        to: End,
        envelope: &Envelope,
        message: &Message,
        receivers: &[(Scope, AskedBy)],
    ) {
        let find = |member| {
            let request = message.member(member).and_then(as_id)?;
            let call = receivers
                .iter()
                .find_map(|(scope, by)| self.calls.find(&CallKey::new(*scope, *by, &request), &request))?;
            self.calls.call(call).is_some_and(OpenCall::is_subscription).then_some(call)
        };
        if message.method.as_deref() == Some("notifications/cancelled") {
            if let Some(call) = find(Member::CancelledId) {
                let until = envelope.last_byte.at.after(self.settings.limits.held_for);
                self.calls.doom(call, until, Outcome::Cancelled);
            }
        } else if let Some(call) = find(Member::Subscription) {
            let at =
                self.connections.value(&id).and_then(|it| it.way(to).flow.received_at(envelope.first_byte));
            if let Some(open) = self.calls.call_mut(call) {
                open.notifications = open.notifications.saturating_add(1);
                open.first_answer_at = open.first_answer_at.or(at);
            }
        }
    }
}
