//! A steady rate of calls on one stdio session: a thread sends by the clock, another reads the answers.

use std::io::{BufRead, Write};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Args;
use peers::truth::{Direction, Ledger};
use peers::witness::print;
use serde_json::{Value, json};

use crate::message::{INITIALIZED, Shape};
use crate::stdio_client::Session;
use crate::wire::Kind;

/// How much, how long.
#[derive(Args)]
pub struct Settings {
    #[command(flatten)]
    shape: Shape,
    /// Calls a second.
    #[arg(long, default_value_t = 1000)]
    rate: u32,
    /// For so many seconds.
    #[arg(long, default_value_t = 10)]
    seconds: u32,
    /// Leave out the lines of the calls and print the summary alone.
    #[arg(long)]
    summary: bool,
}

/// Makes the calls, then prints them and a summary.
pub fn run(settings: &Settings) -> Result<()> {
    let mut session = Session::with_server(&["serve-stdio"], Kind::Pipe, false)?;
    session.ask(&settings.shape.initialize(0, "2025-11-25"), 0)?;
    session.wire.write_line(INITIALIZED, 0)?;
    let Session { mut server, wire, ledger } = session;
    let (reader, mut writer) = wire.split();
    let calls = u64::from(settings.rate) * u64::from(settings.seconds);
    let began = Instant::now();
    let ended = std::thread::scope(|scope| {
        let reading = scope.spawn(|| answers(reader, &ledger, calls));
        send(&mut writer, &ledger, settings, calls)?;
        reading.join().map_err(|_| anyhow::anyhow!("the reader panicked"))?
    })?;
    let took = began.elapsed();
    drop(writer);
    server.wait()?;
    summarize(&ended, took);
    if !settings.summary {
        print(ended);
    }
    Ok(())
}

fn send(writer: &mut impl Write, ledger: &Ledger, settings: &Settings, calls: u64) -> Result<()> {
    let began = Instant::now();
    let step = Duration::from_secs(1) / settings.rate.max(1);
    for id in 1..=calls {
        let due = step * u32::try_from(id)?;
        std::thread::sleep(due.saturating_sub(began.elapsed()));
        let text = settings.shape.call("echo", id);
        ledger.passed(Direction::ClientToServer, &serde_json::from_str(&text)?);
        writer.write_all(format!("{text}\n").as_bytes())?;
    }
    Ok(())
}

fn answers(reader: impl BufRead, ledger: &Ledger, calls: u64) -> Result<Vec<peers::truth::Call>> {
    let mut ended = Vec::new();
    for line in reader.lines() {
        let message: Value = serde_json::from_str(&line?)?;
        ended.extend(ledger.passed(Direction::ServerToClient, &message));
        if ended.len() as u64 == calls {
            return Ok(ended);
        }
    }
    bail!("the server went away")
}

fn summarize(ended: &[peers::truth::Call], took: Duration) {
    let mut durations: Vec<f64> = ended.iter().map(|call| call.duration_ms).collect();
    durations.sort_by(f64::total_cmp);
    let quantile = |part: f64| durations.get((durations.len() as f64 * part) as usize).copied();
    let summary = json!({
        "type": "summary", "calls": ended.len(), "seconds": took.as_secs_f64(),
        "p50_ms": quantile(0.5), "p99_ms": quantile(0.99),
    });
    println!("{summary}");
}
