//! Whether this kernel may preempt a tracing program.
//!
//! While such a program is under way on a CPU, the kernel skips it there for everybody else. A program that can be
//! preempted thus costs others their records, and it happens just when it matters: a write wakes its reader, which
//! takes over the CPU before the program of the writer is done.

use std::fs;

/// What the kernel tells of itself.
#[derive(Clone, Copy)]
struct Told<'a> {
    /// The model that is in use, in parentheses among those that could be (`sched/preempt` of debugfs).
    models: Option<&'a str>,
    command_line: &'a str,
    /// As `uname -v` prints it.
    version: &'a str,
    release: &'a str,
}

/// From this major version on there is no other model on most architectures.
const ALWAYS_SINCE: u32 = 7;
/// The models under which kernel code is preempted.
const MODELS: [&str; 2] = ["full", "lazy"];

/// Whether it may, as far as the kernel tells. Without debugfs that is not always known.
pub(super) fn is_possible(release: &str) -> bool {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let models = fs::read_to_string("/sys/kernel/debug/sched/preempt").ok();
    Told {
        models: models.as_deref(),
        command_line: &read("/proc/cmdline"),
        version: &read("/proc/sys/kernel/version"),
        release,
    }
    .means_yes()
}

impl Told<'_> {
    fn means_yes(self) -> bool {
        if let Some(models) = self.models {
            return MODELS.iter().any(|model| models.contains(&format!("({model})")));
        }
        let chosen = self.command_line.split_whitespace().find_map(|word| word.strip_prefix("preempt="));
        if let Some(chosen) = chosen {
            return MODELS.contains(&chosen);
        }
        let is_fixed = self.version.split_whitespace().any(|word| word == "PREEMPT" || word == "PREEMPT_RT");
        let major = self.release.split('.').next().and_then(|major| major.parse::<u32>().ok());
        is_fixed || major.is_some_and(|major| major >= ALWAYS_SINCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: Told<'_> = Told {
        models: None,
        command_line: "ro quiet",
        version: "#1 SMP PREEMPT_DYNAMIC Debian",
        release: "6.12.107+deb13-cloud-amd64",
    };

    #[test]
    fn the_model_in_use_decides() {
        assert!(!Told { models: Some("none (voluntary) full lazy\n"), ..OLD }.means_yes());
        assert!(Told { models: Some("none voluntary (full) lazy\n"), ..OLD }.means_yes());
        assert!(Told { models: Some("full (lazy)\n"), ..OLD }.means_yes());
    }

    #[test]
    fn without_it_the_command_line_the_build_and_the_version_do() {
        assert!(!OLD.means_yes());
        assert!(Told { command_line: "ro preempt=full", ..OLD }.means_yes());
        assert!(!Told { command_line: "preempt=none", version: "#1 SMP PREEMPT", ..OLD }.means_yes());
        assert!(Told { version: "#1 SMP PREEMPT Debian", ..OLD }.means_yes());
        assert!(Told { version: "#1 SMP PREEMPT_RT Debian", ..OLD }.means_yes());
        assert!(Told { release: "7.2.13+deb14-cloud-amd64", ..OLD }.means_yes());
        assert!(Told { release: "10.0", ..OLD }.means_yes());
    }
}
