//! Loads the kernel programs: offsets and settings in, maps and programs out.

use std::os::fd::{AsFd as _, OwnedFd};

use aya::{Ebpf, EbpfLoader, VerifierLogLevel};
use observer_common::settings::{ABSENT, ITERATOR_KINDS, KIND_WITH_DIRECTION, OFFSETS, OPTIONAL};

use super::btf::Btf;
use super::mode::{self, Chosen};
use super::{ModeChoice, Options, StartFacts};
use crate::error::Error;

/// The compiled programs; `build.rs` made them.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/observer-ebpf"));

const TYPES_AT: &str = "/sys/kernel/btf/vmlinux";

/// Programs on tracepoints of processes and connections, without which names and ends would be missing.
const LIFECYCLE: [(&str, &str); 4] = [
    ("process_exec", "sched_process_exec"),
    ("process_fork", "sched_process_fork"),
    ("process_exit", "sched_process_exit"),
    ("socket_state", "inet_sock_set_state"),
];

/// Programs that are loaded and attached.
pub(super) struct Attached {
    /// All programs and maps.
    pub ebpf: Ebpf,
    /// What notices bytes.
    pub chosen: Chosen,
}

impl Attached {
    fn tell(&self, facts: &mut StartFacts) {
        facts.mode = self.chosen.mode.name().to_owned();
        facts.attached_probes += LIFECYCLE.len() + self.chosen.programs.len();
        if self.chosen.by_loop {
            facts.features.push("bpf_loop");
        }
        if self.chosen.programs.iter().any(|program| program == mode::BY_PERF) {
            facts.features.push("perf_tracepoint");
        }
    }

    /// All programs that are loaded, by name.
    pub fn descriptors(&self) -> Vec<(String, OwnedFd)> {
        let loaded = self.ebpf.programs().filter_map(|(name, program)| {
            Some((name.to_owned(), program.fd().ok()?.as_fd().try_clone_to_owned().ok()?))
        });
        loaded.collect()
    }
}

/// Loads everything and attaches what needs no library, in the first mode that this kernel lets us use.
pub(super) fn attach(options: &Options, facts: &mut StartFacts) -> Result<Attached, Error> {
    let (mut ebpf, types) = attach_lifecycle(options)?;
    let mut refusals = Vec::new();
    for mode in options.mode.candidates() {
        match mode::attach(mode, &mut ebpf, &types, &facts.kernel) {
            Ok(chosen) => {
                let attached = Attached { ebpf, chosen };
                attached.tell(facts);
                return Ok(attached);
            }
            Err(reason) => {
                mode::let_go(&mut ebpf);
                refusals.push((mode, reason));
            }
        }
    }
    Err(mode::unable(&refusals))
}

/// The same in one mode, to see whether it can be done. The inner error says why the kernel refuses this mode.
pub(super) fn attach_in(
    mode: ModeChoice,
    options: &Options,
    release: &str,
) -> Result<Result<Attached, String>, Error> {
    let (mut ebpf, types) = attach_lifecycle(options)?;
    Ok(mode::attach(mode, &mut ebpf, &types, release).map(|chosen| Attached { ebpf, chosen }))
}

/// Loads the object. Lifecycle comes first, so that no process is missed between a look at `/proc` and its first
/// event.
fn attach_lifecycle(options: &Options) -> Result<(Ebpf, aya::Btf), Error> {
    let types = kernel_types()?;
    let mut ebpf = load(options, &types)?;
    for (program, tracepoint) in LIFECYCLE {
        mode::attach_tracepoint(&mut ebpf, program, tracepoint, &types).map_err(|error| Error::Kernel {
            act: format!("attach to tracepoint {tracepoint}"),
            reason: mode::chain(&error),
        })?;
    }
    Ok((ebpf, types))
}

/// The kernel's types. They are many small pieces, gone once the programs are loaded: a thread of its own reads them,
/// so that they do not lie among what stays and their memory can be given back.
fn kernel_types() -> Result<aya::Btf, Error> {
    let types = std::thread::spawn(aya::Btf::from_sys_fs).join();
    let types = types.map_err(|_| unable_types("it could not be read"))?;
    types.map_err(|error| unable_types(&error.to_string()))
}

fn load(options: &Options, types: &aya::Btf) -> Result<Ebpf, Error> {
    if !options.ring_bytes.is_power_of_two() || options.ring_bytes < 4096 {
        return Err(Error::Usage("the ring's size must be a power of two and at least 4096".to_owned()));
    }
    let bytes = std::fs::read(TYPES_AT).map_err(|error| unable_types(&error.to_string()))?;
    let offsets = offsets(&bytes)?;
    let own = std::process::id();
    let secret = secret()?;
    let mut loader = EbpfLoader::new();
    loader.btf(types).map_max_entries("DATA", options.ring_bytes).verifier_log_level(VerifierLogLevel::DEBUG);
    let ring_bytes = u64::from(options.ring_bytes);
    loader.override_global("SELF_PID", &own, true).override_global("SECRET", &secret, true);
    loader.override_global("RING_BYTES", &ring_bytes, true);
    for (name, offset) in &offsets {
        loader.override_global(name, offset, true);
    }
    loader.load(OBJECT).map_err(|error| {
        let reason = mode::chain(&error);
        if reason.contains("Operation not permitted") || reason.contains("os error 1") {
            return Error::Unable {
                what: "the kernel does not let this process use BPF".to_owned(),
                mend: "Run as root, or give the program what it needs: \
                       `setcap cap_bpf,cap_perfmon,cap_sys_ptrace,cap_dac_read_search+ep PROGRAM`."
                    .to_owned(),
            };
        }
        Error::Kernel { act: "load the kernel programs".to_owned(), reason }
    })
}

/// All numbers about this kernel that the programs need, by the names of their globals.
pub(super) fn offsets(types: &[u8]) -> Result<Vec<(&'static str, u32)>, Error> {
    let btf = Btf::parse(types).map_err(|bad| unable_types(bad.0))?;
    OFFSETS
        .iter()
        .map(|&(name, of, path)| match btf.any_offset(of, path) {
            Some(offset) => Ok((name, offset)),
            None if OPTIONAL.contains(&name) => Ok((name, ABSENT)),
            None => Err(unable_types(&format!("it does not tell of {path} in struct {of}"))),
        })
        .chain(
            ITERATOR_KINDS
                .iter()
                .map(|&(name, kind)| Ok((name, btf.constant("iter_type", kind).unwrap_or(ABSENT)))),
        )
        .chain([Ok(("KIND_MASK", kind_mask(&btf)))])
        .collect()
}

/// The bits of an iterator's kind that tell the kind.
fn kind_mask(btf: &Btf<'_>) -> u32 {
    let (of, member) = KIND_WITH_DIRECTION;
    if btf.offset(of, member).is_some() { 0xfe } else { 0xff }
}

fn unable_types(reason: &str) -> Error {
    Error::Unable {
        what: format!("{TYPES_AT} (the kernel's type information, BTF) cannot be used: {reason}"),
        mend: "Use a kernel built with CONFIG_DEBUG_INFO_BTF=y; those of all current distributions are."
            .to_owned(),
    }
}

/// A number nobody can guess.
fn secret() -> Result<u64, Error> {
    use std::io::Read as _;
    let mut bytes = [0; 8];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .map_err(|source| Error::Io { act: "read /dev/urandom".to_owned(), source })?;
    Ok(u64::from_ne_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_kernel_tells_all_offsets() {
        let types = std::fs::read(TYPES_AT).expect("the tests run on a kernel with BTF");
        let offsets = offsets(&types).expect("all offsets");
        assert_eq!(offsets.len(), OFFSETS.len() + ITERATOR_KINDS.len() + 1);
    }
}
