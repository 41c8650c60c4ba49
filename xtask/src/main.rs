//! The project's own tool, `cargo xtask`: builds, checks, shows and tests it. One subcommand, one file.

mod agent;
mod bench;
mod check;
mod demo;
mod fixtures;
mod fuzz;
mod process;
mod setup;
mod test;
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
    /// Observes real MCP traffic over stdio, HTTP and HTTPS and accounts for every call
    Demo,
    /// Observes one session with programs that are built already
    #[command(hide = true)]
    Session(demo::session::Arguments),
    /// Runs a kernel's part of the matrix, in the guest
    #[command(hide = true)]
    Guest(test::guest::Arguments),
    /// Runs every suite there is
    Test(test::Arguments),
    /// Measures what observing costs
    Bench(bench::Arguments),
    /// Checks the built kernel object: stack of the uprobe programs, no per-CPU map
    Check(check::Arguments),
    /// Records what the official SDKs say as fixtures for the replay tests
    Fixtures(fixtures::Arguments),
    /// Searches for bytes that break what must hold for any, in `tests/fuzz`
    Fuzz(fuzz::Arguments),
    /// Checks the house rules on every file that git knows
    Tidy,
    /// Runs a command on another kernel, in a guest
    #[command(subcommand)]
    Vm(vm::Arguments),
}

fn main() -> ExitCode {
    let done = match Task::parse() {
        Task::Setup(arguments) => setup::run(&arguments),
        Task::Demo => demo::run(),
        Task::Session(arguments) => demo::session::run(&arguments),
        Task::Guest(arguments) => test::guest::run(&arguments),
        Task::Test(arguments) => test::run(&arguments),
        Task::Bench(arguments) => bench::run(&arguments),
        Task::Check(arguments) => check::run(&arguments),
        Task::Fixtures(arguments) => fixtures::run(&arguments),
        Task::Fuzz(arguments) => fuzz::run(&arguments),
        Task::Tidy => tidy::run(),
        Task::Vm(arguments) => vm::run(&arguments),
    };
    let Err(error) = done else { return ExitCode::SUCCESS };
    eprintln!("xtask: {error:#}");
    ExitCode::FAILURE
}
