//! `cargo xtask tidy`: the house rules, checked on every file that git knows.
//!
//! A rule is a function from a [`Source`] to findings. To add one: write it, add it to [`RULES`], and show it
//! failing in a test.

mod direction;
mod machine;
mod rules;
mod source;

use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::{process, workspace};
use source::Source;

/// Something that a rule has against a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    line: usize,
    weight: Weight,
    what: String,
}

/// Whether a finding ends the task with a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weight {
    Refused,
    Warned,
}

type Rule = fn(&Source) -> Vec<Finding>;

const RULES: &[Rule] = &[
    rules::opens_with_purpose,
    rules::short_enough,
    rules::cannot_panic,
    rules::no_unsafe,
    rules::nothing_unfinished,
    direction::only_earlier_stages,
    machine::no_path_of_a_machine,
    machine::no_address_of_a_host,
];

/// Checks all files; any refused finding is an error.
pub fn run() -> Result<()> {
    let paths = process::output(Command::new("git").args(["ls-files", "-z"]).current_dir(workspace::root()))?;
    let mut refused = 0;
    for path in paths.split_terminator('\0') {
        for finding in check_file(path)? {
            let word = if finding.weight == Weight::Refused { "refused" } else { "warning" };
            eprintln!("tidy: {word}: {path}:{}: {}", finding.line, finding.what);
            refused += usize::from(finding.weight == Weight::Refused);
        }
    }
    ensure!(refused == 0, "tidy: {refused} findings");
    Ok(())
}

fn check_file(path: &str) -> Result<Vec<Finding>> {
    let full = workspace::root().join(path);
    if !full.is_file() {
        return Ok(Vec::new()); // deleted, but not yet for git
    }
    let bytes = std::fs::read(&full).with_context(|| format!("reading {path}"))?;
    let Ok(text) = String::from_utf8(bytes) else {
        return Ok(Vec::new()); // a capture file or a picture
    };
    let source = Source::new(path, &text);
    Ok(RULES.iter().flat_map(|rule| rule(&source)).collect())
}

impl Finding {
    fn refused(line: usize, what: impl Into<String>) -> Self {
        Self { line, weight: Weight::Refused, what: what.into() }
    }

    fn warned(line: usize, what: impl Into<String>) -> Self {
        Self { line, weight: Weight::Warned, what: what.into() }
    }
}
