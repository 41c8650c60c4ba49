//! `cargo xtask fuzz`: searches for bytes that break a law, from the inputs in `tests/fuzz/corpus`.
//!
//! What is found stays in `tests/fuzz/found`, an input that breaks a law in `tests/fuzz/artifacts`. The versions of all
//! crates are those of the observer, and so is the compiler: it is asked for what only nightly ones otherwise give.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::{process, workspace};

/// Flags of `cargo xtask fuzz`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Only these targets; repeatable
    targets: Vec<String>,
    /// How long each target runs
    #[arg(long, default_value_t = 10)]
    minutes: u64,
    /// Searches no more: adds to the corpus what was found and reaches code that no input there reaches
    #[arg(long)]
    keep: bool,
}

/// Runs one target after the other, or keeps what they have found.
pub fn run(arguments: &Arguments) -> Result<()> {
    let fuzz = workspace::root().join("tests/fuzz");
    let all = names(&fuzz)?;
    for target in &arguments.targets {
        ensure!(all.contains(target), "{target} is no target; there are {}", all.join(", "));
    }
    ensure!(
        process::succeeds(workspace::cargo().args(["fuzz", "--version"])),
        "cargo-fuzz is missing: install it by `cargo install cargo-fuzz --locked`"
    );
    // What is fuzzed is what is shipped.
    fs::copy(workspace::root().join("Cargo.lock"), fuzz.join("Cargo.lock")).context("copying Cargo.lock")?;
    let targets = if arguments.targets.is_empty() { &all } else { &arguments.targets };
    for target in targets {
        let corpus = fuzz.join("corpus").join(target);
        let found = fuzz.join("found").join(target);
        fs::create_dir_all(&found).with_context(|| format!("making {}", found.display()))?;
        println!("fuzz: {target}");
        let mut fuzzer = fuzzer(&fuzz, target);
        if arguments.keep {
            fuzzer.args([&corpus, &found]).arg("--").args(SMALLEST);
        } else {
            fuzzer.args([&found, &corpus]).arg("--").args(BOUNDS);
            fuzzer.arg(format!("-dict={}", fuzz.join("words.dict").display()));
            fuzzer.arg(format!("-max_total_time={}", arguments.minutes * 60));
        }
        process::run(&mut fuzzer)?;
    }
    Ok(())
}

/// An input that takes ten seconds, or a quarter of a gigabyte at once, is a finding.
const BOUNDS: [&str; 3] = ["-timeout=10", "-malloc_limit_mb=256", "-print_final_stats=1"];

/// The fewest inputs that reach all the code, however often; of long ones only their beginning.
const SMALLEST: [&str; 3] = ["-set_cover_merge=1", "-use_counters=0", "-max_len=1000"];

fn fuzzer(fuzz: &Path, target: &str) -> Command {
    let mut command = workspace::cargo();
    command.args(["fuzz", "run", "--fuzz-dir"]).arg(fuzz).arg(target);
    // Sanitizers and counters of coverage are not yet for stable compilers.
    command.env("RUSTC_BOOTSTRAP", "1").current_dir(fuzz);
    command
}

fn names(fuzz: &Path) -> Result<Vec<String>> {
    let folder = fuzz.join("fuzz_targets");
    let entries = fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        let path: PathBuf = entry.context("reading the targets")?.path();
        names.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}
