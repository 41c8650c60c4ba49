//! The truth about the calls of one client: requests matched with their answers where the messages pass.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Who began something, with the names that the observer uses.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The client asked.
    ClientToServer,
    /// The server asked.
    ServerToClient,
}

impl Direction {
    fn reversed(self) -> Self {
        match self {
            Self::ClientToServer => Self::ServerToClient,
            Self::ServerToClient => Self::ClientToServer,
        }
    }
}

/// One line that a peer prints.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Line {
    /// Who takes part.
    Peer {
        /// The client's process.
        client_pid: u32,
        /// The server's process, where the client started it.
        #[serde(skip_serializing_if = "Option::is_none")]
        server_pid: Option<u32>,
    },
    /// A server accepts connections.
    Listening {
        /// Its process.
        pid: u32,
        /// Its TCP port.
        port: u16,
    },
    /// A request and how it ended.
    Call(Call),
}

impl Line {
    /// Prints the line at once, whole.
    pub fn print(&self) {
        let Ok(mut text) = serde_json::to_string(self) else { return };
        text.push('\n');
        // A reader that has gone is no reason to stop talking to the server.
        let _ = std::io::stdout().lock().write_all(text.as_bytes());
        let _ = std::io::stdout().lock().flush();
    }
}

/// A request and how it ended, as one peer saw it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Call {
    /// Who asked.
    pub direction: Direction,
    /// The client's process.
    pub client_pid: u32,
    /// The server's process, where the client started it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_pid: Option<u32>,
    /// JSON-RPC method.
    pub method: String,
    /// The tool of a `tools/call`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// JSON-RPC id, absent where the SDK does not tell it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Value>,
    /// What both had agreed to speak, or the request said it speaks; absent before that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// How it ended, in the observer's words.
    pub outcome: String,
    /// Progress notifications that came before the answer.
    #[serde(default)]
    pub progress: u64,
    /// From request to answer.
    pub duration_ms: f64,
    /// When the request was handed to the transport.
    pub start_unix_ns: u64,
    /// When the answer came out of it.
    pub end_unix_ns: u64,
}

/// Matches the requests of one session with their answers.
#[derive(Debug, Default)]
pub struct Ledger {
    server_pid: Option<u32>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    negotiated: Option<String>,
    open: BTreeMap<(Direction, String), Open>,
}

#[derive(Debug)]
struct Open {
    method: String,
    tool: Option<String>,
    id: Value,
    revision: Option<String>,
    progress_token: Option<Value>,
    progress: u64,
    started: Instant,
    start_unix_ns: u64,
}

impl Ledger {
    /// A ledger for a session of this process with a server that it started, or with another.
    pub fn new(server_pid: Option<u32>) -> Self {
        Self { server_pid, state: Mutex::default() }
    }

    /// Notes a message, or a batch of them, that went from client to server or back, and returns the calls
    /// that ended with it.
    pub fn passed(&self, direction: Direction, message: &Value) -> Vec<Call> {
        match message {
            Value::Array(batch) => batch.iter().filter_map(|one| self.one(direction, one)).collect(),
            one => self.one(direction, one).into_iter().collect(),
        }
    }

    /// The request with this id never reached the peer, or its answer never came.
    pub fn failed(&self, direction: Direction, id: &Value, outcome: &str) -> Option<Call> {
        self.end(direction, id, outcome)
    }

    /// The session is over: what is still open will not be answered.
    pub fn close(&self) -> Vec<Call> {
        let open = std::mem::take(&mut self.lock().open);
        open.into_iter()
            .map(|((direction, _), open)| open.ended(self.server_pid, direction, "abandoned"))
            .collect()
    }

    fn one(&self, direction: Direction, message: &Value) -> Option<Call> {
        let id = message.get("id").filter(|id| !id.is_null());
        match (message.get("method").and_then(Value::as_str), id) {
            (Some(method), Some(id)) => self.opened(direction, method, id, message),
            (Some("notifications/progress"), None) => self.progressed(direction, message),
            (Some("notifications/cancelled"), None) => {
                return self.end(direction, &message["params"]["requestId"], "cancelled");
            }
            (Some(_), None) => {}
            (None, Some(id)) => {
                self.agreed(direction.reversed(), id, &message["result"]);
                return self.end(direction.reversed(), id, outcome(message));
            }
            (None, None) => {}
        }
        None
    }

    fn opened(&self, direction: Direction, method: &str, id: &Value, message: &Value) {
        let params = &message["params"];
        let tool = (method == "tools/call").then(|| params["name"].as_str().unwrap_or_default().to_owned());
        let stated = params["_meta"]["io.modelcontextprotocol/protocolVersion"].as_str();
        let mut state = self.lock();
        let open = Open {
            method: method.to_owned(),
            tool,
            id: id.clone(),
            revision: stated.map(str::to_owned).or_else(|| state.negotiated.clone()),
            progress_token: params["_meta"].get("progressToken").cloned(),
            progress: 0,
            started: Instant::now(),
            start_unix_ns: unix_ns(),
        };
        state.open.insert((direction, id.to_string()), open);
    }

    /// The answer to `initialize` says what the session speaks.
    fn agreed(&self, direction: Direction, id: &Value, result: &Value) {
        let state = &mut *self.lock();
        let asked = state.open.get_mut(&(direction, id.to_string()));
        let initialize = asked.filter(|call| call.method == "initialize");
        if let (Some(call), Some(revision)) = (initialize, result["protocolVersion"].as_str()) {
            call.revision = Some(revision.to_owned());
            state.negotiated.clone_from(&call.revision);
        }
    }

    fn progressed(&self, direction: Direction, message: &Value) {
        let token = message["params"].get("progressToken");
        let asked = direction.reversed();
        let mut state = self.lock();
        let open = state.open.iter_mut().find(|((from, _), open)| {
            *from == asked && token.is_some() && open.progress_token.as_ref() == token
        });
        if let Some((_, open)) = open {
            open.progress += 1;
        }
    }

    fn end(&self, direction: Direction, id: &Value, outcome: &str) -> Option<Call> {
        let open = self.lock().open.remove(&(direction, id.to_string()))?;
        Some(open.ended(self.server_pid, direction, outcome))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn ended(self, server_pid: Option<u32>, direction: Direction, outcome: &str) -> Call {
        Call {
            direction,
            client_pid: std::process::id(),
            server_pid,
            method: self.method,
            tool: self.tool,
            id: Some(self.id),
            revision: self.revision,
            outcome: outcome.to_owned(),
            progress: self.progress,
            duration_ms: self.started.elapsed().as_secs_f64() * 1e3,
            start_unix_ns: self.start_unix_ns,
            end_unix_ns: unix_ns(),
        }
    }
}

/// How an answer ends its call.
fn outcome(answer: &Value) -> &'static str {
    if answer.get("error").is_some() {
        return "rpc_error";
    }
    let result = &answer["result"];
    match result["resultType"].as_str() {
        Some("input_required") => "input_required",
        Some("task") => "task",
        _ if result["isError"] == true => "tool_error",
        _ => "ok",
    }
}

/// Wall-clock time.
pub fn unix_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::Direction::{ClientToServer, ServerToClient};
    use super::*;
    use serde_json::json;

    #[test]
    fn both_sides_may_use_one_id_at_once() {
        let ledger = Ledger::default();
        ledger.passed(ClientToServer, &json!({"id":1,"method":"tools/call","params":{"name":"echo"}}));
        ledger.passed(ServerToClient, &json!({"id":1,"method":"ping"}));
        let ping = ledger.passed(ClientToServer, &json!({"id":1,"result":{}}));
        let echo = ledger.passed(ServerToClient, &json!({"id":1,"result":{"isError":true}}));
        assert_eq!((ping[0].method.as_str(), ping[0].outcome.as_str()), ("ping", "ok"));
        assert_eq!((echo[0].tool.as_deref(), echo[0].outcome.as_str()), (Some("echo"), "tool_error"));
    }

    #[test]
    fn a_number_and_a_string_are_different_ids() {
        let ledger = Ledger::default();
        ledger.passed(ClientToServer, &json!({"id":1,"method":"ping"}));
        assert!(ledger.passed(ServerToClient, &json!({"id":"1","result":{}})).is_empty());
        assert_eq!(ledger.close()[0].outcome, "abandoned");
    }

    #[test]
    fn progress_is_counted_for_its_token_only() {
        let ledger = Ledger::default();
        for id in [1, 2] {
            let params = json!({"name":"slow","_meta":{"progressToken":id}});
            ledger.passed(ClientToServer, &json!({"id":id,"method":"tools/call","params":params}));
        }
        let notice = json!({"method":"notifications/progress","params":{"progressToken":2,"progress":1}});
        ledger.passed(ServerToClient, &notice);
        let first = ledger.passed(ServerToClient, &json!({"id":1,"result":{}}));
        let second = ledger.passed(ServerToClient, &json!({"id":2,"result":{}}));
        assert_eq!((first[0].progress, second[0].progress), (0, 1));
    }

    #[test]
    fn a_cancelled_call_ends_once() {
        let ledger = Ledger::default();
        ledger.passed(ClientToServer, &json!({"id":1,"method":"tools/call","params":{"name":"slow"}}));
        let cancel = json!({"method":"notifications/cancelled","params":{"requestId":1}});
        assert_eq!(ledger.passed(ClientToServer, &cancel)[0].outcome, "cancelled");
        assert!(ledger.passed(ServerToClient, &json!({"id":1,"result":{}})).is_empty());
    }

    #[test]
    fn a_call_has_the_revision_that_was_agreed_or_that_it_states() {
        let ledger = Ledger::default();
        ledger.passed(ClientToServer, &json!({"id":1,"method":"initialize","params":{"protocolVersion":"b"}}));
        let agreed = ledger.passed(ServerToClient, &json!({"id":1,"result":{"protocolVersion":"a"}}));
        assert_eq!(agreed[0].revision.as_deref(), Some("a"));
        for (meta, expected) in [(json!({}), "a"), (json!({"io.modelcontextprotocol/protocolVersion":"c"}), "c")] {
            ledger.passed(ClientToServer, &json!({"id":2,"method":"ping","params":{"_meta":meta}}));
            let ping = ledger.passed(ServerToClient, &json!({"id":2,"result":{}}));
            assert_eq!(ping[0].revision.as_deref(), Some(expected));
        }
    }

    #[test]
    fn a_batch_ends_several_calls() {
        let ledger = Ledger::default();
        ledger.passed(ClientToServer, &json!([{"id":1,"method":"ping"},{"id":2,"method":"ping"}]));
        let ended = ledger.passed(ServerToClient, &json!([{"id":2,"result":{}},{"id":1,"error":{}}]));
        assert_eq!(ended.len(), 2);
    }
}
