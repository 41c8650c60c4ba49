//! A steady rate of calls on one session of the bare server: a thread sends by the clock, another counts the answers.

use std::fs::File;
use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use clap::Args;
use rustix::net::{Shutdown, shutdown};
use serde_json::json;

use crate::bare::{Carrier, Messages, Session, call, framed};

/// How much, how long.
#[derive(Args)]
pub struct Settings {
    #[arg(long, value_enum, default_value = "pipe")]
    carrier: Carrier,
    /// Bytes of text in each result.
    #[arg(long, default_value_t = 100)]
    bytes: usize,
    /// Calls a second; 0 for as many as go through.
    #[arg(long, default_value_t = 1000)]
    rate: u32,
    /// For so many milliseconds.
    #[arg(long, default_value_t = 10_000)]
    for_ms: u64,
}

/// Makes the calls and prints a summary.
pub fn run(settings: &Settings) -> Result<()> {
    let (messages, writer, mut server) = Session::open(settings.carrier, None, settings.bytes)?.split();
    let reading = std::thread::spawn(|| count(messages));
    let began = Instant::now();
    let calls = send(&writer, settings)?;
    let sent_in = began.elapsed();
    if settings.carrier == Carrier::Http {
        shutdown(&writer, Shutdown::Write)?;
    }
    drop(writer);
    let answered = reading.join().map_err(|_| anyhow::anyhow!("the reader panicked"))??;
    server.wait()?;
    ensure!(answered == calls, "{answered} of {calls} calls were answered");
    let seconds = sent_in.as_secs_f64();
    let summary = json!({
        "type": "summary", "calls": calls, "seconds": seconds, "calls_per_s": calls as f64 / seconds,
        "bytes": calls * settings.bytes as u64,
    });
    println!("{summary}");
    Ok(())
}

/// Sends calls until the time is over; when late, without a pause until the clock is reached. Returns how many.
fn send(mut writer: &File, settings: &Settings) -> Result<u64> {
    let began = Instant::now();
    let whole = Duration::from_millis(settings.for_ms);
    let mut id = 0;
    loop {
        let now = began.elapsed();
        if now >= whole {
            return Ok(id);
        }
        if settings.rate != 0 {
            let due = Duration::from_nanos(id * 1_000_000_000 / u64::from(settings.rate));
            std::thread::sleep(due.saturating_sub(now));
        }
        id += 1;
        writer.write_all(&framed(&call(id), settings.carrier == Carrier::Http))?;
    }
}

fn count(mut messages: Messages) -> Result<u64> {
    let mut answered = 0;
    while messages.wait()? {
        while messages.next().is_some() {
            answered += 1;
        }
    }
    Ok(answered)
}
