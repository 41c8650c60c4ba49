//! The methods of all revisions, who sends each, and whether it proves MCP.
//!
//! Source: `schema/<revision>/schema.ts` of the specification, revisions 2024-11-05 to 2026-07-28.

use crate::pipeline::jsonrpc::names::{SLOTS, put, slot, start_of};

/// Who sends a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// Clients only.
    Client,
    /// Servers only.
    Server,
    /// Both.
    Either,
}

/// Who asked whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CallDirection {
    /// The usual one.
    ClientToServer,
    /// Sampling, elicitation, roots, ping.
    ServerToClient,
}

impl CallDirection {
    /// The value of `direction`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ClientToServer => "client_to_server",
            Self::ServerToClient => "server_to_client",
        }
    }
}

/// What is known of a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Method {
    /// Its name on the wire.
    pub name: &'static str,
    /// Who sends it.
    pub sender: Sender,
    /// Whether its name alone proves MCP: other protocols share `initialize`, `ping`, `tasks/*` and more.
    pub proof: bool,
}

const fn method(name: &'static str, sender: Sender, proof: bool) -> Method {
    Method { name, sender, proof }
}

/// All methods, by name.
pub const METHODS: &[Method] = &[
    method("completion/complete", Sender::Client, true),
    method("elicitation/create", Sender::Server, false),
    method("initialize", Sender::Client, false),
    method("logging/setLevel", Sender::Client, true),
    method("notifications/cancelled", Sender::Either, true),
    method("notifications/elicitation/complete", Sender::Server, true),
    method("notifications/initialized", Sender::Client, true),
    method("notifications/message", Sender::Server, true),
    method("notifications/progress", Sender::Either, true),
    method("notifications/prompts/list_changed", Sender::Server, true),
    method("notifications/resources/list_changed", Sender::Server, true),
    method("notifications/resources/updated", Sender::Server, true),
    method("notifications/roots/list_changed", Sender::Client, true),
    method("notifications/subscriptions/acknowledged", Sender::Server, true),
    method("notifications/tasks", Sender::Server, true),
    method("notifications/tasks/status", Sender::Either, true),
    method("notifications/tools/list_changed", Sender::Server, true),
    method("ping", Sender::Either, false),
    method("prompts/get", Sender::Client, true),
    method("prompts/list", Sender::Client, true),
    method("resources/list", Sender::Client, true),
    method("resources/read", Sender::Client, true),
    method("resources/subscribe", Sender::Client, true),
    method("resources/templates/list", Sender::Client, true),
    method("resources/unsubscribe", Sender::Client, true),
    method("roots/list", Sender::Server, true),
    method("sampling/createMessage", Sender::Server, true),
    method("server/discover", Sender::Client, false),
    method("subscriptions/listen", Sender::Client, false),
    method("tasks/cancel", Sender::Either, false),
    method("tasks/get", Sender::Either, false),
    method("tasks/list", Sender::Either, false),
    method("tasks/result", Sender::Either, false),
    method("tasks/update", Sender::Client, false),
    method("tools/call", Sender::Client, true),
    method("tools/list", Sender::Client, true),
];

/// The method of this name.
pub fn known(name: &str) -> Option<&'static Method> {
    let mut at = slot(0, start_of(name.as_bytes()), name.as_bytes());
    loop {
        let number = PLACES.get(at % SLOTS)?;
        let method = METHODS.get(usize::from(number.checked_sub(1)?))?;
        if method.name == name {
            return Some(method);
        }
        at += 1;
    }
}

/// The methods by their [`slot`]s, counted from 1; 0 where there is none.
static PLACES: [u8; SLOTS] = places();

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, where a wrong index is an error")]
const fn places() -> [u8; SLOTS] {
    let mut places = [0; SLOTS];
    let mut at = 0;
    while at < METHODS.len() {
        let name = METHODS[at].name.as_bytes();
        at += 1;
        put(&mut places, slot(0, start_of(name), name), at as u8);
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_is_found_by_its_name() {
        for method in METHODS {
            assert_eq!(known(method.name), Some(method));
        }
        assert_eq!(known("eth_call"), None);
    }
}
