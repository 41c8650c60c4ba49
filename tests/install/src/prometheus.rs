//! The programs `prometheus` and `promtool`: those of this host, else Debian's, unpacked below the build directory.
//!
//! The package is not installed: that would start a server on this host, for good.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::{Place, run};

/// Where they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prometheus {
    /// The server.
    pub server: PathBuf,
    /// What checks metrics and rules.
    pub promtool: PathBuf,
}

impl Prometheus {
    /// Those of this host, else those that were fetched for this build directory.
    pub fn find(build_directory: &Path) -> Option<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let fetched = place(build_directory).join(FOLDER);
        std::env::split_paths(&path).chain([fetched]).find_map(|folder| Self::of(&folder))
    }

    /// The same; fetches them if there are none.
    ///
    /// # Errors
    /// They cannot be fetched: that is possible on Debian and its like only.
    pub fn find_or_fetch(build_directory: &Path) -> Result<Self> {
        if let Some(found) = Self::find(build_directory) {
            return Ok(found);
        }
        // Two test programs must not fetch into one folder.
        let place = Place::take(&place(build_directory))?;
        if let Some(found) = Self::find(build_directory) {
            return Ok(found);
        }
        let folder = place.folder.join(FOLDER);
        fetch(&folder).context(
            "`prometheus` and `promtool` are not in PATH, and fetching them needs Debian's apt-get",
        )?;
        Self::of(&folder).context("Debian's packages have no such programs")
    }

    fn of(folder: &Path) -> Option<Self> {
        let found = Self { server: folder.join("prometheus"), promtool: folder.join("promtool") };
        (found.server.is_file() && found.promtool.is_file()).then_some(found)
    }
}

const FOLDER: &str = "prometheus";

fn place(build_directory: &Path) -> PathBuf {
    build_directory.join("tools")
}

fn fetch(folder: &Path) -> Result<()> {
    let part = folder.with_extension("part");
    if part.exists() {
        fs::remove_dir_all(&part)?;
    }
    fs::create_dir_all(&part)?;
    if unpack("prometheus", &part).is_err() {
        // The lists of packages may be old or absent.
        run(Command::new("apt-get").args(["-qq", "update"]))?;
        unpack("prometheus", &part)?;
    }
    let programs = part.join("unpacked/usr/bin");
    if !programs.join("promtool").is_file() {
        // Since Debian 13 it is a package of its own.
        unpack("promtool", &part)?;
    }
    ensure!(!folder.exists() || fs::remove_dir_all(folder).is_ok(), "cannot clear {}", folder.display());
    fs::rename(programs, folder)?;
    Ok(fs::remove_dir_all(part)?)
}

/// Fetches a package into `part` and unpacks it there.
fn unpack(package: &str, part: &Path) -> Result<()> {
    let mut download = Command::new("apt-get");
    // Its own user may not write below the build directory.
    download.args(["-qq", "-o", "APT::Sandbox::User=root", "download", package]).current_dir(part);
    run(&mut download)?;
    let begin = format!("{package}_");
    let mut files = fs::read_dir(part)?.flatten();
    let file = files.find(|file| file.file_name().to_string_lossy().starts_with(&begin));
    let file = file.with_context(|| format!("{package}: nothing was downloaded"))?.path();
    run(Command::new("dpkg-deb").arg("-x").arg(file).arg(part.join("unpacked")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_programs_must_be_there() {
        let folder = std::env::temp_dir().join(format!("install-prometheus-{}", std::process::id()));
        let programs = place(&folder).join(FOLDER);
        fs::create_dir_all(&programs).unwrap();
        fs::write(programs.join("prometheus"), "").unwrap();
        assert_eq!(Prometheus::of(&programs), None);
        fs::write(programs.join("promtool"), "").unwrap();
        assert_eq!(Prometheus::of(&programs).unwrap().promtool, programs.join("promtool"));
        assert!(Prometheus::find(&folder).is_some());
        fs::remove_dir_all(folder).unwrap();
    }
}
