//! Probes come and go with the libraries that processes use, and the kernel's statistics of them are shown.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use live::agent::Agent;

const PROBES: &str = "mcp_observer_attached_probes";
/// Counts within two seconds.
const LATEST: usize = 20;
/// An agent looks every ten seconds who uses what. Other programs that start and end on this host meanwhile count too,
/// for a minute more.
const LET_GO: Duration = Duration::from_secs(100);

#[test]
fn a_deleted_library_is_let_go_of_with_its_last_user_and_another_is_found() -> Result<()> {
    let mut agent = Agent::start()?;
    for _ in 0..2 {
        let volume = Volume::mount()?;
        let before = agent.metric(PROBES)?;
        let library = volume.0.join("libssl-observed.so");
        std::fs::copy(system_library()?, &library)?;
        let user = User::of(&library)?;
        agent.wait_for(LET_GO, "probes in the copy", |agent| Ok(agent.metric(PROBES)? > before))?;
        std::fs::remove_file(&library)?;
        drop(user);
        let mut counts = Vec::new();
        // A file system cannot be unmounted while anything holds a file of it.
        agent.wait_for(LET_GO, "the file to be let go of", |agent| {
            counts.push(agent.metric(PROBES)?);
            Ok(volume.unmount().is_ok())
        })?;
        // The count is renewed once a second. Other programs of this host come and go too: the last ones matter.
        let most = counts.iter().rev().take(LATEST).copied().fold(0.0, f64::max);
        agent.wait_for(LET_GO, "the probes to be counted out", |agent| Ok(agent.metric(PROBES)? < most))?;
    }
    Ok(())
}

#[test]
fn statistics_are_shown_while_the_kernel_keeps_them() -> Result<()> {
    const RUNS: &str = "mcp_observer_probe_runs_total{";
    let mut agent = Agent::start()?;
    let on = aya::sys::enable_stats(aya::sys::Stats::RunTime)?;
    agent.wait_for(LET_GO, "statistics", |agent| {
        let metrics = agent.metrics()?;
        let has = |name: &str| metrics.lines().any(|line| line.starts_with(name));
        Ok(has(RUNS) && has("mcp_observer_probe_seconds_total{"))
    })?;
    drop(on);
    Ok(())
}

/// A file system of its own.
struct Volume(PathBuf);

impl Volume {
    fn mount() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("observed-{}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        run(Command::new("mount").args(["-t", "tmpfs", "tmpfs"]).arg(&path))?;
        Ok(Self(path))
    }

    fn unmount(&self) -> Result<()> {
        run(Command::new("umount").arg(&self.0))
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        // Unmounted already where all went well.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).stderr(Stdio::null()).status();
        let _ = std::fs::remove_dir(&self.0);
    }
}

/// A process that has loaded a library, until this is dropped.
struct User(Child);

impl User {
    fn of(library: &Path) -> Result<Self> {
        let program = "import ctypes, sys; ctypes.CDLL(sys.argv[1]); sys.stdin.read()";
        let child = Command::new("python3").args(["-c", program]).arg(library).stdin(Stdio::piped()).spawn();
        child.map(Self).context("cannot start python3")
    }
}

impl Drop for User {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

fn system_library() -> Result<PathBuf> {
    let folders = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"];
    let files = folders.iter().map(|folder| Path::new(folder).join("libssl.so.3"));
    files.into_iter().find(|file| file.exists()).context("there is no libssl.so.3")
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("cannot start {:?}", command.get_program()))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
