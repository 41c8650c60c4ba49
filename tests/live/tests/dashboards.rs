//! What `deploy/` asks for is there: a real Prometheus scrapes an agent that observes traffic of every kind, each
//! expression of each dashboard has an answer, and the rules record and alert. And the dashboards are ones to Grafana.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use install::Place;
use live::agent::Agent;
use live::collector::{Addresses, Collector};
use live::deployed::{Question, dashboards, questions, rules};
use live::programs::target_directory;
use live::prometheus::{Prometheus, Scrape, Tools};
use live::rounds::Rounds;

/// Panels that show nothing, with the reason.
const SILENT_PANELS: [(&str, &str); 1] = [("Lost records by cause", "nothing is lost")];
/// Alerts that have nothing to alert of, with the reason.
const SILENT_ALERTS: [(&str, &str); 6] = [
    ("McpObserverLosingRecords", "nothing is lost"),
    ("McpObserverMissingBytes", "nothing is lost"),
    ("McpObserverDegraded", "nothing is lost"),
    ("McpObserverBlindSpot", "there is no library that cannot be read"),
    ("McpObserverFaults", "it wants 900 faults within a quarter of an hour"),
    ("McpLatencyRegression", "there is no last week"),
];
/// More than enough for rates of a minute to show.
const MOST_ROUNDS: usize = 60;

#[test]
fn every_panel_and_rule_has_data_of_classic_histograms() -> Result<()> {
    every_panel_and_rule_has_data(Scrape::Classic)
}

#[test]
fn every_panel_and_rule_has_data_of_native_histograms() -> Result<()> {
    every_panel_and_rule_has_data(Scrape::Native)
}

#[test]
fn the_dashboards_fit_grafanas_own_types() -> Result<()> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboards");
    let place = Place::take(&target_directory()?.join("tools"))?.scripts("dashboards", &sources)?;
    let check = |path: &Path| -> Result<String> {
        let output = Command::new("node").arg(place.join("check.mjs")).arg(path).output()?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.success() == said.is_empty(), "{}: {said}", output.status);
        Ok(said)
    };
    for path in dashboards()? {
        let said = check(&path)?;
        ensure!(said.is_empty(), "{said}");
        // A slip of the pen would be seen.
        let broken = place.join("broken.json");
        for (good, bad) in
            [(r#""displayMode": "basic""#, r#""displayMode": "basics""#), (r#""unit":"#, r#""units":"#)]
        {
            let text = std::fs::read_to_string(&path)?;
            let text = text.find(good).map(|_| text.replacen(good, bad, 1)).context("not to be broken so")?;
            std::fs::write(&broken, text)?;
            ensure!(!check(&broken)?.is_empty(), "{bad} is not noticed");
        }
    }
    Ok(())
}

fn every_panel_and_rule_has_data(scrape: Scrape) -> Result<()> {
    // The kernel measures its programs while this is open.
    let _statistics = aya::sys::enable_stats(aya::sys::Stats::RunTime)?;
    let addresses = Addresses::free()?;
    let printed = std::env::temp_dir().join(format!("mcp-observer-dashboards-{}", addresses.http.port()));
    let collector = Collector::start(addresses, &printed)?;
    let agent = agent(addresses)?;
    let mut server = Prometheus::start_with(&Tools::find()?, agent.address(), scrape, &rules()?)?;
    let mut rounds = Rounds::start()?;
    let mut open = Open::new()?;
    for _ in 0..MOST_ROUNDS {
        rounds.round()?;
        open.ask(&server)?;
        if open.is_closed() {
            break;
        }
    }
    ensure!(open.is_closed(), "without an answer: {open:#?}");
    server.wait_for("every rule to be evaluated", |server| {
        Ok(server.rules()?.iter().all(|rule| rule.health != "unknown"))
    })?;
    let failed: Vec<_> = server.rules()?.into_iter().filter(|rule| rule.health != "ok").collect();
    ensure!(failed.is_empty(), "{failed:#?}");
    agent.end()?;
    drop(collector);
    Ok(std::fs::remove_file(printed)?)
}

/// An agent of which an attribute fails on each call, whose log records a collector takes, and whose spans none does.
fn agent(collector: Addresses) -> Result<Agent> {
    let logs = format!("http://{}/v1/logs", collector.http);
    // Nobody listens on a port that was just given back.
    let traces = format!("http://{}/v1/traces", Addresses::free()?.http);
    let variables = [
        ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", &*logs),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &*traces),
        ("OTEL_BLRP_SCHEDULE_DELAY", "200"),
        ("OTEL_BSP_SCHEDULE_DELAY", "200"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "1"),
    ];
    Agent::start_with(&["--attribute", "number=int(tool)"], &variables)
}

/// What has not been answered yet.
#[derive(Debug)]
struct Open {
    questions: Vec<Question>,
    recorded: BTreeSet<String>,
    alerts: BTreeSet<String>,
}

impl Open {
    fn new() -> Result<Self> {
        let questions = questions()?;
        let places: BTreeSet<&str> = questions.iter().map(|question| question.place.as_str()).collect();
        for (place, _) in SILENT_PANELS {
            ensure!(places.contains(place), "there is no panel `{place}`");
        }
        Ok(Self { questions, recorded: BTreeSet::new(), alerts: BTreeSet::new() })
    }

    /// Asks again for what had no answer. An expression that is none is an error at once, silent or not.
    fn ask(&mut self, server: &Prometheus) -> Result<()> {
        let mut questions = Vec::new();
        for question in self.questions.drain(..) {
            if server.query(&question.expression)?.is_empty() {
                questions.push(question);
            }
        }
        self.questions = questions;
        let rules = server.rules()?;
        ensure!(rules.len() > 15, "{rules:?}");
        self.alerts =
            names(rules.iter().filter(|rule| rule.is_alert && !rule.is_active).map(|rule| &*rule.name));
        for (alert, _) in SILENT_ALERTS {
            ensure!(
                rules.iter().any(|rule| rule.is_alert && rule.name == alert),
                "there is no alert `{alert}`"
            );
        }
        self.recorded.clear();
        for rule in rules.iter().filter(|rule| !rule.is_alert) {
            if server.query(&rule.name)?.is_empty() {
                self.recorded.insert(rule.name.clone());
            }
        }
        Ok(())
    }

    /// Whether nothing is open but what must be.
    fn is_closed(&self) -> bool {
        let is_silent = |list: &[(&str, &str)], name: &str| list.iter().any(|(silent, _)| *silent == name);
        self.recorded.is_empty()
            && self.questions.iter().all(|question| is_silent(&SILENT_PANELS, &question.place))
            && self.alerts.iter().all(|alert| is_silent(&SILENT_ALERTS, alert))
    }
}

fn names<'a>(names: impl Iterator<Item = &'a str>) -> BTreeSet<String> {
    names.map(str::to_owned).collect()
}
