//! What a message says for or against its stream being MCP. Positive evidence only makes it so; a look-alike's
//! own marks take the label away again.
//!
//! Near look-alikes: the Agent Client Protocol has MCP's framing, `initialize` and `clientInfo`, but an integer
//! `protocolVersion`; the Language Server Protocol has `initialize` with `processId`; A2A shares `tasks/*`.

use super::method::{self, Method};
use crate::pipeline::jsonrpc::{Kept, Member, Message, Shape};

/// What one message proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// It is MCP.
    Mcp,
    /// It may be.
    None,
    /// It is another protocol.
    Other,
}

/// First parts of method names of other protocols on JSON-RPC 2.0.
const OTHER_METHODS: &[&str] = &[
    "session/",
    "fs/",
    "terminal/",
    "$/",
    "textDocument/",
    "workspace/",
    "window/",
    "client/",
    "message/",
    "eth_",
    "net_",
    "web3_",
    "debug_",
    "trace_",
    "engine_",
    "state_",
    "chain_",
];

/// What `message` proves.
pub fn weigh(message: &Message) -> Evidence {
    let known = message.method.as_deref().and_then(method::known);
    if is_foreign(message, known) {
        return Evidence::Other;
    }
    if is_proof(message, known) { Evidence::Mcp } else { Evidence::None }
}

fn is_foreign(message: &Message, known: Option<&Method>) -> bool {
    let foreign_member =
        message.member(Member::LanguageServer).or(message.member(Member::AgentClient)).is_some();
    let integer_version = [Member::WantedVersion, Member::Version]
        .into_iter()
        .any(|member| matches!(message.member(member), Some(Kept::Number(_))));
    let unknown_method = message.method.as_deref().filter(|_| known.is_none());
    let foreign_method =
        unknown_method.is_some_and(|name| OTHER_METHODS.iter().any(|prefix| name.starts_with(prefix)));
    foreign_member || integer_version || foreign_method
}

fn is_proof(message: &Message, known: Option<&Method>) -> bool {
    if !message.says_jsonrpc {
        return false; // logs of MCP traffic have the same methods and ids, this observer's own output too
    }
    let has = |member| message.member(member).is_some();
    let date = |member| message.string(member).is_some_and(is_revision);
    match message.shape() {
        Shape::Request | Shape::Notification => {
            let name = message.method.as_deref().unwrap_or_default();
            let by_name = known.is_some_and(|method| method.proof);
            let by_version = name == "initialize" && date(Member::WantedVersion);
            message.params_are_object && (by_name || by_version || has(Member::MetaVersion))
        }
        Shape::Success => {
            (date(Member::Version) && has(Member::ServerName))
                || has(Member::MetaServerName)
                || (has(Member::SupportedVersions) && has(Member::ResultType))
        }
        Shape::Error | Shape::Unknown => false,
    }
}

/// Whether `text` is a revision of MCP: a date.
pub fn is_revision(text: &str) -> bool {
    text.len() == 10
        && text.bytes().enumerate().all(|(index, byte)| match index {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::jsonrpc::{Id, MessageId};

    fn request(method: &str, members: Vec<(Member, Kept)>) -> Message {
        Message {
            says_jsonrpc: true,
            method: Some(method.into()),
            id: MessageId::Id(Id::Number("1".into())),
            params_are_object: true,
            members,
            ..Message::default()
        }
    }

    fn string(text: &str) -> Kept {
        Kept::String(text.into())
    }

    #[test]
    fn initialize_counts_only_with_a_date() {
        let with = |version| weigh(&request("initialize", vec![(Member::WantedVersion, version)]));
        assert_eq!(with(string("2025-11-25")), Evidence::Mcp);
        assert_eq!(with(Kept::Number("1".into())), Evidence::Other, "Agent Client Protocol");
        assert_eq!(with(string("latest")), Evidence::None);
    }

    #[test]
    fn shared_methods_prove_nothing() {
        for method in ["ping", "tasks/get", "elicitation/create", "subscriptions/listen"] {
            assert_eq!(weigh(&request(method, vec![])), Evidence::None, "{method}");
        }
        assert_eq!(weigh(&request("tools/list", vec![])), Evidence::Mcp);
        let modern = vec![(Member::MetaVersion, string("2026-07-28"))];
        assert_eq!(weigh(&request("tasks/get", modern)), Evidence::Mcp);
    }

    #[test]
    fn a_log_of_mcp_is_not_mcp() {
        let logged = Message { says_jsonrpc: false, ..request("tools/call", vec![]) };
        assert_eq!(weigh(&logged), Evidence::None);
    }

    #[test]
    fn other_protocols_are_told_apart() {
        for method in ["eth_getBalance", "textDocument/didOpen", "session/new", "$/cancel_request"] {
            assert_eq!(weigh(&request(method, vec![])), Evidence::Other, "{method}");
        }
        let lsp = vec![(Member::LanguageServer, Kept::Number("7".into()))];
        assert_eq!(weigh(&request("initialize", lsp)), Evidence::Other);
        let mut array_params = request("tools/list", vec![]);
        array_params.params_are_object = false;
        assert_eq!(weigh(&array_params), Evidence::None);
    }
}
