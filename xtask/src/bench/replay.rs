//! The pure pipeline on one processor: small messages, and large results by what is in them.

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::{Bench, Figures};
use crate::{process, workspace};

/// What the table says of it.
pub const ABOUT: &str = "The pure pipeline on one processor, from records to observations, in processor time: small calls, and results of\n\
     1 MiB: program text with escapes, an image in base64, a list of tools, rows of small objects; and their mix.";

/// Runs the program that feeds it, in a process of its own, and takes over its figures.
pub fn measure(_: &Bench) -> Result<Figures> {
    let mut build = workspace::cargo();
    process::run(build.args(["build", "--release", "--quiet", "--package", "replay", "--bin", "rate"]))?;
    let mut rate = std::process::Command::new(workspace::target()?.join("release/rate"));
    let printed: Value = serde_json::from_str(&process::output(&mut rate)?)?;
    let mut figures = Figures::default();
    for (name, value) in printed.as_object().context("the figures are no object")? {
        figures.add(name, value.as_f64().with_context(|| format!("{name} is no number"))?);
    }
    Ok(figures)
}
