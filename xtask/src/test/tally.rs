//! Counting checks, also those that `cargo test` reports.

use std::io::{BufRead as _, BufReader};
use std::ops::AddAssign;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

/// How many checks passed and failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub passed: usize,
    pub failed: usize,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

impl Tally {
    /// One check that passed.
    pub const ONE: Self = Self { passed: 1, failed: 0 };

    /// Adds what a line of a test program's output reports. A test that was left out counts as failed: one that
    /// cannot run is to say so by failing.
    fn add_line(&mut self, line: &str) {
        let Some(result) = line.strip_prefix("test result: ") else { return };
        let number = |what: &str| {
            let parts = result.split([';', '.']).map(str::trim);
            parts.filter_map(|part| part.strip_suffix(what)?.trim().parse::<usize>().ok()).sum::<usize>()
        };
        self.passed += number("passed");
        self.failed += number("failed") + number("ignored");
    }
}

/// Runs a `cargo test`, shows its output and adds up its reports.
pub fn of_cargo_test(command: &mut Command) -> Result<Tally> {
    let mut child = command.stdout(Stdio::piped()).spawn().context("starting cargo test")?;
    let out = child.stdout.take().context("cargo test has no output")?;
    let mut tally = Tally::default();
    for line in BufReader::new(out).lines() {
        let line = line?;
        tally.add_line(&line);
        println!("{line}");
    }
    if !child.wait()?.success() && tally.failed == 0 {
        tally.failed = 1; // it did not build, or a test program ended before its report
    }
    Ok(tally)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_of_several_programs_are_added_up() {
        let mut tally = Tally::default();
        tally.add_line("test a ... ok");
        tally.add_line(
            "test result: ok. 30 passed; 0 failed; 0 ignored; 0 measured; 2 filtered out; finished in 0.01s",
        );
        tally.add_line(
            "test result: FAILED. 4 passed; 2 failed; 1 ignored; 0 measured; 0 filtered out; finished in 1s",
        );
        assert_eq!(tally, Tally { passed: 34, failed: 3 }, "an ignored test has failed");
    }

    #[test]
    fn a_program_that_fails_without_a_report_has_failed() {
        let tally = of_cargo_test(Command::new("sh").args(["-c", "echo 'error: no'; exit 101"])).unwrap();
        assert_eq!(tally, Tally { passed: 0, failed: 1 });
    }
}
