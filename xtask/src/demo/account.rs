//! Calls made against calls seen, each by its server's process, direction, method, tool and id.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// A call, as a peer or as the observer tells of it.
#[derive(Clone, Debug)]
pub struct Call {
    /// What makes it this call and no other.
    pub key: Key,
    /// How it ended.
    pub outcome: String,
    /// Over which transport, with the TLS library if there is one. The peers do not say.
    pub transport: String,
    /// As the client had it.
    pub client_ms: Option<f64>,
    /// As the server had it.
    pub server_ms: Option<f64>,
}

/// What makes a call this call.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The server's process.
    pub server: u64,
    /// The JSON-RPC id, as JSON.
    pub id: String,
    /// `client_to_server` or the other way.
    pub direction: String,
    /// The JSON-RPC method.
    pub method: String,
    /// The tool of a `tools/call`, else empty.
    pub tool: String,
}

impl Call {
    /// Reads a line of a peer that talked to the process `server`.
    pub fn of_truth(line: &Value, server: u64) -> Self {
        Self {
            key: Key::of(line, server),
            outcome: text(line, "outcome"),
            transport: String::new(),
            client_ms: line["duration_ms"].as_f64(),
            server_ms: None,
        }
    }

    /// Reads a line of `watch`, if it is a call.
    pub fn read(line: &Value) -> Option<Self> {
        if line["type"] != "call" {
            return None;
        }
        let tls = line["tls"].as_str().map(|library| format!(" in {library}")).unwrap_or_default();
        Some(Self {
            key: Key::of(line, line["server"]["pid"].as_u64()?),
            outcome: text(line, "outcome"),
            transport: text(line, "transport") + &tls,
            client_ms: line["client_duration_ms"].as_f64(),
            server_ms: line["server_duration_ms"].as_f64(),
        })
    }
}

impl Key {
    fn of(line: &Value, server: u64) -> Self {
        let id = line.get("id").map(Value::to_string).unwrap_or_default();
        let (direction, method, tool) = (text(line, "direction"), text(line, "method"), text(line, "tool"));
        Self { server, id, direction, method, tool }
    }
}

fn text(line: &Value, member: &str) -> String {
    line[member].as_str().unwrap_or_default().to_owned()
}

/// Both sides of the account.
#[derive(Default)]
pub struct Account {
    entries: BTreeMap<Key, Entry>,
    servers: BTreeSet<u64>,
    /// What was seen of the demonstration's servers, in the order in which the calls ended.
    pub seen: Vec<Call>,
}

#[derive(Clone, Copy, Default)]
struct Entry {
    made: usize,
    seen: usize,
}

/// The balance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// Calls that the clients made.
    pub made: usize,
    /// Those of them that were seen, each once.
    pub seen_once: usize,
    /// Those that were not seen.
    pub missed: usize,
    /// What was seen too often, or never made.
    pub excess: usize,
}

impl Account {
    /// Enters calls that were made.
    pub fn made(&mut self, calls: Vec<Call>) {
        for call in calls {
            self.servers.insert(call.key.server);
            self.entries.entry(call.key).or_default().made += 1;
        }
    }

    /// Enters calls that were seen. Those of other servers on this host are left alone.
    pub fn seen_all(&mut self, calls: impl IntoIterator<Item = Call>) {
        for call in calls {
            if self.servers.contains(&call.key.server) {
                self.entries.entry(call.key.clone()).or_default().seen += 1;
                self.seen.push(call);
            }
        }
    }

    /// Whether nothing is missing.
    pub fn all_seen(&self) -> bool {
        self.sum().missed == 0
    }

    /// How many calls of tools were made.
    pub fn tool_calls_made(&self) -> usize {
        let of_tools = self.entries.iter().filter(|(key, _)| !key.tool.is_empty());
        of_tools.map(|(_, entry)| entry.made).sum()
    }

    /// What was made and not seen.
    pub fn missed(&self) -> impl Iterator<Item = &Key> {
        self.entries.iter().filter(|(_, entry)| entry.seen < entry.made).map(|(key, _)| key)
    }

    /// The balance of it all.
    pub fn sum(&self) -> Sum {
        let mut sum = Sum::default();
        for entry in self.entries.values() {
            sum.made += entry.made;
            sum.seen_once += entry.made.min(entry.seen);
            sum.missed += entry.made.saturating_sub(entry.seen);
            sum.excess += entry.seen.saturating_sub(entry.made);
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn truth(id: u64) -> Call {
        let line = json!({"type": "call", "id": id, "method": "tools/call", "tool": "echo", "direction": "client_to_server"});
        Call::of_truth(&line, 7)
    }

    fn seen(id: u64, server: u64, tool: &str) -> Option<Call> {
        Call::read(&json!({"type": "call", "id": id, "method": "tools/call", "tool": tool,
            "direction": "client_to_server", "server": {"pid": server}}))
    }

    fn account(made: &[u64], lines: impl IntoIterator<Item = Option<Call>>) -> Sum {
        let mut account = Account::default();
        account.made(made.iter().copied().map(truth).collect());
        account.seen_all(lines.into_iter().flatten());
        account.sum()
    }

    #[test]
    fn each_call_seen_once_balances() {
        let sum = account(&[1, 2], [seen(2, 7, "echo"), seen(1, 7, "echo"), seen(1, 8, "other")]);
        assert_eq!(sum, Sum { made: 2, seen_once: 2, missed: 0, excess: 0 });
    }

    #[test]
    fn a_call_missed_seen_twice_or_seen_wrongly_does_not() {
        assert_eq!(account(&[1, 2], [seen(1, 7, "echo")]).missed, 1);
        assert_eq!(account(&[1], [seen(1, 7, "echo"), seen(1, 7, "echo")]).excess, 1);
        let wrong_tool = account(&[1], [seen(1, 7, "add")]);
        assert_eq!((wrong_tool.missed, wrong_tool.excess), (1, 1));
    }

    #[test]
    fn lines_that_are_no_calls_do_not_count() {
        assert!(Call::read(&json!({"type": "notification", "server": {"pid": 7}})).is_none());
    }
}
