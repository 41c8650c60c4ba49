//! What `deploy/` asks a Prometheus for: the expressions of the dashboards, and the rules.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// A question of a dashboard.
#[derive(Clone, Debug)]
pub struct Question {
    /// The panel, annotation or variable that asks it.
    pub place: String,
    /// Its expression; variables of Grafana have a value.
    pub expression: String,
}

/// All questions of all dashboards.
pub fn questions() -> Result<Vec<Question>> {
    let mut all = Vec::new();
    for path in files("grafana", ".json")? {
        let dashboard: Value = serde_json::from_str(&fs::read_to_string(&path)?)?;
        let empty = Vec::new();
        let list = |value: &Value| value.as_array().unwrap_or(&empty).clone();
        for panel in list(&dashboard["panels"]) {
            for target in list(&panel["targets"]) {
                all.push(question(&panel["title"], &target["expr"])?);
            }
        }
        for annotation in list(&dashboard["annotations"]["list"]) {
            all.push(question(&annotation["name"], &annotation["expr"])?);
        }
        for variable in list(&dashboard["templating"]["list"]) {
            // label_values(SELECTOR, LABEL); that of the data source has none.
            let Some(definition) = variable["definition"].as_str() else { continue };
            let inner = definition.strip_prefix("label_values(").and_then(|it| it.strip_suffix(')'));
            let (selector, label) =
                inner.and_then(|it| it.rsplit_once(", ")).context("another definition")?;
            let expression = Value::from(format!("count by ({label}) ({selector})"));
            all.push(question(&variable["name"], &expression)?);
        }
    }
    ensure!(all.len() > 40, "only {} questions", all.len());
    Ok(all)
}

fn question(place: &Value, expression: &Value) -> Result<Question> {
    let place = place.as_str().context("a panel without a title")?.to_owned();
    let mut expression = expression.as_str().with_context(|| format!("{place}: no expression"))?.to_owned();
    for (variable, value) in VARIABLES {
        expression = expression.replace(variable, value);
    }
    ensure!(!expression.contains('$'), "{place}: a variable has no value: {expression}");
    Ok(Question { place, expression })
}

/// As Grafana fills them in where nothing is chosen.
const VARIABLES: [(&str, &str); 6] = [
    ("$__rate_interval", "1m"),
    ("$__range", "1h"),
    ("$cluster", ".*"),
    ("$namespace", ".*"),
    ("$server", ".*"),
    ("$tool", ".*"),
];

/// The files of rules.
pub fn rules() -> Result<Vec<PathBuf>> {
    files("alerts", ".rules.yml")
}

/// The dashboards.
pub fn dashboards() -> Result<Vec<PathBuf>> {
    files("grafana", ".json")
}

fn files(folder: &str, end: &str) -> Result<Vec<PathBuf>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy").join(folder);
    let mut files = Vec::new();
    for entry in fs::read_dir(&folder)? {
        let path = entry?.path();
        if path.to_string_lossy().ends_with(end) {
            files.push(path);
        }
    }
    ensure!(!files.is_empty(), "nothing in {}", folder.display());
    files.sort();
    Ok(files)
}
