//! The observer under test: `mcp-observer watch --output json`.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use peers::running::Running;
use peers::truth::unix_ns;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::programs::programs;

/// An observer whose probes are attached.
#[derive(Debug)]
pub struct Observer {
    running: Running<Value>,
    /// When it said that it was ready.
    pub ready_unix_ns: u64,
}

impl Observer {
    /// Starts it and waits for its line `ready`.
    pub fn start(flags: &[&str]) -> Result<Self> {
        let mut command = Command::new(&programs()?.observer);
        command.args(["watch", "--output", "json"]).args(flags);
        let mut running = Running::start(&mut command)?;
        running.wait_for("the line `ready`", |lines: &[Value]| has_type(lines, "ready"))?;
        Ok(Self { running, ready_unix_ns: unix_ns() })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// Reads its lines until `enough` of them are there.
    pub fn wait_for(&mut self, what: &str, enough: impl Fn(&[Value]) -> bool) -> Result<()> {
        self.running.wait_within(DEADLINE, what, enough)
    }

    /// What it has printed so far, as far as it was waited for.
    pub fn lines(&self) -> &[Value] {
        self.running.lines()
    }

    /// Interrupts it; it must end with success. Returns all lines and how long it took to end.
    pub fn interrupt(self) -> Result<(Vec<Value>, Duration)> {
        let asked = Instant::now();
        self.signal(Signal::INT)?;
        let lines = self.running.finish().context("the observer, after SIGINT")?;
        Ok((lines, asked.elapsed()))
    }

    /// Kills it without a chance to clean up.
    pub fn kill(self) -> Result<()> {
        self.signal(Signal::KILL)
        // Dropping waits for its end.
    }

    /// The kernel programs that it holds.
    pub fn kernel_programs(&self) -> Result<BTreeSet<u32>> {
        let mut ids = BTreeSet::new();
        for entry in std::fs::read_dir(format!("/proc/{}/fdinfo", self.pid()))? {
            // A descriptor may close while we look.
            let Ok(text) = std::fs::read_to_string(entry?.path()) else { continue };
            let id = text.lines().find_map(|line| line.strip_prefix("prog_id:"));
            ids.extend(id.and_then(|id| id.trim().parse::<u32>().ok()));
        }
        Ok(ids)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.pid())?).context("no process id")?;
        Ok(kill_process(pid, signal)?)
    }
}

/// More than the way from the kernel to the screen takes on a slow and busy machine.
const DEADLINE: Duration = Duration::from_secs(20);

/// Which of these kernel programs are still loaded.
pub fn still_loaded(ids: &BTreeSet<u32>) -> Result<BTreeSet<u32>> {
    let loaded: Result<BTreeSet<u32>, _> =
        aya::programs::loaded_programs().map(|program| program.map(|program| program.id())).collect();
    Ok(loaded?.intersection(ids).copied().collect())
}

/// Whether there is a line of this type.
pub fn has_type(lines: &[Value], kind: &str) -> bool {
    lines.iter().any(|line| line["type"] == kind)
}
