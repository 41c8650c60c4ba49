//! Moves known bytes over pipes and sockets by every system call that the observer follows, and accounts for
//! each of them in what the observer recorded.
#![forbid(unsafe_code)]

mod calls;
mod capture;
mod cases;
mod check;
mod content;
mod detach;
mod ktls;
mod manifest;
mod observer;
mod overload;
mod pages;
mod release;
mod ring;
mod streams;
mod verify;
mod ways;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about = "A byte-exact workload")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Runs every case that moves bytes by system calls and writes what was received, with a manifest.
    Run {
        /// Where to.
        #[arg(long)]
        dir: PathBuf,
    },
    /// Pushes more than a small ring can take, and writes a manifest.
    Overload {
        /// Where to.
        #[arg(long)]
        dir: PathBuf,
        #[command(flatten)]
        amount: overload::Amount,
    },
    /// Compares a capture file with a manifest.
    Verify {
        /// Where the manifest is.
        #[arg(long)]
        dir: PathBuf,
        /// What the observer recorded.
        #[arg(long)]
        capture: PathBuf,
        #[command(flatten)]
        rules: verify::Rules,
    },
    /// All of it: starts the observer, runs cases, stops the observer, compares; for each part.
    Check(check::Settings),
}

fn main() -> Result<()> {
    match Arguments::parse().task {
        Task::Run { dir } => cases::run(&dir, cases::Family::Calls),
        Task::Overload { dir, amount } => overload::run(&dir, &amount),
        Task::Verify { dir, capture, rules } => {
            let report = verify::compare(&manifest::read(&dir)?, &capture::read(&capture)?, &rules)?;
            println!("{report}");
            Ok(())
        }
        Task::Check(settings) => check::run(&settings),
    }
}
