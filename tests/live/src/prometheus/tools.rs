//! The programs `prometheus` and `promtool`: those of this host, else fetched and unpacked below the build directory.
//!
//! The package is not installed, because that would start a server for good.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::programs_in;
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
        let path = std::env::var_os("PATH").unwrap_or_default();
        if let Some(tools) = std::env::split_paths(&path).find_map(|folder| programs_in(&folder)) {
            return Ok(tools);
        }
        let place = target_directory()?.join("tools");
        std::fs::create_dir_all(&place)?;
        // Held until the end: two test programs must not fetch into one folder.
        let lock = File::create(place.join("lock"))?;
        lock.lock()?;
        let folder = place.join("prometheus");
        if programs_in(&folder).is_none() {
            fetch(&folder)?;
        }
        programs_in(&folder).context("the package `prometheus` has no such programs")
    }

    /// The first number of the release.
    pub fn release(&self) -> Result<u32> {
        let output = Command::new(&self.prometheus).arg("--version").output()?;
        // Some releases say it on the one, some on the other.
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        let version = said.split("version ").nth(1).context("no version")?;
        Ok(version.split('.').next().unwrap_or_default().parse()?)
    }
}

fn fetch(folder: &Path) -> Result<()> {
    let part = folder.with_extension("part");
    if part.exists() {
        std::fs::remove_dir_all(&part)?;
    }
    std::fs::create_dir_all(&part)?;
    if download(&part).is_err() {
        // The lists of packages may be old or absent.
        run(Command::new("apt-get").args(["-qq", "update"]))?;
        download(&part)?;
    }
    let package = std::fs::read_dir(&part)?.next().context("nothing was downloaded")??.path();
    let unpacked = part.join("unpacked");
    run(Command::new("dpkg-deb").arg("-x").arg(&package).arg(&unpacked))?;
    ensure!(!folder.exists() || std::fs::remove_dir_all(folder).is_ok(), "cannot clear {}", folder.display());
    std::fs::rename(unpacked.join("usr/bin"), folder)?;
    std::fs::remove_dir_all(part)?;
    Ok(())
}

fn download(into: &Path) -> Result<()> {
    let mut download = Command::new("apt-get");
    // Its own user may not write below the build directory.
    download.args(["-qq", "-o", "APT::Sandbox::User=root", "download", "prometheus"]);
    run(download.current_dir(into))
}

fn run(command: &mut Command) -> Result<()> {
    let output = command
        .output()
        .context("Prometheus is neither in PATH nor can it be fetched: that needs Debian's apt-get")?;
    if !output.status.success() {
        bail!("{command:?} ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
