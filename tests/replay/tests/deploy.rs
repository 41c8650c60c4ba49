//! What `deploy/` promises: each metric and label of dashboards and rules is in the code's table, every expression is
//! one, and the alerts fire when they shall.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use install::prometheus::Prometheus;
use serde_json::Value;
use yaml_rust2::{Yaml, YamlLoader};

use mcp_observer::export::prometheus::metrics::{Kind, METRICS};
use replay::promql::{Token, tokens};

/// Labels of the scraped target: the scrape configurations put them there.
const TARGET_LABELS: [&str; 6] = ["cluster", "namespace", "instance", "job", "node", "pod"];
/// Series that Prometheus makes itself.
const OF_PROMETHEUS: [&str; 1] = ["up"];

#[test]
fn dashboards_use_what_the_code_has() {
    let expressions = dashboard_expressions();
    assert!(expressions.len() > 40, "{}", expressions.len());
    let recorded = recorded();
    expressions.iter().for_each(|(place, expression)| check(place, expression, &recorded));
}

#[test]
fn rules_use_what_the_code_has() {
    let recorded = recorded();
    let rules = rules();
    assert!(rules.len() > 15, "{}", rules.len());
    rules.iter().for_each(|rule| check(&rule.name, &rule.expression, &recorded));
}

#[test]
fn every_metric_of_the_observers_losses_is_watched() {
    let shown: String =
        dashboard_expressions().into_iter().map(|(_, expression)| expression + "\n").collect();
    let alerts: String = rules().into_iter().map(|rule| rule.expression + "\n").collect();
    for name in
        ["lost_records_total", "missing_bytes_total", "degraded", "blind_spots", "faults_total", "shed_total"]
    {
        let name = format!("mcp_observer_{name}");
        assert!(METRICS.iter().any(|metric| metric.name == name), "{name}");
        assert!(shown.contains(&name), "{name} is on no panel");
        assert!(alerts.contains(&name), "{name} has no alert");
    }
}

#[test]
fn every_alert_says_what_to_do_and_is_tested() {
    let tests: String = tests_of_rules().iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let alerts: Vec<Rule> = rules().into_iter().filter(|rule| rule.is_alert).collect();
    assert!(alerts.len() >= 10, "{}", alerts.len());
    for Rule { name, annotations, severity, .. } in alerts {
        for annotation in ["summary", "description", "runbook"] {
            assert!(annotations.contains(annotation), "{name} has no {annotation}");
        }
        assert!(["info", "warning", "critical"].contains(&severity.as_str()), "{name}: {severity}");
        let cases: Vec<&str> = tests.split(&format!("alertname: {name}\n")).skip(1).collect();
        let fires = |case: &&str| case.trim_start().starts_with("exp_alerts:\n");
        assert!(cases.iter().any(fires), "no test in which {name} fires");
    }
}

#[test]
fn promtool_takes_the_rules_and_their_tests_pass() {
    let rules = files("alerts", ".rules.yml");
    assert_eq!(rules.len(), 2);
    promtool(["check", "rules"].into_iter().map(PathBuf::from).chain(rules));
    let tests = tests_of_rules();
    assert!(tests.len() >= 2);
    promtool(["test", "rules"].into_iter().map(PathBuf::from).chain(tests));
}

#[test]
fn promtool_takes_the_scrape_configuration_and_every_expression_of_the_dashboards() {
    let folder = std::env::temp_dir().join(format!("mcp-observer-deploy-{}", std::process::id()));
    let rules = folder.join("rules");
    fs::create_dir_all(&rules).unwrap();
    for path in files("alerts", ".rules.yml") {
        fs::copy(&path, rules.join(path.file_name().unwrap())).unwrap();
    }
    let configuration = folder.join("prometheus.yml");
    fs::copy(deploy().join("prometheus/prometheus.yml"), &configuration).unwrap();
    promtool(["check", "config"].into_iter().map(PathBuf::from).chain([configuration]));

    let mut text = "groups:\n- name: dashboard\n  rules:\n".to_owned();
    for (number, (_, expression)) in dashboard_expressions().iter().enumerate() {
        let expression = serde_json::to_string(expression).unwrap();
        text += &format!("  - record: panel:{number}\n    expr: {expression}\n");
    }
    let path = folder.join("dashboard.yml");
    fs::write(&path, text).unwrap();
    promtool(["check", "rules"].into_iter().map(PathBuf::from).chain([path]));
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn the_monitors_scrape_what_the_observer_serves() {
    for file in ["podmonitor.yaml", "servicemonitor.yaml"] {
        let text = fs::read_to_string(deploy().join("kubernetes/monitoring").join(file)).unwrap();
        let documents = YamlLoader::load_from_str(&text).unwrap();
        let monitor = documents.last().unwrap();
        assert_eq!(monitor["apiVersion"].as_str(), Some("monitoring.coreos.com/v1"), "{file}");
        let spec = &monitor["spec"];
        let endpoints = [&spec["podMetricsEndpoints"], &spec["endpoints"]];
        let endpoint = &endpoints.into_iter().find(|it| !it.is_badvalue()).unwrap()[0];
        assert_eq!(endpoint["path"].as_str(), Some("/metrics"), "{file}");
        assert_eq!(endpoint["honorLabels"].as_bool(), Some(true), "{file}");
        assert_eq!(spec["selector"]["matchLabels"]["app.kubernetes.io/name"].as_str(), Some("mcp-observer"));
    }
}

/// Each selector names a metric of the table, and labels that it has.
fn check(place: &str, expression: &str, recorded: &BTreeSet<String>) {
    let tokens = tokens(expression);
    let mut known: BTreeSet<&str> = TARGET_LABELS.into_iter().collect();
    let mut metrics = 0;
    for token in &tokens {
        let Token::Metric { name, labels } = token else { continue };
        metrics += 1;
        let allowed = labels_of(name, recorded);
        let Some(allowed) = allowed else {
            panic!("{place}: no metric `{name}` in the table:\n{expression}")
        };
        for label in labels {
            let is_known = allowed.contains(&label.as_str()) || TARGET_LABELS.contains(&label.as_str());
            assert!(is_known, "{place}: `{name}` has no label `{label}`:\n{expression}");
        }
        known.extend(allowed);
    }
    assert!(metrics > 0, "{place}: no metric in {expression}");
    for token in &tokens {
        if let Token::Label(label) = token {
            assert!(
                known.contains(label.as_str()),
                "{place}: no metric here has a label `{label}`:\n{expression}"
            );
        }
    }
}

fn labels_of(name: &str, recorded: &BTreeSet<String>) -> Option<Vec<&'static str>> {
    if OF_PROMETHEUS.contains(&name) {
        return Some(Vec::new());
    }
    if recorded.contains(name) {
        return Some(vec!["server", "gen_ai_tool_name"]);
    }
    if let Some(metric) = METRICS.iter().find(|metric| metric.name == name) {
        return Some(metric.labels.to_vec());
    }
    let (base, suffix) = name.rsplit_once('_')?;
    let histogram = METRICS.iter().find(|it| it.name == base && matches!(it.kind, Kind::Histogram(_)))?;
    match suffix {
        "bucket" => Some(histogram.labels.iter().copied().chain(["le"]).collect()),
        "sum" | "count" => Some(histogram.labels.to_vec()),
        _ => None,
    }
}

/// Every expression of every dashboard, with where it stands; variables of Grafana have a value.
fn dashboard_expressions() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for path in files("grafana", ".json") {
        let dashboard: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let mut take = |place: &Value, expression: &Value| {
            let expression = expression.as_str().unwrap();
            let filled = expression.replace("$__rate_interval", "5m").replace("$__range", "1h");
            found.push((place.to_string(), filled));
        };
        for panel in dashboard["panels"].as_array().unwrap() {
            let targets = panel["targets"].as_array();
            assert!(panel["type"] == "row" || targets.is_some_and(|it| !it.is_empty()), "{}", panel["title"]);
            for target in targets.into_iter().flatten() {
                take(&panel["title"], &target["expr"]);
            }
        }
        for annotation in dashboard["annotations"]["list"].as_array().unwrap() {
            take(&annotation["name"], &annotation["expr"]);
        }
        let names: Vec<&str> = dashboard["templating"]["list"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it["name"].as_str().unwrap())
            .collect();
        assert_eq!(names, ["datasource", "cluster", "namespace", "server", "tool"], "{}", path.display());
        for variable in dashboard["templating"]["list"].as_array().unwrap().iter().skip(1) {
            // label_values(SELECTOR, LABEL)
            let query = variable["definition"].as_str().unwrap();
            let inner = query.strip_prefix("label_values(").and_then(|it| it.strip_suffix(')')).unwrap();
            let (selector, label) = inner.rsplit_once(", ").unwrap();
            take(&variable["name"], &Value::from(format!("count by ({label}) ({selector})")));
        }
    }
    found
}

struct Rule {
    name: String,
    is_alert: bool,
    expression: String,
    annotations: BTreeSet<String>,
    severity: String,
}

fn rules() -> Vec<Rule> {
    let mut found = Vec::new();
    for path in files("alerts", ".rules.yml") {
        let documents = YamlLoader::load_from_str(&fs::read_to_string(path).unwrap()).unwrap();
        for rule in
            documents[0]["groups"].as_vec().unwrap().iter().flat_map(|group| group["rules"].as_vec().unwrap())
        {
            let text = |key: &str| rule[key].as_str().map(str::to_owned);
            let annotations = rule["annotations"].as_hash();
            let names = annotations.into_iter().flat_map(|it| it.keys()).filter_map(Yaml::as_str);
            found.push(Rule {
                name: text("alert").or(text("record")).unwrap(),
                is_alert: text("alert").is_some(),
                expression: text("expr").unwrap(),
                annotations: names.map(str::to_owned).collect(),
                severity: rule["labels"]["severity"].as_str().unwrap_or_default().to_owned(),
            });
        }
    }
    found
}

fn recorded() -> BTreeSet<String> {
    rules().into_iter().filter(|rule| !rule.is_alert).map(|rule| rule.name).collect()
}

fn tests_of_rules() -> Vec<PathBuf> {
    files("alerts", ".test.yml")
}

fn files(folder: &str, end: &str) -> Vec<PathBuf> {
    let all = fs::read_dir(deploy().join(folder)).unwrap().map(|file| file.unwrap().path());
    let mut files: Vec<_> =
        all.filter(|path| path.to_str().is_some_and(|path| path.ends_with(end))).collect();
    files.sort();
    assert!(!files.is_empty(), "{folder}");
    files
}

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy")
}

fn promtool(arguments: impl IntoIterator<Item = PathBuf>) {
    // This program is TARGET/debug/deps/NAME.
    let program = std::env::current_exe().unwrap();
    let tools = Prometheus::find_or_fetch(program.ancestors().nth(3).unwrap())
        .unwrap_or_else(|error| panic!("{error:#}; `cargo xtask setup --tests` puts them there"));
    let mut command = Command::new(tools.promtool);
    let Output { status, stdout, stderr } = command.args(arguments).output().unwrap();
    let told = [String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr)].concat();
    assert!(status.success(), "{command:?}\n{told}");
}
