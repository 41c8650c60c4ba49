//! Compiles the kernel programs (`observer-ebpf`) when feature `kernel` is on.
//!
//! They need the compiler's unstable `build-std`, which `RUSTC_BOOTSTRAP` allows on the pinned toolchain, and
//! they are a package outside the workspace. Both an environment variable and a working directory can only be
//! given to a new process, so this script starts itself again with them.

use std::env;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

const PACKAGE: &str = "observer-ebpf";
const AGAIN: &str = "MCP_OBSERVER_BUILD_KERNEL_PROGRAMS";

fn main() -> ExitCode {
    if env::var_os("CARGO_FEATURE_KERNEL").is_none() {
        println!("cargo::rerun-if-changed=build.rs");
        return ExitCode::SUCCESS;
    }
    let outcome = if env::var_os(AGAIN).is_some() { build() } else { start_again() };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            println!("cargo::error={error}");
            ExitCode::FAILURE
        }
    }
}

fn start_again() -> Result<ExitCode, Box<dyn Error>> {
    let root = workspace_root()?;
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=../observer-common/src");
    println!("cargo::rerun-if-changed=../rust-toolchain.toml");
    if which("bpf-linker").is_none() {
        return Err("bpf-linker is not installed: run `cargo xtask setup` \
                    (or build with `--no-default-features`, for replay only)"
            .into());
    }
    let output = Command::new(env::current_exe()?)
        .current_dir(root.join(PACKAGE))
        .env(AGAIN, "1")
        .env("RUSTC_BOOTSTRAP", "1")
        .stderr(Stdio::inherit())
        .output()?;
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        // Each line of the inner build comes as a warning; its progress is none.
        if !output.status.success() || !is_progress(line) {
            println!("{line}");
        }
    }
    Ok(if output.status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Whether a line only says how far the inner build has come.
fn is_progress(line: &str) -> bool {
    const VERBS: [&str; 9] = [
        "Blocking",
        "Compiling",
        "Downloaded",
        "Downloading",
        "Finished",
        "Fresh",
        "Locking",
        "Updating",
        "Adding",
    ];
    let Some(text) = line.strip_prefix("cargo::warning=") else { return false };
    VERBS.iter().any(|verb| text.trim_start().starts_with(verb))
}

/// Without the feature there is no `aya_build` to link.
#[cfg(not(feature = "kernel"))]
fn build() -> Result<ExitCode, Box<dyn Error>> {
    Ok(ExitCode::SUCCESS)
}

/// Runs in the package's folder.
#[cfg(feature = "kernel")]
fn build() -> Result<ExitCode, Box<dyn Error>> {
    let root = workspace_root()?;
    let folder = root.join(PACKAGE);
    // Not the folder itself: its lock file and build output change without need for a new build.
    for input in ["src", "Cargo.toml"] {
        println!("cargo::rerun-if-changed={}", folder.join(input).display());
    }
    let source = folder.join("src").display().to_string();
    let channel = channel(&root)?;
    let package = aya_build::Package { name: PACKAGE, root_dir: &source, ..aya_build::Package::default() };
    aya_build::build_ebpf([package], aya_build::Toolchain::Custom(&channel))?;
    strip(&Path::new(&env::var("OUT_DIR")?).join(PACKAGE));
    Ok(ExitCode::SUCCESS)
}

/// Takes what is there for debuggers out of the object: four fifths of it, which the agent would carry in memory. The
/// kernel's own type information stays. Without the compiler's tool for this, the object works as well.
#[cfg(feature = "kernel")]
fn strip(object: &Path) {
    let print = |what: &str| {
        let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let output = Command::new(rustc).args(["--print", what]).output().ok()?;
        Some(PathBuf::from(String::from_utf8(output.stdout).ok()?.trim()))
    };
    let (Some(sysroot), Ok(host)) = (print("sysroot"), env::var("HOST")) else { return };
    let tool = sysroot.join("lib/rustlib").join(host).join("bin/rust-objcopy");
    let mut command = Command::new(tool);
    command.env("LD_LIBRARY_PATH", sysroot.join("lib")).arg("--strip-debug").arg(object);
    let _ = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
}

fn workspace_root() -> Result<PathBuf, Box<dyn Error>> {
    let package = env::var("CARGO_MANIFEST_DIR")?;
    Ok(Path::new(&package).parent().ok_or("the package has no workspace")?.to_owned())
}

/// The toolchain of `rust-toolchain.toml`: the kernel programs are compiled by the same compiler.
#[cfg(feature = "kernel")]
fn channel(root: &Path) -> Result<String, Box<dyn Error>> {
    let text = std::fs::read_to_string(root.join("rust-toolchain.toml"))?;
    let line = text.lines().find_map(|line| line.trim().strip_prefix("channel"));
    let quoted = line.and_then(|line| line.split('"').nth(1));
    Ok(quoted.ok_or("rust-toolchain.toml names no channel")?.to_owned())
}

fn which(program: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join(program)).find(|path| path.is_file())
}
