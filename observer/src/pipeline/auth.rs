//! How HTTP requests with MCP are let in: by which scheme, and whether.
//!
//! A client that is refused with its first request is counted too, although no server ever answers it in MCP: what it
//! posted is proof enough. What else is asked on the same connection (metadata, tokens) is not MCP and does not count.

use super::Pipeline;
use super::connection::{Connection, Label};
use super::observation::{Auth, AuthResult, Observation, Scheme};
use super::reassembly::twin::ConnectionId;
use super::transport::Field;
use super::transport::streamable_http::Exchange;

impl Pipeline {
    /// A message was posted in the exchange that is being asked.
    pub(super) fn note_posted(&mut self, id: ConnectionId) {
        let Some(exchange) = self.connections.value_mut(&id).and_then(|it| it.exchanges.asking()) else {
            return;
        };
        exchange.has_message = true;
        if exchange.response.is_some() {
            // Some servers refuse before they have read the body.
            self.tell_auth(id, |connection| connection.exchanges.asking());
        }
    }

    /// The response of the exchange that is being answered began.
    pub(super) fn note_response(&mut self, id: ConnectionId) {
        self.tell_auth(id, |connection| connection.exchanges.answering());
    }

    fn tell_auth(
        &mut self,
        id: ConnectionId,
        exchange: impl FnOnce(&mut Connection) -> Option<&mut Exchange>,
    ) {
        let Some(connection) = self.connections.value_mut(&id) else { return };
        if connection.label != Label::Mcp {
            return;
        }
        let Some(exchange) = exchange(connection) else { return };
        let status = exchange.response.as_ref().map_or(0, |response| response.status);
        let Some(result) = AuthResult::of_status(status) else { return };
        if !is_mcp(exchange) || std::mem::replace(&mut exchange.auth_told, true) {
            return;
        }
        let scheme = exchange.request.fields.value(Field::AuthorizationScheme).and_then(Scheme::from_name);
        let (scheme, session) = (scheme.unwrap_or(Scheme::None), exchange.session);
        let Some(connection) = self.connections.value(&id) else { return };
        if self.is_shown_by_the_server(connection) {
            return;
        }
        let auth = Auth {
            at: self.now,
            scheme,
            result,
            status,
            transport: self.http_transport(session),
            client: self.party(connection, true),
            server: self.party(connection, false),
        };
        self.observations.push_back(Observation::Auth(Box::new(auth)));
    }
}

/// Whether the request itself is MCP, and not only on a connection that carries it. The version's header proves
/// nothing: clients send it with their requests for metadata too.
fn is_mcp(exchange: &Exchange) -> bool {
    let names = [Field::SessionId, Field::McpMethod].into_iter();
    exchange.has_message
        || exchange.session.is_some()
        || names.into_iter().any(|field| exchange.request.fields.value(field).is_some())
}
