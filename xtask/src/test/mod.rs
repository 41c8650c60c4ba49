//! `cargo xtask test`: every suite there is, and one closing line with the sums.
//!
//! A suite is a function that returns how many checks passed and failed. To add one: write it in `suites.rs` and add
//! it to [`suites::ALL`]. A suite that cannot run has failed.

mod suites;
mod tally;

use std::time::Instant;

use anyhow::{Result, bail, ensure};

use crate::vm;
use suites::{ALL, Suite};
use tally::Tally;

/// Flags of `cargo xtask test`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Only this suite; repeatable
    #[arg(long = "suite", value_name = "NAME", value_parser = suites::names())]
    suites: Vec<String>,
    #[command(flatten)]
    guests: vm::Choice,
}

/// Runs the chosen suites, all of them even when one fails.
pub fn run(arguments: &Arguments) -> Result<()> {
    arguments.guests.kernels()?; // a wrong name is better told now than in an hour
    let chosen = |suite: &&Suite| {
        arguments.suites.is_empty() || arguments.suites.iter().any(|name| name == suite.name)
    };
    let mut sum = Tally::default();
    let mut failed = Vec::new();
    for suite in ALL.iter().filter(chosen) {
        let tally = run_one(suite, arguments);
        if tally.failed > 0 {
            failed.push(suite.name);
        }
        sum += tally;
    }
    if !failed.is_empty() {
        println!("failed suites: {}", failed.join(", "));
    }
    println!("{} passed, {} failed", sum.passed, sum.failed);
    if sum.failed > 0 {
        std::process::exit(1); // the closing line stays the last one
    }
    ensure!(sum.passed > 0, "nothing was tested");
    Ok(())
}

fn run_one(suite: &Suite, arguments: &Arguments) -> Tally {
    println!("\n== {}: {}", suite.name, suite.about);
    let began = Instant::now();
    let tally = (suite.run)(arguments).and_then(|tally| {
        if tally == Tally::default() {
            bail!("it tested nothing");
        }
        Ok(tally)
    });
    let tally = tally.unwrap_or_else(|error| {
        println!("{} failed: {error:#}", suite.name);
        Tally { passed: 0, failed: 1 }
    });
    let seconds = began.elapsed().as_secs();
    println!("== {}: {} passed, {} failed, {seconds} s", suite.name, tally.passed, tally.failed);
    tally
}
