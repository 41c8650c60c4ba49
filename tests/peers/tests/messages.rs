//! The messages that the replay tests have for each revision are what an official SDK takes in that revision.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use peers::install::{install_conformance, sources};
use serde_json::Value;

#[test]
fn an_official_sdk_reads_the_messages_of_each_revision() -> Result<()> {
    // The test program is `TARGET/debug/deps/NAME`; the peers are beside that folder.
    let program = std::env::current_exe()?;
    let programs = program.ancestors().nth(2).context("no build directory")?;
    let mut check = Command::new(install_conformance(programs)?.python);
    check.arg(sources().join("recorded/check_messages.py"));
    let output = check.arg(sources().join("../replay/src/revisions")).output().context("cannot start it")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told: Value = serde_json::from_slice(&output.stdout)?;
    ensure!(told["files"] == 5 && told["read"].as_u64() > Some(290), "{told}");
    Ok(())
}
