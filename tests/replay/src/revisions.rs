//! A message of each kind that a revision's schema has, as conversations over stdio: one file for each revision,
//! with a line for each message, behind the one who sends it.

use std::time::Duration;

use crate::captures::Capture;
use crate::cases::Case;
use crate::messages::line;
use crate::scenario::{ProcessSpec, Scenario};

/// The fixtures that they make.
pub const CASES: &[Case] = &[
    ("messages_2024_11_05", || conversation(include_str!("revisions/2024-11-05.txt"))),
    ("messages_2025_03_26", || conversation(include_str!("revisions/2025-03-26.txt"))),
    ("messages_2025_06_18", || conversation(include_str!("revisions/2025-06-18.txt"))),
    ("messages_2025_11_25", || conversation(include_str!("revisions/2025-11-25.txt"))),
    ("messages_2026_07_28", || conversation(include_str!("revisions/2026-07-28.txt"))),
];

/// From one message to the next.
const PAUSE: Duration = Duration::from_millis(3);

fn conversation(text: &str) -> Capture {
    let mut s = Scenario::new();
    let client = s.process(ProcessSpec { exe: "/usr/bin/client", arguments: &["client"] });
    let server = s.process(ProcessSpec { exe: "/usr/bin/server", arguments: &["server"] });
    let stdio = s.stdio(client, server);
    for message in text.lines() {
        let (wire, message) = match message.split_once(' ') {
            Some(("client", message)) => (stdio.requests, message),
            Some(("server", message)) => (stdio.answers, message),
            _ => unreachable!("each line begins with who sends it"),
        };
        s.moves(wire, line(message));
        s.passes(PAUSE);
    }
    s.ends(stdio.requests);
    s.exits(server, 0);
    s.ends(stdio.answers);
    s.passes(Duration::from_secs(5));
    s.is_told_the_time();
    s.into_capture()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::observe;
    use serde_json::Value;
    use std::collections::{BTreeMap, BTreeSet};

    /// What each file's conversation says, by itself: requests and how they end, and notifications.
    fn said(text: &str) -> (Vec<(String, String)>, Vec<String>) {
        let (mut open, mut calls, mut notifications) = (BTreeMap::new(), Vec::new(), Vec::new());
        for line in text.lines() {
            let (sender, message) = line.split_once(' ').unwrap();
            let message: Value = serde_json::from_str(message).unwrap();
            let batch = message.as_array().cloned().unwrap_or_else(|| vec![message]);
            for message in batch {
                let method = message["method"].as_str().map(str::to_owned);
                let from = if method.is_some() == (sender == "client") { "client" } else { "server" };
                match (method, &message["id"]) {
                    (Some(method), Value::Null) => {
                        if method == "notifications/cancelled" {
                            let taken_back = (sender, message["params"]["requestId"].to_string());
                            calls.push((open.remove(&taken_back).unwrap(), "cancelled".to_owned()));
                        }
                        notifications.push(method);
                    }
                    (Some(method), id) => drop(open.insert((from, id.to_string()), method)),
                    (None, id) => {
                        calls.push((open.remove(&(from, id.to_string())).unwrap(), outcome(&message)));
                    }
                }
            }
        }
        assert!(open.is_empty(), "{open:?}");
        calls.sort();
        (calls, notifications)
    }

    fn outcome(answer: &Value) -> String {
        let result = &answer["result"];
        let outcome = if !answer["error"].is_null() {
            "rpc_error"
        } else if result["isError"] == true {
            "tool_error"
        } else if result["resultType"] == "task" || result["task"].is_object() {
            "task"
        } else if result["resultType"] == "input_required" {
            "input_required"
        } else {
            "ok"
        };
        outcome.to_owned()
    }

    #[test]
    fn every_message_of_every_revision_is_what_it_is() {
        for (name, case) in CASES {
            let text = std::fs::read_to_string(format!(
                "{}/src/revisions/{}.txt",
                env!("CARGO_MANIFEST_DIR"),
                name.trim_start_matches("messages_").replace('_', "-")
            ));
            let (calls, notifications) = said(&text.unwrap());
            let lines = observe(&case()).lines;
            let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            let of = |kind: &'static str| lines.iter().filter(move |line| line["type"] == kind);
            let word = |line: &Value, member: &str| line[member].as_str().unwrap_or_default().to_owned();
            let mut seen: Vec<_> =
                of("call").map(|call| (word(call, "method"), word(call, "outcome"))).collect();
            seen.sort();
            assert_eq!(seen, calls, "{name}");
            let seen: Vec<_> = of("notification").map(|line| word(line, "method")).collect();
            assert_eq!(seen, notifications, "{name}");
            let revision = name.trim_start_matches("messages_").replace('_', "-");
            let revisions: BTreeSet<_> = of("call").map(|call| word(call, "revision")).collect();
            assert_eq!(revisions, BTreeSet::from([revision]), "{name}");
        }
    }
}
