//! Which mode can run here, found out by trying.

use aya::Ebpf;
use aya::programs::{BtfTracePoint, ProgramError, TracePoint};

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

/// The variant that the kernel does not preempt.
pub(super) const BY_PERF: Chosen = Chosen { mode: "syscall", program: "sys_exit_perf", by_loop: true };

/// The first major version whose kernels may preempt a tracing program at the end of a system call, and skip the
/// calls that find it so.
const PREEMPTIBLE_SINCE: u32 = 7;

/// Attaches the first variant that the kernel takes.
pub(super) fn attach(
    choice: ModeChoice,
    ebpf: &mut Ebpf,
    types: &aya::Btf,
    release: &str,
) -> Result<Chosen, Error> {
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
    if is_preemptible(release) {
        match attach_by_perf(ebpf) {
            Ok(()) => return Ok(BY_PERF),
            // Needs a tracefs; without it, what is skipped is counted.
            Err(error) => reasons.push(format!("{}: {}", BY_PERF.program, chain(&error))),
        }
    }
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

/// Whether a kernel of this release may preempt tracing programs.
fn is_preemptible(release: &str) -> bool {
    let major = release.split('.').next().and_then(|major| major.parse().ok());
    major.is_some_and(|major: u32| major >= PREEMPTIBLE_SINCE)
}

fn attach_by_perf(ebpf: &mut Ebpf) -> Result<(), ProgramError> {
    let program = ebpf.program_mut(BY_PERF.program).ok_or(ProgramError::NotLoaded)?;
    let program: &mut TracePoint = program.try_into()?;
    program.load()?;
    program.attach("raw_syscalls", "sys_exit")?;
    Ok(())
}

/// Loads and attaches one program on a kernel tracepoint.
pub(super) fn attach_tracepoint(
    ebpf: &mut Ebpf,
    program: &str,
    tracepoint: &str,
    types: &aya::Btf,
) -> Result<(), ProgramError> {
    let program: &mut BtfTracePoint = ebpf.program_mut(program).ok_or(ProgramError::NotLoaded)?.try_into()?;
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

#[cfg(test)]
mod tests {
    use super::is_preemptible;

    #[test]
    fn kernels_from_7_on_preempt() {
        assert!(is_preemptible("7.2.13+deb14-cloud-amd64"));
        assert!(is_preemptible("10.0"));
        assert!(!is_preemptible("6.18.44"));
        assert!(!is_preemptible(""));
    }
}
