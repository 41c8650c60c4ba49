//! Installs the Node and Python SDKs below the build directory, once for each state of their lock files.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// Where the peers of all SDKs are.
#[derive(Clone, Debug)]
pub struct Installed {
    /// Folder of the programs of this package.
    pub programs: PathBuf,
    /// Folder of the scripts for Node, beside their modules.
    pub node: PathBuf,
    /// The interpreter that has the Python SDK.
    pub python: PathBuf,
}

/// Installs what is missing. `programs` is the folder of `peer-server` and the like.
pub fn install(programs: &Path) -> Result<Installed> {
    let build_directory =
        programs.parent().with_context(|| format!("{} is no folder", programs.display()))?;
    let place = build_directory.join("peers");
    std::fs::create_dir_all(&place)?;
    // Held until the end: two test programs must not install into one folder.
    let lock = File::create(place.join("lock"))?;
    lock.lock()?;
    let node = install_node(&place.join("node"))?;
    let python = install_python(&place.join("python"))?;
    Ok(Installed { programs: programs.to_owned(), node, python })
}

/// The folder of the scripts and lock files.
pub fn sources() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn install_node(place: &Path) -> Result<PathBuf> {
    require("node", "nodejs")?;
    require("npm", "npm")?;
    std::fs::create_dir_all(place)?;
    for entry in std::fs::read_dir(sources().join("node"))? {
        let path = entry?.path();
        if path.is_file() {
            std::fs::copy(&path, place.join(path.file_name().unwrap_or_default()))?;
        }
    }
    once(place, &place.join("package-lock.json"), || {
        run(Command::new("npm").args(["ci", "--no-audit", "--no-fund"]).current_dir(place))
    })?;
    Ok(place.to_owned())
}

fn install_python(place: &Path) -> Result<PathBuf> {
    require("python3", "python3")?;
    std::fs::create_dir_all(place)?;
    let python = place.join("bin/python");
    let requirements = sources().join("python/requirements.txt");
    once(place, &requirements, || {
        run(Command::new("python3").args(["-m", "venv"]).arg(place))
            .context("cannot make a virtual environment (Debian and Ubuntu: package python3-venv)")?;
        run(Command::new(&python)
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"])
            .arg(&requirements))
    })?;
    Ok(python)
}

/// Does `act` unless it was done for this very lock file.
fn once(place: &Path, lock_file: &Path, act: impl FnOnce() -> Result<()>) -> Result<()> {
    let wanted = std::fs::read(lock_file).with_context(|| format!("cannot read {}", lock_file.display()))?;
    let stamp = place.join("installed");
    if std::fs::read(&stamp).is_ok_and(|done| done == wanted) {
        return Ok(());
    }
    act()?;
    Ok(std::fs::write(stamp, wanted)?)
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
