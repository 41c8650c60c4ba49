//! Puts packages of npm and PyPI where tests and recordings find them, once for each state of their lock files; and
//! Prometheus.
#![forbid(unsafe_code)]

pub mod prometheus;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// A folder to install into. Nobody else installs into it while this is there.
#[derive(Debug)]
pub struct Place {
    folder: PathBuf,
    _lock: File,
}

impl Place {
    /// Takes the folder, which is made if it is missing. Waits while somebody else has it.
    ///
    /// # Errors
    /// It cannot be made or locked.
    pub fn take(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let lock = File::create(folder.join("lock"))?;
        lock.lock()?;
        Ok(Self { folder: folder.to_owned(), _lock: lock })
    }

    /// The files of the folder `from`, beside the modules of its `package-lock.json`: Node looks for modules beside
    /// the script. Returns where they are.
    ///
    /// # Errors
    /// They cannot be installed.
    pub fn scripts(&self, name: &str, from: &Path) -> Result<PathBuf> {
        require("node", "nodejs")?;
        require("npm", "npm")?;
        let place = self.folder.join(name);
        fs::create_dir_all(&place)?;
        for entry in fs::read_dir(from)? {
            let path = entry?.path();
            if path.is_file() {
                fs::copy(&path, place.join(path.file_name().unwrap_or_default()))?;
            }
        }
        once(&place, &place.join("package-lock.json"), || {
            run(Command::new("npm").args(["ci", "--no-audit", "--no-fund"]).current_dir(&place))
        })?;
        Ok(place)
    }

    /// A Python with these requirements. Returns the interpreter.
    ///
    /// # Errors
    /// They cannot be installed.
    pub fn python(&self, name: &str, requirements: &Path) -> Result<PathBuf> {
        require("python3", "python3")?;
        let place = self.folder.join(name);
        fs::create_dir_all(&place)?;
        let python = place.join("bin/python");
        once(&place, requirements, || {
            run(Command::new("python3").args(["-m", "venv"]).arg(&place))
                .context("cannot make a virtual environment (Debian and Ubuntu: package python3-venv)")?;
            let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"];
            run(Command::new(&python).args(install).arg(requirements))
        })?;
        Ok(python)
    }
}

/// Does `act` unless it was done for this very lock file.
fn once(place: &Path, lock_file: &Path, act: impl FnOnce() -> Result<()>) -> Result<()> {
    let wanted = fs::read(lock_file).with_context(|| format!("cannot read {}", lock_file.display()))?;
    let stamp = place.join("installed");
    if fs::read(&stamp).is_ok_and(|done| done == wanted) {
        return Ok(());
    }
    act()?;
    Ok(fs::write(stamp, wanted)?)
}

fn require(program: &str, package: &str) -> Result<()> {
    let found = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    match found {
        Ok(status) if status.success() => Ok(()),
        _ => bail!("{program} does not run; install it (Debian and Ubuntu: package {package})"),
    }
}

fn run(command: &mut Command) -> Result<()> {
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("cannot start {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?} ended with {}:\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_done_again_only_for_another_lock_file() {
        let folder = std::env::temp_dir().join(format!("install-{}", std::process::id()));
        let place = Place::take(&folder).unwrap();
        let lock = place.folder.join("package-lock.json");
        let mut done = 0;
        for (text, expected) in [("a", 1), ("a", 1), ("b", 2)] {
            fs::write(&lock, text).unwrap();
            once(&folder, &lock, || {
                done += 1;
                Ok(())
            })
            .unwrap();
            assert_eq!(done, expected);
        }
        fs::write(&lock, "c").unwrap();
        assert!(once(&folder, &lock, || bail!("it failed")).is_err());
        once(&folder, &lock, || {
            done += 1;
            Ok(())
        })
        .unwrap();
        assert_eq!(done, 3, "what failed is tried again");
        fs::remove_dir_all(folder).unwrap();
    }
}
