//! One head or message of an HTTP connection: Streamable HTTP of all revisions, and HTTP+SSE of 2024.
//!
//! An answer is looked for in its own exchange first, then in the session: in revisions up to 2025-11-25 it may
//! come on another connection.

use super::Pipeline;
use super::completion::Answer;
use super::connection::Label;
use super::jsonrpc::{Message, MessageId, Shape};
use super::mcp::meta;
use super::observation::{CallDirection, Transport};
use super::pairing::scope::{AskedBy, Scope, hash};
use super::pairing::{CallId, OpenCall};
use super::private::Private;
use super::reader::Envelope;
use super::reassembly::twin::{ConnectionId, End, Medium};
use super::transport::http_sse::endpoint_target;
use super::transport::streamable_http::{is_mcp, may_be_mcp, mcp_name};
use super::transport::{Carrier, Field, RequestHead, ResponseHead};
use super::unseen_endpoint::may_be_of_2024;

impl Pipeline {
    /// The head of a request that came towards `to`.
    pub(super) fn take_request_head(&mut self, id: ConnectionId, to: End, head: Box<RequestHead>) {
        if is_mcp(&head) {
            self.set_label(id, Label::Mcp);
        }
        self.notice_span_export(id, to.other(), &head);
        let session = self.session_of(id, to, &head);
        if let (Some(session), Some(name)) = (session, head.fields.value(Field::SessionId)) {
            self.meet_session(session, Transport::StreamableHttp, name);
        }
        let multiplexed = self.connections.value(&id).is_some_and(|c| c.exchanges.selected().is_some());
        let may_be_mcp = may_be_mcp(&head);
        if !may_be_mcp && !multiplexed && self.label(id) != Label::Mcp {
            self.ignore(id);
        } else if session.is_some() {
            self.set_label(id, Label::Mcp); // only sessions that are known have a number
        }
        let (limits, payloads) = (&self.settings.limits, self.settings.payloads);
        let Some(connection) = self.connections.value_mut(&id) else { return };
        connection.client = Some(to.other());
        let limit = if multiplexed {
            // Other requests may follow on the same connection, so it is not judged by the first.
            if may_be_mcp {
                connection.way_mut(to).unread = 0;
            }
            limits.http2_streams
        } else {
            connection.way_mut(to).unread = 0;
            connection.way_mut(to.other()).reader(limits, payloads).expect_response(&head.method, limits);
            limits.http_pipeline
        };
        connection.session = session.or(connection.session);
        let dropped = connection.exchanges.begin(head, limit, &limits.buffers);
        if let Some(exchange) = connection.exchanges.asking() {
            exchange.session = session.or(exchange.session);
        }
        if let Some(exchange) = dropped {
            self.abandon_exchange(id, &exchange, self.now);
        }
    }

    /// The session that a request belongs to: by its session header, or by the address that it is posted to.
    fn session_of(&self, id: ConnectionId, to: End, head: &RequestHead) -> Option<u64> {
        if head.fields.value(Field::McpMethod).is_some() {
            return None; // the stateless era: a session's header is left aside
        }
        if let Some(session) = head.fields.value(Field::SessionId) {
            return Some(hash(&(self.server_key(id, to, head), session)));
        }
        let endpoint = hash(&(self.server_key(id, to, head), &*head.target, "endpoint"));
        self.sessions.value(&endpoint).is_some().then_some(endpoint)
    }

    /// Tells servers apart: the same session id or path may be in use at several, and a gateway may hand a
    /// session id on.
    pub(super) fn server_key(&self, id: ConnectionId, server: End, head: &RequestHead) -> u64 {
        let Some(connection) = self.connections.value(&id) else { return 0 };
        let host = head.fields.value(Field::Host);
        match connection.medium {
            Medium::Tcp([a, b]) => hash(&if server == End::A { a } else { b }),
            // Each end of a TLS connection is read on its own: they must not share a session.
            Medium::Tls(_) => hash(&(host, connection.process(End::A))),
            Medium::Unix | Medium::Pipe { .. } => hash(&host),
        }
    }

    pub(super) fn take_response_head(&mut self, id: ConnectionId, to: End, head: Box<ResponseHead>) {
        if self.connections.value_mut(&id).is_some_and(|it| std::mem::take(&mut it.misaligned)) {
            let newest = self.connections.value(&id).and_then(|it| it.exchanges.iter().last());
            let is_anothers = newest.is_some_and(|newest| newest.answered_unseen)
                || self.may_miss_the_newest_request(id, to.other());
            self.give_exchanges_up(id, usize::from(!is_anothers));
        }
        let session = head.fields.value(Field::SessionId).map(str::to_owned);
        let Some(connection) = self.connections.value(&id) else { return };
        let server = connection.client.unwrap_or(End::A).other();
        let key = connection.exchanges.front().map(|exchange| self.server_key(id, server, &exchange.request));
        if session.is_some() {
            self.set_label(id, Label::Mcp);
        }
        let Some(connection) = self.connections.value_mut(&id) else { return };
        connection.way_mut(server.other()).unread = 0;
        if head.status >= 300
            && connection.exchanges.iter().count() == 1
            && let Some(reader) = &mut connection.way_mut(server).reader
        {
            reader.refuse_body();
        }
        let Some(exchange) = connection.exchanges.answering() else { return };
        exchange.response = Some(head);
        if let (Some(key), Some(name)) = (key, session) {
            let session = hash(&(key, name.as_str()));
            exchange.session = Some(session);
            self.meet_session(session, Transport::StreamableHttp, &name);
        }
        self.note_response(id);
    }

    /// The first event of an event stream of 2024 names the address to post to.
    pub(super) fn take_endpoint(&mut self, id: ConnectionId, text: &str) {
        self.begin_unseen_stream(id);
        let Some(connection) = self.connections.value(&id) else { return };
        let server = connection.client.unwrap_or(End::A).other();
        let Some(exchange) = connection.exchanges.front() else { return };
        let target = endpoint_target(text, &exchange.request.target);
        let key = self.server_key(id, server, &exchange.request);
        let session = hash(&(key, target.as_str(), "endpoint"));
        self.meet_session(session, Transport::HttpSse, &target);
        let Some(connection) = self.connections.value_mut(&id) else { return };
        connection.session = Some(session);
        if let Some(exchange) = connection.exchanges.answering() {
            exchange.session = Some(session);
        }
        self.note_response(id);
    }

    pub(super) fn http_transport(&self, session: Option<u64>) -> Transport {
        let session = session.and_then(|session| self.sessions.value(&session));
        session.map_or(Transport::StreamableHttp, |session| session.transport)
    }

    /// How a call travelled: what a server asked on an event stream whose session was found later went as that does,
    /// and what was posted to an address that only accepts was answered on one, though its own response was lost.
    pub(super) fn transport_of(&self, open: &OpenCall) -> Transport {
        let is_open = open.session.is_none() && open.transport == Transport::StreamableHttp;
        let Some(connection) = self.connections.value(&open.connection).filter(|_| is_open) else {
            return open.transport;
        };
        match (open.direction, connection.session, &open.posted_to) {
            (CallDirection::ServerToClient, Some(session), _) => self.http_transport(Some(session)),
            (CallDirection::ClientToServer, _, Some(head))
                if connection.accepts.is_some_and(|accepts| accepts == hash(&head.target)) =>
            {
                Transport::HttpSse
            }
            _ => open.transport,
        }
    }

    /// A message in the body of a request, towards the server at `to`.
    pub(super) fn take_posted(
        &mut self,
        id: ConnectionId,
        to: End,
        envelope: &Envelope,
        mut message: Message,
    ) {
        if !self.weigh(id, to, &message) {
            return;
        }
        if message.shape() != Shape::Unknown {
            self.note_posted(id);
        }
        let Some(exchange) = self.connections.value_mut(&id).and_then(|c| c.exchanges.asking()) else {
            return;
        };
        let (number, session, modern) = (exchange.number, exchange.session, exchange.is_modern());
        let damaged = exchange.request.damaged;
        let posted_to =
            (session.is_none() && may_be_of_2024(&exchange.request)).then(|| exchange.request.clone());
        let named = exchange.request.fields.value(Field::McpName).map(mcp_name);
        let headers = exchange.request.fields.chosen(&self.settings.limits.kept_headers);
        let version = exchange.request.fields.value(Field::ProtocolVersion).map(std::sync::Arc::<str>::from);
        // What a damaged head says of its session is unknown: it goes where others on the connection went.
        let before = self.connections.value(&id).and_then(|it| it.session).filter(|_| damaged);
        let transport = self.http_transport(session.or(before));
        let own = [Some((Scope::Exchange(id, number), AskedBy::Client)), client_scope(session)];
        match message.shape() {
            Shape::Request => {
                let direction = CallDirection::ClientToServer;
                let Some(mut call) = self.open_call(id, to, envelope, &mut message, direction, transport)
                else {
                    return;
                };
                call.exchange = Some(number);
                call.posted_to = posted_to;
                if let Some(connection) = self.connections.value(&id) {
                    let request = connection.exchanges.iter().find(|exchange| exchange.number == number);
                    let multiplexed = connection.exchanges.selected().is_some();
                    call.span.hear_http(request.map(|exchange| &*exchange.request), multiplexed);
                }
                if let (None, Some(name)) = (&call.subject, named) {
                    call.subject = meta::subject_named(&call.method, &name); // a hole was where the body has it
                }
                call.whole &= !damaged;
                call.headers = Private::new(headers);
                call.session = session.filter(|_| !modern);
                call.revision = call.revision.or(version);
                call.keys = own
                    .into_iter()
                    .flatten()
                    .flat_map(|(scope, by)| super::lines::keys(scope, by, &call))
                    .collect();
                match session.and_then(|session| self.sessions.value_mut(&session)) {
                    Some(session) => session.client_ids.note(&call.id),
                    None => {
                        let connection = self.connections.value_mut(&id);
                        connection.into_iter().for_each(|it| it.way_mut(to).ids.note(&call.id));
                    }
                }
                self.register(call);
                self.hear_request(id, session, &message);
            }
            Shape::Notification => {
                let senders: Vec<_> = own.into_iter().flatten().collect();
                let receivers: Vec<_> = server_scope(session).into_iter().collect();
                self.heed_notification(id, to, envelope, &message, &senders, &receivers);
                self.show_notification(id, envelope, &message, CallDirection::ClientToServer, transport);
            }
            // An answer to something that the server asked on an event stream.
            Shape::Success | Shape::Error => {
                let MessageId::Id(answer_id) = &message.id else { return };
                let asked = server_scope(session);
                let asked = asked.and_then(|asked| self.find_asked_in(asked, envelope, answer_id));
                match asked {
                    Some(call) => {
                        let answer = Answer { connection: id, to, envelope, message: &message };
                        self.answer(call, &answer);
                    }
                    None => self.unanswerable(id, to, envelope, Some(answer_id.clone()), transport),
                }
            }
            Shape::Unknown => {}
        }
    }

    fn hear_request(&mut self, id: ConnectionId, session: Option<u64>, message: &Message) {
        if let Some(connection) = self.connections.value_mut(&id) {
            connection.parties.hear_request(message);
        }
        if let Some(session) = session.and_then(|session| self.sessions.value_mut(&session)) {
            session.parties.hear_request(message);
        }
    }

    /// A message in the body of a response, towards the client at `to`.
    pub(super) fn take_replied(&mut self, id: ConnectionId, to: End, envelope: &Envelope, message: Message) {
        self.read_reply(id, to, envelope, message);
        self.note_replied(id);
    }

    fn read_reply(&mut self, id: ConnectionId, to: End, envelope: &Envelope, mut message: Message) {
        if !self.weigh(id, to, &message) {
            return;
        }
        let exchange = self.connections.value_mut(&id).and_then(|c| c.exchanges.answering());
        let (number, session, is_shared, refused) = exchange.map_or((None, None, false, false), |exchange| {
            // Only what was asked for with GET carries answers to what was posted elsewhere.
            let is_shared = &*exchange.request.method == "GET";
            let refused = exchange.response.as_ref().is_some_and(|response| response.status >= 400);
            (Some(exchange.number), exchange.session, is_shared, refused)
        });
        let transport = self.http_transport(session);
        let of_exchange = number.map(|number| Scope::Exchange(id, number));
        let of_session = client_scope(session.filter(|_| is_shared));
        let asked_by_client =
            [of_exchange.map(|scope| (scope, AskedBy::Client)), of_session].into_iter().flatten();
        match message.shape() {
            // What is left of it may be of a request or a notification. A body of its own is an answer whatever is left.
            Shape::Unknown if envelope.carrier != Carrier::HttpBody => {}
            Shape::Success | Shape::Error | Shape::Unknown => {
                let call = match &message.id {
                    MessageId::Id(answer_id) => asked_by_client
                        .clone()
                        .find_map(|asked| self.find_asked_in(asked, envelope, answer_id))
                        // Some servers have an id of their own for what they turn away unread.
                        .or_else(|| {
                            let number = number.filter(|_| refused && message.has_error && message.whole);
                            self.only_call(id, number?)
                        }),
                    // An error for a request that could not be read, or an answer whose id was lost.
                    MessageId::Null | MessageId::Absent => {
                        let orphan = message.has_error || !message.whole;
                        number.filter(|_| orphan).and_then(|number| self.only_call(id, number))
                    }
                };
                let answer = Answer { connection: id, to, envelope, message: &message };
                let adopted = match (call, &message.id, &envelope.carrier) {
                    (None, MessageId::Id(answer_id), Carrier::SseEvent { .. }) => {
                        self.adopt_answer(id, to, envelope, answer_id)
                    }
                    _ => None,
                };
                match (call.or(adopted), &message.id) {
                    (Some(call), _) => self.answer(call, &answer),
                    (None, MessageId::Id(answer_id)) if message.shape() != Shape::Unknown => {
                        let answer_id = answer_id.clone();
                        self.unanswerable(id, to, envelope, Some(answer_id), transport);
                    }
                    (None, _) => {}
                }
            }
            Shape::Request => self.ask_client(id, to, envelope, &mut message, number, session),
            Shape::Notification => {
                let receivers: Vec<_> = asked_by_client.collect();
                let senders: Vec<_> = server_scope(session).into_iter().collect();
                self.heed_notification(id, to, envelope, &message, &senders, &receivers);
                self.show_notification(id, envelope, &message, CallDirection::ServerToClient, transport);
            }
        }
    }

    /// The server asks the client, on an event stream.
    fn ask_client(
        &mut self,
        id: ConnectionId,
        to: End,
        envelope: &Envelope,
        message: &mut Message,
        exchange: Option<u64>,
        session: Option<u64>,
    ) {
        let transport = self.http_transport(session);
        let direction = CallDirection::ServerToClient;
        let Some(mut call) = self.open_call(id, to, envelope, message, direction, transport) else { return };
        let scope = server_scope(session)
            .or_else(|| exchange.map(|number| (Scope::Exchange(id, number), AskedBy::Server)));
        let Some((scope, by)) = scope else { return };
        let multiplexed = self.connections.value(&id).is_some_and(|it| it.exchanges.selected().is_some());
        call.span.hear_http(None, multiplexed);
        call.session = session;
        call.keys = super::lines::keys(scope, by, &call);
        if let Some(session) = session.and_then(|session| self.sessions.value_mut(&session)) {
            session.server_ids.note(&call.id);
        }
        self.register(call);
    }

    /// The one open call of an exchange.
    pub(super) fn only_call(&self, id: ConnectionId, exchange: u64) -> Option<CallId> {
        match self.calls_of(id, exchange).as_slice() {
            [only] => Some(*only),
            _ => None,
        }
    }

    pub(super) fn calls_of(&self, id: ConnectionId, exchange: u64) -> Vec<CallId> {
        let Some(connection) = self.connections.value(&id) else { return Vec::new() };
        let of_exchange =
            |call: &CallId| self.calls.call(*call).is_some_and(|open| open.exchange == Some(exchange));
        connection.calls.iter().copied().filter(of_exchange).collect()
    }
}

fn client_scope(session: Option<u64>) -> Option<(Scope, AskedBy)> {
    session.map(|session| (Scope::Session(session), AskedBy::Client))
}

fn server_scope(session: Option<u64>) -> Option<(Scope, AskedBy)> {
    session.map(|session| (Scope::Session(session), AskedBy::Server))
}
