//! `cargo xtask test`: every suite there is, and one closing line with the sums.
//!
//! A suite is a function that returns how many checks passed and failed. To add one: write it in `suites.rs` and add
//! it to [`suites::ALL`]. A suite that cannot run has failed.

pub mod guest;
mod matrix;
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
    /// Only guests, in this capture mode; repeatable
    #[arg(long = "mode", value_name = "MODE", value_parser = vm::ALL_MODES)]
    modes: Vec<String>,
}

impl Arguments {
    fn wants(&self, mode: &str) -> bool {
        self.modes.is_empty() || self.modes.iter().any(|wanted| wanted == mode)
    }

    fn chooses(&self, suite: &Suite) -> bool {
        if !self.suites.is_empty() {
            return self.suites.iter().any(|name| name == suite.name);
        }
        let about_guests = self.guests.is_made() || !self.modes.is_empty();
        !about_guests || suite.name == suites::GUESTS
    }
}

/// Runs the chosen suites, all of them even when one fails.
pub fn run(arguments: &Arguments) -> Result<()> {
    arguments.guests.kernels()?; // a wrong name is better told now than in an hour
    let mut sum = Tally::default();
    let mut failed = Vec::new();
    for suite in ALL.iter().filter(|suite| arguments.chooses(suite)) {
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
