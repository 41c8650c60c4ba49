//! Steady load: the agent's processor time for each call, and what is lost.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{Bench, Figures};
use crate::agent::{Agent, Metrics};
use crate::process;

/// The agent's processor time for each call of a steady 1000 calls per second on one stdio session.
pub fn measure(bench: &Bench) -> Result<Figures> {
    const RATE: u32 = 1000;
    const SECONDS: u32 = 10;
    let agent = bench.agent()?;
    let pid = agent.observer.pid();
    let before = (cpu_seconds(pid)?, seen(&agent.metrics()?), lost(&agent.metrics()?));
    let mut load = bench.programs.peer("raw-peer");
    load.args(["load", "--summary", "--rate", &RATE.to_string(), "--seconds", &SECONDS.to_string()]);
    let made = calls_made(&process::output(&mut load)?)?;
    let after = settled(&agent, before.1 + made)?;
    let cpu = cpu_seconds(pid)? - before.0;
    agent.observer.stop()?;
    let (seen, lost) = (seen(&after) - before.1, lost(&after) - before.2);
    println!("bench: {made} calls made, {seen} seen, {lost} records lost");
    ensure!(seen > 0.0, "the agent saw no call");
    let mut figures = Figures::default();
    figures.add("agent_cpu_us_per_call_1000", cpu * 1e6 / seen);
    figures.add("missed_at_1000", made - seen);
    figures.add("lost_at_1000", lost);
    Ok(figures)
}

/// The metrics once `calls` are in them, or as they are when nothing more can be expected.
pub fn settled(agent: &Agent, calls: f64) -> Result<Metrics> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let metrics = agent.metrics()?;
        if seen(&metrics) >= calls || Instant::now() > deadline {
            return Ok(metrics);
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

pub fn seen(metrics: &Metrics) -> f64 {
    metrics.sum("mcp_tool_calls_total", &["tool=\"echo\""])
}

fn lost(metrics: &Metrics) -> f64 {
    metrics.sum("mcp_observer_lost_records_total", &[])
}

/// The summary among the lines of a peer.
pub fn summary(printed: &str) -> Result<Value> {
    let mut lines = printed.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.find(|line| line["type"] == "summary").context("the load printed no summary")
}

fn calls_made(printed: &str) -> Result<f64> {
    summary(printed)?["calls"].as_f64().context("the summary has no number of calls")
}

/// Processor time of a process so far, in user and kernel mode.
fn cpu_seconds(pid: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).context("the agent has ended")?;
    let ticks = cpu_ticks(&stat).context("/proc/PID/stat has another form")?;
    let per_second: f64 = process::output(Command::new("getconf").arg("CLK_TCK"))?.trim().parse()?;
    Ok(ticks / per_second)
}

/// The program's name, the second field, may hold anything; its closing parenthesis is the last one of the line.
fn cpu_ticks(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(11);
    let (user, kernel): (f64, f64) = (times.next()?.parse().ok()?, times.next()?.parse().ok()?);
    Some(user + kernel)
}

#[cfg(test)]
mod tests {
    use super::{calls_made, cpu_ticks};

    #[test]
    fn processor_time_is_user_and_kernel_time() {
        let stat = "12 (a ) b) S 1 12 12 0 -1 4194560 100 0 0 0 70 30 5 5 20 0 1 0 100 0 0";
        assert_eq!(cpu_ticks(stat), Some(100.0));
        assert_eq!(cpu_ticks("12 (a"), None);
    }

    #[test]
    fn the_summary_says_how_many_calls_were_made() {
        assert_eq!(calls_made("{\"type\":\"peer\"}\n{\"type\":\"summary\",\"calls\":10}\n").unwrap(), 10.0);
        assert!(calls_made("").is_err());
    }
}
