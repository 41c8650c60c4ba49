//! The texts of requests and answers, written by hand so that the place of each member is known.

use std::time::Duration;

use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What one call is to look like on the wire. Travels to the server as the arguments of the call.
#[derive(Args, Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Shape {
    /// Bytes of text in the result.
    #[arg(long, default_value_t = 100)]
    bytes: usize,
    /// Put the id behind the result and the parameters instead of before them.
    #[arg(long)]
    id_last: bool,
    /// Milliseconds before the answer.
    #[arg(long, default_value_t = 0)]
    delay_ms: u64,
    /// Progress notifications before the answer.
    #[arg(long, default_value_t = 0)]
    progress: u64,
    /// Cut everything into writes of so many bytes; 0 writes messages whole.
    #[arg(long, default_value_t = 0)]
    pub chunk: usize,
    /// HTTP only: answer with this status and no JSON.
    #[arg(long)]
    pub status: Option<u16>,
    /// HTTP only: answer with an event stream.
    #[arg(long)]
    pub sse: bool,
}

impl Shape {
    /// The text of a call of this shape.
    pub fn call(&self, tool: &str, id: u64) -> String {
        let mut params = json!({"name": tool, "arguments": self});
        if self.progress > 0 {
            params["_meta"] = json!({"progressToken": id});
        }
        self.request("tools/call", id, &params)
    }

    /// The text of another request.
    pub fn request(&self, method: &str, id: u64, params: &Value) -> String {
        if self.id_last {
            format!(r#"{{"method":"{method}","params":{params},"jsonrpc":"2.0","id":{id}}}"#)
        } else {
            format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#)
        }
    }

    /// The text of the request that opens a session.
    pub fn initialize(&self, id: u64, revision: &str) -> String {
        let client = json!({"name": "raw-peer", "version": "1"});
        let params = json!({"protocolVersion": revision, "capabilities": {}, "clientInfo": client});
        self.request("initialize", id, &params)
    }

    fn answer(&self, id: &Value, result: &str) -> String {
        if self.id_last {
            format!(r#"{{"result":{result},"jsonrpc":"2.0","id":{id}}}"#)
        } else {
            format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#)
        }
    }
}

/// The notification that the client is ready.
pub const INITIALIZED: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

/// What a server does upon a request.
pub struct Replies {
    /// How the request wanted it.
    pub shape: Shape,
    /// Messages that go first.
    pub before: Vec<String>,
    /// The answer, none for a notification.
    pub answer: Option<String>,
}

impl Replies {
    /// Works out what to answer; a batch is answered with a batch.
    pub fn to(message: &Value) -> Self {
        let Value::Array(batch) = message else { return Self::to_one(message) };
        let mut whole = Self { shape: Shape::default(), before: Vec::new(), answer: None };
        let mut answers = Vec::new();
        for one in batch.iter().map(Self::to_one) {
            whole.shape = one.shape;
            whole.before.extend(one.before);
            answers.extend(one.answer);
        }
        whole.answer = (!answers.is_empty()).then(|| format!("[{}]", answers.join(",")));
        whole
    }

    fn to_one(request: &Value) -> Self {
        let params = &request["params"];
        let shape = Shape::deserialize(&params["arguments"]).unwrap_or_default();
        let answer = request.get("id").map(|id| match request["method"].as_str() {
            Some("initialize") => shape.answer(id, &initialized(&params["protocolVersion"])),
            Some("tools/list") => shape.answer(id, &tools()),
            Some("tools/call") => shape.answer(id, &content(shape.bytes)),
            Some("ping") => shape.answer(id, "{}"),
            _ => format!(
                r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32601,"message":"Method not found"}}}}"#
            ),
        });
        let before = (1..=shape.progress).map(|step| notice(params, step, shape.progress)).collect();
        Self { shape, before, answer }
    }

    /// Waits as long as the request wanted.
    pub fn wait(&self) {
        std::thread::sleep(Duration::from_millis(self.shape.delay_ms));
    }
}

fn initialized(revision: &Value) -> String {
    let server = json!({"name": "raw-server", "version": "1"});
    json!({"protocolVersion": revision, "capabilities": {"tools": {}}, "serverInfo": server}).to_string()
}

fn tools() -> String {
    let tools = ["echo", "big", "slow", "first", "second", "third"];
    let tools = tools.map(|name| json!({"name": name, "inputSchema": {"type": "object"}}));
    json!({"tools": tools}).to_string()
}

fn content(bytes: usize) -> String {
    // Quotes, braces and an id inside the text must not mislead a scanner that skips strings wrongly.
    let trap = r#"\"id\":99,\"}{]["#;
    let text = trap.repeat(bytes / trap.len() + 1);
    let cut = bytes - bytes % trap.len();
    format!(r#"{{"content":[{{"type":"text","text":"{}"}}]}}"#, &text[..cut])
}

fn notice(params: &Value, step: u64, total: u64) -> String {
    let params = json!({"progressToken": params["_meta"]["progressToken"], "progress": step, "total": total});
    format!(r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{params}}}"#)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_is_json_and_the_id_stands_where_it_should() {
        for id_last in [false, true] {
            let shape = Shape { bytes: 500, id_last, progress: 2, ..Shape::default() };
            let request = shape.call("echo", 7);
            let request: Value = serde_json::from_str(&request).unwrap();
            let replies = Replies::to(&request);
            let answer = replies.answer.unwrap();
            assert_eq!(serde_json::from_str::<Value>(&answer).unwrap()["id"], 7);
            assert_eq!(answer.ends_with(r#""id":7}"#), id_last);
            assert_eq!(replies.before.len(), 2);
            assert!(replies.before.iter().all(|text| serde_json::from_str::<Value>(text).is_ok()));
        }
    }

    #[test]
    fn a_batch_is_answered_with_a_batch() {
        let shape = Shape::default();
        let batch = format!("[{},{}]", shape.call("first", 1), shape.call("second", 2));
        let answer = Replies::to(&serde_json::from_str(&batch).unwrap()).answer.unwrap();
        assert_eq!(serde_json::from_str::<Vec<Value>>(&answer).unwrap().len(), 2);
    }
}
