//! Steady load: the agent's processor time for each call, what is lost, and where the load itself ends.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::vitals::{cpu_seconds, resident};
use super::{Bench, Figures};
use crate::agent::{Agent, Metrics};
use crate::process::{self, Killed};

/// Calls per second, each for ten seconds.
const RATES: [u32; 3] = [100, 1000, 10_000];
/// Rates beyond, up to as many as the peers can make: 0.
const STEEP: [u32; 4] = [20_000, 40_000, 80_000, 0];
/// How often a Prometheus server asks.
const SCRAPE_EVERY: Duration = Duration::from_secs(15);

/// What became of one load.
struct Outcome {
    made: f64,
    missed: f64,
    lost: f64,
    rate: f64,
    cpu_us_per_call: f64,
    resident_mb: f64,
}

/// What the table says of it.
pub const ABOUT: &str = "Calls at a steady rate on one stdio session for ten seconds (five beyond 10,000 a second), metrics scraped every 15 s:\n\
     processor time of the agent for each call, calls that it did not show (`missed`), records that did not fit (`lost`).\n\
     At `saturation` the client writes without a pause, and the agent shares two processors with it. Resident memory is\n\
     without the rings, which the kernel and the agent share.";

/// Measures the rates of interest, and then how far it goes.
pub fn measure(bench: &Bench) -> Result<Figures> {
    let mut figures = Figures::default();
    for rate in RATES {
        let outcome = run(bench, rate, 10_000)?;
        figures.add(format!("agent_cpu_us_per_call_{rate}"), outcome.cpu_us_per_call);
        loss(&mut figures, &rate.to_string(), &outcome);
        if rate == 10_000 {
            figures.add("load_rss_mb", outcome.resident_mb);
        }
    }
    for rate in STEEP {
        let outcome = run(bench, rate, 5_000)?;
        let name = if rate == 0 { "saturation".to_owned() } else { rate.to_string() };
        figures.add(format!("calls_per_s_at_{name}"), outcome.rate);
        figures.add(format!("agent_cpu_us_per_call_{name}"), outcome.cpu_us_per_call);
        loss(&mut figures, &name, &outcome);
    }
    figures.add("calls_per_s_unobserved", made_per_second(&load(bench, 0, 5_000)?)?);
    Ok(figures)
}

fn loss(figures: &mut Figures, name: &str, outcome: &Outcome) {
    figures.add(format!("missed_at_{name}"), outcome.missed);
    figures.add(format!("lost_at_{name}"), outcome.lost);
    figures.add(format!("missed_percent_at_{name}"), 100.0 * outcome.missed / outcome.made);
}

fn run(bench: &Bench, rate: u32, for_ms: u32) -> Result<Outcome> {
    let agent = bench.agent()?;
    let pid = agent.observer.pid();
    let before = agent.metrics()?;
    let cpu_before = cpu_seconds(pid)?;
    let mut peer = bench.programs.peer("raw-peer");
    peer.args(["steady", "--rate", &rate.to_string(), "--for-ms", &for_ms.to_string()]);
    let (summary, resident_mb) = beside(&agent, &mut peer)?;
    let made = summary["calls"].as_f64().context("the summary has no number of calls")?;
    let after = settled(&agent, seen(&before) + made)?;
    let cpu = cpu_seconds(pid)? - cpu_before;
    agent.observer.stop()?;
    let seen = seen(&after) - seen(&before);
    ensure!(seen > 0.0, "the agent saw no call");
    Ok(Outcome {
        made,
        missed: made - seen,
        lost: lost(&after) - lost(&before),
        rate: made_per_second(&summary)?,
        cpu_us_per_call: cpu * 1e6 / made,
        resident_mb,
    })
}

/// Runs the load while the metrics are asked for as often as Prometheus does. Returns its summary, and the most memory
/// that the agent had.
fn beside(agent: &Agent, peer: &mut Command) -> Result<(Value, f64)> {
    let mut peer =
        Killed(peer.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("starting the load")?);
    let (mut scrape_at, mut most) = (Instant::now() + SCRAPE_EVERY / 2, 0.0);
    while peer.0.try_wait()?.is_none() {
        std::thread::sleep(Duration::from_millis(100));
        if Instant::now() >= scrape_at {
            scrape_at += SCRAPE_EVERY;
            agent.metrics()?;
            most = resident(agent.observer.pid())?.without_rings_mb.max(most);
        }
    }
    let out = peer.0.stdout.take().context("the load has no output")?;
    Ok((summary(&std::io::read_to_string(out)?)?, most))
}

fn load(bench: &Bench, rate: u32, for_ms: u32) -> Result<Value> {
    let mut peer = bench.programs.peer("raw-peer");
    peer.args(["steady", "--rate", &rate.to_string(), "--for-ms", &for_ms.to_string()]);
    summary(&process::output(&mut peer)?)
}

/// The metrics once `calls` are in them, or as they are when nothing more can be expected.
pub fn settled(agent: &Agent, calls: f64) -> Result<Metrics> {
    let deadline = Instant::now() + Duration::from_secs(3);
    loop {
        std::thread::sleep(Duration::from_millis(300));
        let metrics = agent.metrics()?;
        if seen(&metrics) >= calls || Instant::now() > deadline {
            return Ok(metrics);
        }
    }
}

/// Calls of the load that the observer has seen.
pub fn seen(metrics: &Metrics) -> f64 {
    metrics.sum("mcp_tool_calls_total", &["tool=\"bench_echo\""])
}

/// Records that were to be taken. A stream on which nobody speaks MCP is not, once it has used up its budget; other
/// programs on this machine have such streams.
fn lost(metrics: &Metrics) -> f64 {
    let of = |labels: &[&str]| metrics.sum("mcp_observer_lost_records_total", labels);
    of(&[]) - of(&["cause=\"undecided\""])
}

/// The summary among the lines of a peer.
pub fn summary(printed: &str) -> Result<Value> {
    let mut lines = printed.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.find(|line| line["type"] == "summary").context("the load printed no summary")
}

fn made_per_second(summary: &Value) -> Result<f64> {
    summary["calls_per_s"].as_f64().context("the summary has no rate")
}

#[cfg(test)]
mod tests {
    use super::summary;

    #[test]
    fn the_summary_says_how_many_calls_were_made() {
        let printed = "{\"type\":\"peer\"}\n{\"type\":\"summary\",\"calls\":10}\n";
        assert_eq!(summary(printed).unwrap()["calls"], 10);
        assert!(summary("").is_err());
    }
}
