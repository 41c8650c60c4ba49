//! HTTP+SSE of 2024 whose event stream was opened before anybody looked: the address to post to was not seen.
//!
//! An answer on such a stream belongs to what the same client has posted to the same server, if just one open
//! request can be meant. From then on the stream and the address are known to belong together.

use super::Pipeline;
use super::connection::Label;
use super::jsonrpc::Id;
use super::pairing::CallId;
use super::pairing::scope::hash;
use super::reader::Envelope;
use super::reassembly::twin::{ConnectionId, End, Medium};
use super::transport::{Field, RequestHead, Transport};

impl Pipeline {
    /// The call that an answer on the event stream `id` ends, if it was posted before its address was known to belong to
    /// the stream. `to` is the client.
    pub(super) fn adopt_answer(
        &mut self,
        id: ConnectionId,
        to: End,
        answer: &Envelope,
        answer_id: &Id,
    ) -> Option<CallId> {
        let stream = self.connections.value(&id)?;
        let exchange = stream.exchanges.front();
        // A response to what was asked in a hole may be one to a post.
        let is_shared = match exchange {
            Some(exchange) => &*exchange.request.method == "GET",
            None => stream.way(to.other()).is_all_read(),
        };
        if !is_shared {
            return None;
        }
        let known = exchange.and_then(|exchange| exchange.session);
        // Streams of HTTP/2 are on one connection.
        let own = stream.exchanges.selected().map(|_| id);
        let mut meant = self
            .of_same_parties(id, to)
            .into_iter()
            .chain(own)
            .flat_map(|connection| self.posted_calls(connection, answer_id))
            .filter(|(_, session)| known.is_none_or(|known| known == *session));
        let (call, session) = meant.next()?;
        if meant.next().is_some() || !self.may_answer(id, to, answer, call) {
            return None;
        }
        let target = self.calls.call(call)?.posted_to.as_ref().map(|head| head.target.clone());
        self.meet_session(session, Transport::HttpSse, &target?);
        if let Some(open) = self.calls.call_mut(call) {
            open.transport = Transport::HttpSse;
            open.session = Some(session);
            open.whole = false; // the heads of its answer's stream are not known
        }
        let posted_on = self.calls.call(call)?.connection;
        if self.label(posted_on) == Label::Mcp {
            self.set_label(id, Label::Mcp);
        }
        let stream = self.connections.value_mut(&id)?;
        stream.client = Some(to);
        stream.session = Some(session);
        self.begin_unseen_stream(id);
        let stream = self.connections.value_mut(&id)?;
        stream.exchanges.answering()?.session = Some(session);
        Some(call)
    }

    /// The request of an event stream was not seen, if there is none.
    pub(super) fn begin_unseen_stream(&mut self, id: ConnectionId) {
        let limits = &self.settings.limits;
        let stream = self.connections.value_mut(&id).filter(|stream| stream.exchanges.front().is_none());
        if let Some(stream) = stream {
            let head = RequestHead { method: "GET".into(), damaged: true, ..RequestHead::default() };
            let _ = stream.exchanges.begin(Box::new(head), limits.http_pipeline, &limits.buffers);
        }
    }

    /// Connections between the same client and server as this one.
    fn of_same_parties(&self, id: ConnectionId, client: End) -> Vec<ConnectionId> {
        let Some(stream) = self.connections.value(&id) else { return Vec::new() };
        let near = stream.process(client).or_else(|| stream.process(client.other()));
        let Some(near) = near else { return Vec::new() };
        let all = self.wires.of_process(near).filter(|other| *other != id);
        let same = |other: &ConnectionId| {
            let Some(connection) = self.connections.value(other) else { return false };
            match (&stream.medium, &connection.medium) {
                (Medium::Tcp(stream), Medium::Tcp(posts)) => {
                    let ends = |ends: &[std::net::SocketAddr; 2], client: End| match client {
                        End::A => (ends[0].ip(), ends[1]),
                        End::B => (ends[1].ip(), ends[0]),
                    };
                    connection.client.is_some_and(|end| ends(stream, client) == ends(posts, end))
                }
                (Medium::Tls(_), Medium::Tls(_)) | (Medium::Unix, Medium::Unix) => true,
                _ => false,
            }
        };
        all.take(MOST_CONNECTIONS).filter(same).collect()
    }

    /// The open calls with this id that were posted on `connection` to an address of their own session.
    fn posted_calls(&self, id: ConnectionId, answer_id: &Id) -> Vec<(CallId, u64)> {
        let Some(connection) = self.connections.value(&id) else { return Vec::new() };
        let Some(server) = connection.client.map(End::other) else { return Vec::new() };
        let posted = |call: &CallId| {
            let open =
                self.calls.call(*call).filter(|open| open.id == *answer_id && open.session.is_none())?;
            let posted = open.posted_to.as_deref()?;
            let key = self.server_key(id, server, posted);
            Some((*call, hash(&(key, &*posted.target, "endpoint"))))
        };
        connection.calls.iter().filter_map(posted).collect()
    }
}

/// Whether a request may be posted to the address of an event stream of 2024: one with a session in it, and nothing
/// that is younger.
pub(super) fn may_be_of_2024(head: &RequestHead) -> bool {
    let younger = [Field::SessionId, Field::McpMethod].into_iter().any(|f| head.fields.value(f).is_some());
    !younger && head.target.contains('?') && &*head.method == "POST"
}

/// Connections of one process that are looked at for one answer.
const MOST_CONNECTIONS: usize = 256;
