//! Calls whose durations are known: a client that measures them, and a server that takes as long as it is told.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::programs::programs;

/// What the client of one server measured.
#[derive(Clone, Debug, Default)]
pub struct Truth {
    /// Seconds of each call, in order of size.
    pub seconds: Vec<f64>,
    /// The same by the trace that the call was made in.
    pub traces: BTreeMap<String, f64>,
}

impl Truth {
    /// The smallest duration up to which there are so many of all.
    pub fn quantile(&self, part: f64) -> Option<f64> {
        let rank = (part * self.seconds.len() as f64).ceil() as usize;
        self.seconds.get(rank.max(1) - 1).copied()
    }
}

/// Starts a server and calls `tool`: so often, with an answer after so many milliseconds, in this order. Each call
/// carries a trace context, whose ids begin with `prefix`.
pub fn calls(tool: &str, prefix: u32, plan: &[(u32, u64)]) -> Result<Truth> {
    let mut server = Command::new(programs()?.peers.programs.join("raw-peer"))
        .arg("serve-stdio")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start the server")?;
    let output = BufReader::new(server.stdout.take().context("no output")?);
    let mut session = Session { input: server.stdin.take().context("no input")?, output };
    let info = json!({"name": "timed", "version": "1"});
    let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": info});
    session.ask(&json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}))?;
    writeln!(session.input, r#"{{"jsonrpc":"2.0","method":"notifications/initialized"}}"#)?;
    let mut truth = Truth::default();
    let delays = plan.iter().flat_map(|(count, delay)| (0..*count).map(move |_| *delay));
    for (id, delay_ms) in (1..).zip(delays) {
        let trace = format!("{prefix:08x}{id:024x}");
        let seconds = session.ask(&call(tool, id, delay_ms, &trace))?;
        truth.seconds.push(seconds);
        truth.traces.insert(trace, seconds);
    }
    drop(session);
    ensure!(server.wait()?.success(), "the server failed");
    truth.seconds.sort_by(f64::total_cmp);
    Ok(truth)
}

fn call(tool: &str, id: u64, delay_ms: u64, trace: &str) -> Value {
    let context = json!({"traceparent": format!("00-{trace}-00000000000000aa-01")});
    let params = json!({"name": tool, "arguments": {"delay_ms": delay_ms}, "_meta": context});
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params})
}

struct Session {
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Session {
    /// Sends a request and returns the seconds until its answer was there.
    fn ask(&mut self, request: &Value) -> Result<f64> {
        let (text, mut answer) = (format!("{request}\n"), String::new());
        let began = Instant::now();
        self.input.write_all(text.as_bytes())?;
        self.output.read_line(&mut answer)?;
        let seconds = began.elapsed().as_secs_f64();
        let answer: Value = serde_json::from_str(&answer)?;
        ensure!(answer["id"] == request["id"] && answer.get("result").is_some(), "{request}: {answer}");
        Ok(seconds)
    }
}
