//! What the user meant, as against what was typed (`cli`).

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::Error;
use crate::pipeline::observation::{Observation, Peer, Process, Subject};

/// When to end without being asked to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// After so long.
    pub duration: Option<Duration>,
    /// After so many calls.
    pub calls: Option<u64>,
}

/// Which observations are wanted. Values of one kind are alternatives; each kind that is given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Process ids of the client or the server.
    pub pids: Vec<u32>,
    /// Executables of the client or the server: a path, or a file name alone.
    pub exes: Vec<PathBuf>,
    /// Container ids of the client or the server, or their beginnings, or names.
    pub containers: Vec<String>,
    /// Names or unique ids of pods of the client or the server.
    pub pods: Vec<String>,
    /// Namespaces of the client or the server.
    pub namespaces: Vec<String>,
    /// Names of servers.
    pub servers: Vec<String>,
    /// Names of tools.
    pub tools: Vec<String>,
}

impl Filter {
    /// Whether the observation is wanted. What tells of missing data always is.
    pub fn wants(&self, observation: &Observation) -> bool {
        let tool = match observation {
            Observation::InFlight(_) | Observation::Loss(_) | Observation::BlindSpot(_) => return true,
            Observation::Call(it) => it.subject.as_ref().and_then(Subject::tool),
            Observation::TaskEnded(it) => it.subject.as_ref().and_then(Subject::tool),
            Observation::ToolChanged(it) => Some(&*it.changed.tool),
            _ => None,
        };
        one_of(&self.tools, |wanted| tool == Some(wanted.as_str())) && self.wants_peers(observation.parties())
    }

    fn wants_peers(&self, parties: [Option<&Peer>; 2]) -> bool {
        let either = |test: &dyn Fn(&Process) -> bool| {
            parties.into_iter().flatten().any(|peer| peer.process.as_deref().is_some_and(test))
        };
        let [_, server] = parties;
        one_of(&self.servers, |wanted| server.and_then(Peer::label) == Some(wanted.as_str()))
            && one_of(&self.pids, |wanted| either(&|process| process.id.pid == *wanted))
            && one_of(&self.exes, |wanted| either(&|process| is_exe(wanted, Path::new(&*process.exe))))
            && one_of(&self.containers, |wanted| either(&|process| is_container(wanted, process)))
            && one_of(&self.pods, |wanted| either(&|process| is_pod(wanted, process)))
            && one_of(&self.namespaces, |wanted| either(&|process| process.namespace() == Some(wanted)))
    }
}

/// Whether one of the alternatives holds, or none is given.
fn one_of<T>(alternatives: &[T], holds: impl Fn(&T) -> bool) -> bool {
    alternatives.is_empty() || alternatives.iter().any(holds)
}

fn is_exe(wanted: &Path, exe: &Path) -> bool {
    if wanted.components().count() > 1 { exe == wanted } else { exe.file_name() == Some(wanted.as_os_str()) }
}

fn is_container(wanted: &str, process: &Process) -> bool {
    process.container.as_deref().is_some_and(|id| id.starts_with(wanted))
        || process.container_name() == Some(wanted)
}

fn is_pod(wanted: &str, process: &Process) -> bool {
    [process.pod(), process.pod_uid()].contains(&Some(wanted))
}

/// Reads `250ms`, `10s`, `5m` or `1h`; a number alone is seconds.
///
/// # Errors
/// It is none of these, as [`Error::Usage`].
pub fn duration(text: &str) -> Result<Duration, Error> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let milliseconds = match unit {
        "ms" => 1,
        "s" | "" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => 0,
    };
    let total = number.parse::<u64>().ok().and_then(|number| number.checked_mul(milliseconds));
    match total {
        Some(total) if total > 0 => Ok(Duration::from_millis(total)),
        _ => Err(Error::Usage("write it like 250ms, 10s, 5m or 1h, more than nothing".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_with_their_units() {
        let read = |text| duration(text).ok().map(|duration| duration.as_millis());
        assert_eq!(read("250ms"), Some(250));
        assert_eq!(read("10s"), Some(10_000));
        assert_eq!(read("10"), Some(10_000));
        assert_eq!(read("5m"), Some(300_000));
        assert_eq!(read("1h"), Some(3_600_000));
        for wrong in ["", "s", "0s", "-1s", "1.5s", "1d", "10 s", "99999999999999999999h"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_executable_is_meant_by_its_path_or_its_name() {
        let exe = Path::new("/usr/bin/node");
        assert!(is_exe(Path::new("node"), exe));
        assert!(is_exe(Path::new("/usr/bin/node"), exe));
        assert!(!is_exe(Path::new("/opt/node"), exe));
        assert!(!is_exe(Path::new("nod"), exe));
    }
}
