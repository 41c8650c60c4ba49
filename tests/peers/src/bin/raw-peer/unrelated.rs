//! System calls that have nothing to do with streams, and what each takes.

use std::time::Instant;

use anyhow::Result;
use clap::Args;
use serde_json::json;

use crate::bare::stay_on;

/// How many.
#[derive(Args)]
pub struct Settings {
    #[arg(long, default_value_t = 1_000_000)]
    calls: u32,
    /// Run on this processor alone.
    #[arg(long)]
    cpu: Option<usize>,
}

/// Makes the calls in short turns and prints the time of one in the middle turn.
pub fn run(settings: &Settings) -> Result<()> {
    stay_on(settings.cpu)?;
    let turns = settings.calls.div_ceil(TURN);
    let mut times: Vec<f64> = (0..turns).map(|_| turn()).collect();
    times.sort_by(f64::total_cmp);
    let summary = json!({"type": "summary", "ns_per_call": times.get(times.len() / 2)});
    println!("{summary}");
    Ok(())
}

fn turn() -> f64 {
    let began = Instant::now();
    for _ in 0..TURN {
        std::hint::black_box(rustix::process::getppid());
    }
    began.elapsed().as_nanos() as f64 / f64::from(TURN)
}

/// Short beside a time slice, so that most turns are not interrupted.
const TURN: u32 = 2_000;
