//! The conformance suite's own logs of what clients asked it: `checks.json` of each scenario, as calls.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use peers::truth::{Call, Direction, Line};
use serde_json::Value;

/// What a scenario logged, or where it logs nothing, what its client told.
pub fn calls_of(scenario: &Path, suite_pid: u32) -> Result<Vec<Line>> {
    let text = |name: &str| {
        fs::read_to_string(scenario.join(name)).with_context(|| format!("{} of {}", name, scenario.display()))
    };
    let told: Vec<Line> =
        text("stdout.txt")?.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let client_pid = told.iter().find_map(|line| match line {
        Line::Peer { client_pid, .. } => Some(*client_pid),
        _ => None,
    });
    let client_pid = client_pid.with_context(|| format!("{} has no client", scenario.display()))?;
    let mut log = Log { client_pid, server_pid: suite_pid, calls: Vec::new(), answers: Vec::new() };
    for check in serde_json::from_str::<Vec<Value>>(&text("checks.json")?)? {
        log.take(check["id"].as_str().unwrap_or_default(), &check["details"]);
    }
    let logged = log.finish(&told)?;
    let mut lines = vec![Line::Peer { client_pid, server_pid: Some(suite_pid) }];
    if logged.is_empty() {
        lines.extend(told.into_iter().filter(|line| matches!(line, Line::Call(_))));
    } else {
        lines.extend(logged.into_iter().map(Line::Call));
    }
    Ok(lines)
}

/// The folders of the scenarios, below the one that the suite was given.
pub fn scenarios(results: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(results)? {
        let path = entry?.path();
        if path.join("checks.json").exists() {
            found.push(path);
        } else if path.is_dir() {
            found.extend(scenarios(&path)?);
        }
    }
    Ok(found)
}

/// The log of one scenario, as far as it was read.
struct Log {
    client_pid: u32,
    server_pid: u32,
    /// Calls in the order of their requests; those without an outcome wait for their answers.
    calls: Vec<Call>,
    /// Answers of the client. Streams are logged when they end: then the request comes behind its answer.
    answers: Vec<Value>,
}

impl Log {
    fn take(&mut self, kind: &str, details: &Value) {
        let is_incoming = kind == "incoming-request";
        if is_incoming && details["jsonrpcMethod"].is_string() {
            // One scenario has a log of its own kind, with no bodies of requests.
            let (method, id) = (details["jsonrpcMethod"].clone(), details["jsonrpcId"].clone());
            self.asked(Direction::ClientToServer, &serde_json::json!({"method": method, "id": id}));
        } else if is_incoming {
            match &details["body"] {
                request if request["method"].is_string() => self.asked(Direction::ClientToServer, request),
                answer if answer["jsonrpc"].is_string() => self.answers.push(answer.clone()),
                _ => {}
            }
        } else if kind.starts_with("outgoing-") {
            self.sent(details);
        }
    }

    /// What the suite sent: a status that turns the request away, or messages.
    fn sent(&mut self, details: &Value) {
        let is_error = details["statusCode"].as_u64().is_some_and(|status| status >= 400);
        let messages = messages(&details["body"]);
        if let Some(method) = details["mcpMethod"].as_str().filter(|_| is_error) {
            let outcome = if messages.is_empty() { "http_error" } else { "rpc_error" };
            self.end(|call| call.method == method, outcome);
        }
        for message in messages {
            if message["method"].is_string() {
                self.asked(Direction::ServerToClient, &message);
            } else {
                let outcome = outcome(&message);
                self.end(|call| call.id.as_ref() == Some(&message["id"]), outcome);
            }
        }
    }

    fn asked(&mut self, direction: Direction, request: &Value) {
        if request["id"].is_null() {
            return;
        }
        let method = request["method"].as_str().unwrap_or_default().to_owned();
        let tool = (method == "tools/call").then(|| request["params"]["name"].as_str().map(str::to_owned));
        self.calls.push(Call {
            direction,
            client_pid: self.client_pid,
            server_pid: Some(self.server_pid),
            method,
            tool: tool.flatten(),
            id: Some(request["id"].clone()),
            revision: None,
            outcome: String::new(),
            progress: 0,
            // What a call took is the client's to say.
            duration_ms: f64::INFINITY,
            start_unix_ns: 0,
            end_unix_ns: 0,
        });
    }

    /// Ends the last open request of the client that is so.
    fn end(&mut self, is_it: impl Fn(&Call) -> bool, outcome: &str) {
        let open = |call: &&mut Call| call.outcome.is_empty() && call.direction == Direction::ClientToServer;
        if let Some(call) = self.calls.iter_mut().rev().filter(open).find(|call| is_it(call)) {
            outcome.clone_into(&mut call.outcome);
        }
    }

    /// All of it; tools that the log does not name have the names that the client told.
    fn finish(mut self, told: &[Line]) -> Result<Vec<Call>> {
        for call in &mut self.calls {
            if call.direction == Direction::ServerToClient {
                let answer = self.answers.iter().find(|answer| call.id.as_ref() == Some(&answer["id"]));
                call.outcome = answer.map_or("abandoned", outcome).to_owned();
            }
            let mine = told.iter().find_map(|line| match line {
                Line::Call(mine) if (&mine.id, mine.direction) == (&call.id, call.direction) => Some(mine),
                _ => None,
            });
            if call.method == "tools/call" && call.tool.is_none() {
                call.tool = mine.and_then(|mine| mine.tool.clone());
            }
            ensure!(!call.outcome.is_empty(), "the suite's log has no answer to {call:?}");
        }
        Ok(self.calls)
    }
}

/// The messages of a body: one, or those of an event stream.
fn messages(body: &Value) -> Vec<Value> {
    let read = |text: &str| -> Vec<Value> {
        let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
        data.filter_map(|data| serde_json::from_str(data).ok()).collect()
    };
    let all = body.as_str().map_or_else(|| vec![body.clone()], read);
    all.into_iter().filter(|message| message["jsonrpc"] == "2.0").collect()
}

fn outcome(answer: &Value) -> &'static str {
    if !answer["error"].is_null() {
        "rpc_error"
    } else if answer["result"]["isError"] == true {
        "tool_error"
    } else {
        "ok"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(checks: &[(&str, Value)]) -> Vec<(String, String)> {
        let mut log = Log { client_pid: 1, server_pid: 2, calls: Vec::new(), answers: Vec::new() };
        for (kind, details) in checks {
            log.take(kind, details);
        }
        log.finish(&[]).unwrap().into_iter().map(|call| (call.method, call.outcome)).collect()
    }

    fn pair(method: &str, outcome: &str) -> (String, String) {
        (method.to_owned(), outcome.to_owned())
    }

    #[test]
    fn who_is_turned_away_asks_again_with_the_same_id() {
        let request = json!({"method": "POST", "body": {"jsonrpc": "2.0", "method": "initialize", "id": 0}});
        let status =
            |status: u64, body: Value| json!({"statusCode": status, "mcpMethod": "initialize", "body": body});
        let stream = "event: message\ndata: {\"result\":{},\"jsonrpc\":\"2.0\",\"id\":0}\n\n";
        let calls = read(&[
            ("incoming-request", request.clone()),
            ("outgoing-response", status(401, json!({"error": "invalid_token"}))),
            (
                "incoming-request",
                json!({"method": "POST", "path": "/register", "body": {"client_name": "c"}}),
            ),
            ("outgoing-response", json!({"statusCode": 404, "path": "/register", "body": "<!DOCTYPE html>"})),
            ("incoming-request", request),
            ("outgoing-response", status(200, json!(stream))),
        ]);
        assert_eq!(calls, [pair("initialize", "http_error"), pair("initialize", "ok")]);
    }

    #[test]
    fn a_request_of_the_server_is_logged_behind_its_answer() {
        let stream = "data: {\"method\":\"elicitation/create\",\"jsonrpc\":\"2.0\",\"id\":0}\n\n";
        let calls = read(&[
            ("incoming-request", json!({"body": {"jsonrpc": "2.0", "id": 0, "error": {"code": -1}}})),
            ("outgoing-response", json!({"method": "GET", "statusCode": 200, "body": stream})),
        ]);
        assert_eq!(calls, [pair("elicitation/create", "rpc_error")]);
    }

    #[test]
    fn an_answer_on_another_stream_ends_the_call() {
        let calls = read(&[
            ("incoming-request", json!({"jsonrpcMethod": "tools/call", "jsonrpcId": 2})),
            ("incoming-request", json!({"jsonrpcMethod": "notifications/initialized"})),
            ("outgoing-sse-event", json!({"eventType": "priming", "raw": "data: \n\n"})),
            ("outgoing-sse-event", json!({"body": {"jsonrpc": "2.0", "id": 2, "result": {"isError": true}}})),
        ]);
        assert_eq!(calls, [pair("tools/call", "tool_error")]);
    }
}
