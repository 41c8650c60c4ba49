//! A running observer: the agent with its metrics, or `watch` with its lines.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::process;
use crate::workspace;

/// Probes attach within a second or two; this is for a machine under heavy load.
const START: Duration = Duration::from_secs(60);
/// A stop by signal prints and exports what is there, then ends.
const STOP: Duration = Duration::from_secs(20);

/// Where the programs are.
pub struct Programs {
    /// The observer.
    pub observer: PathBuf,
    /// The folder of the peers.
    pub peers: PathBuf,
}

impl Programs {
    /// Builds the observer as it is shipped, and the peers as the tests build them too: that is quicker.
    pub fn build() -> Result<Self> {
        build_observer()?;
        process::run(workspace::cargo().args(["build", "--package", "peers", "--bins"]))?;
        let target = workspace::target()?;
        Ok(Self { observer: target.join("release/mcp-observer"), peers: target.join("debug") })
    }

    /// A peer by its name, to be started.
    pub fn peer(&self, name: &str) -> Command {
        Command::new(self.peers.join(name))
    }
}

/// Builds the observer as it is shipped.
pub fn build_observer() -> Result<()> {
    process::run(workspace::cargo().args(["build", "--release", "--package", "mcp-observer"]))
}

/// An observer that is stopped in order, or killed when this value goes.
pub struct Observer(Child);

impl Observer {
    fn start(programs: &Programs, arguments: &[&str], out: Stdio) -> Result<Self> {
        let program = programs.observer.to_str().context("the target directory's path is no text")?;
        let mut command = process::as_root(program);
        let child = command.args(arguments).stdin(Stdio::null()).stdout(out).spawn();
        Ok(Self(child.context("starting mcp-observer")?))
    }

    /// Its process, or that of `sudo` where this task is not root.
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Asks it to end as Ctrl-C does; a status other than 0 is an error.
    pub fn stop(mut self) -> Result<()> {
        self.signal("-INT")?;
        let Some(status) = process::ended_within(&mut self.0, STOP)? else {
            bail!("mcp-observer did not end within {} s of SIGINT", STOP.as_secs());
        };
        ensure!(status.success(), "mcp-observer ended with {status}");
        Ok(())
    }

    /// As root, for an observer that was started by `sudo`; by a shell, since not every machine has a program `kill`.
    fn signal(&self, signal: &str) -> Result<()> {
        let line = format!("kill {signal} {}", self.pid());
        process::output(process::as_root("sh").args(["-c", &line])).map(drop)
    }

    fn ensure_running(&mut self) -> Result<()> {
        match self.0.try_wait()? {
            Some(status) => bail!("mcp-observer ended with {status} before it was ready"),
            None => Ok(()),
        }
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        if !matches!(self.0.try_wait(), Ok(Some(_))) {
            // A failed task has nothing better to do, and must not wait for what it could not end.
            if self.0.kill().is_ok() || self.signal("-KILL").is_ok() {
                let _ = self.0.wait();
            }
        }
    }
}

/// `mcp-observer watch`, its lines as they come.
pub struct Watch {
    /// The process.
    pub observer: Observer,
    lines: Receiver<Value>,
}

impl Watch {
    /// Starts it with these flags and waits until every probe is attached.
    pub fn start(programs: &Programs, flags: &[&str]) -> Result<Self> {
        let arguments = [&["watch", "--output", "json"], flags].concat();
        let mut observer = Observer::start(programs, &arguments, Stdio::piped())?;
        let out = observer.0.stdout.take().context("watch has no output")?;
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                let _ = sender.send(serde_json::from_str(&line).unwrap_or(Value::Null));
            }
        });
        let watch = Self { observer, lines };
        let deadline = Instant::now() + START;
        while let Some(line) = watch.next(deadline) {
            if line["type"] == "ready" {
                return Ok(watch);
            }
        }
        bail!("mcp-observer watch was not ready within {} s", START.as_secs())
    }

    /// The next line; none when the deadline has passed or the program has ended.
    pub fn next(&self, deadline: Instant) -> Option<Value> {
        self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok()
    }

    /// Ends it and returns the lines that came last.
    pub fn stop(self) -> Result<Vec<Value>> {
        self.observer.stop()?;
        Ok(self.lines.iter().collect())
    }
}

/// `mcp-observer run`, with its metrics.
pub struct Agent {
    /// The process.
    pub observer: Observer,
    port: u16,
}

impl Agent {
    /// Starts it and waits until it says that it is ready.
    pub fn start(programs: &Programs) -> Result<Self> {
        Self::start_with(programs, &[])
    }

    /// The same, with further flags.
    pub fn start_with(programs: &Programs, flags: &[&str]) -> Result<Self> {
        let port = free_port()?;
        let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, port).to_string();
        let arguments = [&["run", "--listen", &address], flags].concat();
        let observer = Observer::start(programs, &arguments, Stdio::null())?;
        let mut agent = Self { observer, port };
        let deadline = Instant::now() + START;
        while !agent.fetch("/readyz").is_ok_and(|answer| answer.status == 200) {
            agent.observer.ensure_running()?;
            ensure!(Instant::now() < deadline, "mcp-observer run was not ready within {} s", START.as_secs());
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(agent)
    }

    /// What `/metrics` says now.
    pub fn metrics(&self) -> Result<Metrics> {
        let answer = self.fetch("/metrics")?;
        ensure!(answer.status == 200, "/metrics answered {}", answer.status);
        Ok(Metrics(answer.body))
    }

    /// Asks in HTTP/1.0, so that the body ends with the connection.
    fn fetch(&self, path: &str) -> Result<Answer> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        let (head, body) = text.split_once("\r\n\r\n").context("no HTTP answer")?;
        let status = head.split_whitespace().nth(1).and_then(|status| status.parse().ok());
        Ok(Answer { status: status.context("no HTTP status")?, body: body.to_owned() })
    }
}

struct Answer {
    status: u16,
    body: String,
}

/// A page in the Prometheus text format.
pub struct Metrics(String);

impl Metrics {
    /// The lines of samples, comments left out.
    pub fn samples(&self) -> impl Iterator<Item = &str> {
        self.0.lines().filter(|line| !line.starts_with('#') && !line.is_empty())
    }

    /// The sum over the samples of `name` that carry all of `labels`, each written `key="value"`.
    pub fn sum(&self, name: &str, labels: &[&str]) -> f64 {
        let named = self.samples().filter_map(|line| {
            let rest = line.strip_prefix(name).filter(|rest| rest.starts_with(['{', ' ']))?;
            labels.iter().all(|label| rest.contains(label)).then_some(rest)
        });
        named.filter_map(|rest| rest.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use super::Metrics;

    #[test]
    fn samples_of_one_name_are_added_up() {
        let page = "# TYPE a counter\na{x=\"1\",y=\"2\"} 3\na{x=\"1\"} 4\na_total 100\na 5\n";
        let metrics = Metrics(page.to_owned());
        assert_eq!(metrics.sum("a", &[]), 12.0);
        assert_eq!(metrics.sum("a", &["x=\"1\""]), 7.0);
        assert_eq!(metrics.sum("a", &["x=\"1\"", "y=\"2\""]), 3.0);
        assert_eq!(metrics.samples().count(), 4);
    }
}
