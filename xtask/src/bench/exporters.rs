//! What the exporters cost for each call, in processor time.

use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::{Bench, Figures};
use crate::{process, workspace};

/// What the table says of it.
pub const ABOUT: &str = "What exporters add to each call, in processor time on one processor: a client and a server with twelve tools, all\n\
     label values known. Of the metrics alone, and where spans are exported as well, whose ids exemplars name.";

/// The program, as it is built.
pub fn build() -> Result<()> {
    let arguments = ["build", "--release", "--package", "replay", "--bin", "exporters"];
    process::run(workspace::cargo().args(arguments))
}

/// Runs the program, in a process of its own, and takes over its figures.
pub fn measure(bench: &Bench) -> Result<Figures> {
    let mut exporters = Command::new(bench.programs.observer.with_file_name("exporters"));
    let printed: Value = serde_json::from_str(&process::output(&mut exporters)?)?;
    let mut figures = Figures::default();
    for (name, value) in printed.as_object().context("the figures are no object")? {
        figures.add(name, value.as_f64().with_context(|| format!("{name} is no number"))?);
    }
    Ok(figures)
}
