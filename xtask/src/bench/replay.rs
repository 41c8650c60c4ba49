//! The pure pipeline on one processor: small messages, and large results by what is in them.

use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::{Bench, Figures};
use crate::{process, workspace};

/// What the table says of it.
pub const ABOUT: &str = "The pure pipeline on one processor, from records to observations, in processor time: small calls, and results of\n\
     1 MiB: program text with escapes, an image in base64, a list of tools, rows of small objects; and their mix.";

/// The program, as it is built.
pub fn build() -> Result<()> {
    process::run(workspace::cargo().args(["build", "--release", "--package", "replay", "--bin", "rate"]))
}

/// Runs the program, in a process of its own, and takes over its figures.
pub fn measure(bench: &Bench) -> Result<Figures> {
    let mut rate = Command::new(bench.programs.observer.with_file_name("rate"));
    let printed: Value = serde_json::from_str(&process::output(&mut rate)?)?;
    let mut figures = Figures::default();
    for (name, value) in printed.as_object().context("the figures are no object")? {
        figures.add(name, value.as_f64().with_context(|| format!("{name} is no number"))?);
    }
    Ok(figures)
}
