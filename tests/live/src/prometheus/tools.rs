//! The programs `prometheus` and `promtool` for the tests of this package.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::programs::target_directory;

/// Where they are.
#[derive(Clone, Debug)]
pub struct Tools {
    /// The server.
    pub prometheus: PathBuf,
    /// What checks metrics and rules.
    pub promtool: PathBuf,
}

impl Tools {
    /// Finds or fetches them.
    pub fn find() -> Result<Self> {
        let found = install::prometheus::Prometheus::find_or_fetch(&target_directory()?)?;
        Ok(Self { prometheus: found.server, promtool: found.promtool })
    }

    /// The first two numbers of the release.
    pub fn release(&self) -> Result<(u32, u32)> {
        let output = Command::new(&self.prometheus).arg("--version").output()?;
        // Some releases say it on the one, some on the other.
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        let version = said.split("version ").nth(1).context("no version")?;
        let mut numbers = version.split('.');
        let mut number = || numbers.next().unwrap_or_default().parse();
        Ok((number()?, number()?))
    }
}
