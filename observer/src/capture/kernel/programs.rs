//! Loads the kernel programs: offsets and settings in, maps and programs out.

use std::os::fd::{AsFd as _, OwnedFd};

use aya::{Ebpf, EbpfLoader, VerifierLogLevel};

use super::mode::{self, Chosen};
use super::types::KernelTypes;
use super::{ModeChoice, Options, StartFacts};
use crate::error::Error;

/// The compiled programs; `build.rs` made them.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/observer-ebpf"));

/// Programs on tracepoints of processes and connections, without which names and ends would be missing.
pub(super) const LIFECYCLE: [(&str, &str); 4] = [
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
    let types = KernelTypes::read()?;
    let mut ebpf = attach_lifecycle(options, &types)?;
    let mut refusals = Vec::new();
    for mode in options.mode.candidates() {
        match mode::attach(mode, &mut ebpf, &types.targets, &facts.kernel) {
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
    let types = KernelTypes::read()?;
    let mut ebpf = attach_lifecycle(options, &types)?;
    Ok(mode::attach(mode, &mut ebpf, &types.targets, release).map(|chosen| Attached { ebpf, chosen }))
}

/// Loads the object. Lifecycle comes first, so that no process is missed between a look at `/proc` and its first
/// event.
fn attach_lifecycle(options: &Options, types: &KernelTypes) -> Result<Ebpf, Error> {
    let mut ebpf = load(options, types)?;
    for (program, tracepoint) in LIFECYCLE {
        mode::attach_tracepoint(&mut ebpf, program, tracepoint, &types.targets).map_err(|error| {
            Error::Kernel { act: format!("attach to tracepoint {tracepoint}"), reason: mode::chain(&error) }
        })?;
    }
    Ok(ebpf)
}

fn load(options: &Options, types: &KernelTypes) -> Result<Ebpf, Error> {
    if !options.ring_bytes.is_power_of_two() || options.ring_bytes < 4096 {
        return Err(Error::Usage("the ring's size must be a power of two and at least 4096".to_owned()));
    }
    let own = std::process::id();
    let secret = secret()?;
    let mut loader = EbpfLoader::new();
    loader
        .btf(&types.targets)
        .map_max_entries("DATA", options.ring_bytes)
        .verifier_log_level(VerifierLogLevel::DEBUG);
    let ring_bytes = u64::from(options.ring_bytes);
    loader.override_global("SELF_PID", &own, true).override_global("SECRET", &secret, true);
    loader.override_global("RING_BYTES", &ring_bytes, true);
    for (name, offset) in &types.offsets {
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

/// A number nobody can guess.
fn secret() -> Result<u64, Error> {
    use std::io::Read as _;
    let mut bytes = [0; 8];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .map_err(|source| Error::Io { act: "read /dev/urandom".to_owned(), source })?;
    Ok(u64::from_ne_bytes(bytes))
}
