//! The suites, in the order in which they run: what is quick and needs nothing comes first.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::Arguments;
use super::tally::{self, Tally};
use crate::agent::{self, Programs};
use crate::{check, process, setup, tidy, vm, workspace};

/// A part of `cargo xtask test`.
pub struct Suite {
    /// How `--suite` names it.
    pub name: &'static str,
    /// What it shows.
    pub about: &'static str,
    /// Runs it.
    pub run: fn(&Arguments) -> Result<Tally>,
}

/// All suites.
pub const ALL: &[Suite] = &[
    Suite { name: "tidy", about: "house rules", run: |_| tidy::run().map(|()| Tally::ONE) },
    Suite { name: "format", about: "every file is formatted", run: |_| format() },
    Suite { name: "lint", about: "no warning, with and without the kernel programs", run: |_| lint() },
    Suite {
        name: "check",
        about: "the kernel object keeps its limits",
        run: |_| check::built().map(|()| Tally::ONE),
    },
    Suite {
        name: "unit",
        about: "each part by itself, and recordings through the pipeline",
        run: |_| unit(),
    },
    Suite { name: "kernel", about: "every byte accounted for on this host's kernel", run: |_| kernel() },
    Suite { name: "live", about: "real clients and servers on this host's kernel", run: |_| live() },
    Suite { name: "vm", about: "other kernels, in guests", run: guests },
];

/// Their names.
pub fn names() -> Vec<&'static str> {
    ALL.iter().map(|suite| suite.name).collect()
}

/// The packages whose tests need root, a guest or the other languages' SDKs.
const HEAVY: [&str; 3] = ["live", "kernel-tests", "peers"];
/// Each test attaches an observer of its own to everything on this host.
const ONE_AT_A_TIME: &str = "--test-threads=1";
/// A guest runs its part in about a minute; this is for a machine under heavy load.
const GUEST_LIMIT: Duration = Duration::from_secs(900);

fn format() -> Result<Tally> {
    process::run(workspace::cargo().args(["fmt", "--all", "--check"]))?;
    // The kernel programs are no member of the workspace: they are never built for the host.
    let mut kernel = workspace::cargo();
    process::run(kernel.args(["fmt", "--check", "--manifest-path", "observer-ebpf/Cargo.toml"]))?;
    Ok(Tally::ONE)
}

fn lint() -> Result<Tally> {
    setup::for_build()?;
    let clippy = || {
        let mut command = workspace::cargo();
        command.args(["clippy", "--quiet", "--all-targets"]);
        command
    };
    process::run(clippy().args(["--workspace", "--", "--deny", "warnings"]))?;
    let without = ["--package", "mcp-observer", "--no-default-features", "--", "--deny", "warnings"];
    process::run(clippy().args(without))?;
    Ok(Tally::ONE)
}

fn unit() -> Result<Tally> {
    let mut test = workspace::cargo();
    test.args(["test", "--no-fail-fast", "--workspace"]);
    for package in HEAVY {
        test.args(["--exclude", package]);
    }
    tally::of_cargo_test(&mut test)
}

fn kernel() -> Result<Tally> {
    needs_root()?;
    agent::build_observer()?;
    let mut test = workspace::cargo();
    test.args(["test", "--no-fail-fast", "--package", "kernel-tests", "--", ONE_AT_A_TIME]);
    tally::of_cargo_test(&mut test)
}

fn live() -> Result<Tally> {
    needs_root()?;
    setup::for_tests()?;
    agent::build_observer()?;
    let mut test = workspace::cargo();
    test.args(["test", "--no-fail-fast", "--package", "peers", "--package", "live"]);
    test.args(["--", ONE_AT_A_TIME]);
    tally::of_cargo_test(&mut test)
}

/// In each guest: the workload, then real clients and servers. Everything is built out here.
fn guests(arguments: &Arguments) -> Result<Tally> {
    let programs = Programs::build()?;
    process::run(workspace::cargo().args(["build", "--package", "kernel-tests", "--bins"]))?;
    let tasks = [("workload", workload(&programs)?), ("session", session(&programs)?)];
    let mut tally = Tally::default();
    for kernel in arguments.guests.kernels()? {
        for (what, command) in &tasks {
            println!("-- Linux {}: {what}", kernel.name);
            tally += match vm::run_in(kernel, command, GUEST_LIMIT) {
                Ok(0) => Tally::ONE,
                Ok(code) => failed(&format!("the {what} ended with {code} on Linux {}", kernel.name)),
                Err(error) => failed(&format!("{error:#}")),
            };
        }
    }
    Ok(tally)
}

/// Nobody else moves bytes in a guest, so there the sums have to be exact for the whole of it.
fn workload(programs: &Programs) -> Result<Vec<String>> {
    let flags = ["check", "--alone", "--mode=syscall", "--dir=/run/workload"].map(str::to_owned);
    let observer = format!("--observer={}", text(&programs.observer)?);
    Ok([text(&programs.peers.join("workload"))?].into_iter().chain(flags).chain([observer]).collect())
}

fn session(programs: &Programs) -> Result<Vec<String>> {
    let observer = format!("--observer={}", text(&programs.observer)?);
    let peers = format!("--peers={}", text(&programs.peers)?);
    let this = text(&std::env::current_exe()?)?;
    Ok(vec![this, "session".to_owned(), "--mode=syscall".to_owned(), observer, peers])
}

fn text(path: &Path) -> Result<String> {
    path.to_str().map(str::to_owned).context("the target directory's path is no text")
}

fn failed(why: &str) -> Tally {
    println!("{why}");
    Tally { passed: 0, failed: 1 }
}

fn needs_root() -> Result<()> {
    ensure!(process::is_root(), "it attaches to the kernel: start this as root");
    Ok(())
}
