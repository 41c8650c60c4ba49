//! Everything in one go, for this host and for guests: observer, workload, comparison.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use clap::{Args, ValueEnum};

use crate::cases::{self, Family};
use crate::observer::Observer;
use crate::{capture, detach, manifest, overload, verify};

/// What to check with.
#[derive(Args)]
pub struct Settings {
    /// The program `mcp-observer`.
    #[arg(long)]
    pub observer: PathBuf,
    /// Where capture files and manifests go.
    #[arg(long)]
    pub dir: PathBuf,
    /// Capture mode.
    #[arg(long, default_value = "auto")]
    pub mode: String,
    /// Which part; repeatable; without it all but those that not every kernel has.
    #[arg(long = "part", value_enum)]
    parts: Vec<Part>,
    /// Nobody else moves bytes on this host.
    #[arg(long)]
    alone: bool,
    #[command(flatten)]
    amount: overload::Amount,
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum Part {
    /// Every byte at its place.
    Exact,
    /// io_uring: the same, or a blind spot.
    IoUring,
    /// splice and its kin: every byte at its place, or a gap of its size.
    Splice,
    /// TLS in the kernel.
    Ktls,
    /// sent = seen + counted as lost.
    Overload,
    /// Nothing of the observer stays behind.
    Detach,
}

const USUAL: [Part; 5] = [Part::Exact, Part::IoUring, Part::Splice, Part::Overload, Part::Detach];

/// Runs the parts.
pub fn run(settings: &Settings) -> Result<()> {
    let parts = if settings.parts.is_empty() { &USUAL } else { settings.parts.as_slice() };
    parts.iter().try_for_each(|part| match part {
        Part::Exact => exact(settings, "exact", Family::Calls),
        Part::IoUring => exact(settings, "io_uring", Family::Rings),
        Part::Splice => exact(settings, "splice", Family::Pages),
        Part::Ktls => exact(settings, "ktls", Family::Ktls),
        Part::Overload => overload(settings),
        Part::Detach => detach::run(settings),
    })
}

fn exact(settings: &Settings, name: &str, family: Family) -> Result<()> {
    let dir = settings.dir.join(name);
    recorded(settings, &dir, &[], || cases::run(&dir, family))?;
    report(settings, &dir, &verify::Rules::default())
}

fn overload(settings: &Settings) -> Result<()> {
    let dir = settings.dir.join("overload");
    recorded(settings, &dir, &["--ring-bytes", SMALL_RING], || overload::run(&dir, &settings.amount))?;
    report(settings, &dir, &verify::Rules { overload: true, alone: settings.alone })
}

fn report(settings: &Settings, dir: &Path, rules: &verify::Rules) -> Result<()> {
    let capture = capture::read(&dir.join(CAPTURE))?;
    let asked = ["auto", &capture.mode].contains(&settings.mode.as_str());
    ensure!(asked, "captured in mode {}, not {}", capture.mode, settings.mode);
    println!("{}", verify::compare(&manifest::read(dir)?, &capture, rules)?);
    Ok(())
}

/// Does `work` while the observer records.
fn recorded(
    settings: &Settings,
    dir: &Path,
    flags: &[&str],
    work: impl FnOnce() -> Result<()>,
) -> Result<()> {
    std::fs::create_dir_all(dir)?;
    let mut observer = Observer::record(&settings.observer, &settings.mode, &dir.join(CAPTURE), flags)?;
    work()?;
    observer.interrupt()
}

/// What the capture file is called, wherever it is.
pub const CAPTURE: &str = "capture.mcpcap";
/// Far less than the workload moves while the observer is asleep once.
const SMALL_RING: &str = "262144";
