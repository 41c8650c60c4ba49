//! Which mode can run here, found out by trying.

use aya::Ebpf;
use aya::programs::{BtfTracePoint, FExit, KProbe, ProgramError, TracePoint};

use super::ModeChoice;
use super::hooks::{Hook, MAPPING, MOVING};
use crate::error::Error;

/// What notices bytes, loaded and attached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chosen {
    /// The mode.
    pub mode: ModeChoice,
    /// Its programs.
    pub programs: Vec<String>,
    /// Whether large calls are copied by `bpf_loop` (5.17); before that, by a loop that the verifier walks through.
    pub by_loop: bool,
}

/// All modes, best first.
pub(super) const ALL: [ModeChoice; 3] = [ModeChoice::Fexit, ModeChoice::Kprobe, ModeChoice::Syscall];

/// The `sys_exit` program that the kernel does not preempt.
pub(super) const BY_PERF: &str = "sys_exit_perf";

/// The first major version whose kernels may preempt a tracing program at the end of a system call, and skip the
/// calls that find it so.
const PREEMPTIBLE_SINCE: u32 = 7;

impl ModeChoice {
    /// The modes to try, in order.
    pub(super) fn candidates(self) -> Vec<Self> {
        if self == Self::Auto { ALL.to_vec() } else { vec![self] }
    }
}

/// Attaches the programs of one mode. On an error some of them may be attached; they go with `ebpf`.
pub(super) fn attach(
    mode: ModeChoice,
    ebpf: &mut Ebpf,
    types: &aya::Btf,
    release: &str,
) -> Result<Chosen, String> {
    match mode {
        ModeChoice::Fexit => by_fexit(ebpf, types, release),
        ModeChoice::Kprobe => by_kprobe(ebpf),
        ModeChoice::Syscall | ModeChoice::Auto => by_syscall(ebpf, types, release),
    }
}

/// The two ways to copy large calls: with `bpf_loop`, and without, as the endings of programs' names say.
const WAYS: [(bool, &str); 2] = [(true, ""), (false, "_flat")];

fn by_fexit(ebpf: &mut Ebpf, types: &aya::Btf, release: &str) -> Result<Chosen, String> {
    if is_before(release, TRAMPOLINES_MENDED) && !has_symbol("__bpf_tramp_image_put_rcu") {
        return Err("this kernel can crash when such a program is detached while it runs".to_owned());
    }
    let mut attached = Attached::default();
    for hook in &MOVING {
        attached.one(hook, &mut |ending, function| {
            let name = format!("fexit_{}{ending}", hook.program);
            attach_fexit(ebpf, &name, function, types).map(|()| vec![name])
        })?;
    }
    attached.one(&MAPPING, &mut |_, function| {
        let name = format!("fexit_{}", MAPPING.program);
        attach_fexit(ebpf, &name, function, types).map(|()| vec![name])
    })?;
    Ok(attached.chosen(ModeChoice::Fexit))
}

/// Detaching frees the code of a trampoline that a task may still be in, where this is not mended (5.13, and in
/// the distributions' older kernels).
const TRAMPOLINES_MENDED: (u32, u32) = (5, 13);

fn by_kprobe(ebpf: &mut Ebpf) -> Result<Chosen, String> {
    let mut attached = Attached::default();
    for hook in &MOVING {
        attached.one(hook, &mut |ending, function| {
            // The return first: an entry that it knows nothing of would stay behind.
            let names = [format!("kretprobe_{}{ending}", hook.program), format!("kprobe_{}", hook.program)];
            for name in &names {
                attach_kprobe(ebpf, name, function)?;
            }
            Ok(names.to_vec())
        })?;
    }
    attached.one(&MAPPING, &mut |_, function| {
        let name = format!("kprobe_{}", MAPPING.program);
        attach_kprobe(ebpf, &name, function).map(|()| vec![name])
    })?;
    Ok(attached.chosen(ModeChoice::Kprobe))
}

fn by_syscall(ebpf: &mut Ebpf, types: &aya::Btf, release: &str) -> Result<Chosen, String> {
    let mode = ModeChoice::Syscall;
    let mut reasons = Vec::new();
    if is_preemptible(release) {
        match attach_by_perf(ebpf) {
            Ok(()) => return Ok(Chosen { mode, programs: vec![BY_PERF.to_owned()], by_loop: true }),
            // Needs a tracefs; without it, what is skipped is counted.
            Err(error) => reasons.push(format!("{BY_PERF}: {}", chain(&error))),
        }
    }
    for (by_loop, program) in [(true, "sys_exit_loop"), (false, "sys_exit_flat")] {
        match attach_tracepoint(ebpf, program, "sys_exit", types) {
            Ok(()) => return Ok(Chosen { mode, programs: vec![program.to_owned()], by_loop }),
            Err(error) => reasons.push(format!("{program}: {}", chain(&error))),
        }
    }
    Err(reasons.join("; "))
}

/// The programs of a mode that are attached so far.
#[derive(Default)]
struct Attached {
    programs: Vec<String>,
    /// The way that the first program showed to be possible.
    way: Option<(bool, &'static str)>,
}

impl Attached {
    /// Attaches to one function: by `attach`, which takes the ending of the program's name and the function's.
    fn one(
        &mut self,
        hook: &Hook,
        attach: &mut dyn FnMut(&str, &str) -> Result<Vec<String>, ProgramError>,
    ) -> Result<(), String> {
        let mut reasons = Vec::new();
        for way in self.way.map_or_else(|| WAYS.to_vec(), |way| vec![way]) {
            for function in hook.functions {
                match attach(way.1, function) {
                    Ok(names) => {
                        self.way = Some(way);
                        self.programs.extend(names);
                        return Ok(());
                    }
                    Err(error) => reasons.push(format!("{function}: {}", chain(&error))),
                }
            }
        }
        if hook.need.applies() { Err(reasons.join("; ")) } else { Ok(()) }
    }

    fn chosen(self, mode: ModeChoice) -> Chosen {
        Chosen { mode, programs: self.programs, by_loop: self.way.is_some_and(|(by_loop, _)| by_loop) }
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

/// Whether a kernel of this release may preempt tracing programs.
fn is_preemptible(release: &str) -> bool {
    !is_before(release, (PREEMPTIBLE_SINCE, 0))
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
    program.attach("raw_syscalls", "sys_exit")?;
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
    use super::{is_before, is_preemptible};

    #[test]
    fn kernels_from_7_on_preempt() {
        assert!(is_preemptible("7.2.13+deb14-cloud-amd64"));
        assert!(is_preemptible("10.0"));
        assert!(!is_preemptible("6.18.44"));
    }

    #[test]
    fn releases_are_ordered_by_number() {
        assert!(is_before("5.10.0-46-cloud-amd64", (5, 13)));
        assert!(!is_before("5.13.0", (5, 13)));
        assert!(!is_before("6.1", (5, 13)));
        assert!(is_before("", (5, 13)));
    }
}
