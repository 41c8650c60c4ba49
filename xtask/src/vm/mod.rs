//! `cargo xtask vm`: runs a command on a Debian kernel, in a guest whose root is this machine's own.
//!
//! `setup` fetches an emulator and kernels into the target directory; `run` boots one of them. The guest sees this
//! machine's files as they are, and what it writes goes with it, so binaries are built outside and run inside.

mod accelerator;
mod boot;
mod fetch;
mod image;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::{process, setup, workspace};

/// A kernel to boot. To test on one more, add its line to [`KERNELS`].
pub struct Kernel {
    /// How `--kernel` names it.
    pub name: &'static str,
    /// The Debian suite that has it.
    suite: &'static str,
    /// Which of Debian's archives the suite is in.
    archive: Archive,
    /// The capture modes that it can run, best first.
    pub modes: &'static [&'static str],
    /// Whether it has TLS in the kernel, as a module.
    pub ktls: bool,
}

/// Debian's archives.
#[derive(Clone, Copy)]
enum Archive {
    Main,
    Security,
}

/// All kernels that the project is tested on, oldest first.
pub const KERNELS: &[Kernel] = &[
    Kernel {
        name: "5.10",
        suite: "bullseye-security",
        archive: Archive::Security,
        modes: &WITHOUT_KPROBE,
        ktls: false,
    },
    Kernel { name: "6.1", suite: "bookworm", archive: Archive::Main, modes: &ALL_MODES, ktls: true },
    Kernel { name: "6.12", suite: "trixie", archive: Archive::Main, modes: &ALL_MODES, ktls: true },
    // The newest that there is: 7.2 or later.
    Kernel { name: "newest", suite: "sid", archive: Archive::Main, modes: &WHERE_PREEMPTED, ktls: true },
];
/// All ways to capture, best first.
pub const ALL_MODES: [&str; 3] = ["fexit", "syscall", "kprobe"];
/// Before 6.1 the kernel notices the returns of too few threads at a time: `kprobe` refuses.
const WITHOUT_KPROBE: [&str; 2] = ["fexit", "syscall"];
/// Where the kernel preempts programs, `fexit` would skip calls, and refuses.
const WHERE_PREEMPTED: [&str; 2] = ["syscall", "kprobe"];

/// Flags of `cargo xtask vm`.
#[derive(clap::Subcommand)]
pub enum Arguments {
    /// Fetches the emulator and the kernels
    Setup {
        #[command(flatten)]
        choice: Choice,
    },
    /// Boots a kernel and runs a command there as root, in this workspace; its exit code is the result
    Run {
        #[command(flatten)]
        choice: Choice,
        /// Seconds after which the guest has failed
        #[arg(long, default_value_t = 600)]
        limit: u64,
        /// The command and its arguments
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
}

/// Which kernels.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Choice {
    /// Only this kernel, for example 6.1; repeatable
    #[arg(long = "kernel", value_name = "VERSION")]
    names: Vec<String>,
}

impl Choice {
    /// Whether it leaves any kernel out.
    pub fn is_made(&self) -> bool {
        !self.names.is_empty()
    }

    /// The chosen kernels, or all of them.
    pub fn kernels(&self) -> Result<Vec<&'static Kernel>> {
        let known = || KERNELS.iter().map(|kernel| kernel.name).collect::<Vec<_>>().join(", ");
        let by_name = |name: &String| {
            let kernel = KERNELS.iter().find(|kernel| kernel.name == name);
            kernel.with_context(|| format!("no kernel {name}; there are {}", known()))
        };
        if self.names.is_empty() {
            Ok(KERNELS.iter().collect())
        } else {
            self.names.iter().map(by_name).collect()
        }
    }
}

/// Sets up, or runs a command on each chosen kernel and stops at the first that fails.
pub fn run(arguments: &Arguments) -> Result<()> {
    match arguments {
        Arguments::Setup { choice } => {
            choice.kernels()?.into_iter().try_for_each(|kernel| prepare(kernel).map(drop))
        }
        Arguments::Run { choice, limit, command } => {
            for kernel in choice.kernels()? {
                let code = run_in(kernel, command, Duration::from_secs(*limit), |line| println!("{line}"))?;
                if code != 0 {
                    eprintln!("vm: {}: the command ended with {code}", kernel.name);
                    std::process::exit(code);
                }
            }
            Ok(())
        }
    }
}

/// Boots `kernel`, runs `command` there and returns its exit code. A guest that does not report is an error. `shown`
/// is given each line of the console.
pub fn run_in(kernel: &Kernel, command: &[String], limit: Duration, shown: impl FnMut(&str)) -> Result<i32> {
    let files = prepare(kernel)?;
    boot::run(&files, command, limit, shown).with_context(|| format!("guest with kernel {}", kernel.name))
}

/// What a boot needs, all of it in the target directory.
struct Files {
    emulator: PathBuf,
    file_server: PathBuf,
    kernel: PathBuf,
    accelerator: &'static str,
}

fn prepare(kernel: &Kernel) -> Result<Files> {
    ensure!(process::is_root(), "guests read this machine's own files: start this as root");
    let folder = workspace::target()?.join("vm");
    let mut files = Files {
        accelerator: accelerator::EMULATION,
        emulator: folder.join("qemu"),
        file_server: folder.join("virtiofsd"),
        kernel: folder.join(format!("linux-{}", kernel.name)),
    };
    setup::for_guests()?;
    if !files.emulator.is_dir() {
        fetch::emulator(&folder, &files.emulator)?;
    }
    if !files.file_server.is_dir() {
        fetch::file_server(&folder, &files.file_server)?;
    }
    if !files.kernel.is_dir() {
        fetch::kernel(&folder, kernel, &files.kernel)?;
    }
    files.accelerator = accelerator::usable(&folder, &files)?;
    Ok(files)
}
