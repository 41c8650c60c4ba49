//! A real collector is ended and started again while calls go on: each span arrives once, or is counted.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use live::agent::Agent;
use live::collector::{Addresses, Collector, Hasty, Span};
use live::programs::programs;
use peers::running::Running;
use peers::truth::Line;

/// Calls a second, and for how many seconds.
const LOAD: [u64; 2] = [200, 15];
/// The same, while a collector is killed.
const SHORT_LOAD: [u64; 2] = [200, 3];
const ROOMY: u64 = 100_000;
const DEADLINE: Duration = Duration::from_secs(60);

#[test]
fn over_http_every_span_arrives_once() -> Result<()> {
    let counted = restarted("http/protobuf", ROOMY)?;
    ensure!(counted == 0, "{counted} were dropped although there was room");
    Ok(())
}

#[test]
fn over_grpc_every_span_arrives_once() -> Result<()> {
    let counted = restarted("grpc", ROOMY)?;
    ensure!(counted == 0, "{counted} were dropped although there was room");
    Ok(())
}

#[test]
fn over_http_a_killed_collector_costs_no_span() -> Result<()> {
    killed("http/protobuf")
}

#[test]
fn over_grpc_a_killed_collector_costs_no_span() -> Result<()> {
    killed("grpc")
}

#[test]
fn what_the_queue_cannot_hold_is_counted() -> Result<()> {
    let counted = restarted("grpc", 20)?;
    ensure!(counted > 0, "the queue holds twenty calls, and the collector was away for longer");
    Ok(())
}

/// Lets calls go on while the collector ends in order and comes back, twice. Returns how many spans were counted as
/// dropped: these and those that arrived are all.
fn restarted(protocol: &str, queue: u64) -> Result<u64> {
    unless_hasty(|| restarted_once(protocol, queue))
}

/// Tries again where a collector has lost something of its own, which says nothing of the observer.
fn unless_hasty<T>(act: impl Fn() -> Result<T>) -> Result<T> {
    for _ in 0..2 {
        match act() {
            Err(error) if error.is::<Hasty>() => eprintln!("{error}; once more"),
            result => return result,
        }
    }
    act()
}

fn restarted_once(protocol: &str, queue: u64) -> Result<u64> {
    let mut scene = Scene::start(protocol, queue)?;
    let load = scene.load(LOAD)?;
    for _ in 0..2 {
        scene.wait_for("spans", |collector| Ok(collector.spans()?.len() > 100))?;
        scene.replace(Collector::end)?;
    }
    load.finish()?;
    scene.check(spans(LOAD))
}

/// Kills the collector while a request is on its way that it cannot have taken, and while calls go on, twice.
fn killed(protocol: &str) -> Result<()> {
    unless_hasty(|| killed_once(protocol))
}

fn killed_once(protocol: &str) -> Result<()> {
    let mut scene = Scene::start(protocol, ROOMY)?;
    scene.load(SHORT_LOAD)?.finish()?;
    let mut expected = spans(SHORT_LOAD);
    for _ in 0..2 {
        let arrived = expected - scene.before.len() as u64;
        scene.wait_for("all spans", |collector| Ok(collector.spans()?.len() as u64 >= arrived))?;
        scene.collector.freeze()?;
        let load = scene.load(SHORT_LOAD)?;
        expected += spans(SHORT_LOAD);
        scene.wait_for("a request", Collector::has_unread)?;
        scene.replace(Collector::kill)?;
        load.finish()?;
    }
    let counted = scene.check(expected)?;
    ensure!(counted == 0, "{counted} were dropped although there was room");
    Ok(())
}

/// The calls of a load and its `initialize`, of both sides.
const fn spans([rate, seconds]: [u64; 2]) -> u64 {
    (rate * seconds + 1) * 2
}

/// An agent, and the collectors that it sends to, one after the other.
struct Scene {
    agent: Agent,
    collector: Collector,
    addresses: Addresses,
    /// What arrived at the collectors before this one.
    before: Vec<Span>,
    /// Others may make calls on this host too: only those of this copy of the peer are looked at.
    peer: PathBuf,
    collectors: u32,
    scratch: Scratch,
}

impl Scene {
    fn start(protocol: &str, queue: u64) -> Result<Self> {
        let scratch = Scratch::make()?;
        let addresses = Addresses::free()?;
        let collector = Collector::start(addresses, &scratch.path("0"))?;
        let peer = scratch.path("peer");
        std::fs::copy(programs()?.peers.programs.join("raw-peer"), &peer)?;
        let address = if protocol == "grpc" { addresses.grpc } else { addresses.http };
        let endpoint = format!("http://{address}");
        let flags = ["--exe", peer.to_str().context("no text")?, "--otlp-endpoint", &endpoint];
        let queue = queue.to_string();
        let variables = [
            ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", &queue),
            ("OTEL_BSP_SCHEDULE_DELAY", "200"),
            ("OTEL_METRICS_EXPORTER", "none"),
            ("OTEL_LOGS_EXPORTER", "none"),
        ];
        let agent = Agent::start_with(&flags, &variables)?;
        Ok(Self { agent, collector, addresses, before: Vec::new(), peer, collectors: 0, scratch })
    }

    fn load(&self, load: [u64; 2]) -> Result<Running<Line>> {
        let [rate, seconds] = load.map(|number| number.to_string());
        Running::start(Command::new(&self.peer).args(["load", "--rate", &rate, "--seconds", &seconds]))
    }

    fn wait_for(&mut self, what: &str, is_so: impl Fn(&Collector) -> Result<bool>) -> Result<()> {
        self.agent.wait_for(DEADLINE, what, |_| is_so(&self.collector))
    }

    /// Ends the collector and, once the agent has noticed, starts another one.
    fn replace(&mut self, end: impl FnOnce(&mut Collector) -> Result<Vec<Span>>) -> Result<()> {
        self.before.extend(end(&mut self.collector)?);
        self.agent.wait_for(DEADLINE, "the agent to notice", |agent| Ok(!agent.is_ready()))?;
        self.collectors += 1;
        let printed = self.scratch.path(&self.collectors.to_string());
        self.collector = Collector::start(self.addresses, &printed)?;
        self.agent.wait_for(DEADLINE, "the agent to be ready again", |agent| Ok(agent.is_ready()))
    }

    /// Waits until `expected` spans have arrived or are counted as dropped, and looks at each. Returns how many were
    /// dropped.
    fn check(mut self, expected: u64) -> Result<u64> {
        // Where spans are missing in the end the comparison below tells how many.
        let _ = self.agent.wait_for(DEADLINE, "all spans", |agent| {
            let arrived = (self.before.len() + self.collector.spans()?.len()) as u64;
            let dropped = dropped(agent)?;
            Ok(arrived + dropped >= expected && exported(agent)? + dropped >= expected)
        });
        let counted = dropped(&self.agent)?;
        let exported = exported(&self.agent)?;
        let metrics = self.agent.metrics()?;
        self.agent.end()?;
        let arrived = [self.before, self.collector.end()?].concat();
        check(&arrived, counted == 0)?;
        let told =
            metrics.lines().filter(|line| line.starts_with("mcp_observer_")).collect::<Vec<_>>().join("\n");
        ensure!(
            exported + counted == expected && arrived.len() as u64 == exported,
            "of {expected} {exported} were taken and {} arrived, {counted} were counted\n{told}",
            arrived.len()
        );
        Ok(counted)
    }
}

/// Spans that did not arrive, as the agent counts them.
fn dropped(agent: &Agent) -> Result<u64> {
    let metrics = agent.metrics()?;
    let lines = metrics.lines().filter(|line| line.starts_with("mcp_observer_shed_total{"));
    let lines = lines.filter(|line| line.contains("cause=\"otlp_traces_"));
    let counts = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    Ok(counts.sum::<f64>() as u64)
}

/// Spans that a collector has taken, as the agent counts them.
fn exported(agent: &Agent) -> Result<u64> {
    Ok(agent.metric("mcp_observer_exported_total{signal=\"traces\"}")? as u64)
}

/// No span twice; the server's span of a call is the child of the client's, which is there too if `all` are.
fn check(spans: &[Span], all: bool) -> Result<()> {
    let ids: BTreeSet<_> = spans.iter().map(|span| &span.id).collect();
    ensure!(ids.len() == spans.len(), "{} of {} spans came twice", spans.len() - ids.len(), spans.len());
    let of = |kind: &str| {
        let spans = spans.iter().filter(|span| span.kind == kind);
        spans.map(|span| ((&span.trace_id, &span.request_id), span)).collect::<BTreeMap<_, _>>()
    };
    let (clients, servers) = (of("SPAN_KIND_CLIENT"), of("SPAN_KIND_SERVER"));
    ensure!(clients.len() + servers.len() == spans.len(), "two spans of one side of one call");
    for (id, server) in servers {
        let Some(client) = clients.get(&id) else {
            ensure!(!all, "nothing of the client of {server:?}");
            continue;
        };
        ensure!(server.parent == client.id && server.name == client.name, "{server:?} of {client:?}");
    }
    Ok(())
}

/// A folder of this test alone, gone with it.
struct Scratch(PathBuf);

impl Scratch {
    fn make() -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("mcp-observer-otlp-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        Ok(Self(folder))
    }

    fn path(&self, name: &str) -> PathBuf {
        Path::join(&self.0, name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed does no harm.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
