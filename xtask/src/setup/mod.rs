//! `cargo xtask setup`: installs what is missing, and does nothing where all is there.
//!
//! A build needs a C compiler, `bpf-linker` (which needs LLVM's libraries, and its headers to be built) and,
//! for the demonstration's peers, OpenSSL. The suites need more, see [`for_tests`].

mod packages;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::{process, workspace};
use packages::{Need, provide};

/// Flags of `cargo xtask setup`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Also what the suites of `cargo xtask test` need
    #[arg(long)]
    tests: bool,
}

/// The release of `bpf-linker` that goes with the pinned aya, and the LLVM release it is built with. LLVM must
/// be as new as the compiler's own, or it cannot read the compiler's bitcode.
const BPF_LINKER: &str = "0.13";
const LLVM: &str = "22";

/// Installs what is missing.
pub fn run(arguments: &Arguments) -> Result<()> {
    for_build()?;
    if arguments.tests {
        for_tests()?;
    }
    Ok(())
}

/// What building the observer and the Rust peers needs.
pub fn for_build() -> Result<()> {
    step("C compiler", || provide(&Need::CCompiler))?;
    step("bpf-linker", bpf_linker)?;
    step("OpenSSL headers", || provide(&Need::OpenSsl))
}

/// What the rootless tests need beyond a build.
pub fn for_unit_tests() -> Result<()> {
    step("Prometheus", || provide(&Need::Prometheus))
}

/// What the suites need beyond a build: the peers in other languages, and what makes networks and containers for them.
pub fn for_tests() -> Result<()> {
    for_unit_tests()?;
    step("Node.js and npm", || provide(&Need::Node))?;
    step("Python with venv", || provide(&Need::Python))?;
    step("network tools", || provide(&Need::Network))?;
    step("containers", || provide(&Need::Containers))
}

/// What booting guests needs. Says nothing when it is there, since each boot asks.
pub fn for_guests() -> Result<()> {
    provide(&Need::Guests).context("guest tools").map(drop)
}

/// How a step found or left things, for its one line.
enum Found {
    Present,
    Installed,
}

fn step(what: &str, act: impl FnOnce() -> Result<Found>) -> Result<()> {
    match act().with_context(|| what.to_owned())? {
        Found::Present => println!("setup: {what}: there"),
        Found::Installed => println!("setup: {what}: installed"),
    }
    Ok(())
}

fn bpf_linker() -> Result<Found> {
    if bpf_linker_works() {
        return Ok(Found::Present);
    }
    step("LLVM", || provide(&Need::Llvm))?;
    println!("setup: bpf-linker: building it takes some minutes");
    let requirement = format!("^{BPF_LINKER}");
    let mut install = workspace::cargo();
    install.args(["install", "--quiet", "--locked", "--force", "bpf-linker", "--version", &requirement]);
    install.args(["--no-default-features", "--features", &format!("llvm-{LLVM}")]);
    if let Some(prefix) = llvm_prefix() {
        install.env("LLVM_PREFIX", prefix);
    }
    process::run(&mut install)?;
    if !bpf_linker_works() {
        bail!("bpf-linker was installed but does not start: is cargo's own bin folder in PATH?");
    }
    Ok(Found::Installed)
}

fn bpf_linker_works() -> bool {
    let version = process::output(Command::new("bpf-linker").arg("--version"));
    version.is_ok_and(|text| text.trim().starts_with(&format!("bpf-linker {BPF_LINKER}.")))
}

/// Where LLVM's development files are: named by the environment, or in one of the places distributions use.
fn llvm_prefix() -> Option<PathBuf> {
    let named = std::env::var_os("LLVM_PREFIX").map(PathBuf::from);
    let usual =
        [format!("/usr/lib/llvm-{LLVM}"), format!("/usr/lib/llvm{LLVM}"), format!("/usr/lib64/llvm{LLVM}")];
    let places = named.into_iter().chain(usual.into_iter().map(PathBuf::from)).chain([PathBuf::from("/usr")]);
    places.into_iter().find(|prefix| llvm_config(prefix).is_some())
}

fn llvm_config(prefix: &Path) -> Option<PathBuf> {
    let program = prefix.join("bin/llvm-config");
    let version = process::output(Command::new(&program).arg("--version")).ok()?;
    version.starts_with(&format!("{LLVM}.")).then_some(program)
}

/// Whether `program` can be found in PATH.
fn in_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let sbin = ["/usr/sbin", "/sbin"].map(PathBuf::from); // not in PATH of a user, but root's tools are there
    std::env::split_paths(&path).chain(sbin).any(|folder| folder.join(program).is_file())
}
