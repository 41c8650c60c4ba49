//! Containers of this host: containerd, docker and podman with all their files below one folder, and control groups as
//! a kubelet makes them.
//!
//! The folder stands for the host's root. Nothing of a containerd, docker, podman or kubelet that the host itself may
//! have is touched.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Resource, Signal, getrlimit, kill_process};

use crate::programs::programs;

/// The folder, and what runs from it. All of it goes with this.
#[derive(Debug)]
pub struct Host {
    folder: PathBuf,
    /// Daemons of runtimes, which take their own children with them when they are asked to end.
    daemons: Vec<Child>,
    groups: Vec<PathBuf>,
}

impl Host {
    /// One with nothing but the files that `raw-peer` needs in a container.
    pub fn new() -> Result<Self> {
        Self::with("raw-peer")
    }

    /// One with nothing but the files that this peer needs in a container.
    pub fn with(peer: &str) -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        // Sockets have short names.
        let folder = std::env::temp_dir().join(format!("observed-{}-{number}", std::process::id()));
        let host = Self { folder, daemons: Vec::new(), groups: Vec::new() };
        fs::create_dir_all(host.path("rootfs/proc"))?;
        let program = programs()?.peers.programs.join(peer);
        let output = Command::new("ldd").arg(&program).output().context("cannot start ldd")?;
        let libraries = String::from_utf8(output.stdout)?;
        let libraries = libraries.split_whitespace().filter(|word| word.starts_with('/'));
        for file in libraries {
            host.copy(Path::new(file), file.trim_start_matches('/'))?;
        }
        host.copy(&program, &format!("bin/{peer}"))?;
        Ok(host)
    }

    /// The folder, for the flag `--host-root`.
    pub fn root(&self) -> &str {
        self.folder.to_str().unwrap_or_default()
    }

    /// Writes a file of the host.
    pub fn write(&self, path: &str, text: &str) -> Result<()> {
        let path = self.path(path);
        fs::create_dir_all(path.parent().context("no folder")?)?;
        Ok(fs::write(path, text)?)
    }

    /// Starts containerd.
    pub fn start_containerd(&mut self) -> Result<()> {
        let folder = self.root();
        let text = format!(
            "version = 2\nroot = \"{folder}/var/lib/containerd\"\nstate = \"{folder}/run/containerd\"\n\
             disabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n\
             [grpc]\naddress = \"{folder}/{SOCKET}\"\n\
             [plugins.\"io.containerd.internal.v1.opt\"]\npath = \"{folder}/opt\"\n"
        );
        self.write("containerd.toml", &text)?;
        let mut command = Command::new("containerd");
        command.arg("--config").arg(self.path("containerd.toml")).stdout(Stdio::null()).stderr(Stdio::null());
        let daemon = spawn(command, "containerd")?;
        self.daemons.push(daemon);
        wait_for_daemon("containerd", || self.ctr())
    }

    /// `raw-peer` in a container of containerd, with a client and a server that talk.
    pub fn in_containerd(&self, name: &str) -> Command {
        self.with_containerd(name, "/bin/raw-peer", &TALK)
    }

    /// A program in a container of containerd, with the command's own input and output.
    pub fn with_containerd(&self, name: &str, program: &str, arguments: &[&str]) -> Command {
        let mut command = self.ctr();
        command.args(["--namespace", "tools", "run", "--rm", "--rootfs"]).arg(self.path("rootfs"));
        command.args([name, program]).args(arguments);
        command
    }

    /// Starts docker.
    pub fn start_docker(&mut self) -> Result<()> {
        self.write("docker.json", "{}")?;
        let mut command = Command::new("dockerd");
        command.arg("--config-file").arg(self.path("docker.json"));
        command.arg("--data-root").arg(self.path("var/lib/docker"));
        command.arg("--exec-root").arg(self.path("run/docker")).arg("--pidfile").arg(self.path("docker.pid"));
        command.args(["--host", &self.docker_socket(), "--storage-driver", "vfs"]);
        // No network is needed, and none of the host's is touched.
        command.args(["--bridge", "none", "--iptables=false", "--ip6tables=false"]);
        let daemon = spawn(command, "docker.io")?;
        self.daemons.push(daemon);
        wait_for_daemon("dockerd", || self.docker())?;
        // An image of nothing: what is needed is mounted.
        let script =
            "mkdir \"$1/empty\" && tar -C \"$1/empty\" -c . | docker --host \"$2\" import - nothing:1";
        let status = Command::new("sh")
            .args(["-c", script, "sh", self.root(), &self.docker_socket()])
            .stdout(Stdio::null())
            .status()?;
        ensure!(status.success(), "docker import ended with {status}");
        Ok(())
    }

    /// A program in a container of docker, with the command's own input and output.
    pub fn with_docker(&self, name: &str, program: &str, arguments: &[&str]) -> Result<Command> {
        let mut command = self.docker();
        command.args(["run", "--interactive", "--rm", "--network", "none", "--name", name]);
        for entry in fs::read_dir(self.path("rootfs"))? {
            let entry = entry?;
            if entry.file_name() != "proc" {
                let (from, to) = (entry.path(), entry.file_name());
                command.args(["--volume", &format!("{}:/{}:ro", from.display(), to.display())]);
            }
        }
        command.args(["nothing:1", program]).args(arguments);
        Ok(command)
    }

    /// `raw-peer` in a container of podman.
    pub fn in_podman(&self, name: &str) -> Result<Command> {
        self.with_podman(name, "/bin/raw-peer", &TALK)
    }

    /// A program in a container of podman, with the command's own input and output.
    pub fn with_podman(&self, name: &str, program: &str, arguments: &[&str]) -> Result<Command> {
        let mut command = Command::new("podman");
        command.arg("--root").arg(self.path("var/lib/containers/storage"));
        command.arg("--runroot").arg(self.path("run/containers/storage"));
        // `crun` refuses hosts with control groups of both versions.
        command.args(["--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--events-backend", "none"]);
        command.args(["--runtime", "/usr/sbin/runc", "run", "--interactive", "--name", name]);
        command.args(["--network", "none"]);
        // Its defaults are above what root may have where it lacks the capability to raise limits.
        for (limit, resource) in [("nofile", Resource::Nofile), ("nproc", Resource::Nproc)] {
            let most = getrlimit(resource).current.unwrap_or(1024).min(1024);
            command.args(["--ulimit", &format!("{limit}={most}:{most}")]);
        }
        command.arg("--rootfs").arg(self.path("rootfs")).arg(program).args(arguments);
        Ok(command)
    }

    /// `raw-peer` in a control group of this name, made as the kubelet and a runtime make them.
    pub fn in_group(&mut self, name: &str) -> Result<Command> {
        let mounts = fs::read_to_string("/proc/self/mounts")?;
        let mut mounts = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
        let Some(mount) = mounts.find(|fields| fields.get(2) == Some(&"cgroup2")) else {
            bail!("no file system of control groups is mounted")
        };
        let outer = Path::new(mount[1]).join(format!("observed-{}", std::process::id()));
        let group = outer.join(name);
        fs::create_dir_all(&group).with_context(|| format!("cannot make {}", group.display()))?;
        self.groups.extend(group.ancestors().take_while(|path| path.starts_with(&outer)).map(Path::to_owned));
        let mut command = Command::new("sh");
        let script = "echo $$ > \"$1/cgroup.procs\" && shift && exec \"$@\"";
        command
            .args(["-c", script, "sh"])
            .arg(group)
            .arg(programs()?.peers.programs.join("raw-peer"))
            .args(TALK);
        Ok(command)
    }

    fn ctr(&self) -> Command {
        let mut command = Command::new("ctr");
        command.arg("--address").arg(self.path(SOCKET));
        command
    }

    fn docker(&self) -> Command {
        let mut command = Command::new("docker");
        command.args(["--host", &self.docker_socket()]);
        command
    }

    fn docker_socket(&self) -> String {
        format!("unix://{}/docker.sock", self.root())
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.join(path)
    }

    fn copy(&self, from: &Path, to: &str) -> Result<()> {
        let to = self.path("rootfs").join(to);
        fs::create_dir_all(to.parent().context("no folder")?)?;
        fs::copy(from, to).with_context(|| format!("cannot copy {}", from.display()))?;
        Ok(())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        for mut daemon in self.daemons.drain(..) {
            // An error here means that it has ended already, which is what is wanted.
            if let Some(pid) = i32::try_from(daemon.id()).ok().and_then(Pid::from_raw) {
                let _ = kill_process(pid, Signal::TERM);
            }
            let _ = daemon.wait();
        }
        for group in &self.groups {
            let _ = fs::remove_dir(group);
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn spawn(mut command: Command, package: &str) -> Result<Child> {
    let name = command.get_program().display().to_string();
    let started = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    started.with_context(|| format!("cannot start {name} (Debian: package {package})"))
}

/// Waits until its client can ask it.
fn wait_for_daemon(name: &str, client: impl Fn() -> Command) -> Result<()> {
    let end = Instant::now() + DEADLINE;
    while !client().arg("version").stderr(Stdio::null()).stdout(Stdio::null()).status()?.success() {
        ensure!(Instant::now() < end, "{name} did not listen within {DEADLINE:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// A client that starts its server: both are in the container. They live long enough to be looked at on a busy host, as
/// servers do.
const TALK: [&str; 5] = ["stdio", "--calls", "3", "--delay-ms", "500"];
const SOCKET: &str = "run/containerd/containerd.sock";
const DEADLINE: Duration = Duration::from_secs(60);
