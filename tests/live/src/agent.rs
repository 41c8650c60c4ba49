//! The observer as an agent: `mcp-observer run`, and its metrics.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::programs::programs;

/// An agent whose probes are attached. It ends with this.
#[derive(Debug)]
pub struct Agent {
    child: Child,
    address: SocketAddr,
}

impl Agent {
    /// Starts it and waits until it is ready.
    pub fn start() -> Result<Self> {
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let child = Command::new(&programs()?.observer)
            .args(["run", "--listen", &address.to_string()])
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start the observer")?;
        let mut agent = Self { child, address };
        agent.wait_for(DEADLINE, "the agent to be ready", |agent| Ok(agent.fetch("/readyz").is_ok()))?;
        Ok(agent)
    }

    /// Where it serves its metrics.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// All metrics, as scraped.
    pub fn metrics(&self) -> Result<String> {
        self.fetch("/metrics")
    }

    /// The value of a metric without labels.
    pub fn metric(&self, name: &str) -> Result<f64> {
        let text = self.metrics()?;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Ok(line.with_context(|| format!("no metric {name}"))?.parse()?)
    }

    /// Waits until something is so.
    pub fn wait_for(
        &mut self,
        deadline: Duration,
        what: &str,
        mut is_so: impl FnMut(&Self) -> Result<bool>,
    ) -> Result<()> {
        let end = Instant::now() + deadline;
        while !is_so(self)? {
            if let Some(status) = self.child.try_wait()? {
                bail!("the agent ended with {status}");
            }
            ensure!(Instant::now() < end, "waited {deadline:?} for {what}");
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    fn fetch(&self, path: &str) -> Result<String> {
        let mut stream = TcpStream::connect(self.address)?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        ensure!(text.starts_with("HTTP/1.1 200"), "{path}: {}", text.lines().next().unwrap_or_default());
        Ok(text)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // An error here means that it has ended already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const DEADLINE: Duration = Duration::from_secs(30);
