//! One boot: starts the file servers and the emulator, shows the guest's console and reads the exit code it left.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::{Files, image};
use crate::process::Killed;
use crate::workspace;

const MEMORY_MIB: u32 = 2048;
/// File servers create their socket at once; this is for a machine under heavy load.
const SERVER_LIMIT: Duration = Duration::from_secs(20);
/// How a kernel says that it will not get any further. With these the guest is ended, without waiting for the limit.
const LOST: [&str; 7] = [
    "Kernel panic",
    "Oops: ",
    "BUG: unable to handle",
    "BUG: soft lockup",
    "self-detected stall on CPU",
    "detected stalls on CPUs",
    "Unable to mount root fs",
];

/// Boots the kernel of `files`, runs `command` and returns its exit code. `shown` is given each line of the console.
pub fn run(files: &Files, command: &[String], limit: Duration, shown: impl FnMut(&str)) -> Result<i32> {
    let share = workspace::target()?.join(format!("vm/run-{}", std::process::id()));
    std::fs::create_dir_all(&share)?;
    let code = boot(files, &share, command, limit, shown);
    std::fs::remove_dir_all(&share)?;
    code
}

fn boot(
    files: &Files,
    share: &Path,
    command: &[String],
    limit: Duration,
    shown: impl FnMut(&str),
) -> Result<i32> {
    std::fs::write(share.join("command"), script(command)?)?;
    let initramfs = image::build(&files.kernel, share)?;
    let root = serve_files(files, Path::new("/"), &share.join("root.sock"), "always")?;
    let shared = serve_files(files, share, &share.join("share.sock"), "auto")?;
    let mut emulator = Killed(emulator(files, share, &initramfs).spawn().context("starting the emulator")?);
    let console = emulator.0.stdout.take().context("the emulator has no console")?;
    let watched = watch(&lines(console), limit, shown);
    drop((emulator, root, shared));
    watched?;
    let code = std::fs::read_to_string(share.join("exit-code"));
    let code = code.context("the guest ended and did not report how the command ended")?;
    code.trim().parse().context("the guest reported no exit code")
}

/// Shows the console until the guest is off; an error when it is lost or late.
fn watch(console: &Receiver<String>, limit: Duration, mut shown: impl FnMut(&str)) -> Result<()> {
    let deadline = Instant::now() + limit;
    loop {
        match console.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                shown(&line);
                if let Some(sign) = LOST.iter().find(|sign| line.contains(**sign)) {
                    bail!("its kernel is lost: {sign}");
                }
            }
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
            Err(RecvTimeoutError::Timeout) => bail!("it did not end within {} s", limit.as_secs()),
        }
    }
}

fn lines(console: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut reader = BufReader::new(console);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            line.clear();
            if sender.send(text).is_err() {
                break;
            }
        }
    });
    receiver
}

/// The command as a shell script: with this task's search path, in the workspace.
fn script(command: &[String]) -> Result<String> {
    let words: Vec<_> = command.iter().map(|word| quoted(word)).collect();
    let root = workspace::root();
    let folder = root.to_str().context("the workspace's path is no text")?;
    let variable = |name: &str| {
        let value = std::env::var(name).ok()?;
        Some(format!("export {name}={}\n", quoted(&value)))
    };
    let variables: String = ["PATH", "HOME"].into_iter().filter_map(variable).collect();
    Ok(format!("{variables}export LANG=C.UTF-8\ncd {} && exec {}\n", quoted(folder), words.join(" ")))
}

fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

fn serve_files(files: &Files, folder: &Path, socket: &Path, cache: &str) -> Result<Killed> {
    let complaints = socket.with_extension("log");
    let mut command = Command::new(files.file_server.join("usr/lib/qemu/virtiofsd"));
    command.arg(format!("--socket-path={}", socket.display()));
    command.args(["-o", &format!("source={}", folder.display()), "-o", &format!("cache={cache}")]);
    command.args(["-o", "sandbox=chroot"]).stdin(Stdio::null()).stderr(File::create(&complaints)?);
    let mut server = Killed(command.spawn().context("starting a file server")?);
    let deadline = Instant::now() + SERVER_LIMIT;
    while !socket.exists() {
        if server.0.try_wait()?.is_some() || Instant::now() > deadline {
            bail!("a file server did not come up: {}", std::fs::read_to_string(&complaints)?.trim());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(server)
}

fn emulator(files: &Files, share: &Path, initramfs: &Path) -> Command {
    let mut command = bare_emulator(files, files.accelerator);
    command.args(["-cpu", "max", "-smp", "2", "-m", &MEMORY_MIB.to_string()]);
    command.args(["-object", &format!("memory-backend-memfd,id=memory,size={MEMORY_MIB}M,share=on")]);
    command.args(["-numa", "node,memdev=memory", "-device", "virtio-rng-pci"]);
    for (tag, socket) in [("root", "root.sock"), ("share", "share.sock")] {
        let socket = share.join(socket);
        command.args(["-chardev", &format!("socket,id={tag},path={}", socket.display())]);
        command.args(["-device", &format!("vhost-user-fs-pci,chardev={tag},tag={tag}")]);
    }
    command.arg("-initrd").arg(initramfs);
    command.arg("-append").arg(kernel_arguments(share, &files.kernel.join("lib/modules")));
    command
}

/// The emulator with a kernel and a console, and nothing else.
pub fn bare_emulator(files: &Files, accelerator: &str) -> Command {
    let installed = |path: &str| files.emulator.join(path);
    let mut command = Command::new(installed("usr/bin/qemu-system-x86_64"));
    command.env("LD_LIBRARY_PATH", installed("usr/lib/x86_64-linux-gnu"));
    for firmware in ["usr/share/qemu", "usr/share/seabios"] {
        command.arg("-L").arg(installed(firmware));
    }
    command.args([
        "-accel",
        accelerator,
        "-nodefaults",
        "-no-reboot",
        "-display",
        "none",
        "-serial",
        "stdio",
    ]);
    command.arg("-kernel").arg(files.kernel.join("vmlinuz"));
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    command
}

/// An emulated CPU may stand still for long on a busy machine, so the kernel's own alarms are given more time.
fn kernel_arguments(share: &Path, modules: &Path) -> String {
    let patience = "rcupdate.rcu_cpu_stall_timeout=120 watchdog_thresh=60";
    let places = format!("vm.share={} vm.modules={}", share.display(), modules.display());
    format!("console=ttyS0 quiet panic=-1 {patience} {places}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn console(lines: &[&str]) -> Receiver<String> {
        let (sender, receiver) = mpsc::channel();
        lines.iter().for_each(|line| sender.send((*line).to_owned()).unwrap());
        receiver
    }

    #[test]
    fn a_panic_on_the_console_ends_the_watch_with_an_error() {
        let mut shown = 0;
        let lines = console(&["fine", "[ 1.0] Kernel panic - not syncing"]);
        let end = watch(&lines, Duration::from_secs(60), |_| shown += 1);
        assert_eq!(shown, 2);
        assert!(end.unwrap_err().to_string().contains("Kernel panic"));
        assert!(watch(&console(&["fine"]), Duration::from_secs(60), |_| {}).is_ok());
    }

    #[test]
    fn a_guest_that_says_nothing_is_late() {
        let (_sender, receiver) = mpsc::channel();
        assert!(watch(&receiver, Duration::ZERO, |_| {}).is_err());
    }

    #[test]
    fn words_reach_the_guest_as_they_are() {
        let out =
            Command::new("sh").arg("-c").arg(format!("printf %s {}", quoted("a 'b' $c \\d\n\"e\""))).output();
        assert_eq!(String::from_utf8(out.unwrap().stdout).unwrap(), "a 'b' $c \\d\n\"e\"");
    }
}
