//! The programs that the tests start: built once in a test run, or named by the environment.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, bail, ensure};
use peers::install::{Installed, install};
use peers::sdk::Certificates;

/// All that a scene needs.
#[derive(Debug)]
pub struct Programs {
    /// `mcp-observer`.
    pub observer: PathBuf,
    /// The peers of all SDKs.
    pub peers: Installed,
    /// For HTTPS.
    pub certificates: Certificates,
}

/// Builds and installs what is missing, once.
pub fn programs() -> Result<&'static Programs> {
    static PROGRAMS: OnceLock<std::result::Result<Programs, String>> = OnceLock::new();
    let built = PROGRAMS.get_or_init(|| build().map_err(|error| format!("{error:#}")));
    built.as_ref().map_err(|error| anyhow::anyhow!("{error}"))
}

fn build() -> Result<Programs> {
    ensure!(rustix::process::geteuid().is_root(), "these tests need root");
    let target = target_directory()?;
    let observer = match std::env::var_os("MCP_OBSERVER_BIN") {
        Some(path) => path.into(),
        None => {
            cargo_build(&target, &["--release", "-p", "mcp-observer"])?;
            target.join("release/mcp-observer")
        }
    };
    let peers = match std::env::var_os("MCP_PEERS_DIR") {
        Some(path) => path.into(),
        None => {
            cargo_build(&target, &["-p", "peers", "--bins"])?;
            target.join("debug")
        }
    };
    let certificates = target.join("peers/tls");
    peers::certificate::make(&certificates)?;
    Ok(Programs { observer, peers: install(&peers)?, certificates: Certificates(certificates) })
}

fn cargo_build(target: &Path, packages: &[&str]) -> Result<()> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["build", "--quiet", "--target-dir"]).arg(target).args(packages);
    // What cargo tells this program of its own package: with it, build scripts of others would run again.
    for (name, _) in std::env::vars_os() {
        if name
            .to_str()
            .is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"))
        {
            command.env_remove(name);
        }
    }
    let status = command.status().context("cannot start cargo")?;
    if !status.success() {
        bail!("{command:?} ended with {status}");
    }
    Ok(())
}

/// The test program is `TARGET/debug/deps/NAME`.
pub fn target_directory() -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    Ok(program.ancestors().nth(3).context("the test program is in no build directory")?.to_owned())
}
