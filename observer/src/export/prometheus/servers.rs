//! What is known of servers beside their calls, as metrics: lifecycle, usage, tools, steps, authorization.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Prometheus;
use super::metrics::{Counter, Gauge, Histogram};
use crate::export::labels::Labels;
use crate::pipeline::input::ProcessId;
use crate::pipeline::observation::{
    Auth, AuthResult, InFlight, ProtocolStep, Scheme, Server, ServerUsage, ToolChanged, ToolsListed,
    Transport,
};

const IN_FLIGHT: Gauge<1> = Gauge::new("mcp_calls_in_flight");
const STEPS: Histogram<2> = Histogram::new("mcp_protocol_step_duration_seconds");
const SERVERS_ACTIVE: Gauge<1> = Gauge::new("mcp_servers_active");
const SESSIONS_ACTIVE: Gauge<1> = Gauge::new("mcp_sessions_active");
const STARTS: Counter<1> = Counter::new("mcp_server_starts_total");
const STOPS: Counter<2> = Counter::new("mcp_server_stops_total");
const UPTIME: Gauge<1> = Gauge::new("mcp_server_uptime_seconds");
const MEMORY: Gauge<1> = Gauge::new("mcp_server_memory_bytes");
const CPU: Counter<1> = Counter::new("mcp_server_cpu_seconds_total");
const AUTH: Counter<3> = Counter::new("mcp_auth_requests_total");
const TOOLS: Gauge<1> = Gauge::new("mcp_tools_listed");
const CHANGES: Counter<1> = Counter::new("mcp_tool_definition_changes_total");

/// What the metrics of servers are made up from.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// What each process takes.
    processes: BTreeMap<ProcessId, (Key, Taken)>,
    /// Processor time, ended processes included.
    cpu: BTreeMap<Key, Duration>,
    /// Servers and sessions that are active, by transport.
    servers: BTreeMap<&'static str, i64>,
    sessions: BTreeMap<&'static str, i64>,
}

/// A server by its label values: its name, and where it runs.
type Key = [Box<str>; 3];

/// What a process takes.
#[derive(Clone, Copy, Debug)]
struct Taken {
    uptime: Duration,
    resident_bytes: u64,
    cpu: Duration,
}

/// Processes whose usage is remembered: more than are watched at once.
const MOST_PROCESSES: usize = 2048;

impl Known {
    /// Lets go of servers whose names are no longer admitted.
    pub(super) fn forget(&mut self, labels: &Labels) {
        self.cpu.retain(|[server, namespace, pod], _| {
            labels.hold(&[("server", server), ("namespace", namespace), ("pod", pod)])
        });
    }
}

impl Prometheus {
    pub(super) fn server_started(&mut self, it: &Server) {
        if it.is_probe {
            return;
        }
        // A server is met when it has answered.
        let server = self.labels.server(&it.server, true);
        self.registry.add(STARTS, [server], u64::from(!it.was_running));
        let active = shift(&mut self.servers.servers, it.transport, 1);
        self.registry.set(SERVERS_ACTIVE, [it.transport.name()], active);
    }

    pub(super) fn server_stopped(&mut self, it: &Server) {
        if let Some(process) = it.server.process.as_deref()
            && let Some((server, _)) = self.servers.processes.remove(&process.id)
        {
            self.show_usage(&server);
        }
        if it.is_probe {
            return;
        }
        let server = self.labels.server(&it.server, true);
        if let Some(reason) = it.reason() {
            self.registry.add(STOPS, [server, &reason], 1);
        }
        let active = shift(&mut self.servers.servers, it.transport, -1);
        self.registry.set(SERVERS_ACTIVE, [it.transport.name()], active);
    }

    pub(super) fn sessions_active(&mut self, transport: Transport, by: i64) {
        let active = shift(&mut self.servers.sessions, transport, by);
        self.registry.set(SESSIONS_ACTIVE, [transport.name()], active);
    }

    pub(super) fn usage(&mut self, it: &ServerUsage) {
        let Some(process) = it.server.process.as_deref().map(|process| process.id) else { return };
        let [namespace, pod] = self.labels.workload(&it.server);
        let server: Key = [self.labels.server(&it.server, true), namespace, pod].map(Into::into);
        let taken = Taken { uptime: it.uptime, resident_bytes: it.resident_bytes, cpu: it.cpu };
        let known = &mut self.servers;
        let before = known.processes.insert(process, (server.clone(), taken));
        let more = it.cpu.saturating_sub(before.map(|(_, before)| before.cpu).unwrap_or_default());
        if known.processes.len() > MOST_PROCESSES {
            known.processes.pop_first();
        }
        let cpu = known.cpu.entry(server.clone()).or_default();
        *cpu += more;
        self.registry.follow(CPU, [&server[0]], cpu.as_secs_f64());
        self.show_usage(&server);
    }

    /// The gauges of one server are those of the processes that it has.
    fn show_usage(&self, server: &Key) {
        let all = self.servers.processes.values().filter(|(of, _)| of == server).map(|(_, taken)| taken);
        let oldest = all.clone().map(|taken| taken.uptime).max();
        let resident: u64 = all.map(|taken| taken.resident_bytes).sum();
        if let Some(uptime) = oldest {
            self.registry.set(UPTIME, [&server[0]], uptime.as_secs_f64());
            self.registry.set(MEMORY, [&server[0]], resident as f64);
        } else {
            let values = server.each_ref().map(|value| &**value);
            self.registry.remove(UPTIME, &values);
            self.registry.remove(MEMORY, &values);
        }
    }

    pub(super) fn tools_listed(&mut self, it: &ToolsListed) {
        let server = self.labels.server(&it.server, true);
        for tool in &it.tools {
            self.labels.tool(server, tool, true);
        }
        self.registry.set(TOOLS, [server], it.tools.len() as f64);
        // An increase can only be seen of a series that was there before.
        self.registry.add(CHANGES, [server], 0);
    }

    pub(super) fn tool_changed(&mut self, it: &ToolChanged) {
        let server = self.labels.server(&it.server, true);
        self.registry.add(CHANGES, [server], 1);
    }

    pub(super) fn step(&mut self, it: &ProtocolStep) {
        let server = self.labels.server(&it.server, true);
        self.registry.observe(STEPS, [server, it.step.name()], it.duration.as_secs_f64(), None);
    }

    pub(super) fn auth(&mut self, it: &Auth) {
        // Who refuses has told nothing of itself.
        let server = self.labels.server(&it.server, false);
        if it.scheme != Scheme::None {
            // An increase can only be seen of a series that was there before.
            for result in AuthResult::ALL {
                self.registry.add(AUTH, [server, it.scheme.name(), result.name()], 0);
            }
        }
        self.registry.add(AUTH, [server, it.scheme.name(), it.result.name()], 1);
    }

    /// Servers that had calls in flight and have none are at 0.
    pub(super) fn in_flight(&mut self, it: &InFlight) {
        self.registry.reset(IN_FLIGHT);
        for (server, count) in &it.servers {
            self.registry.set_workload(self.labels.workload(server));
            self.registry.shift(IN_FLIGHT, [self.labels.server(server, false)], *count as f64);
        }
    }
}

/// Never below nothing: an end may be seen whose beginning was not.
fn shift(active: &mut BTreeMap<&'static str, i64>, transport: Transport, by: i64) -> f64 {
    let count = active.entry(transport.name()).or_default();
    *count = (*count + by).max(0);
    *count as f64
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::export::Exporter;
    use crate::export::prometheus::exposition::plain_text;
    use crate::export::testing::{CLOCK, call, ended};
    use crate::pipeline::mcp::inventory::Changed;
    use crate::pipeline::observation::{Observation, Peer, Process, Session, Step};
    use crate::pipeline::time::Timestamp;

    const AT: Timestamp = Timestamp::from_nanos(1);

    struct Scraped(Prometheus);

    impl Scraped {
        fn new() -> Self {
            Self(Prometheus::default())
        }

        fn see(&mut self, observation: Observation) {
            self.0.export(&observation, CLOCK).unwrap();
        }

        fn has(&self, line: &str) -> bool {
            let text = String::from_utf8(plain_text(&self.0.registry())).unwrap();
            text.lines().any(|it| it == line)
        }

        fn ask(&self, line: &str) {
            assert!(
                self.has(line),
                "{line} in {}",
                String::from_utf8(plain_text(&self.0.registry())).unwrap()
            );
        }
    }

    fn process(pid: u32) -> Peer {
        let call = call();
        let known = call.server.process.as_deref().unwrap();
        let process = Process { id: ProcessId { pid, started_ns: 1 }, ..known.clone() };
        Peer { process: Some(Arc::new(process)), ..call.server }
    }

    fn usage(pid: u32, seconds: u64) -> Observation {
        Observation::ServerUsage(Box::new(ServerUsage {
            at: AT,
            uptime: Duration::from_secs(seconds * 10),
            resident_bytes: 1000 + u64::from(pid),
            cpu: Duration::from_secs(seconds),
            server: process(pid),
        }))
    }

    #[test]
    fn starts_and_stops_are_counted_with_their_reason_and_probes_are_not() {
        let mut metrics = Scraped::new();
        let started = ended(AT, None);
        metrics.see(Observation::ServerStarted(Box::new(started.clone())));
        metrics.see(Observation::ServerStarted(Box::new(Server { was_running: true, ..started.clone() })));
        metrics.see(Observation::ServerStarted(Box::new(Server { is_probe: true, ..started })));
        metrics.see(Observation::ServerStopped(Box::new(ended(AT, Some(9)))));
        metrics.see(Observation::ServerStopped(Box::new(Server { is_probe: true, ..ended(AT, Some(15)) })));
        metrics.ask(r#"mcp_server_starts_total{server="everything"} 1"#);
        metrics.ask(r#"mcp_server_stops_total{reason="signal_kill",server="everything"} 1"#);
        assert!(!metrics.has(r#"mcp_server_stops_total{reason="signal_term",server="everything"} 1"#));
        metrics.ask(r#"mcp_servers_active{transport="stdio"} 1"#);
    }

    #[test]
    fn processes_of_one_server_add_up_and_leave_their_time_behind() {
        let mut metrics = Scraped::new();
        [usage(1, 5), usage(2, 3), usage(1, 7)].map(|it| metrics.see(it)).into_iter().for_each(drop);
        metrics.ask(r#"mcp_server_memory_bytes{server="everything"} 2003"#);
        metrics.ask(r#"mcp_server_uptime_seconds{server="everything"} 70"#);
        metrics.ask(r#"mcp_server_cpu_seconds_total{server="everything"} 10"#);
        metrics
            .see(Observation::ServerStopped(Box::new(Server { server: process(1), ..ended(AT, Some(0)) })));
        metrics.ask(r#"mcp_server_memory_bytes{server="everything"} 1002"#);
        metrics.ask(r#"mcp_server_cpu_seconds_total{server="everything"} 10"#);
        metrics
            .see(Observation::ServerStopped(Box::new(Server { server: process(2), ..ended(AT, Some(0)) })));
        assert!(!metrics.has(r#"mcp_server_memory_bytes{server="everything"} 0"#));
    }

    #[test]
    fn sessions_are_active_between_their_beginning_and_end() {
        let session = || {
            Box::new(Session {
                at: AT,
                transport: Transport::StreamableHttp,
                revision: None,
                session: None,
                duration: None,
                client: Peer::default(),
                server: Peer::default(),
            })
        };
        let mut metrics = Scraped::new();
        metrics.see(Observation::SessionEnded(session()));
        metrics.see(Observation::SessionStarted(session()));
        metrics.see(Observation::SessionStarted(session()));
        metrics.see(Observation::SessionEnded(session()));
        metrics.ask(r#"mcp_sessions_active{transport="streamable_http"} 1"#);
    }

    #[test]
    fn listed_tools_are_admitted_and_changes_counted() {
        let (client, server) = (Peer::default(), call().server);
        let mut metrics = Scraped::new();
        metrics.see(Observation::ToolsListed(Box::new(ToolsListed {
            at: AT,
            tools: vec!["echo".into(), "never_called".into()],
            transport: Transport::Stdio,
            client: client.clone(),
            server: server.clone(),
        })));
        metrics.ask(r#"mcp_tools_listed{server="everything"} 2"#);
        metrics.ask(r#"mcp_tool_definition_changes_total{server="everything"} 0"#);
        assert_eq!(metrics.0.labels.tool("everything", "never_called", false), "never_called");
        metrics.see(Observation::ToolChanged(Box::new(ToolChanged {
            at: AT,
            changed: Changed { tool: "echo".into(), before: 1, after: 2 },
            transport: Transport::Stdio,
            client,
            server,
        })));
        metrics.ask(r#"mcp_tool_definition_changes_total{server="everything"} 1"#);
    }

    #[test]
    fn steps_are_timed_and_authorization_counted() {
        let (client, server) = (Peer::default(), call().server);
        let mut metrics = Scraped::new();
        metrics.see(Observation::ProtocolStep(Box::new(ProtocolStep {
            at: AT,
            step: Step::ListToCall,
            duration: Duration::from_millis(20),
            transport: Transport::Stdio,
            client: client.clone(),
            server: server.clone(),
        })));
        let auth = |result| {
            let transport = Transport::StreamableHttp;
            let (client, server) = (client.clone(), server.clone());
            Observation::Auth(Box::new(Auth {
                at: AT,
                scheme: Scheme::BearerJwt,
                result,
                status: 0,
                transport,
                client,
                server,
            }))
        };
        metrics.see(auth(AuthResult::Unauthorized));
        metrics.see(auth(AuthResult::Accepted));
        // What grows from now on can be seen.
        metrics
            .ask(r#"mcp_auth_requests_total{result="forbidden",scheme="bearer_jwt",server="everything"} 0"#);
        metrics.ask(r#"mcp_protocol_step_duration_seconds_count{server="everything",step="list_to_call"} 1"#);
        metrics.ask(
            r#"mcp_auth_requests_total{result="unauthorized",scheme="bearer_jwt",server="everything"} 1"#,
        );
        metrics
            .ask(r#"mcp_auth_requests_total{result="accepted",scheme="bearer_jwt",server="everything"} 1"#);
    }

    #[test]
    fn what_is_no_longer_in_flight_is_at_zero() {
        let mut metrics = Scraped::new();
        let told = |servers: Vec<(Peer, u64)>| {
            Observation::InFlight(Box::new(InFlight { at: AT, servers: servers.into() }))
        };
        metrics.see(told(vec![(process(1), 2), (process(2), 1)]));
        let script = Peer { name: None, ..call().server };
        metrics.see(told(vec![(script.clone(), 5)]));
        metrics.ask(r#"mcp_calls_in_flight{server="server.js"} 5"#);
        metrics.see(told(vec![]));
        metrics.ask(r#"mcp_calls_in_flight{server="server.js"} 0"#);
    }
}
