//! Peers that run: started, read from, ended, and never left behind.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::de::DeserializeOwned;

use crate::truth::{Call, Line};

/// A child process that prints lines of JSON, which threads read, so that it never waits for us.
#[derive(Debug)]
pub struct Running<T = Line> {
    child: Child,
    input: Option<ChildStdin>,
    incoming: Receiver<String>,
    complaints: Option<JoinHandle<String>>,
    lines: Vec<T>,
}

impl<T: DeserializeOwned> Running<T> {
    /// Starts a program.
    pub fn start(command: &mut Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {:?}", command.get_program()))?;
        let output = BufReader::new(child.stdout.take().context("no output")?);
        let (sender, incoming) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let mut complaining = child.stderr.take().context("no error output")?;
        let complaints = std::thread::spawn(move || {
            let mut text = Vec::new();
            let _ = complaining.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        let input = child.stdin.take();
        Ok(Self { child, input, incoming, complaints: Some(complaints), lines: Vec::new() })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has printed so far, as far as it was waited for.
    pub fn lines(&self) -> &[T] {
        &self.lines
    }

    /// Gives it a line of input.
    pub fn send(&mut self, line: &str) -> Result<()> {
        let input = self.input.as_mut().context("the input was closed")?;
        writeln!(input, "{line}")?;
        Ok(())
    }

    /// Reads lines until `enough` of them are there.
    pub fn wait_for(&mut self, what: &str, enough: impl Fn(&[T]) -> bool) -> Result<()> {
        self.wait_within(DEADLINE, what, enough)
    }

    /// Reads lines until `enough` of them are there, for so long.
    pub fn wait_within(
        &mut self,
        deadline: Duration,
        what: &str,
        enough: impl Fn(&[T]) -> bool,
    ) -> Result<()> {
        let end = Instant::now() + deadline;
        while !enough(&self.lines) {
            match self.incoming.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.take(&line);
                    // All that has come by now is looked at once: on a busy host that is thousands of lines.
                    while let Ok(line) = self.incoming.try_recv() {
                        self.take(&line);
                    }
                    if Instant::now() > end {
                        bail!("waited {deadline:?} for {what}");
                    }
                }
                Err(RecvTimeoutError::Timeout) => bail!("waited {deadline:?} for {what}"),
                Err(RecvTimeoutError::Disconnected) => {
                    bail!("ended without {what}: {:?}", self.child.wait()?)
                }
            }
        }
        Ok(())
    }

    /// Closes its input, reads what is left and returns all lines once it has ended well.
    pub fn finish(mut self) -> Result<Vec<T>> {
        drop(self.input.take());
        let end = Instant::now() + DEADLINE;
        loop {
            match self.incoming.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => self.take(&line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => bail!("still running after {DEADLINE:?}"),
            }
        }
        let status = self.child.wait()?;
        if !status.success() {
            bail!("ended with {status}: {}", self.complaints());
        }
        Ok(std::mem::take(&mut self.lines))
    }

    /// What it said on its error output, once that has ended.
    fn complaints(&mut self) -> String {
        self.complaints.take().and_then(|reading| reading.join().ok()).unwrap_or_default()
    }

    fn take(&mut self, line: &str) {
        // Summaries and the like are for people.
        if let Ok(line) = serde_json::from_str(line) {
            self.lines.push(line);
        }
    }
}

impl Running<Line> {
    /// Waits until it listens and returns the port.
    pub fn port(&mut self) -> Result<u16> {
        let listening = |lines: &[Line]| lines.iter().any(|line| matches!(line, Line::Listening { .. }));
        self.wait_for("a listening server", listening)?;
        let port = self.lines.iter().find_map(|line| match line {
            Line::Listening { port, .. } => Some(*port),
            _ => None,
        });
        port.context("no port")
    }

    /// As [`Self::finish`], the calls alone.
    pub fn calls(self) -> Result<Vec<Call>> {
        let calls = self.finish()?.into_iter().filter_map(|line| match line {
            Line::Call(call) => Some(call),
            _ => None,
        });
        Ok(calls.collect())
    }
}

impl<T> Drop for Running<T> {
    fn drop(&mut self) {
        // An error here means that it has ended already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Longer than any script takes on a slow and busy machine.
const DEADLINE: Duration = Duration::from_secs(90);
