//! The project's own tool, `cargo xtask`: builds, checks, shows and tests it. One subcommand, one file.

mod check;
mod process;
mod setup;
mod tidy;
mod vm;

mod workspace;

use std::process::ExitCode;

use clap::Parser;

/// Builds, checks, shows and tests the project.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
enum Task {
    /// Installs what a build needs and this machine lacks
    Setup(setup::Arguments),
    /// Checks the built kernel object: stack of the uprobe programs, no per-CPU scratch
    Check(check::Arguments),
    /// Checks the house rules on every file that git knows
    Tidy,
    /// Runs a command on another kernel, in a guest
    #[command(subcommand)]
    Vm(vm::Arguments),
}

fn main() -> ExitCode {
    let done = match Task::parse() {
        Task::Setup(arguments) => setup::run(&arguments),
        Task::Check(arguments) => check::run(&arguments),
        Task::Tidy => tidy::run(),
        Task::Vm(arguments) => vm::run(&arguments),
    };
    let Err(error) = done else { return ExitCode::SUCCESS };
    eprintln!("xtask: {error:#}");
    ExitCode::FAILURE
}
