//! A real collector is ended and started again while calls go on: each span arrives once, or is counted.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use live::agent::Agent;
use live::collector::{Addresses, Collector, Span};
use live::programs::programs;
use peers::running::Running;
use peers::truth::Line;

/// Calls a second, and for how many seconds.
const LOAD: [u64; 2] = [200, 15];
const DEADLINE: Duration = Duration::from_secs(60);

#[test]
fn over_http_every_span_arrives_once() -> Result<()> {
    let (arrived, counted) = restarted("http/protobuf", 100_000)?;
    ensure!(counted == 0, "{counted} were dropped although there was room");
    ensure!(arrived == spans_of_the_load(), "{arrived} spans");
    Ok(())
}

#[test]
fn over_grpc_every_span_arrives_once() -> Result<()> {
    let (arrived, counted) = restarted("grpc", 100_000)?;
    ensure!(counted == 0, "{counted} were dropped although there was room");
    ensure!(arrived == spans_of_the_load(), "{arrived} spans");
    Ok(())
}

#[test]
fn what_the_queue_cannot_hold_is_counted() -> Result<()> {
    let (_, counted) = restarted("grpc", 20)?;
    ensure!(counted > 0, "the queue holds twenty calls, and the collector was away for longer");
    Ok(())
}

/// The calls of the load and its `initialize`, of both sides.
const fn spans_of_the_load() -> u64 {
    (LOAD[0] * LOAD[1] + 1) * 2
}

/// Lets calls go on while the collector goes away and comes back. Returns how many spans arrived and how many were
/// counted as dropped, which together are all.
fn restarted(protocol: &str, queue: u64) -> Result<(u64, u64)> {
    let scratch = Scratch::make(&format!("{}-{queue}", protocol.replace('/', "-")))?;
    let addresses = Addresses::free()?;
    let endpoint = match protocol {
        "grpc" => format!("http://{}", addresses.grpc),
        _ => format!("http://{}", addresses.http),
    };
    let mut collector = Collector::start(addresses, &scratch.path("first"))?;
    // Others may make calls on this host too: only those of this copy of the peer are looked at.
    let peer = scratch.path("peer");
    std::fs::copy(programs()?.peers.programs.join("raw-peer"), &peer)?;
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
    let mut agent = Agent::start_with(&flags, &variables)?;
    let [rate, seconds] = LOAD.map(|number| number.to_string());
    let mut load = Command::new(&peer);
    let load: Running<Line> = Running::start(load.args(["load", "--rate", &rate, "--seconds", &seconds]))?;
    let mut before = Vec::new();
    for round in ["second", "third"] {
        agent.wait_for(DEADLINE, "spans", |_| Ok(collector.spans()?.len() > 100))?;
        before.extend(collector.end()?);
        agent.wait_for(DEADLINE, "the agent to notice", |agent| Ok(!agent.is_ready()))?;
        collector = Collector::start(addresses, &scratch.path(round))?;
        agent.wait_for(DEADLINE, "the agent to be ready again", |agent| Ok(agent.is_ready()))?;
    }
    load.finish()?;
    let expected = spans_of_the_load();
    agent.wait_for(DEADLINE, "all spans", |agent| {
        let arrived = (before.len() + collector.spans()?.len()) as u64;
        Ok(arrived + dropped(agent)? >= expected)
    })?;
    let counted = dropped(&agent)?;
    agent.end()?;
    let all = [before, collector.end()?].concat();
    check(&all)?;
    ensure!(all.len() as u64 + counted == expected, "{} arrived, {counted} were counted", all.len());
    Ok((all.len() as u64, counted))
}

/// Spans that did not arrive, as the agent counts them.
fn dropped(agent: &Agent) -> Result<u64> {
    let metrics = agent.metrics()?;
    let lines = metrics.lines().filter(|line| line.starts_with("mcp_observer_shed_total{"));
    let lines = lines.filter(|line| line.contains("cause=\"otlp_traces_"));
    let counts = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    Ok(counts.sum::<f64>() as u64)
}

/// No span twice; where both sides of a call arrived, the server's is the child of the client's.
fn check(spans: &[Span]) -> Result<()> {
    let ids: BTreeSet<_> = spans.iter().map(|span| &span.id).collect();
    ensure!(ids.len() == spans.len(), "{} of {} spans came twice", spans.len() - ids.len(), spans.len());
    let of = |kind: &str| {
        let spans = spans.iter().filter(|span| span.kind == kind);
        spans.map(|span| (span.request_id.clone(), span)).collect::<BTreeMap<_, _>>()
    };
    let (clients, servers) = (of("SPAN_KIND_CLIENT"), of("SPAN_KIND_SERVER"));
    ensure!(clients.len() + servers.len() == spans.len(), "two spans of one side of one call");
    for (id, server) in servers {
        let Some(client) = clients.get(&id) else { continue };
        ensure!(server.parent == client.id && server.name == client.name, "{server:?} of {client:?}");
    }
    Ok(())
}

/// A folder of this test alone, gone with it.
struct Scratch(PathBuf);

impl Scratch {
    fn make(name: &str) -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("mcp-observer-otlp-{name}-{}", std::process::id()));
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
