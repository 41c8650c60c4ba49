//! Everything in one go, for this host and for guests: observer, workload, comparison.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, ValueEnum};
use rustix::process::{Pid, Signal, kill_process};

use crate::{capture, cases, manifest, overload, verify};

/// What to check with.
#[derive(Args)]
pub struct Settings {
    /// The program `mcp-observer`.
    #[arg(long)]
    observer: PathBuf,
    /// Where capture files and manifests go.
    #[arg(long)]
    dir: PathBuf,
    /// Capture mode.
    #[arg(long, default_value = "auto")]
    mode: String,
    /// Which part; both without it.
    #[arg(long, value_enum)]
    part: Option<Part>,
    /// Nobody else moves bytes on this host.
    #[arg(long)]
    alone: bool,
    #[command(flatten)]
    amount: overload::Amount,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Part {
    /// Every byte at its place.
    Exact,
    /// sent = seen + counted as lost.
    Overload,
}

/// Runs the parts.
pub fn run(settings: &Settings) -> Result<()> {
    let wanted = |part| settings.part.is_none_or(|only| only == part);
    if wanted(Part::Exact) {
        let dir = settings.dir.join("exact");
        recorded(settings, &dir, &[], || cases::run(&dir))?;
        report(&dir, &verify::Rules::default())?;
    }
    if wanted(Part::Overload) {
        let dir = settings.dir.join("overload");
        recorded(settings, &dir, &["--ring-bytes", SMALL_RING], || overload::run(&dir, &settings.amount))?;
        report(&dir, &verify::Rules { overload: true, alone: settings.alone })?;
    }
    Ok(())
}

fn report(dir: &Path, rules: &verify::Rules) -> Result<()> {
    let capture = capture::read(&dir.join(CAPTURE))?;
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
    let file = dir.join(CAPTURE);
    if file.exists() {
        std::fs::remove_file(&file)?;
    }
    let mut command = Command::new(&settings.observer);
    command.args(["record", "--mode", &settings.mode, "-o"]).arg(&file).args(flags);
    let mut observer = Observer::start(&mut command)?;
    work()?;
    observer.interrupt()
}

/// A recording observer, which is never left behind.
struct Observer(Child);

impl Observer {
    /// Starts it and waits until it says that it is attached.
    fn start(command: &mut Command) -> Result<Self> {
        let child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn();
        let mut observer = Self(child.with_context(|| format!("cannot start {:?}", command.get_program()))?);
        let words = BufReader::new(observer.0.stderr.take().context("no error output")?);
        let (sender, attached) = channel();
        // Reads to the end: an observer whose words nobody takes would stand still.
        std::thread::spawn(move || {
            for line in words.lines().map_while(Result::ok) {
                if line.starts_with("attached") {
                    let _ = sender.send(());
                }
                eprintln!("observer: {line}");
            }
        });
        match attached.recv_timeout(DEADLINE) {
            Ok(()) => Ok(observer),
            Err(_) => bail!("the observer did not say that it is attached: {:?}", observer.0.try_wait()?),
        }
    }

    fn interrupt(&mut self) -> Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.0.id())?).context("no process id")?;
        kill_process(pid, Signal::INT)?;
        let end = Instant::now() + DEADLINE;
        while Instant::now() < end {
            if let Some(status) = self.0.try_wait()? {
                ensure!(status.success(), "the observer ended with {status}");
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        bail!("the observer did not end within {DEADLINE:?} of an interrupt")
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const CAPTURE: &str = "capture.mcpcap";
/// Far less than the workload moves while the observer is asleep once.
const SMALL_RING: &str = "262144";
/// Attaching takes seconds in an emulated guest.
const DEADLINE: Duration = Duration::from_secs(120);
