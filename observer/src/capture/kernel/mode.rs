//! Which mode can run here, found out by trying.

use aya::Ebpf;
use aya::programs::{BtfTracePoint, ProgramError};

use super::ModeChoice;
use crate::error::Error;

/// The program that notices bytes, loaded and attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chosen {
    /// The mode's name.
    pub mode: &'static str,
    /// Its program.
    pub program: &'static str,
    /// Whether it copies large calls by `bpf_loop`.
    pub by_loop: bool,
}

/// `bpf_loop` came with 5.17; before that, a loop that the verifier walks through.
const SYSCALL_VARIANTS: [Chosen; 2] = [
    Chosen { mode: "syscall", program: "sys_exit_loop", by_loop: true },
    Chosen { mode: "syscall", program: "sys_exit_flat", by_loop: false },
];

/// Copies of `sys_exit_loop` for calls that find it busy, in the order in which they are attached.
const SPARES: [&str; 2] = ["sys_exit_spare_1", "sys_exit_spare_2"];

/// The first major version whose kernels may preempt a program at the end of a system call.
const PREEMPTIBLE_SINCE: u32 = 7;

/// Loads the copies, and attaches them where the kernel is known to need them. Elsewhere they are attached when
/// the first skipped call shows that it does; a copy costs each system call of the host some nanoseconds.
pub(super) fn load_spares(ebpf: &mut Ebpf, types: &aya::Btf, release: &str) -> Result<bool, ProgramError> {
    for name in SPARES {
        tracepoint_program(ebpf, name)?.load("sys_exit", types)?;
    }
    let major = release.split('.').next().and_then(|major| major.parse().ok());
    if major.is_none_or(|major: u32| major < PREEMPTIBLE_SINCE) {
        return Ok(false);
    }
    attach_spares(ebpf)?;
    Ok(true)
}

/// Attaches the loaded copies.
pub(super) fn attach_spares(ebpf: &mut Ebpf) -> Result<(), ProgramError> {
    for name in SPARES {
        tracepoint_program(ebpf, name)?.attach()?;
    }
    Ok(())
}

fn tracepoint_program<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut BtfTracePoint, ProgramError> {
    ebpf.program_mut(name).ok_or(ProgramError::NotLoaded)?.try_into()
}

/// Attaches the first variant that the kernel takes.
pub(super) fn attach(choice: ModeChoice, ebpf: &mut Ebpf, types: &aya::Btf) -> Result<Chosen, Error> {
    match choice {
        ModeChoice::Auto | ModeChoice::Syscall => {}
        ModeChoice::Fexit | ModeChoice::Kprobe => {
            return Err(Error::Usage(format!(
                "mode {} is not in this version; use `syscall`",
                choice.name()
            )));
        }
    }
    let mut reasons = Vec::new();
    for variant in SYSCALL_VARIANTS {
        match attach_tracepoint(ebpf, variant.program, "sys_exit", types) {
            Ok(()) => return Ok(variant),
            Err(error) => reasons.push(format!("{}: {}", variant.program, chain(&error))),
        }
    }
    Err(Error::Unable {
        what: format!("the kernel takes no program of mode syscall ({})", reasons.join("; ")),
        mend: "It needs Linux 5.11 or newer with BTF, and the capabilities BPF and PERFMON: \
               run as root, or `setcap cap_bpf,cap_perfmon,cap_sys_ptrace,cap_dac_read_search+ep` on the program."
            .to_owned(),
    })
}

/// Loads and attaches one program on a kernel tracepoint.
pub(super) fn attach_tracepoint(
    ebpf: &mut Ebpf,
    program: &str,
    tracepoint: &str,
    types: &aya::Btf,
) -> Result<(), ProgramError> {
    let program = tracepoint_program(ebpf, program)?;
    program.load(tracepoint, types)?;
    program.attach()?;
    Ok(())
}

/// An error with its causes, in one line; of a verifier's log only the end.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    if std::env::var_os("MCP_OBSERVER_VERIFIER_LOG").is_some() {
        return text;
    }
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    match lines.as_slice() {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first, .., before_last, last] => format!("{first} … {before_last} / {last}"),
        [first, last] => format!("{first} … {last}"),
    }
}
