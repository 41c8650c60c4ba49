//! The suite `vm`: each kernel with each mode that it has, and a table of how it went.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::Arguments;
use super::guest::{Ended, STEPS};
use super::tally::Tally;
use crate::agent::Programs;
use crate::vm::{self, Kernel};
use crate::{process, setup, workspace};

/// A guest runs its part in some minutes; this is for a machine under heavy load.
const LIMIT: Duration = Duration::from_secs(1800);

/// Runs the chosen kernels and modes. Everything is built out here.
pub fn run(arguments: &Arguments) -> Result<Tally> {
    setup::for_tests()?;
    let programs = Programs::build()?;
    process::run(workspace::cargo().args(["build", "--package", "kernel-tests", "--bins"]))?;
    let mut rows = Vec::new();
    for kernel in arguments.guests.kernels()? {
        let modes: Vec<_> = kernel.modes.iter().copied().filter(|mode| arguments.wants(mode)).collect();
        rows.extend(boot(kernel, &modes, &programs)?);
    }
    ensure!(!rows.is_empty(), "no kernel has this mode");
    show(&rows);
    Ok(rows.iter().map(Row::tally).fold(Tally::default(), |mut sum, row| {
        sum += row;
        sum
    }))
}

/// One kernel in one mode.
struct Row {
    kernel: &'static str,
    mode: &'static str,
    /// What was to be run, and how it ended if it did.
    steps: Vec<(&'static str, Option<(bool, u64)>)>,
}

impl Row {
    /// A step that did not end has failed.
    fn tally(&self) -> Tally {
        let passed = self.steps.iter().filter(|(_, end)| matches!(end, Some((true, _)))).count();
        Tally { passed, failed: self.steps.len() - passed }
    }

    fn cell(&self, step: &str) -> String {
        match self.steps.iter().find(|(name, _)| *name == step) {
            None => "-".to_owned(),
            Some((_, None)) => "NOT RUN".to_owned(),
            Some((_, Some((true, seconds)))) => format!("{seconds} s"),
            Some((_, Some((false, _)))) => "FAILED".to_owned(),
        }
    }
}

/// Boots a kernel once, for all its modes.
fn boot(kernel: &'static Kernel, modes: &[&'static str], programs: &Programs) -> Result<Vec<Row>> {
    if modes.is_empty() {
        return Ok(Vec::new());
    }
    println!("-- Linux {}: {}", kernel.name, modes.join(", "));
    let steps: Vec<_> =
        STEPS.iter().filter(|(_, ktls)| kernel.ktls || !ktls).map(|(name, _)| *name).collect();
    let mut command = command(programs, modes, &steps)?;
    command.extend(kernel.modes.first().map(|best| format!("--best={best}")));
    let (began, mut ends) = (Instant::now(), BTreeMap::new());
    let guest = vm::run_in(kernel, &command, LIMIT, |line| {
        println!("{line}");
        if let Some(end) = Ended::read(line) {
            ends.insert((end.mode, end.step), (end.well, end.seconds));
        }
    });
    match guest {
        Ok(0) => println!("-- Linux {}: {} s with its boot", kernel.name, began.elapsed().as_secs()),
        Ok(code) => println!("-- Linux {}: the guest's task ended with {code}", kernel.name),
        Err(error) => println!("-- Linux {}: {error:#}", kernel.name),
    }
    let end = |mode: &str, step: &str| ends.get(&(mode.to_owned(), step.to_owned())).copied();
    let row = |mode: &'static str| {
        let steps = steps.iter().map(|step| (*step, end(mode, step))).collect();
        Row { kernel: kernel.name, mode, steps }
    };
    Ok(modes.iter().map(|mode| row(mode)).collect())
}

fn command(programs: &Programs, modes: &[&str], steps: &[&str]) -> Result<Vec<String>> {
    let flag = |name: &str, value: &str| format!("--{name}={value}");
    let mut command = vec![text(&std::env::current_exe()?)?, "guest".to_owned()];
    command.push(flag("observer", &text(&programs.observer)?));
    command.push(flag("programs", &text(&programs.peers)?));
    command.extend(modes.iter().map(|mode| flag("mode", mode)));
    command.extend(steps.iter().map(|step| flag("step", step)));
    Ok(command)
}

fn show(rows: &[Row]) {
    print!("\n{:<8} {:<8}", "kernel", "mode");
    STEPS.iter().for_each(|(step, _)| print!(" {step:>8}"));
    println!();
    for row in rows {
        print!("{:<8} {:<8}", row.kernel, row.mode);
        STEPS.iter().for_each(|(step, _)| print!(" {:>8}", row.cell(step)));
        println!();
    }
}

fn text(path: &Path) -> Result<String> {
    path.to_str().map(str::to_owned).context("the target directory's path is no text")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_that_did_not_end_has_failed() {
        let steps = vec![("load", Some((true, 3))), ("exact", Some((false, 9))), ("detach", None)];
        let row = Row { kernel: "6.1", mode: "fexit", steps };
        assert_eq!(row.tally(), Tally { passed: 1, failed: 2 });
        let cells = ["load", "exact", "detach", "ktls"].map(|step| row.cell(step));
        assert_eq!(cells, ["3 s", "FAILED", "NOT RUN", "-"]);
    }
}
