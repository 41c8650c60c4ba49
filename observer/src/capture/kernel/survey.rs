//! What this host can do, for `doctor`: which mode would run, which features are there, what is missing.
//!
//! With privileges it is tried out: everything is loaded and attached for a moment. Without, it tells what can be
//! read, and which privileges are lacking.

use std::fs;

use serde::Serialize;

use super::ModeChoice;
#[cfg(feature = "kernel")]
use crate::error::Error;

/// Facts for the operator.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Survey {
    /// Release of the running kernel.
    pub kernel: String,
    /// Machine architecture.
    pub architecture: &'static str,
    /// The mode that would run; none if nothing can.
    pub mode: Option<String>,
    /// All modes.
    pub modes: Vec<Finding>,
    /// Features of the kernel that make a difference.
    pub features: Vec<Finding>,
    /// Capabilities of this process that make a difference.
    pub capabilities: Vec<Finding>,
    /// What stands in the way, and what mends it.
    pub problems: Vec<Problem>,
}

/// One thing that is there or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Its name.
    pub name: &'static str,
    /// Whether it can be used.
    pub usable: bool,
    /// Why not, or what it is for.
    pub reason: String,
}

/// Something that the operator can mend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// What is wrong.
    pub what: String,
    /// The command or setting that mends it.
    pub mend: String,
}

/// Capabilities by number, and what each is needed for.
const CAPABILITIES: [(u32, &str, &str); 5] = [
    (39, "CAP_BPF", "load the kernel programs and their maps"),
    (38, "CAP_PERFMON", "attach to tracepoints and read memory in the kernel programs"),
    (19, "CAP_SYS_PTRACE", "look at the programs and libraries of other users' processes"),
    (2, "CAP_DAC_READ_SEARCH", "open the files that other users' processes run"),
    (40, "CAP_CHECKPOINT_RESTORE", "open libraries that are deleted or in other mount namespaces"),
];
/// Implies most of the others.
const CAP_SYS_ADMIN: u32 = 21;
/// Without these nothing can be loaded.
const NEEDED: usize = 2;

const TYPES_AT: &str = "/sys/kernel/btf/vmlinux";

/// Looks at this host. Works without privileges.
pub fn survey() -> Survey {
    let held = effective_capabilities(&fs::read_to_string("/proc/self/status").unwrap_or_default());
    let mut survey = Survey {
        kernel: super::kernel_release(),
        architecture: std::env::consts::ARCH,
        capabilities: capabilities(held),
        ..Survey::default()
    };
    let has_types = fs::exists(TYPES_AT).unwrap_or(false);
    survey.features.push(Finding {
        name: "btf",
        usable: has_types,
        reason: "tells where kernel structs keep their members".to_owned(),
    });
    if !has_types {
        survey.problems.push(Problem {
            what: format!("the kernel has no {TYPES_AT}"),
            mend: "use a kernel built with CONFIG_DEBUG_INFO_BTF=y".to_owned(),
        });
    }
    let missing: Vec<&str> =
        survey.capabilities.iter().take(NEEDED).filter(|one| !one.usable).map(|one| one.name).collect();
    if missing.is_empty() {
        attempt(&mut survey);
    } else {
        lacks(&mut survey, &missing);
    }
    survey
}

fn lacks(survey: &mut Survey, missing: &[&str]) {
    let what = format!("this process lacks {}", missing.join(" and "));
    none_usable(survey, &format!("not tried: {what}"));
    survey.problems.push(Problem {
        what,
        mend: "run as root (`sudo mcp-observer doctor` then tells more), or \
               `setcap cap_bpf,cap_perfmon,cap_sys_ptrace,cap_dac_read_search,cap_checkpoint_restore+ep PROGRAM`"
            .to_owned(),
    });
}

fn none_usable(survey: &mut Survey, reason: &str) {
    let finding = |mode: ModeChoice| Finding { name: mode.name(), usable: false, reason: reason.to_owned() };
    survey.modes.extend(ModeChoice::ALL.map(finding));
}

/// Loads and attaches everything in each mode, and lets go of it again.
#[cfg(feature = "kernel")]
fn attempt(survey: &mut Survey) {
    use aya::sys::{UProbeMultiFeature, is_uprobe_multi_supported};

    use super::{Options, mode, programs};

    /// Small: nothing is read from it.
    const RING_BYTES: u32 = 4096;

    let options = Options { ring_bytes: RING_BYTES, ..Options::default() };
    let mut refusals = Vec::new();
    let mut by_loop = false;
    for mode in ModeChoice::ALL {
        let (usable, reason) = match programs::attach_in(mode, &options, &survey.kernel) {
            Ok(Ok(attached)) => {
                by_loop |= attached.chosen.by_loop;
                (true, how(mode).to_owned())
            }
            Ok(Err(reason)) => (false, reason),
            Err(error) => return lacks_all(survey, error),
        };
        if usable && survey.mode.is_none() {
            survey.mode = Some(mode.name().to_owned());
        }
        if !usable {
            refusals.push((mode, reason.clone()));
        }
        survey.modes.push(Finding { name: mode.name(), usable, reason });
    }
    if survey.mode.is_none() {
        survey.problems.push(problem(mode::unable(&refusals)));
    }
    let multi = is_uprobe_multi_supported(UProbeMultiFeature::LinkCreation).unwrap_or(false);
    for (name, usable, reason) in [
        ("bpf_loop", by_loop, "copies calls of any size; without it (before 5.17) up to 4 MiB"),
        ("uprobe_multi", multi, "probes libraries without CAP_SYS_ADMIN; without it (before 6.6) one by one"),
    ] {
        survey.features.push(Finding { name, usable, reason: reason.to_owned() });
    }
}

/// How a mode notices bytes.
#[cfg(feature = "kernel")]
fn how(mode: ModeChoice) -> &'static str {
    match mode {
        ModeChoice::Fexit => "programs at the return of the kernel functions that move bytes",
        ModeChoice::Kprobe => "probes at the entry and the return of the kernel functions that move bytes",
        ModeChoice::Syscall | ModeChoice::Auto => {
            "one program at the end of all system calls; blind to io_uring"
        }
    }
}

#[cfg(feature = "kernel")]
fn lacks_all(survey: &mut Survey, error: Error) {
    let problem = problem(error);
    survey.modes.clear();
    none_usable(survey, &problem.what);
    survey.problems.push(problem);
}

#[cfg(feature = "kernel")]
fn problem(error: Error) -> Problem {
    match error {
        Error::Unable { what, mend } => Problem { what, mend },
        other => {
            Problem { what: other.to_string(), mend: "see the kernel's own log, or report it".to_owned() }
        }
    }
}

/// This build has no kernel programs to try.
#[cfg(not(feature = "kernel"))]
fn attempt(survey: &mut Survey) {
    let reason = "this build has no kernel programs".to_owned();
    none_usable(survey, &reason);
    survey.problems.push(Problem {
        what: reason,
        mend: "build with feature `kernel` (the default); `cargo xtask setup` installs what that needs"
            .to_owned(),
    });
}

fn capabilities(held: u64) -> Vec<Finding> {
    let has = |number: u32| held >> number & 1 == 1;
    CAPABILITIES
        .iter()
        .map(|&(number, name, reason)| Finding {
            name,
            // What `CAP_SYS_ADMIN` stands for since before these were split off from it.
            usable: has(number) || has(CAP_SYS_ADMIN) && matches!(number, 38..=40),
            reason: reason.to_owned(),
        })
        .collect()
}

/// The set of capabilities in the text of `/proc/PID/status`.
fn effective_capabilities(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    line.and_then(|set| u64::from_str_radix(set.trim(), 16).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_effective_set() {
        assert_eq!(effective_capabilities("Name:\tx\nCapEff:\t0000000000000005\n"), 5);
        assert_eq!(effective_capabilities(""), 0);
    }

    #[test]
    fn nothing_is_usable_without_capabilities() {
        assert!(capabilities(0).iter().all(|one| !one.usable));
        assert!(capabilities(u64::MAX).iter().all(|one| one.usable));
    }

    #[test]
    fn admin_stands_for_what_was_split_off_from_it() {
        let usable: Vec<_> = capabilities(1 << CAP_SYS_ADMIN)
            .into_iter()
            .filter(|one| one.usable)
            .map(|one| one.name)
            .collect();
        assert_eq!(usable, ["CAP_BPF", "CAP_PERFMON", "CAP_CHECKPOINT_RESTORE"]);
    }

    #[test]
    fn what_is_missing_comes_with_what_mends_it() {
        let mut survey = Survey::default();
        lacks(&mut survey, &["CAP_BPF"]);
        assert!(survey.problems[0].what.contains("CAP_BPF"));
        assert!(survey.problems[0].mend.contains("setcap"));
    }
}
