//! Which names become label values, so that no peer can make up series without end.
//!
//! A name is admitted when a call that bears it was answered with a result, and from then on. Before that, and
//! past a cap, it is [`OTHER`]. What a cap turned away is counted. A name that nobody has used for long gives its
//! place to others, sooner if it is that of a server whose processes have all ended; its series go with it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use crate::pipeline::input::ProcessId;
use crate::pipeline::observation::{Peer, Process};
use crate::pipeline::time::Timestamp;

/// Stands for every name that is not admitted.
pub const OTHER: &str = "_other";

/// Longest label value, in characters: the longest tool name that MCP's guidance allows.
const MOST_CHARACTERS: usize = 128;
/// Tools of one server. The largest servers list about a hundred.
const MOST_TOOLS_PER_SERVER: usize = 200;
/// Tools of all servers: 17 series of a histogram each.
const MOST_TOOLS: usize = 2000;
/// Names of servers, and as many of clients and pods: a node runs some dozens.
const MOST_PEERS: usize = 500;
/// Addresses of servers, protocol revisions, prompts and namespaces: each far below that.
const MOST_VALUES: usize = 200;
/// Processes of one server that are waited for. One more, and the oldest counts as ended.
const MOST_PROCESSES: usize = 64;
/// How long a server is kept after its last call when none of its processes is left. Hosts start their servers again
/// after a while, and whoever looks at what happened last needs some time.
pub const KEPT_WHEN_GONE: Duration = Duration::from_secs(3600);
/// How long a name is kept that nobody uses, of whatever it is: a day has all that happens daily.
pub const KEPT_WHEN_IDLE: Duration = Duration::from_secs(24 * 3600);

/// The admitted names.
#[derive(Debug, Default)]
pub struct Labels {
    now: Timestamp,
    servers: BTreeMap<Box<str>, Server>,
    tool_count: usize,
    names: BTreeMap<Family, BTreeMap<Box<str>, Timestamp>>,
    addresses: BTreeMap<SocketAddr, Address>,
    turned_away: BTreeMap<&'static str, u64>,
}

/// Names that are capped together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// Names of clients.
    Client,
    /// Names of prompts.
    Prompt,
    /// Protocol revisions.
    Revision,
    /// Namespaces of Kubernetes.
    Namespace,
    /// Names of pods.
    Pod,
}

impl Family {
    const fn cap(self) -> usize {
        match self {
            Self::Client | Self::Pod => MOST_PEERS,
            Self::Prompt | Self::Revision | Self::Namespace => MOST_VALUES,
        }
    }

    /// The `cause` under which names past the cap are counted.
    const fn cause(self) -> &'static str {
        match self {
            Self::Client => "client_names",
            Self::Prompt => "prompt_names",
            Self::Revision => "revisions",
            Self::Namespace => "namespaces",
            Self::Pod => "pods",
        }
    }
}

/// A server that has a name.
#[derive(Debug, Default)]
struct Server {
    used: Timestamp,
    tools: BTreeMap<Box<str>, Timestamp>,
    /// Those that bear the name and have not ended.
    processes: BTreeSet<ProcessId>,
    /// Whether there was one ever. A server on another host has none, and nobody tells when it is gone.
    had_process: bool,
}

impl Server {
    fn seen(&mut self, now: Timestamp, process: Option<&Process>) {
        self.used = now;
        let Some(process) = process.map(|process| process.id) else { return };
        if !self.processes.contains(&process) {
            if self.processes.len() >= MOST_PROCESSES {
                self.processes.pop_first();
            }
            self.had_process = self.processes.insert(process);
        }
    }

    fn is_kept(&self, now: Timestamp) -> bool {
        let is_gone = self.had_process && self.processes.is_empty();
        now.since(self.used) < if is_gone { KEPT_WHEN_GONE } else { KEPT_WHEN_IDLE }
    }
}

/// An address as label values, so that they need not be written for each call.
#[derive(Debug)]
struct Address {
    used: Timestamp,
    ip: Box<str>,
    port: Box<str>,
}

impl Labels {
    /// Sets the time. It never goes back.
    pub fn set_time(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
    }

    /// The label value for a server. The name that its process has on this host is a fact; the one that it gives
    /// itself is admitted if `answered`.
    pub fn server<'a>(&mut self, peer: &'a Peer, answered: bool) -> &'a str {
        let name = cut(peer.label().unwrap_or_default());
        if name.is_empty() {
            return name;
        }
        let (now, process) = (self.now, peer.process.as_deref());
        if let Some(known) = self.servers.get_mut(name) {
            known.seen(now, process);
            return name;
        }
        if !answered && names_itself(peer) {
            return OTHER;
        }
        if self.servers.len() >= MOST_PEERS {
            self.turn_away("server_names");
            return OTHER;
        }
        let mut server = Server::default();
        server.seen(now, process);
        self.servers.insert(name.into(), server);
        name
    }

    /// The label value for a client, likewise.
    pub fn client<'a>(&mut self, peer: &'a Peer, answered: bool) -> &'a str {
        self.name(Family::Client, peer.label().unwrap_or_default(), answered || !names_itself(peer))
    }

    /// The label values for where a server runs on Kubernetes, its namespace and its pod.
    pub fn workload<'a>(&mut self, peer: &'a Peer) -> [&'a str; 2] {
        let Some(process) = peer.process.as_deref() else { return ["", ""] };
        let namespace = self.name(Family::Namespace, process.namespace().unwrap_or_default(), true);
        [namespace, self.name(Family::Pod, process.pod().unwrap_or_default(), true)]
    }

    /// A process has ended.
    pub fn ended(&mut self, process: ProcessId) {
        for server in self.servers.values_mut() {
            server.processes.remove(&process);
        }
    }

    /// The label value for `name`. It is admitted if `answered`.
    pub fn name<'a>(&mut self, family: Family, name: &'a str, answered: bool) -> &'a str {
        let name = cut(name);
        let admitted = self.names.entry(family).or_default();
        if let Some(used) = admitted.get_mut(name) {
            *used = self.now;
            return name;
        }
        if name.is_empty() {
            return name;
        }
        if !answered {
            return OTHER;
        }
        if admitted.len() >= family.cap() {
            self.turn_away(family.cause());
            return OTHER;
        }
        admitted.insert(name.into(), self.now);
        name
    }

    /// The label value for `tool` of the server whose label value is `server`. It is admitted if `answered`.
    pub fn tool<'a>(&mut self, server: &str, tool: &'a str, answered: bool) -> &'a str {
        let tool = cut(tool);
        let of_server = self.servers.get_mut(server);
        let count = of_server.as_ref().map_or(0, |server| server.tools.len());
        if let Some(used) = of_server.and_then(|server| server.tools.get_mut(tool)) {
            *used = self.now;
            return tool;
        }
        if tool.is_empty() {
            return tool;
        }
        if !answered {
            return OTHER;
        }
        let cause = match count {
            MOST_TOOLS_PER_SERVER.. => Some("tools_of_a_server"),
            _ if self.tool_count >= MOST_TOOLS => Some("tools"),
            _ => None,
        };
        if let Some(cause) = cause {
            self.turn_away(cause);
            return OTHER;
        }
        self.tool_count += 1;
        let server = self.servers.entry(server.into()).or_default();
        server.used = self.now;
        server.tools.insert(tool.into(), self.now);
        tool
    }

    /// The label values for an address and its port. They are admitted together if `answered`: a capped address goes
    /// without its port, which would tell the capped ones apart again.
    pub fn address(&mut self, address: Option<SocketAddr>, answered: bool) -> [&str; 2] {
        let Some(address) = address else { return ["", ""] };
        if !self.addresses.contains_key(&address) {
            if !answered {
                return [OTHER, ""];
            }
            if self.addresses.len() >= MOST_VALUES {
                self.turn_away("addresses");
                return [OTHER, ""];
            }
        }
        let known = self.addresses.entry(address).or_insert_with(|| Address {
            used: self.now,
            ip: address.ip().to_string().into(),
            port: address.port().to_string().into(),
        });
        known.used = self.now;
        [&known.ip, &known.port]
    }

    /// What caps have turned away so far, by cause.
    pub fn turned_away(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.turned_away.iter().map(|(&cause, &count)| (cause, count))
    }

    /// Lets go of the names that were not used for long. Whether there was one.
    pub fn expire(&mut self) -> bool {
        let now = self.now;
        let in_use = |used: &Timestamp| now.since(*used) < KEPT_WHEN_IDLE;
        let before = self.count();
        self.servers.retain(|_, server| {
            server.tools.retain(|_, used| in_use(used));
            server.is_kept(now)
        });
        self.names.values_mut().for_each(|names| names.retain(|_, used| in_use(used)));
        self.addresses.retain(|_, address| in_use(&address.used));
        self.tool_count = self.servers.values().map(|server| server.tools.len()).sum();
        self.count() < before
    }

    /// Whether all names of a series, given by label, are still admitted.
    pub fn hold(&self, labels: &[(&str, &str)]) -> bool {
        let value =
            |wanted: &str| labels.iter().find(|(label, _)| *label == wanted).map_or("", |(_, value)| value);
        let server = value("server");
        labels.iter().all(|&(label, value_here)| {
            let in_family = |family| self.names.get(&family).is_some_and(|names| names.contains_key(value_here));
            if value_here.is_empty() || value_here == OTHER {
                return true;
            }
            match label {
                "server" => self.servers.contains_key(value_here),
                "client" => in_family(Family::Client),
                "tool" | "gen_ai_tool_name" => {
                    self.servers.get(server).is_some_and(|server| server.tools.contains_key(value_here))
                }
                "namespace" => in_family(Family::Namespace),
                "pod" => in_family(Family::Pod),
                "gen_ai_prompt_name" => in_family(Family::Prompt),
                "mcp_protocol_version" => in_family(Family::Revision),
                "server_address" => {
                    let address = (value_here.parse(), value("server_port").parse());
                    matches!(address, (Ok(ip), Ok(port)) if self.addresses.contains_key(&SocketAddr::new(ip, port)))
                }
                _ => true,
            }
        })
    }

    fn turn_away(&mut self, cause: &'static str) {
        *self.turned_away.entry(cause).or_default() += 1;
    }

    fn count(&self) -> usize {
        let tools: usize = self.servers.values().map(|server| server.tools.len()).sum();
        let names: usize = self.names.values().map(BTreeMap::len).sum();
        self.servers.len() + tools + names + self.addresses.len()
    }
}

/// Whether a peer has told its name, which is untrusted.
fn names_itself(peer: &Peer) -> bool {
    peer.name.as_deref().is_some_and(|name| !name.is_empty())
}

fn cut(name: &str) -> &str {
    if name.len() <= MOST_CHARACTERS {
        return name;
    }
    let end = name.char_indices().nth(MOST_CHARACTERS).map_or(name.len(), |(at, _)| at);
    name.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn named(name: &str) -> Peer {
        Peer { name: Some(name.into()), ..Peer::default() }
    }

    fn hours(hours: u64) -> Timestamp {
        Timestamp::from_nanos(hours * 3_600_000_000_000)
    }

    #[test]
    fn a_name_counts_once_it_was_answered() {
        let mut labels = Labels::default();
        assert_eq!(labels.tool("s", "made_up", false), OTHER);
        assert_eq!(labels.tool("s", "echo", true), "echo");
        assert_eq!(labels.tool("s", "echo", false), "echo", "a later failure keeps the name");
        assert_eq!(labels.tool("other", "echo", false), OTHER, "of that server only");
        assert_eq!(labels.server(&named("everything"), false), OTHER);
        assert_eq!(labels.server(&named("everything"), true), "everything");
        assert_eq!(labels.client(&named("everything"), false), OTHER, "of that family only");
        assert_eq!(labels.client(&Peer::default(), false), "", "absent is not other");
        assert_eq!(labels.turned_away().count(), 0);
    }

    #[test]
    fn a_server_has_its_cap_and_all_together_have_one() {
        let mut labels = Labels::default();
        let mut admitted = 0;
        for server in 0..20 {
            for tool in 0..201 {
                let tool = format!("tool{tool}");
                admitted += usize::from(labels.tool(&server.to_string(), &tool, true) == tool);
            }
        }
        assert_eq!(admitted, MOST_TOOLS);
        assert_eq!(
            labels.turned_away().collect::<Vec<_>>(),
            [("tools", 10 * 201), ("tools_of_a_server", 10)]
        );
    }

    #[test]
    fn long_names_are_cut_between_characters() {
        let mut labels = Labels::default();
        assert_eq!(labels.server(&named(&"ä".repeat(200)), true), "ä".repeat(128));
    }

    #[test]
    fn names_past_the_cap_are_counted() {
        let mut labels = Labels::default();
        for number in 0..=MOST_VALUES {
            labels.name(Family::Prompt, &number.to_string(), true);
        }
        for number in 0..=MOST_PEERS {
            labels.server(&named(&number.to_string()), true);
        }
        assert_eq!(labels.turned_away().collect::<Vec<_>>(), [("prompt_names", 1), ("server_names", 1)]);
    }

    #[test]
    fn addresses_count_with_their_ports() {
        let mut labels = Labels::default();
        let address = |port| Some(([127, 0, 0, 1], port).into());
        assert_eq!(labels.address(None, true), ["", ""]);
        assert_eq!(labels.address(address(1), false), [OTHER, ""]);
        for port in 1..=MOST_VALUES as u16 {
            assert_eq!(labels.address(address(port), true), ["127.0.0.1", &port.to_string()]);
        }
        assert_eq!(labels.address(address(9999), true), [OTHER, ""]);
        assert_eq!(labels.address(address(7), false), ["127.0.0.1", "7"]);
        assert_eq!(labels.turned_away().collect::<Vec<_>>(), [("addresses", 1)]);
    }

    #[test]
    fn a_server_that_is_gone_frees_its_places_after_an_hour_and_an_idle_one_after_a_day() {
        let mut labels = Labels::default();
        let peer = |name: &str, pid| {
            let id = ProcessId { pid, started_ns: 1 };
            let process =
                Process { id, ..crate::export::testing::call().server.process.as_deref().unwrap().clone() };
            Peer { process: Some(Arc::new(process)), ..named(name) }
        };
        for (name, pid) in [("gone", 1), ("gone", 2), ("idle", 3)] {
            labels.server(&peer(name, pid), true);
            labels.tool(name, "echo", true);
        }
        labels.server(&named("remote"), true);
        let echo_of = |labels: &Labels, server| labels.hold(&[("server", server), ("tool", "echo")]);
        labels.ended(ProcessId { pid: 1, started_ns: 1 });
        labels.set_time(hours(2));
        assert!(!labels.expire(), "one of its processes is there");
        labels.ended(ProcessId { pid: 2, started_ns: 1 });
        assert!(labels.expire());
        assert_eq!(["gone", "idle"].map(|server| echo_of(&labels, server)), [false, true]);
        assert_eq!(labels.tool_count, 1);
        labels.set_time(hours(20));
        labels.tool("idle", "other", true);
        labels.set_time(hours(25));
        assert!(labels.expire());
        let left =
            labels.servers.iter().map(|(name, server)| (&**name, server.tools.len())).collect::<Vec<_>>();
        assert_eq!(left, [("idle", 1)], "its other tool was used, the remote server was not");
    }

    #[test]
    fn series_hold_as_long_as_all_their_names() {
        let mut labels = Labels::default();
        labels.address(Some(([127, 0, 0, 1], 80).into()), true);
        labels.name(Family::Revision, "2025-11-25", true);
        let holds = |pairs: &[(&str, &str)]| labels.hold(pairs);
        assert!(holds(&[("server_address", "127.0.0.1"), ("server_port", "80"), ("method", "x")]));
        assert!(!holds(&[("server_address", "127.0.0.1"), ("server_port", "81")]));
        assert!(holds(&[("mcp_protocol_version", "2025-11-25"), ("server", OTHER), ("tool", "")]));
        assert!(!holds(&[("mcp_protocol_version", "2024-11-05")]));
    }
}
