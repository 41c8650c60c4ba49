//! The empty programs on the observer's hooks: what the kernel alone takes for being looked at.

use anyhow::{Context as _, Result};
use aya::programs::BtfTracePoint;
use aya::{Btf, Ebpf};

use crate::check;

/// The empty programs of the object, and what they attach to.
const PROGRAMS: [(&str, &str); 5] = [
    ("floor_sys_exit", "sys_exit"),
    ("floor_exec", "sched_process_exec"),
    ("floor_fork", "sched_process_fork"),
    ("floor_exit", "sched_process_exit"),
    ("floor_socket_state", "inet_sock_set_state"),
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
    pub fn attach(&self) -> Result<Ebpf> {
        let types = Btf::from_sys_fs()?;
        let mut ebpf = Ebpf::load(&self.0).context("loading the kernel object")?;
        for (name, tracepoint) in PROGRAMS {
            let program = ebpf.program_mut(name).with_context(|| format!("the object has no {name}"))?;
            let program: &mut BtfTracePoint = program.try_into()?;
            program.load(tracepoint, &types)?;
            program.attach()?;
        }
        Ok(ebpf)
    }
}
