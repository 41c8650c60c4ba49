//! OpenTelemetry's conventions for MCP: what a call is called there.
//!
//! Follows the GenAI semantic conventions, `docs/gen-ai/mcp.md`, of 2026-10.

use std::borrow::Cow;
use std::net::SocketAddr;

use super::labels::OTHER;
use crate::pipeline::mcp::method;
use crate::pipeline::observation::{Call, CallDirection, Outcome, Subject, Transport};

/// Attributes of `mcp.client.operation.duration`. Those of the server are the same without the last two.
pub const OPERATION: [Attribute; 11] = [
    closed("mcp.method.name", "mcp_method_name", |call, _| Some(method(call))),
    closed("error.type", "error_type", error_type),
    named("gen_ai.tool.name", "gen_ai_tool_name", Bound::Tool, |call, _| tool(call).map(Cow::from)),
    named("gen_ai.prompt.name", "gen_ai_prompt_name", Bound::Prompt, |call, _| prompt(call).map(Cow::from)),
    closed("gen_ai.operation.name", "gen_ai_operation_name", |call, _| known(operation_name(call))),
    closed("rpc.response.status_code", "rpc_response_status_code", |call, _| rpc_status_code(call)),
    named("mcp.protocol.version", "mcp_protocol_version", Bound::Revision, |call, _| {
        call.revision.as_deref().map(Cow::from)
    }),
    closed("network.transport", "network_transport", |call, _| known(network_transport(call.transport))),
    closed("network.protocol.name", "network_protocol_name", |call, _| {
        known(network_protocol_name(call.transport))
    }),
    named("server.address", "server_address", Bound::Address, |call, _| {
        asked_address(call).map(|address| address.ip().to_string().into())
    }),
    named("server.port", "server_port", Bound::Port, |call, _| {
        asked_address(call).map(|address| address.port().to_string().into())
    }),
];

/// Labels of `mcp_client_operation_duration_seconds`: the server, where it runs, and the attributes.
pub const CLIENT_OPERATION_LABELS: [&str; 14] = labels();
/// Labels of `mcp_server_operation_duration_seconds`.
pub const SERVER_OPERATION_LABELS: [&str; 12] = labels();
/// Labels of `mcp_client_session_duration_seconds`.
pub const CLIENT_SESSION_LABELS: [&str; 8] = [
    "server",
    "namespace",
    "pod",
    "mcp_protocol_version",
    "network_transport",
    "network_protocol_name",
    "server_address",
    "server_port",
];
/// Labels of `mcp_server_session_duration_seconds`.
pub const SERVER_SESSION_LABELS: [&str; 6] =
    ["server", "namespace", "pod", "mcp_protocol_version", "network_transport", "network_protocol_name"];

/// An attribute of an operation.
#[derive(Clone, Copy, Debug)]
pub struct Attribute {
    /// What OpenTelemetry calls it.
    pub name: &'static str,
    /// The label that it becomes.
    pub label: &'static str,
    /// What keeps its values few.
    pub bound: Bound,
    /// Its value, as one side sees it.
    pub value: fn(&Call, Vantage) -> Option<Cow<'_, str>>,
}

/// What keeps the values of an attribute few.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// The values are known beforehand.
    Closed,
    /// The caps of tools.
    Tool,
    /// The cap of prompts.
    Prompt,
    /// The cap of protocol revisions.
    Revision,
    /// The cap of addresses with their ports.
    Address,
    /// The same.
    Port,
}

type ValueOf = fn(&Call, Vantage) -> Option<Cow<'_, str>>;

const fn closed(name: &'static str, label: &'static str, value: ValueOf) -> Attribute {
    named(name, label, Bound::Closed, value)
}

const fn named(name: &'static str, label: &'static str, bound: Bound, value: ValueOf) -> Attribute {
    Attribute { name, label, bound, value }
}

/// `server`, where it runs, and the first attributes.
const fn labels<const N: usize>() -> [&'static str; N] {
    let mut labels = ["server"; N];
    [labels[1], labels[2]] = ["namespace", "pod"];
    let mut at = 3;
    while at < N {
        labels[at] = OPERATION[at - 3].label;
        at += 1;
    }
    labels
}

fn known(name: &'static str) -> Option<Cow<'static, str>> {
    Some(name).filter(|name| !name.is_empty()).map(Cow::from)
}

/// Buckets of the operation durations, in seconds.
pub const OPERATION_BUCKETS: &[f64] =
    &[0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0];

/// Methods whose duration says how long somebody listened or waited, not how long work took.
const WAITING: &[&str] = &["subscriptions/listen", "tasks/result", "tasks/get"];

/// JSON-RPC codes that stand for a fault of the asking side.
const FAULTS_OF_THE_ASKER: &[i64] = &[-32700, -32600, -32601, -32602, -32002];

/// JSON-RPC codes with a meaning in the specification, as text: nothing is to be made anew for each failed call.
const KNOWN_CODES: &[(i64, &str)] = &[
    (-32700, "-32700"),
    (-32600, "-32600"),
    (-32601, "-32601"),
    (-32602, "-32602"),
    (-32002, "-32002"),
    (-32603, "-32603"),
    (-32000, "-32000"),
    (-32001, "-32001"),
    (-32042, "-32042"),
    (-32020, "-32020"),
    (-32021, "-32021"),
    (-32022, "-32022"),
    (-1, "-1"),
];

/// What is between 100 and 599, as text.
static HTTP_STATUS: [[u8; 3]; 500] = {
    let mut digits = [[0; 3]; 500];
    let mut at = 0;
    while at < digits.len() {
        let status = at + 100;
        digits[at] =
            [b'0' + (status / 100) as u8, b'0' + (status / 10 % 10) as u8, b'0' + (status % 10) as u8];
        at += 1;
    }
    digits
};

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
        Outcome::HttpError => call.error_code.and_then(http_status).unwrap_or(OTHER_ERROR).into(),
    })
}

/// `rpc.response.status_code`: the JSON-RPC error code.
pub fn rpc_status_code(call: &Call) -> Option<Cow<'static, str>> {
    (call.outcome == Outcome::RpcError).then_some(call.error_code).flatten().map(bounded_code)
}

/// Applications choose their own codes; only those with a common meaning become label values.
fn bounded_code(code: i64) -> Cow<'static, str> {
    let known = KNOWN_CODES.iter().find(|(known, _)| *known == code);
    known.map_or(OTHER_ERROR, |(_, text)| text).into()
}

fn http_status(status: i64) -> Option<&'static str> {
    let at = usize::try_from(status).ok()?.checked_sub(100)?;
    HTTP_STATUS.get(at).and_then(|digits| str::from_utf8(digits).ok())
}

/// `mcp.method.name`, where it is one of the protocol's.
fn method(call: &Call) -> Cow<'static, str> {
    method_name(&call.method).into()
}

/// A method of the protocol, or [`OTHER`].
pub fn method_name(name: &str) -> &'static str {
    method::known(name).map_or(OTHER, |known| known.name)
}

/// `server.address` and `server.port`: of the side that is asked, where that is the one that listens.
pub fn asked_address(call: &Call) -> Option<SocketAddr> {
    call.server.address.filter(|_| call.direction == CallDirection::ClientToServer)
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
    call.subject.as_ref().and_then(Subject::tool)
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
        assert_eq!(types(Outcome::HttpError, Some(599)), both("599"));
        assert_eq!(types(Outcome::HttpError, Some(100)), both("100"));
        assert_eq!(types(Outcome::HttpError, Some(600)), both("_OTHER"));
        assert_eq!(types(Outcome::HttpError, None), both("_OTHER"));
        assert_eq!(types(Outcome::RpcError, Some(123_456)), both("_OTHER"));
        assert_eq!(types(Outcome::Cancelled, None), both("cancelled"));
        assert_eq!(types(Outcome::Expired, None), both("timeout"));
        let heard = Call { method: "subscriptions/listen".into(), outcome: Outcome::Cancelled, ..call() };
        assert_eq!(error_type(&heard, Vantage::Client), None, "nobody listens any more");
    }

    #[test]
    fn labels_are_the_mapped_names_of_attributes() {
        for attribute in OPERATION {
            assert_eq!(attribute.label, attribute.name.replace('.', "_"));
        }
        assert_eq!(CLIENT_OPERATION_LABELS[0], "server");
        assert_eq!(CLIENT_OPERATION_LABELS[13], "server_port");
        assert_eq!(SERVER_OPERATION_LABELS[11], "network_protocol_name");
        assert!(CLIENT_SESSION_LABELS.iter().all(|label| CLIENT_OPERATION_LABELS.contains(label)));
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
