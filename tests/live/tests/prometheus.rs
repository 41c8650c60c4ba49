//! A real Prometheus scrapes the agent and tells the truth about the calls.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use live::agent::Agent;
use live::prometheus::{Prometheus, Scrape, Tools, check_metrics, get};
use live::timed::{self, Truth};

const DURATIONS: &str = "mcp_client_operation_duration_seconds";
/// What selects the calls of the tests: other traffic of the host is not theirs.
const OURS: &str = r#"server="raw-server",mcp_method_name="tools/call""#;

/// A tool, with what its traces begin, and how many calls of it take how many milliseconds.
type Plan = (&'static str, u32, &'static [(u32, u64)]);

/// Two tools of one server with durations of their own: mostly fast, sometimes slow, seldom very slow. The tests ask
/// for quantiles in the midst of each.
fn load() -> Result<BTreeMap<&'static str, Truth>> {
    let plans: [Plan; 2] = [
        ("quick", 0xfeed_0001, &[(60, 40), (30, 110), (10, 260)]),
        ("slow", 0xfeed_0002, &[(20, 150), (12, 310), (8, 480)]),
    ];
    std::thread::scope(|scope| {
        let running =
            plans.map(|(tool, prefix, plan)| (tool, scope.spawn(move || timed::calls(tool, prefix, plan))));
        running
            .into_iter()
            .map(|(tool, calls)| Ok((tool, calls.join().map_err(|_| anyhow::anyhow!("{tool} panicked"))??)))
            .collect()
    })
}

/// By tool, from an answer.
fn by_tool(server: &Prometheus, expression: &str) -> Result<BTreeMap<String, f64>> {
    let samples = server.query(expression)?;
    Ok(samples
        .into_iter()
        .filter_map(|(mut labels, value)| Some((labels.remove("gen_ai_tool_name")?, value)))
        .collect())
}

fn wait_for_all(server: &mut Prometheus, truths: &BTreeMap<&str, Truth>, count: &str) -> Result<()> {
    server.wait_for("all calls", |server| {
        let counted = by_tool(server, count)?;
        Ok(truths.iter().all(|(tool, truth)| counted.get(*tool) == Some(&(truth.seconds.len() as f64))))
    })
}

fn agent_and_tools() -> Result<(Agent, Tools)> {
    Ok((Agent::start()?, Tools::find()?))
}

#[test]
fn quantiles_of_native_histograms_are_within_one_percent() -> Result<()> {
    let (agent, tools) = agent_and_tools()?;
    // Of native histograms alone, release 3.5 takes the exemplars of the first series of each metric and no others.
    let scrape = if tools.release()? >= (3, 0) { Scrape::Both } else { Scrape::Native };
    let mut server = Prometheus::start(&tools, agent.address(), scrape)?;
    let truths = load()?;
    let by_tool_sum = format!("sum by (gen_ai_tool_name) ({DURATIONS}{{{OURS}}})");
    wait_for_all(&mut server, &truths, &format!("histogram_count({by_tool_sum})"))?;
    for quantile in [0.3, 0.75, 0.95] {
        let told = by_tool(&server, &format!("histogram_quantile({quantile}, {by_tool_sum})"))?;
        for (tool, truth) in &truths {
            let expected = truth.quantile(quantile).context("no calls")?;
            let told = told.get(*tool).with_context(|| format!("nothing of {tool}"))?;
            let off = (told / expected - 1.0).abs();
            ensure!(off < 0.01, "{tool}, quantile {quantile}: {told} for {expected}, off by {off}");
        }
    }
    exemplars_are_ours(&mut server, &truths)
}

#[test]
fn classic_histograms_agree_and_exemplars_come_by_text_too() -> Result<()> {
    let (agent, tools) = agent_and_tools()?;
    let mut server = Prometheus::start(&tools, agent.address(), Scrape::Classic)?;
    let truths = load()?;
    let count = format!("sum by (gen_ai_tool_name) ({DURATIONS}_count{{{OURS}}})");
    wait_for_all(&mut server, &truths, &count)?;
    let buckets = format!("sum by (le, gen_ai_tool_name) ({DURATIONS}_bucket{{{OURS}}})");
    let told = by_tool(&server, &format!("histogram_quantile(0.3, {buckets})"))?;
    for (tool, bounds) in [("quick", 0.02..=0.05), ("slow", 0.1..=0.2)] {
        let told = told.get(tool).with_context(|| format!("nothing of {tool}"))?;
        ensure!(bounds.contains(told), "{tool}: {told} is not in the bucket {bounds:?}");
    }
    exemplars_are_ours(&mut server, &truths)
}

/// Each exemplar names the trace that its call was made in, and shows what that call took.
fn exemplars_are_ours(server: &mut Prometheus, truths: &BTreeMap<&str, Truth>) -> Result<()> {
    let selected = format!("{DURATIONS}_bucket{{{OURS}}} or {DURATIONS}{{{OURS}}}");
    server.wait_for("exemplars of both tools", |server| {
        let exemplars = server.exemplars(&selected)?;
        let has = |tool: &str| exemplars.iter().any(|it| it.series["gen_ai_tool_name"] == tool);
        Ok(truths.keys().all(|tool| has(tool)))
    })?;
    for exemplar in server.exemplars(&selected)? {
        let truth = truths.get(exemplar.series["gen_ai_tool_name"].as_str()).context("another tool")?;
        let took = truth.traces.get(&exemplar.trace_id);
        let took = took.with_context(|| format!("{exemplar:?}: no call was made in this trace"))?;
        ensure!((exemplar.value / took - 1.0).abs() < 0.05, "{exemplar:?} took {took}");
    }
    Ok(())
}

#[test]
fn promtool_has_nothing_to_say() -> Result<()> {
    let (mut agent, tools) = agent_and_tools()?;
    timed::calls("quick", 0xfeed_0003, &[(3, 1)])?;
    let deadline = std::time::Duration::from_secs(20);
    agent.wait_for(deadline, "the calls", |agent| Ok(agent.metrics()?.contains("mcp_tool_calls_total{")))?;
    let text = get(agent.address(), "/metrics", "Accept: text/plain; version=0.0.4\r\n")?;
    ensure!(!text.contains("_created") && !text.contains("trace_id"), "{text}");
    check_metrics(&tools, &text)
}
