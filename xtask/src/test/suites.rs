//! The suites, in the order in which they run: what is quick and needs nothing comes first.

use std::process::Command;

use anyhow::{Result, ensure};

use super::tally::{self, Tally};
use super::{Arguments, matrix};
use crate::{agent, check, process, setup, tidy, workspace};

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
    Suite {
        name: "lint",
        about: "no warning, with and without the kernel programs; arm64 compiles",
        run: |_| lint(),
    },
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
    Suite { name: GUESTS, about: "other kernels and all modes, in guests", run: matrix::run },
];

/// The name of the one that `--kernel` and `--mode` are for.
pub const GUESTS: &str = "vm";

/// Their names.
pub fn names() -> Vec<&'static str> {
    ALL.iter().map(|suite| suite.name).collect()
}

/// The packages whose tests need root, a guest or the other languages' SDKs.
const HEAVY: [&str; 3] = ["live", "kernel-tests", "peers"];
/// Each test attaches an observer of its own to everything on this host.
const ONE_AT_A_TIME: &str = "--test-threads=1";

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
    other_architecture()?;
    Ok(Tally::ONE)
}

/// The programs and the agent for arm64 are compiled, though nothing here can run them. Without the client of clusters:
/// its cryptography would need a C compiler for arm64.
fn other_architecture() -> Result<()> {
    const TARGET: &str = "aarch64-unknown-linux-gnu";
    process::run(Command::new("rustup").args(["--quiet", "target", "add", TARGET]))?;
    process::run(workspace::cargo().args([
        "check",
        "--quiet",
        "--package",
        "mcp-observer",
        "--no-default-features",
        "--features",
        "kernel",
        "--target",
        TARGET,
    ]))
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
    setup::for_tests()?;
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

fn needs_root() -> Result<()> {
    ensure!(process::is_root(), "it attaches to the kernel: start this as root");
    Ok(())
}
