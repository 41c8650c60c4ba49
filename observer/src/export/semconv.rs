//! OpenTelemetry's conventions for MCP: what a call is called there.
//!
//! Follows the GenAI semantic conventions, `docs/gen-ai/mcp.md`, of 2026-10.

use std::borrow::Cow;

use crate::pipeline::observation::{Call, Outcome, Subject, Transport};

/// Buckets of the operation durations, in seconds.
pub const OPERATION_BUCKETS: &[f64] =
    &[0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0];

/// Methods whose duration says how long somebody listened or waited, not how long work took.
const WAITING: &[&str] = &["subscriptions/listen", "tasks/result", "tasks/get"];

/// JSON-RPC codes that stand for a fault of the asking side.
const FAULTS_OF_THE_ASKER: &[i64] = &[-32700, -32600, -32601, -32602, -32002];

/// JSON-RPC codes with a meaning in the specification, besides the faults of the asker.
const KNOWN_CODES: &[i64] = &[-32603, -32000, -32001, -32042, -32020, -32021, -32022, -1];

/// `error.type` for a class without a name, and for what is over a limit.
pub const OTHER_ERROR: &str = "_OTHER";

/// Whose view is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vantage {
    /// The asking party: `mcp.client.*`.
    Client,
    /// The asked party: `mcp.server.*`.
    Server,
}

/// `error.type`, absent on success.
pub fn error_type(call: &Call, vantage: Vantage) -> Option<Cow<'static, str>> {
    Some(match call.outcome {
        Outcome::Ok | Outcome::InputRequired | Outcome::Task => return None,
        Outcome::ToolError => "tool_error".into(),
        // How every subscription ends that its server does not end.
        Outcome::Cancelled if &*call.method == "subscriptions/listen" => return None,
        Outcome::Cancelled => "cancelled".into(),
        Outcome::Abandoned => "abandoned".into(),
        Outcome::Expired => "timeout".into(),
        Outcome::RpcError => match call.error_code {
            Some(code) if vantage == Vantage::Server && FAULTS_OF_THE_ASKER.contains(&code) => return None,
            Some(code) => bounded_code(code),
            None => OTHER_ERROR.into(),
        },
        Outcome::HttpError => match call.error_code {
            Some(status @ 100..=599) => status.to_string().into(),
            _ => OTHER_ERROR.into(),
        },
    })
}

/// `rpc.response.status_code`: the JSON-RPC error code.
pub fn rpc_status_code(call: &Call) -> Option<Cow<'static, str>> {
    (call.outcome == Outcome::RpcError).then_some(call.error_code).flatten().map(bounded_code)
}

/// Applications choose their own codes; only those with a common meaning become label values.
fn bounded_code(code: i64) -> Cow<'static, str> {
    let known = FAULTS_OF_THE_ASKER.contains(&code) || KNOWN_CODES.contains(&code);
    if known { code.to_string().into() } else { OTHER_ERROR.into() }
}

/// `gen_ai.operation.name`.
pub fn operation_name(call: &Call) -> &'static str {
    if &*call.method == "tools/call" { "execute_tool" } else { "" }
}

/// `network.transport`. A socket pair for stdio counts as a pipe: the convention means stdio.
pub const fn network_transport(transport: Transport) -> &'static str {
    match transport {
        Transport::Stdio => "pipe",
        Transport::StreamableHttp | Transport::HttpSse | Transport::WebSocket => "tcp",
    }
}

/// `network.protocol.name`.
pub const fn network_protocol_name(transport: Transport) -> &'static str {
    match transport {
        Transport::Stdio => "",
        Transport::StreamableHttp | Transport::HttpSse => "http",
        Transport::WebSocket => "websocket",
    }
}

/// The tool, if the call is about one.
pub fn tool(call: &Call) -> Option<&str> {
    match &call.subject {
        Some(Subject::Tool(name)) => Some(name),
        _ => None,
    }
}

/// The prompt, if the call is about one.
pub fn prompt(call: &Call) -> Option<&str> {
    match &call.subject {
        Some(Subject::Prompt(name)) => Some(name),
        _ => None,
    }
}

/// Whether the call's duration is a latency: it did not wait for others and its answer was the final one.
pub fn has_latency(call: &Call) -> bool {
    !WAITING.contains(&&*call.method) && !matches!(call.outcome, Outcome::InputRequired | Outcome::Task)
}

/// Whether the other side answered the call with a result, so that the names in it can be trusted to exist.
pub const fn is_answered(call: &Call) -> bool {
    matches!(call.outcome, Outcome::Ok | Outcome::ToolError | Outcome::InputRequired | Outcome::Task)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::testing::call;

    fn types(outcome: Outcome, code: Option<i64>) -> [Option<String>; 2] {
        let call = Call { outcome, error_code: code, ..call() };
        [Vantage::Client, Vantage::Server].map(|vantage| error_type(&call, vantage).map(Cow::into_owned))
    }

    #[test]
    fn the_fault_of_the_asker_is_no_error_of_the_server() {
        assert_eq!(types(Outcome::RpcError, Some(-32602)), [Some("-32602".into()), None]);
        assert_eq!(types(Outcome::RpcError, Some(-32603)), [Some("-32603".into()), Some("-32603".into())]);
        assert_eq!(types(Outcome::RpcError, Some(-32020)), [Some("-32020".into()), Some("-32020".into())]);
    }

    #[test]
    fn every_outcome_has_its_type() {
        let both = |name: &str| [Some(name.to_owned()), Some(name.to_owned())];
        assert_eq!(types(Outcome::Ok, None), [None, None]);
        assert_eq!(types(Outcome::InputRequired, None), [None, None]);
        assert_eq!(types(Outcome::Task, None), [None, None]);
        assert_eq!(types(Outcome::ToolError, None), both("tool_error"));
        assert_eq!(types(Outcome::HttpError, Some(503)), both("503"));
        assert_eq!(types(Outcome::HttpError, None), both("_OTHER"));
        assert_eq!(types(Outcome::RpcError, Some(123_456)), both("_OTHER"));
        assert_eq!(types(Outcome::Cancelled, None), both("cancelled"));
        assert_eq!(types(Outcome::Expired, None), both("timeout"));
        let heard = Call { method: "subscriptions/listen".into(), outcome: Outcome::Cancelled, ..call() };
        assert_eq!(error_type(&heard, Vantage::Client), None, "nobody listens any more");
    }

    #[test]
    fn waiting_is_no_latency() {
        let of = |method: &str, outcome| has_latency(&Call { method: method.into(), outcome, ..call() });
        assert!(of("tools/call", Outcome::Ok));
        assert!(!of("tools/call", Outcome::InputRequired));
        assert!(!of("tools/call", Outcome::Task));
        assert!(!of("subscriptions/listen", Outcome::Ok));
        assert!(!of("tasks/result", Outcome::Ok));
    }
}
