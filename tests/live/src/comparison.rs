//! Truth against observation: each call of the one must be in the other exactly once.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use peers::truth::{Call, Direction};
use serde::Deserialize;
use serde_json::Value;

/// A line of type `call`.
#[derive(Clone, Debug, Deserialize)]
pub struct Observed {
    /// Who asked.
    pub direction: Direction,
    /// JSON-RPC method.
    pub method: String,
    /// Tool of a `tools/call`.
    pub tool: Option<String>,
    /// JSON-RPC id.
    pub id: Value,
    /// Revision of the protocol, absent where the session began unseen and the request does not say it.
    pub revision: Option<String>,
    /// How it ended.
    pub outcome: String,
    /// Way of transport.
    pub transport: String,
    /// TLS library.
    pub tls: Option<String>,
    /// From request to answer.
    pub duration_ms: Option<f64>,
    /// The same, as the asking and as the asked process see it.
    pub client_duration_ms: Option<f64>,
    /// See `client_duration_ms`.
    pub server_duration_ms: Option<f64>,
    /// Size of the answer.
    pub response_bytes: Option<u64>,
    /// Progress notifications.
    #[serde(default)]
    pub progress: u64,
    /// How sure it is.
    pub certainty: String,
    /// The end that asks, in sessions that it opened.
    #[serde(default)]
    pub client: End,
    /// The other end.
    #[serde(default)]
    pub server: End,
}

/// One end of a call.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct End {
    /// Its process.
    pub pid: Option<u32>,
    /// The name it gives itself.
    pub name: Option<String>,
}

impl Observed {
    /// The calls among the lines of an observer, and lines that claim to be calls and cannot be read as such.
    pub fn among(lines: &[Value]) -> (Vec<Self>, Vec<String>) {
        let (mut calls, mut broken) = (Vec::new(), Vec::new());
        for line in lines.iter().filter(|line| line["type"] == "call") {
            match Self::deserialize(line) {
                Ok(call) => calls.push(call),
                Err(error) => broken.push(error.to_string()),
            }
        }
        (calls, broken)
    }

    fn concerns(&self, pids: &BTreeSet<u32>) -> bool {
        [self.client.pid, self.server.pid].into_iter().flatten().any(|pid| pids.contains(&pid))
    }

    fn key(&self) -> Key {
        Key {
            server_pid: self.server.pid,
            direction: self.direction,
            method: self.method.clone(),
            tool: self.tool.clone(),
            id: self.id.to_string(),
            outcome: self.outcome.clone(),
        }
    }
}

/// What makes a call that one and no other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    server_pid: Option<u32>,
    direction: Direction,
    method: String,
    tool: Option<String>,
    id: String,
    outcome: String,
}

impl Key {
    fn of(call: &Call) -> Self {
        Self {
            server_pid: call.server_pid,
            direction: call.direction,
            method: call.method.clone(),
            tool: call.tool.clone(),
            id: call.id.as_ref().map(Value::to_string).unwrap_or_default(),
            outcome: call.outcome.clone(),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { server_pid, direction, method, tool, id, outcome } = self;
        let tool = tool.as_deref().unwrap_or_default();
        write!(f, "{direction:?} {method} {tool} {id}: {outcome}, server {server_pid:?}")
    }
}

/// Where truth and observation differ; empty when all is well.
#[derive(Debug, Default, PartialEq)]
pub struct Difference {
    /// Calls that were made and not seen.
    pub missing: Vec<String>,
    /// Calls that were seen and not made, or seen twice.
    pub surplus: Vec<String>,
    /// Facts of a call that are wrong.
    pub wrong: Vec<String>,
}

impl Difference {
    /// Compares the calls of the processes `pids`; calls of others are none of our business.
    pub fn between(truth: &[Call], observed: &[Observed], pids: &BTreeSet<u32>) -> Self {
        let mut open: BTreeMap<Key, Vec<&Call>> = BTreeMap::new();
        for call in truth {
            open.entry(Key::of(call)).or_default().push(call);
        }
        let mut difference = Self::default();
        for seen in observed.iter().filter(|seen| seen.concerns(pids)) {
            match open.get_mut(&seen.key()).and_then(|calls| counterpart(calls, seen)) {
                Some(made) => difference.wrong.extend(wrong(made, seen)),
                None => difference.surplus.push(format!("{} by client {:?}", seen.key(), seen.client.pid)),
            }
        }
        for (key, calls) in open {
            difference
                .missing
                .extend(calls.iter().map(|call| format!("{key} by client {}", call.client_pid)));
        }
        difference
    }

    /// Whether all is well.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Takes the call that was seen out of those that look like it: several clients of one server use the same ids.
fn counterpart<'a>(calls: &mut Vec<&'a Call>, seen: &Observed) -> Option<&'a Call> {
    let same = calls.iter().position(|call| seen.client.pid == Some(call.client_pid));
    same.map(|at| calls.swap_remove(at)).or_else(|| calls.pop())
}

fn wrong(made: &Call, seen: &Observed) -> Option<String> {
    let answered = !["cancelled", "abandoned", "expired"].contains(&made.outcome.as_str());
    // The clients tell. What they asked takes no longer than they say; what they were asked has been on its way besides.
    let longest = match made.direction {
        Direction::ClientToServer => made.duration_ms + SLACK_MS,
        Direction::ServerToClient => made.duration_ms + SLACK_MS + ON_ITS_WAY_MS,
    };
    let plausible = |duration: f64| (0.0..=longest).contains(&duration);
    let what = if seen.client.pid.is_some_and(|pid| pid != made.client_pid) {
        "client.pid"
    } else if made.revision.is_some() && seen.revision.is_some() && seen.revision != made.revision {
        "revision"
    } else if seen.progress != made.progress {
        "progress"
    } else if seen.certainty != "whole" {
        "certainty"
    } else if seen.duration_ms.map_or(answered, |duration| !plausible(duration)) {
        "duration_ms"
    } else {
        return None;
    };
    Some(format!("{what} of {seen:?}"))
}

/// The peers take their times in user space, around what the kernel sees; the clocks differ by little.
const SLACK_MS: f64 = 5.0;
/// From the server to a client that is busy, and back.
const ON_ITS_WAY_MS: f64 = 1000.0;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn made(id: u64, outcome: &str) -> Call {
        Call {
            direction: Direction::ClientToServer,
            client_pid: 1,
            server_pid: Some(2),
            method: "tools/call".to_owned(),
            tool: Some("echo".to_owned()),
            id: Some(id.into()),
            revision: Some("2025-11-25".to_owned()),
            outcome: outcome.to_owned(),
            progress: 0,
            duration_ms: 3.0,
            start_unix_ns: 0,
            end_unix_ns: 0,
        }
    }

    fn seen(server_pid: u32, id: &Value, outcome: &str) -> Value {
        json!({
            "type": "call", "direction": "client_to_server", "method": "tools/call", "tool": "echo", "id": id,
            "revision": "2025-11-25", "outcome": outcome, "transport": "stdio", "certainty": "whole", "duration_ms": 2.5,
            "client": {"pid": 1}, "server": {"pid": server_pid}
        })
    }

    fn difference(truth: &[Call], lines: &[Value]) -> Difference {
        let (observed, broken) = Observed::among(lines);
        assert_eq!(broken, Vec::<String>::new());
        Difference::between(truth, &observed, &BTreeSet::from([1, 2]))
    }

    #[test]
    fn equal_is_equal_in_any_order() {
        let lines = [seen(2, &json!(2), "ok"), json!({"type": "ready"}), seen(2, &json!(1), "tool_error")];
        assert!(difference(&[made(1, "tool_error"), made(2, "ok")], &lines).is_empty());
    }

    #[test]
    fn a_lost_call_is_missing() {
        let difference = difference(&[made(1, "ok"), made(2, "ok")], &[seen(2, &json!(1), "ok")]);
        assert_eq!((difference.missing.len(), difference.surplus.len()), (1, 0));
    }

    #[test]
    fn a_call_seen_twice_is_surplus() {
        let twice = [seen(2, &json!(1), "ok"), seen(2, &json!(1), "ok")];
        assert_eq!(difference(&[made(1, "ok")], &twice).surplus.len(), 1);
    }

    #[test]
    fn wrong_outcome_pid_or_kind_of_id_is_both() {
        let lines = [seen(2, &json!(1), "abandoned"), seen(7, &json!(1), "ok"), seen(2, &json!("1"), "ok")];
        for line in lines {
            let difference = difference(&[made(1, "ok")], &[line]);
            assert_eq!((difference.missing.len(), difference.surplus.len()), (1, 1));
        }
    }

    #[test]
    fn calls_of_other_processes_do_not_count() {
        let mut line = seen(3, &json!(1), "ok");
        line["client"] = json!({"pid": 4});
        assert!(difference(&[], &[line]).is_empty());
    }

    #[test]
    fn wrong_facts_are_named() {
        for (member, value) in [
            ("client", json!({"pid": 2})),
            ("revision", json!("2026-07-28")),
            ("progress", json!(1)),
            ("certainty", json!("inferred")),
            ("duration_ms", json!(900.0)),
        ] {
            let mut line = seen(2, &json!(1), "ok");
            line[member] = value;
            assert_eq!(difference(&[made(1, "ok")], &[line]).wrong.len(), 1, "{member}");
        }
    }

    #[test]
    fn two_clients_may_use_one_id_with_one_server() {
        let mut other = made(1, "ok");
        other.client_pid = 3;
        let mut second = seen(2, &json!(1), "ok");
        second["client"] = json!({"pid": 3});
        assert!(difference(&[made(1, "ok"), other], &[seen(2, &json!(1), "ok"), second]).is_empty());
    }

    #[test]
    fn only_an_answered_call_must_have_a_duration() {
        for (outcome, wrong) in [("ok", 1), ("cancelled", 0)] {
            let mut line = seen(2, &json!(1), outcome);
            line.as_object_mut().unwrap().remove("duration_ms");
            assert_eq!(difference(&[made(1, outcome)], &[line]).wrong.len(), wrong, "{outcome}");
        }
    }

    #[test]
    fn a_call_without_its_promised_members_is_broken() {
        let (_, broken) = Observed::among(&[json!({"type": "call", "method": "ping"})]);
        assert_eq!(broken.len(), 1);
    }
}
