//! `cargo xtask guest`: one kernel's part of the matrix, run in the guest with programs that are built already.
//!
//! All modes run in one boot, each step in a process of its own with a limit. Each step's end is a line on the
//! console that [`Ended::read`] finds again outside.

use std::fmt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::process::{self, Killed};

/// Flags of `cargo xtask guest`.
#[derive(clap::Args)]
pub struct Arguments {
    /// The observer
    #[arg(long)]
    observer: PathBuf,
    /// The folder of the workload and the peers
    #[arg(long)]
    programs: PathBuf,
    /// How the observer is to capture; repeatable
    #[arg(long = "mode", required = true)]
    modes: Vec<String>,
    /// The mode that the observer is to choose by itself
    #[arg(long)]
    best: String,
    /// What to run; repeatable
    #[arg(long = "step", required = true)]
    steps: Vec<String>,
}

/// The steps, in their order, and whether each needs TLS in the kernel.
pub const STEPS: [(&str, bool); 8] = [
    (LOAD, false),
    ("exact", false),
    ("io-uring", false),
    ("splice", false),
    ("ktls", true),
    ("overload", false),
    ("detach", false),
    (SESSION, false),
];
/// The kernel accepts the programs.
const LOAD: &str = "load";
/// Real clients and servers.
const SESSION: &str = "session";

/// Runs all steps of all modes; the exit code tells nothing, the lines do.
pub fn run(arguments: &Arguments) -> Result<()> {
    for mode in &arguments.modes {
        for step in &arguments.steps {
            let ended = arguments.ended(mode, step)?;
            println!("{ended}");
            if ended.seconds >= LIMIT.as_secs() {
                bail!("{step} did not end, and what it has started would disturb the others");
            }
            if step == LOAD && !ended.well {
                break; // the others would each wait in vain
            }
        }
    }
    Ok(())
}

impl Arguments {
    fn ended(&self, mode: &str, step: &str) -> Result<Ended> {
        println!("-- {mode}: {step}");
        let began = Instant::now();
        let mut well = succeeds(&mut self.command(mode, step)?)?;
        if step == LOAD && mode == self.best {
            well &= self.chooses_the_best()?;
        }
        let seconds = began.elapsed().as_secs();
        Ok(Ended { mode: mode.to_owned(), step: step.to_owned(), well, seconds })
    }

    /// Whether the observer, left to itself, takes the mode that is best here.
    fn chooses_the_best(&self) -> Result<bool> {
        let told = self.load().stdin(Stdio::null()).output().context("starting the observer")?;
        let told = String::from_utf8_lossy(&told.stderr);
        println!("left to itself: {told}");
        Ok(told.contains(&format!("mode {},", self.best)))
    }

    /// Attaches and ends.
    fn load(&self) -> Command {
        let mut command = Command::new(&self.observer);
        command.args(["record", "--force", "--duration=100ms", "--file=/run/load.mcpcap"]);
        command
    }

    fn command(&self, mode: &str, step: &str) -> Result<Command> {
        let mode = format!("--mode={mode}");
        let mut command = match step {
            LOAD => self.load(),
            SESSION => {
                let mut command = Command::new(std::env::current_exe().context("this program")?);
                command.arg("session").arg("--observer").arg(&self.observer);
                command.arg("--peers").arg(&self.programs);
                command
            }
            part => {
                let mut command = Command::new(self.programs.join("workload"));
                // Nobody else moves bytes in a guest, so the sums have to be exact for the whole of it.
                command.args(["check", "--alone", "--dir=/run/workload", "--part", part]);
                command.arg("--observer").arg(&self.observer);
                command
            }
        };
        command.arg(mode).env("RUST_BACKTRACE", "0").stdin(Stdio::null());
        Ok(command)
    }
}

/// Whether the command ends with 0, and in time.
fn succeeds(command: &mut Command) -> Result<bool> {
    let mut child = Killed(command.spawn().with_context(|| format!("starting {:?}", command.get_program()))?);
    Ok(process::ended_within(&mut child.0, LIMIT)?.is_some_and(|status| status.success()))
}

/// How a step ended.
#[derive(Debug, PartialEq)]
pub struct Ended {
    pub mode: String,
    pub step: String,
    pub well: bool,
    pub seconds: u64,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mode, step, well, seconds } = self;
        write!(f, "{MARK} {mode} {step} {} {seconds}", if *well { "passed" } else { "FAILED" })
    }
}

impl Ended {
    /// Reads it from a line of the console; what the kernel says may stand in front.
    pub fn read(line: &str) -> Option<Self> {
        let (_, told) = line.split_once(MARK)?;
        let [mode, step, how, seconds] = told.split_whitespace().collect::<Vec<_>>()[..] else { return None };
        let seconds = seconds.parse().ok()?;
        Some(Self { mode: mode.to_owned(), step: step.to_owned(), well: how == "passed", seconds })
    }
}

const MARK: &str = "-- ended:";
/// The slowest step takes less than a minute; this is for a machine under heavy load.
const LIMIT: Duration = Duration::from_secs(240);

#[cfg(test)]
mod tests {
    use super::Ended;

    #[test]
    fn an_end_is_read_as_it_was_told() {
        let ended = Ended { mode: "fexit".to_owned(), step: "load".to_owned(), well: true, seconds: 7 };
        assert_eq!(Ended::read(&ended.to_string()).as_ref(), Some(&ended));
        assert_eq!(Ended::read(&format!("[  1.0] a warning {ended}")), Some(ended));
        assert_eq!(Ended::read("-- fexit: load"), None);
    }
}
