//! The empty programs on the observer's hooks: what the kernel alone takes for being looked at.

use anyhow::{Context as _, Result, anyhow};
use aya::programs::{BtfTracePoint, FExit, KProbe, ProgramError};
use aya::{Btf, Ebpf};

use crate::check;

/// A way of the observer to notice bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Mode {
    Fexit,
    Kprobe,
    Syscall,
}

impl Mode {
    /// As the observer takes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fexit => "fexit",
            Self::Kprobe => "kprobe",
            Self::Syscall => "syscall",
        }
    }
}

/// Empty programs that every mode has, and what they attach to.
const LIFECYCLE: [(&str, &str); 4] = [
    ("floor_exec", "sched_process_exec"),
    ("floor_fork", "sched_process_fork"),
    ("floor_exit", "sched_process_exit"),
    ("floor_socket_state", "inet_sock_set_state"),
];

/// The functions that move bytes, each with its names in older and newer kernels, and the empty program for its end.
const FUNCTIONS: [(&str, &[&str]); 8] = [
    ("floor_pipe_read", &["anon_pipe_read", "pipe_read"]),
    ("floor_pipe_write", &["anon_pipe_write", "pipe_write"]),
    ("floor_unix_sendmsg", &["unix_stream_sendmsg"]),
    ("floor_unix_recvmsg", &["unix_stream_recvmsg"]),
    ("floor_inet_sendmsg", &["inet_sendmsg"]),
    ("floor_inet_recvmsg", &["inet_recvmsg"]),
    ("floor_inet6_sendmsg", &["inet6_sendmsg"]),
    ("floor_inet6_recvmsg", &["inet6_recvmsg"]),
];

/// The object that the observer was built with, ready to load.
pub struct Object(Vec<u8>);

impl Object {
    /// Reads it where the build has left it.
    pub fn read() -> Result<Self> {
        let path = check::built_object(&["build", "--release"])?;
        Ok(Self(std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?))
    }

    /// Attaches the empty programs until the result goes.
    pub fn attach(&self, mode: Mode) -> Result<Ebpf> {
        let types = Btf::from_sys_fs()?;
        let mut ebpf = Ebpf::load(&self.0).context("loading the kernel object")?;
        for (name, tracepoint) in LIFECYCLE {
            attach_tracepoint(&mut ebpf, name, tracepoint, &types)?;
        }
        match mode {
            Mode::Syscall => attach_tracepoint(&mut ebpf, "floor_sys_exit", "sys_exit", &types)?,
            Mode::Fexit => {
                for (name, functions) in FUNCTIONS {
                    attach_first(functions, |function| attach_fexit(&mut ebpf, name, function, &types))?;
                }
            }
            Mode::Kprobe => {
                for program in ["floor_entry", "floor_return"] {
                    probe(&mut ebpf, program)?.load()?;
                    for (_, functions) in FUNCTIONS {
                        attach_first(functions, |function| {
                            probe(&mut ebpf, program)?.attach(function, 0)?;
                            Ok(())
                        })?;
                    }
                }
            }
        }
        Ok(ebpf)
    }
}

fn attach_tracepoint(ebpf: &mut Ebpf, name: &str, tracepoint: &str, types: &Btf) -> Result<()> {
    let program = ebpf.program_mut(name).with_context(|| format!("the object has no {name}"))?;
    let program: &mut BtfTracePoint = program.try_into()?;
    program.load(tracepoint, types)?;
    program.attach()?;
    Ok(())
}

fn attach_fexit(ebpf: &mut Ebpf, name: &str, function: &str, types: &Btf) -> Result<()> {
    let program = ebpf.program_mut(name).with_context(|| format!("the object has no {name}"))?;
    let program: &mut FExit = program.try_into()?;
    program.load(function, types)?;
    program.attach()?;
    Ok(())
}

fn probe<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut KProbe, ProgramError> {
    ebpf.program_mut(name).ok_or(ProgramError::NotLoaded)?.try_into()
}

/// Tries the names of one function.
fn attach_first(functions: &[&str], mut attach: impl FnMut(&str) -> Result<()>) -> Result<()> {
    let mut outcome = Err(anyhow!("no function to attach to"));
    for function in functions {
        outcome = attach(function).with_context(|| format!("attaching to {function}"));
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}
