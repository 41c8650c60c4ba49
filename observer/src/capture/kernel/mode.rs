//! Which mode can run here, found out by trying.

use aya::Ebpf;
use aya::programs::{BtfTracePoint, FExit, KProbe, Program, ProgramError, RawTracePoint, TracePoint};

use super::ModeChoice;
use super::hooks::{Hook, MAPPING, MOVING};
use super::preemption;
use crate::error::Error;

/// What notices bytes, loaded and attached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chosen {
    /// The mode.
    pub mode: ModeChoice,
    /// Its programs.
    pub programs: Vec<String>,
    /// Whether the kernel has `bpf_loop` (5.17) to copy large calls; before that, the verifier has to walk through
    /// each turn of a loop.
    pub by_loop: bool,
}

/// The `sys_exit` program that the kernel does not preempt.
pub(super) const BY_PERF: &str = "sys_exit_perf";
/// The tracepoint at the end of all system calls.
pub(super) const ALL_CALLS: &str = "sys_exit";

impl ModeChoice {
    /// The modes to try, in order.
    pub(super) fn candidates(self) -> Vec<Self> {
        if self == Self::Auto { Self::ALL.to_vec() } else { vec![self] }
    }
}

/// Attaches the programs of one mode. On an error some of them may be attached, see [`let_go`].
pub(super) fn attach(
    mode: ModeChoice,
    ebpf: &mut Ebpf,
    types: &aya::Btf,
    release: &str,
) -> Result<Chosen, String> {
    match mode {
        ModeChoice::Fexit => by_fexit(ebpf, types, release),
        ModeChoice::Kprobe => by_kprobe(ebpf, release),
        ModeChoice::Syscall | ModeChoice::Auto => by_syscall(ebpf, types, release),
    }
}

/// Detaches and unloads what a mode that failed has left.
pub(super) fn let_go(ebpf: &mut Ebpf) {
    for (_, program) in ebpf.programs_mut() {
        // Most are not loaded, which is the only error there is.
        let _ = match program {
            Program::FExit(program) => program.unload(),
            Program::KProbe(program) => program.unload(),
            _ => Ok(()),
        };
    }
}

/// Whether the kernel has `bpf_loop`, and with it all that programs need whose names do not end in `_flat`.
fn has_loop(ebpf: &mut Ebpf) -> bool {
    let load = |program: &mut Program| -> Result<(), ProgramError> {
        let program: &mut RawTracePoint = program.try_into()?;
        program.load()?;
        program.unload()
    };
    ebpf.program_mut("trial_loop").is_some_and(|program| load(program).is_ok())
}

fn by_fexit(ebpf: &mut Ebpf, types: &aya::Btf, release: &str) -> Result<Chosen, String> {
    if is_before(release, TRAMPOLINES_MENDED) && !has_symbol("__bpf_tramp_image_put_rcu") {
        return Err("this kernel can crash when such a program is detached while it runs".to_owned());
    }
    if preemption::is_possible(release) {
        return Err(
            "this kernel may preempt such a program, and skips the calls of others meanwhile".to_owned()
        );
    }
    let by_loop = has_loop(ebpf);
    let mut programs = Vec::new();
    for hook in MOVING.iter().chain([&MAPPING]) {
        let name = format!("fexit_{}{}", hook.program, ending(hook, by_loop));
        let taken = hook.take(|function| attach_fexit(ebpf, &name, function, types))?;
        programs.extend(taken.then_some(name));
    }
    Ok(Chosen { mode: ModeChoice::Fexit, programs, by_loop })
}

/// How the name of the program ends that moves bytes on this kernel.
fn ending(hook: &Hook, by_loop: bool) -> &'static str {
    if by_loop || hook.program == MAPPING.program { "" } else { "_flat" }
}

/// Detaching frees the code of a trampoline that a task may still be in, where this is not mended (5.13, and in
/// the distributions' older kernels).
const TRAMPOLINES_MENDED: (u32, u32) = (5, 13);

/// From here on the kernel has room for at least ten threads, and two for each CPU, inside a function whose return is
/// probed. Before, it is one for each CPU, which a few idle servers use up.
const ROOM_FOR_RETURNS: (u32, u32) = (6, 1);

fn by_kprobe(ebpf: &mut Ebpf, release: &str) -> Result<Chosen, String> {
    if is_before(release, ROOM_FOR_RETURNS) {
        return Err(
            "this kernel notices the returns of too few threads that wait at the same time".to_owned()
        );
    }
    let by_loop = has_loop(ebpf);
    let mut programs = Vec::new();
    for hook in MOVING.iter().chain([&MAPPING]) {
        // The return first: an entry that it knows nothing of would stay behind.
        let mut names = vec![format!("kprobe_{}", hook.program)];
        if hook.program != MAPPING.program {
            names.insert(0, format!("kretprobe_{}{}", hook.program, ending(hook, by_loop)));
        }
        let taken =
            hook.take(|function| names.iter().try_for_each(|name| attach_kprobe(ebpf, name, function)))?;
        if taken {
            programs.append(&mut names);
        }
    }
    Ok(Chosen { mode: ModeChoice::Kprobe, programs, by_loop })
}

fn by_syscall(ebpf: &mut Ebpf, types: &aya::Btf, release: &str) -> Result<Chosen, String> {
    let mode = ModeChoice::Syscall;
    let mut reasons = Vec::new();
    if preemption::is_possible(release) {
        match attach_by_perf(ebpf) {
            Ok(()) => return Ok(Chosen { mode, programs: vec![BY_PERF.to_owned()], by_loop: true }),
            // Needs a tracefs; without it, what is skipped is counted.
            Err(error) => reasons.push(format!("{BY_PERF}: {}", chain(&error))),
        }
    }
    let by_loop = has_loop(ebpf);
    let program = if by_loop { "sys_exit_loop" } else { "sys_exit_flat" };
    match attach_tracepoint(ebpf, program, ALL_CALLS, types) {
        Ok(()) => return Ok(Chosen { mode, programs: vec![program.to_owned()], by_loop }),
        Err(error) => reasons.push(format!("{program}: {}", chain(&error))),
    }
    Err(reasons.join("; "))
}

impl Hook {
    /// Attaches to the first of the function's names that this kernel takes. Returns whether there was one; an
    /// error tells why not, where this host cannot do without.
    fn take(&self, mut attach: impl FnMut(&str) -> Result<(), ProgramError>) -> Result<bool, String> {
        let mut reasons = Vec::new();
        for function in self.functions {
            match attach(function) {
                Ok(()) => return Ok(true),
                Err(error) => reasons.push(format!("{function}: {}", chain(&error))),
            }
        }
        if self.need.applies() { Err(reasons.join("; ")) } else { Ok(false) }
    }
}

/// What to say when no mode can run.
pub(super) fn unable(refusals: &[(ModeChoice, String)]) -> Error {
    let told: Vec<_> =
        refusals.iter().map(|(mode, reason)| format!("mode {}: {reason}", mode.name())).collect();
    Error::Unable {
        what: format!("the kernel takes no programs that notice bytes ({})", told.join(" | ")),
        mend: "It needs Linux 5.10 or newer with BTF, and the capabilities BPF and PERFMON: \
               run as root, or `setcap cap_bpf,cap_perfmon,cap_sys_ptrace,cap_dac_read_search+ep` on the program."
            .to_owned(),
    }
}

/// Whether a release is older than a version. One that cannot be read is.
fn is_before(release: &str, version: (u32, u32)) -> bool {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse::<u32>());
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) < version,
        _ => true,
    }
}

/// Whether the kernel has a function of this name.
fn has_symbol(name: &str) -> bool {
    let symbols = std::fs::read_to_string("/proc/kallsyms").unwrap_or_default();
    symbols.lines().any(|line| line.split_whitespace().nth(2) == Some(name))
}

fn attach_by_perf(ebpf: &mut Ebpf) -> Result<(), ProgramError> {
    let program = ebpf.program_mut(BY_PERF).ok_or(ProgramError::NotLoaded)?;
    let program: &mut TracePoint = program.try_into()?;
    program.load()?;
    program.attach("raw_syscalls", ALL_CALLS)?;
    Ok(())
}

fn attach_fexit(
    ebpf: &mut Ebpf,
    program: &str,
    function: &str,
    types: &aya::Btf,
) -> Result<(), ProgramError> {
    let program: &mut FExit = ebpf.program_mut(program).ok_or(ProgramError::NotLoaded)?.try_into()?;
    program.load(function, types)?;
    program.attach()?;
    Ok(())
}

fn attach_kprobe(ebpf: &mut Ebpf, program: &str, function: &str) -> Result<(), ProgramError> {
    let program: &mut KProbe = ebpf.program_mut(program).ok_or(ProgramError::NotLoaded)?.try_into()?;
    match program.load() {
        // Loaded for another name of the function, which this kernel does not have.
        Ok(()) | Err(ProgramError::AlreadyLoaded) => {}
        Err(error) => return Err(error),
    }
    program.attach(function, 0)?;
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
    use super::is_before;

    #[test]
    fn releases_are_ordered_by_number() {
        assert!(is_before("5.10.0-46-cloud-amd64", (5, 13)));
        assert!(!is_before("5.13.0", (5, 13)));
        assert!(!is_before("6.1", (5, 13)));
        assert!(is_before("", (5, 13)));
    }
}
