//! A real Prometheus that scrapes an agent, and what it answers.

mod tools;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

pub use tools::Tools;

/// How it scrapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scrape {
    /// By protobuf, and keeps native histograms.
    Native,
    /// In text, and keeps classic histograms.
    Classic,
    /// By protobuf, and keeps both; since release 3.
    Both,
}

/// A Prometheus with nothing but one agent to scrape. It ends with this, and its data goes.
#[derive(Debug)]
pub struct Prometheus {
    child: Child,
    address: SocketAddr,
    folder: PathBuf,
}

/// One series of an answer: its labels and its value now.
pub type Sample = (BTreeMap<String, String>, f64);

/// A rule, as evaluated.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Name of the alert or of the series that it records.
    pub name: String,
    /// Whether it is an alert.
    pub is_alert: bool,
    /// Whether there is something to alert of, perhaps not yet for long enough.
    pub is_active: bool,
    /// `ok`, or what else.
    pub health: String,
    /// Why.
    pub error: String,
}

/// An exemplar, as stored.
#[derive(Clone, Debug)]
pub struct Exemplar {
    /// Labels of its series.
    pub series: BTreeMap<String, String>,
    /// Its trace.
    pub trace_id: String,
    /// What was measured.
    pub value: f64,
}

impl Prometheus {
    /// Starts one, and waits until it has scraped the agent.
    pub fn start(tools: &Tools, agent: SocketAddr, scrape: Scrape) -> Result<Self> {
        Self::start_with(tools, agent, scrape, &[])
    }

    /// The same, with these rules, which are evaluated each second whatever they say; and with an observer to scrape
    /// that is not there.
    pub fn start_with(tools: &Tools, agent: SocketAddr, scrape: Scrape, rules: &[PathBuf]) -> Result<Self> {
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let folder = std::env::temp_dir().join(format!("mcp-observer-prometheus-{}", address.port()));
        std::fs::create_dir_all(&folder)?;
        let file = folder.join("prometheus.yml");
        let mut text = configuration(agent, scrape, tools.release()?);
        if !rules.is_empty() {
            text += &with_rules(&folder, rules)?;
        }
        std::fs::write(&file, text)?;
        let features = match scrape {
            Scrape::Native | Scrape::Both => "exemplar-storage,native-histograms",
            Scrape::Classic => "exemplar-storage",
        };
        let child = Command::new(&tools.prometheus)
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .arg(format!("--enable-feature={features}"))
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(folder.join("log"))?)
            .spawn()
            .context("cannot start Prometheus")?;
        let mut server = Self { child, address, folder };
        server.wait_for("its first scrape", |server| {
            let up = server.query("up").unwrap_or_default();
            Ok(up.iter().any(|(_, value)| *value == 1.0))
        })?;
        Ok(server)
    }

    /// The answer to an expression, now.
    pub fn query(&self, expression: &str) -> Result<Vec<Sample>> {
        let answer = self.ask(&format!("/api/v1/query?query={}", escaped(expression)))?;
        let series = answer["data"]["result"].as_array().context("no result")?;
        series.iter().map(|series| Ok((labels(&series["metric"]), value(series)?))).collect()
    }

    /// All rules, as they do by now.
    pub fn rules(&self) -> Result<Vec<Rule>> {
        let answer = self.ask("/api/v1/rules")?;
        let groups = answer["data"]["groups"].as_array().context("no groups")?;
        let rules = groups.iter().filter_map(|group| group["rules"].as_array()).flatten();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let rules = rules.map(|rule| Rule {
            name: text(&rule["name"]),
            is_alert: rule["type"] == "alerting",
            is_active: rule["alerts"].as_array().is_some_and(|alerts| !alerts.is_empty()),
            health: text(&rule["health"]),
            error: text(&rule["lastError"]),
        });
        Ok(rules.collect())
    }

    /// The exemplars of the series that an expression selects.
    pub fn exemplars(&self, expression: &str) -> Result<Vec<Exemplar>> {
        let answer = self
            .ask(&format!("/api/v1/query_exemplars?query={}&start=0&end=99999999999", escaped(expression)))?;
        let mut all = Vec::new();
        for series in answer["data"].as_array().context("no data")? {
            for exemplar in series["exemplars"].as_array().into_iter().flatten() {
                all.push(Exemplar {
                    series: labels(&series["seriesLabels"]),
                    trace_id: exemplar["labels"]["trace_id"].as_str().unwrap_or_default().to_owned(),
                    value: number(&exemplar["value"])?,
                });
            }
        }
        Ok(all)
    }

    /// Waits until something is so.
    pub fn wait_for(&mut self, what: &str, mut is_so: impl FnMut(&Self) -> Result<bool>) -> Result<()> {
        let end = Instant::now() + DEADLINE;
        while !is_so(self)? {
            if let Some(status) = self.child.try_wait()? {
                bail!("Prometheus ended with {status}: {}", self.log());
            }
            ensure!(Instant::now() < end, "waited {DEADLINE:?} for {what}: {}", self.log());
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    fn ask(&self, target: &str) -> Result<Value> {
        let answer: Value = serde_json::from_str(&get(self.address, target, "")?)?;
        ensure!(answer["status"] == "success", "{target}: {answer}");
        Ok(answer)
    }

    fn log(&self) -> String {
        let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        let lines: Vec<_> = log.lines().rev().take(5).collect();
        lines.join("\n")
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // An error here means that it has ended already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

const DEADLINE: Duration = Duration::from_secs(60);

fn configuration(agent: SocketAddr, scrape: Scrape, release: (u32, u32)) -> String {
    let mut text = String::from("global:\n  scrape_interval: 1s\n  scrape_timeout: 1s\n");
    text += "  evaluation_interval: 1s\nscrape_configs:\n";
    text += &format!("- job_name: agent\n  static_configs:\n  - targets: ['{agent}']\n");
    // A feature of the whole server at first, then a setting.
    if release >= (3, 8) && scrape != Scrape::Classic {
        text += "  scrape_native_histograms: true\n";
    }
    if scrape == Scrape::Both {
        text += "  always_scrape_classic_histograms: true\n";
    }
    text
}

/// More of the configuration: the rules, each of which is to be evaluated each second.
fn with_rules(folder: &Path, rules: &[PathBuf]) -> Result<String> {
    for path in rules {
        let text = std::fs::read_to_string(path)?;
        let text: String = text
            .lines()
            .filter(|line| !line.trim_start().starts_with("interval:"))
            .map(|line| format!("{line}\n"))
            .collect();
        std::fs::write(folder.join(path.file_name().context("no file")?), text)?;
    }
    // Nobody listens on a port that was just given back.
    let gone = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
    let job = format!("- job_name: mcp-observer-gone\n  static_configs:\n  - targets: ['{gone}']\n");
    Ok(format!("{job}rule_files: ['{}/*.rules.yml']\n", folder.display()))
}

/// The body that `target` at `address` has, asked for with these headers, each with its line's end.
pub fn get(address: SocketAddr, target: &str, headers: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    // Of HTTP/1.0, so that the answer ends with the connection and not with a chunk.
    write!(stream, "GET {target} HTTP/1.0\r\nHost: {address}\r\n{headers}\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no end of the head")?;
    let status = head.split(' ').nth(1).unwrap_or_default();
    ensure!(status == "200", "{target}: status {status}: {body}");
    Ok(body.to_owned())
}

/// Checks a scrape with `promtool`, which must have nothing to say.
pub fn check_metrics(tools: &Tools, text: &str) -> Result<()> {
    let mut child = Command::new(&tools.promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot start promtool")?;
    child.stdin.take().context("no input")?.write_all(text.as_bytes())?;
    let output = child.wait_with_output()?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    ensure!(output.status.success() && said.is_empty(), "promtool: {}: {said}", output.status);
    Ok(())
}

fn labels(metric: &Value) -> BTreeMap<String, String> {
    let members = metric.as_object().into_iter().flatten();
    members.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned())).collect()
}

/// The value of a series; of a native histogram, its count.
fn value(series: &Value) -> Result<f64> {
    match &series["histogram"][1]["count"] {
        Value::Null => number(&series["value"][1]),
        count => number(count),
    }
}

/// Prometheus writes numbers as text.
fn number(value: &Value) -> Result<f64> {
    Ok(value.as_str().context("a value is no text")?.parse()?)
}

fn escaped(text: &str) -> String {
    let mut url = String::new();
    for byte in text.bytes() {
        // A string takes whatever is written.
        let _ = if byte.is_ascii_alphanumeric() {
            write!(url, "{}", byte as char)
        } else {
            write!(url, "%{byte:02X}")
        };
    }
    url
}
