//! An observer that records while the workload runs, and is never left behind.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

/// The process.
pub struct Observer(Child);

impl Observer {
    /// Starts `program` with a capture file, replacing one that is there, and waits until it says that it is attached.
    pub fn record(program: &Path, mode: &str, file: &Path, flags: &[&str]) -> Result<Self> {
        if file.exists() {
            std::fs::remove_file(file)?;
        }
        let mut command = Command::new(program);
        command.args(["record", "--mode", mode, "-o"]).arg(file).args(flags);
        let child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn();
        let mut observer = Self(child.with_context(|| format!("cannot start {}", program.display()))?);
        let words = BufReader::new(observer.0.stderr.take().context("no error output")?);
        let (sender, attached) = channel();
        // Reads to the end: an observer whose words nobody takes would stand still.
        std::thread::spawn(move || {
            for line in words.lines().map_while(Result::ok) {
                if line.starts_with("attached") {
                    let _ = sender.send(());
                }
                eprintln!("observer: {line}");
            }
        });
        match attached.recv_timeout(DEADLINE) {
            Ok(()) => Ok(observer),
            Err(_) => bail!("the observer did not say that it is attached: {:?}", observer.0.try_wait()?),
        }
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Ends it as Ctrl-C does, which has to succeed.
    pub fn interrupt(&mut self) -> Result<()> {
        let status = self.end_by(Signal::INT)?;
        ensure!(status.success(), "the observer ended with {status}");
        Ok(())
    }

    /// Ends it without giving it a chance to put anything in order.
    pub fn kill(&mut self) -> Result<()> {
        self.end_by(Signal::KILL).map(drop)
    }

    fn end_by(&mut self, signal: Signal) -> Result<ExitStatus> {
        let pid = Pid::from_raw(i32::try_from(self.0.id())?).context("no process id")?;
        kill_process(pid, signal)?;
        let end = Instant::now() + DEADLINE;
        while Instant::now() < end {
            if let Some(status) = self.0.try_wait()? {
                return Ok(status);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        bail!("the observer did not end within {DEADLINE:?} of a signal")
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Attaching takes seconds in an emulated guest.
const DEADLINE: Duration = Duration::from_secs(120);
