//! One call after the other, as fast as they are answered, and how long each took.

use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;
use serde_json::json;

use crate::bare::{Carrier, Session, call, stay_on};

/// What is called, and where it runs.
#[derive(Args)]
pub struct Settings {
    #[arg(long, value_enum, default_value = "pipe")]
    carrier: Carrier,
    /// Bytes of text in each result.
    #[arg(long, default_value_t = 100)]
    bytes: usize,
    /// The client's processor.
    #[arg(long)]
    client_cpu: Option<usize>,
    /// The server's processor.
    #[arg(long)]
    server_cpu: Option<usize>,
    /// Milliseconds of calls that do not count.
    #[arg(long, default_value_t = 200)]
    warm_up_ms: u64,
    /// Milliseconds of calls that do.
    #[arg(long, default_value_t = 1000)]
    for_ms: u64,
}

/// Makes the calls and prints a summary.
pub fn run(settings: &Settings) -> Result<()> {
    stay_on(settings.client_cpu)?;
    let mut session = Session::open(settings.carrier, settings.server_cpu, settings.bytes)?;
    let mut ids = 1..;
    calls_for(&mut session, &mut ids, settings.warm_up_ms)?;
    let mut took = calls_for(&mut session, &mut ids, settings.for_ms)?;
    session.close()?;
    took.sort_unstable();
    let quantile = |part: f64| took.get((took.len() as f64 * part) as usize);
    let summary = json!({
        "type": "summary", "calls": ids.start - 1, "measured": took.len(),
        "p50_ns": quantile(0.5), "p90_ns": quantile(0.9), "p99_ns": quantile(0.99),
        "bytes": took.len() * settings.bytes, "seconds": took.iter().sum::<u64>() as f64 / 1e9,
    });
    println!("{summary}");
    Ok(())
}

/// Makes calls for so long and returns the nanoseconds of each.
fn calls_for(session: &mut Session, ids: &mut std::ops::RangeFrom<u64>, ms: u64) -> Result<Vec<u64>> {
    let until = Instant::now() + Duration::from_millis(ms);
    let mut took = Vec::with_capacity(1 << 16);
    loop {
        let request = session.framed(&call(ids.next().unwrap_or_default()));
        let began = Instant::now();
        session.send_bytes(&request)?;
        session.answered()?;
        let ended = Instant::now();
        took.push((ended - began).as_nanos() as u64);
        if ended >= until {
            return Ok(took);
        }
    }
}
