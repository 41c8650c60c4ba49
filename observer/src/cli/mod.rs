//! The command line: what was typed. What it means is in `config`.

mod doctor;
mod flags;
mod host;
mod live;
mod record;
mod reference;
mod replay;
mod run;
mod stop;
mod watch;

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::agent::Tally;
use crate::error::Error;

/// Parses the command line, does what it says and tells how it went.
pub fn run() -> ExitCode {
    match CommandLine::parse().command.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if !matches!(error, Error::OutputClosed) {
                tell(format_args!("error: {error}"));
            }
            error.exit_code().into()
        }
    }
}

/// Observes every MCP call of this host from the kernel: no proxy, no change of any configuration.
#[derive(Debug, Parser)]
#[command(name = "mcp-observer", version, after_help = AFTER_HELP)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "Every flag is also an environment variable: --listen is MCP_OBSERVER_LISTEN.\n\
    Exit codes: 0 done, 1 failed while running, 2 wrong usage, 3 this host or these privileges cannot do it.";

/// One file each.
#[derive(Debug, Subcommand)]
enum Command {
    Watch(watch::Watch),
    Run(run::Run),
    Record(record::Record),
    Replay(replay::Replay),
    Doctor(doctor::Doctor),
    Reference(reference::Reference),
}

impl Command {
    fn run(self) -> Result<(), Error> {
        match self {
            Self::Watch(watch) => watch.run(),
            Self::Run(run) => run.run(),
            Self::Record(record) => record.run(),
            Self::Replay(replay) => replay.run(),
            Self::Doctor(doctor) => doctor.run(),
            Self::Reference(reference) => reference.run(),
        }
    }
}

/// A line on standard error. Nobody may be reading it: that is no reason to end.
fn tell(message: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{message}");
}

/// The closing words of a run that people have watched.
fn tell_tally(tally: &Tally) {
    tell(format_args!("{} calls, {} records", tally.calls, tally.records));
    if tally.in_flight > 0 {
        tell(format_args!("{} more calls were in flight", tally.in_flight));
    }
    if tally.lost_records > 0 {
        tell(format_args!("LOST {} records, {} bytes", tally.lost_records, tally.lost_bytes));
    }
    if tally.blind_spots > 0 {
        tell(format_args!("CANNOT SEE {} places; `mcp-observer doctor` tells more", tally.blind_spots));
    }
    if tally.torn_bytes > 0 {
        tell(format_args!("the last record of the file is torn: {} bytes left out", tally.torn_bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn every_flag_is_also_an_environment_variable() {
        for command in CommandLine::command().get_subcommands() {
            for flag in command.get_arguments().filter(|argument| argument.get_long().is_some()) {
                let name = flag.get_long().unwrap().to_uppercase().replace('-', "_");
                let env = flag.get_env().and_then(|env| env.to_str()).map(str::to_owned);
                assert_eq!(env, Some(format!("MCP_OBSERVER_{name}")), "{}", command.get_name());
            }
        }
    }

    #[test]
    fn every_command_and_flag_has_help() {
        for command in CommandLine::command().get_subcommands() {
            assert!(command.get_about().is_some(), "{}", command.get_name());
            for argument in command.get_arguments() {
                assert!(argument.get_help().is_some(), "{} {}", command.get_name(), argument.get_id());
            }
        }
    }
}
