//! How an answer ends a call.
//!
//! Sources: JSON-RPC 2.0 §5; MCP `tools` pages ("Error Handling": two levels of failure); 2026-07-28 `resultType`.

use crate::pipeline::jsonrpc::{Kept, Member, Message, Shape};

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// A result.
    Ok,
    /// A result with `isError`.
    ToolError,
    /// A JSON-RPC error.
    RpcError,
    /// An HTTP status without a JSON-RPC answer.
    HttpError,
    /// The client took it back.
    Cancelled,
    /// The connection, the session or a process ended first, or the id was used again.
    Abandoned,
    /// No answer within the observer's own limit.
    Expired,
    /// The answer asks for more input (2026-07-28); the request comes again.
    InputRequired,
    /// The answer is a task whose result comes later.
    Task,
}

impl Outcome {
    /// The value of `outcome`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::ToolError => "tool_error",
            Self::RpcError => "rpc_error",
            Self::HttpError => "http_error",
            Self::Cancelled => "cancelled",
            Self::Abandoned => "abandoned",
            Self::Expired => "expired",
            Self::InputRequired => "input_required",
            Self::Task => "task",
        }
    }
}

/// The outcome that an answer to a request of this method means, with the error's code.
pub fn of_answer(method: &str, message: &Message) -> (Outcome, Option<i64>) {
    if message.shape() == Shape::Error {
        return (Outcome::RpcError, error_code(message));
    }
    if message.member(Member::IsError) == Some(&Kept::Bool(true)) {
        return (Outcome::ToolError, None);
    }
    let outcome = match message.string(Member::ResultType) {
        // Their answers hold a task, and make none.
        _ if method.starts_with("tasks/") => Outcome::Ok,
        Some("input_required") => Outcome::InputRequired,
        Some("task") => Outcome::Task,
        _ if message.member(Member::TaskId).is_some() => Outcome::Task,
        _ => Outcome::Ok,
    };
    (outcome, None)
}

fn error_code(message: &Message) -> Option<i64> {
    match message.member(Member::ErrorCode)? {
        Kept::Number(text) => text.parse().ok(),
        _ => None,
    }
}

/// The outcome of a call whose HTTP response ended without an answer to it: the error status, or for a response
/// whose bytes were lost nothing but success of the transport.
pub fn of_status(status: u16) -> Option<(Outcome, Option<i64>)> {
    (status >= 400).then(|| (Outcome::HttpError, Some(i64::from(status))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(members: Vec<(Member, Kept)>) -> Message {
        Message { has_result: true, members, ..Message::default() }
    }

    #[test]
    fn a_tools_own_failure_is_not_a_protocol_error() {
        let failed = result(vec![(Member::IsError, Kept::Bool(true))]);
        assert_eq!(of_answer("tools/call", &failed), (Outcome::ToolError, None));
        let fine = result(vec![(Member::IsError, Kept::Bool(false))]);
        assert_eq!(of_answer("tools/call", &fine), (Outcome::Ok, None));
    }

    #[test]
    fn interim_answers_are_not_final() {
        let interim = |kind: &str| result(vec![(Member::ResultType, Kept::String(kind.into()))]);
        assert_eq!(of_answer("tools/call", &interim("input_required")).0, Outcome::InputRequired);
        assert_eq!(of_answer("tools/call", &interim("task")).0, Outcome::Task);
        assert_eq!(of_answer("tools/call", &interim("complete")).0, Outcome::Ok);
        let task = result(vec![(Member::TaskId, Kept::String("t".into()))]);
        assert_eq!(of_answer("tools/call", &task).0, Outcome::Task);
        assert_eq!(of_answer("tasks/get", &task).0, Outcome::Ok, "it makes none");
    }

    #[test]
    fn an_error_keeps_its_code() {
        let error = Message {
            has_error: true,
            members: vec![(Member::ErrorCode, Kept::Number("-32602".into()))],
            ..Message::default()
        };
        assert_eq!(of_answer("tools/call", &error), (Outcome::RpcError, Some(-32602)));
        assert_eq!(of_status(502), Some((Outcome::HttpError, Some(502))));
        assert_eq!(of_status(200), None);
    }
}
