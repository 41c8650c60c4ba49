//! How HTTP requests with MCP are let in: by which scheme, and whether.
//!
//! A client that is refused with its first request is counted too, although no server ever answers it in MCP: what it
//! posted is proof enough. What else is asked on the same connection (metadata, tokens) is not MCP and does not count.

use super::Pipeline;
use super::connection::Label;
use super::observation::{Auth, AuthResult, Observation, Scheme};
use super::reassembly::twin::ConnectionId;
use super::transport::Field;
use super::transport::streamable_http::Exchange;

impl Pipeline {
    /// A message was posted in the exchange that is being asked.
    pub(super) fn note_posted(&mut self, id: ConnectionId) {
        let is_mcp = self.label(id) == Label::Mcp;
        let connection = self.connections.value_mut(&id);
        let Some(exchange) = connection.and_then(|it| it.exchanges.asking()) else { return };
        exchange.has_message = true;
        // Some servers refuse before they have read the body.
        let known = if is_mcp { outcome(exchange, false) } else { None };
        self.tell_auth(id, known);
    }

    /// The response of the exchange that is being answered began.
    pub(super) fn note_response(&mut self, id: ConnectionId) {
        self.note_answering(id, false);
    }

    /// It has brought a message. What was served is told only now: by what was answered, the server is known.
    pub(super) fn note_replied(&mut self, id: ConnectionId) {
        self.note_answering(id, true);
    }

    fn note_answering(&mut self, id: ConnectionId, is_answered: bool) {
        if self.label(id) != Label::Mcp {
            return;
        }
        let connection = self.connections.value_mut(&id);
        let exchange = connection.and_then(|it| it.exchanges.answering());
        let known = exchange.and_then(|exchange| outcome(exchange, is_answered));
        self.tell_auth(id, known);
    }

    /// The exchange is over, perhaps without a message.
    pub(super) fn note_exchanged(&mut self, id: ConnectionId, exchange: &mut Exchange) {
        let known = outcome(exchange, true);
        self.tell_auth(id, known);
    }

    fn tell_auth(&mut self, id: ConnectionId, known: Option<Known>) {
        let (Some(known), Some(connection)) = (known, self.connections.value(&id)) else { return };
        if connection.label != Label::Mcp || self.is_shown_by_the_server(connection) {
            return;
        }
        let auth = Auth {
            at: self.now,
            scheme: known.scheme,
            result: known.result,
            status: known.status,
            transport: self.http_transport(known.session),
            client: self.party(connection, true),
            server: self.party(connection, false),
        };
        self.observations.push_back(Observation::Auth(Box::new(auth)));
    }
}

/// What is to be told of an exchange.
struct Known {
    scheme: Scheme,
    result: AuthResult,
    status: u16,
    session: Option<u64>,
}

/// What is to be told of an exchange by now, if it has not been. A stream that the client opens is served for as long
/// as it is open.
fn outcome(exchange: &mut Exchange, is_answered: bool) -> Option<Known> {
    let status = exchange.response.as_ref()?.status;
    let result = AuthResult::of_status(status)?;
    let is_due = is_answered || result != AuthResult::Accepted || &*exchange.request.method == "GET";
    if !is_due || !is_mcp(exchange) || std::mem::replace(&mut exchange.auth_told, true) {
        return None;
    }
    let scheme = exchange.request.fields.value(Field::AuthorizationScheme).and_then(Scheme::from_name);
    let scheme = scheme.unwrap_or(Scheme::None);
    Some(Known { scheme, result, status, session: exchange.session })
}

/// Whether the request itself is MCP, and not only on a connection that carries it. The version's header proves
/// nothing: clients send it with their requests for metadata too.
fn is_mcp(exchange: &Exchange) -> bool {
    let has = |field| exchange.request.fields.value(field).is_some();
    exchange.has_message || exchange.session.is_some() || has(Field::SessionId) || has(Field::McpMethod)
}
