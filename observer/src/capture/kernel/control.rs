//! Records of the control ring, completed from `/proc`: what happens to processes.
//!
//! Starts are told at once. Ends are held back until the bytes that the process moved before are out of the data
//! ring. A fork without exec takes its facts from its parent.

use std::collections::{BTreeSet, VecDeque};
use std::rc::Rc;

use observer_common::control::{ARGUMENTS_MAX, BlindSpotKind, ControlKind, FILENAME_MAX};
use observer_common::process::ProcessKey;
use observer_common::record::{LAYOUT, RecordHeader, RecordKind};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::capture::host::homes::{Homes, inherit};
use crate::capture::host::identity::{Sought, Told};
use crate::capture::host::libraries::Look;
use crate::capture::host::processes;
use crate::pipeline::input::{BlindSpotFacts, ProcessFacts};

/// A record that the agent made itself.
pub(super) struct Made {
    pub header: RecordHeader,
    pub payload: Vec<u8>,
}

/// Processes that run, and what is to be told of them.
#[derive(Default)]
pub(super) struct Processes {
    /// Facts of each, for the forks that it may make.
    known: FxHashMap<u32, (ProcessKey, Rc<ProcessFacts>)>,
    /// Finds out where they run.
    homes: Homes,
    /// Ready to be told.
    pub ready: VecDeque<Made>,
    /// Ends that wait for the data before them.
    pub ends: VecDeque<Made>,
    /// What the finder of libraries is to look at.
    pub looks: Vec<Look>,
    /// Containers and pods of which more is to be found out.
    pub sought: Vec<Sought>,
    /// Those that were asked for already.
    asked: FxHashSet<String>,
    /// Blind spots that were told, each once for a process.
    blind: BTreeSet<(ProcessKey, BlindSpotKind)>,
}

/// Processes whose facts are kept. More than any host runs; a fork of one that was dropped is looked up.
const KNOWN_MAX: usize = 65_536;
/// Told blind spots that are remembered, so that each is told once.
const BLIND_MAX: usize = 65_536;
/// Containers and pods that are remembered as asked for; past it all are asked for again.
const ASKED_MAX: usize = 8192;

impl Processes {
    /// None yet, and how to find out where they run.
    pub fn new(homes: Homes) -> Self {
        Self { homes, ..Self::default() }
    }

    /// Takes what was found out of a container or pod.
    pub fn tell(&mut self, told: Told, at_ns: u64) {
        let (kind, payload) = match told {
            Told::Container(facts) => (RecordKind::ContainerSeen, serde_json::to_vec(&facts)),
            Told::Pod(facts) => (RecordKind::PodSeen, serde_json::to_vec(&facts)),
            Told::Refused(facts) => (RecordKind::BlindSpot, serde_json::to_vec(&facts)),
        };
        self.ready.push_back(made(kind, at_ns, ProcessKey::default(), payload.unwrap_or_default()));
    }

    /// Takes one record of the control ring.
    pub fn take(&mut self, header: RecordHeader, payload: &[u8]) {
        match ControlKind::from_number(header.kind) {
            Some(ControlKind::Exec) => self.exec(&header, payload),
            Some(ControlKind::Fork) => self.fork(&header, payload),
            Some(ControlKind::Exit) => self.exit(&header, payload),
            Some(ControlKind::Mapped) => {
                if let (Some(address), Some(file)) = (u64_at(payload, 0), u64_at(payload, 8)) {
                    self.looks.push(Look::Mapping { pid: header.process.pid, address, file });
                }
            }
            Some(ControlKind::BlindSpot) => self.blind_spot(&header, payload),
            None => {}
        }
    }

    /// Takes a process that was already there.
    pub fn found(&mut self, pid: u32, at_ns: u64) {
        let Some((key, parent)) = processes::key(pid) else { return };
        let facts = Rc::new(processes::facts(pid, parent, &mut self.homes));
        self.seen(at_ns, key, facts);
        self.looks.push(Look::Process { pid });
    }

    fn exec(&mut self, header: &RecordHeader, payload: &[u8]) {
        let pid = header.process.pid;
        let (Some(parent), Some(filename_len)) = (u32_at(payload, 0), u32_at(payload, 4)) else { return };
        let (Some(arguments_len), Some(total)) = (u32_at(payload, 8), u32_at(payload, 12)) else { return };
        let text = |from: usize, len: u32, max: usize| payload.get(from..from + (len as usize).min(max));
        let filename = text(16, filename_len, FILENAME_MAX).unwrap_or_default();
        let recorded = text(16 + FILENAME_MAX, arguments_len, ARGUMENTS_MAX).unwrap_or_default();
        let whole = if total > arguments_len { processes::arguments(pid) } else { Vec::new() };
        let arguments = if whole.is_empty() { processes::split_arguments(recorded) } else { whole };
        // A process that is already gone is known by the path that it was started with.
        let exe = processes::exe(pid).unwrap_or_else(|| String::from_utf8_lossy(filename).into_owned());
        let mut facts = ProcessFacts { parent, exe, arguments: arguments.into(), ..ProcessFacts::default() };
        facts.gone = !self.homes.complete(pid, &mut facts);
        if facts.gone
            && let Some((_, parent)) = self.known.get(&parent)
        {
            inherit(&mut facts, parent);
        }
        self.seen(header.at_ns, header.process, Rc::new(facts));
        self.looks.push(Look::Program { pid });
    }

    fn fork(&mut self, header: &RecordHeader, payload: &[u8]) {
        let Some(parent) = u32_at(payload, 0) else { return };
        let facts = match self.known.get(&parent) {
            Some((_, facts)) => ProcessFacts { parent, ..ProcessFacts::clone(facts) },
            None => processes::facts(header.process.pid, parent, &mut self.homes),
        };
        self.seen(header.at_ns, header.process, Rc::new(facts));
    }

    fn exit(&mut self, header: &RecordHeader, payload: &[u8]) {
        let Some(status) = payload.get(..4) else { return };
        self.known.remove(&header.process.pid);
        let mut end = *header;
        end.kind = RecordKind::ProcessExited as u16;
        end.payload_len = 4;
        self.ends.push_back(Made { header: end, payload: status.to_vec() });
    }

    fn seen(&mut self, at_ns: u64, key: ProcessKey, facts: Rc<ProcessFacts>) {
        self.seek(key.pid, &facts);
        let payload = serde_json::to_vec(&*facts).unwrap_or_default();
        self.ready.push_back(made(RecordKind::ProcessSeen, at_ns, key, payload));
        if self.known.len() >= KNOWN_MAX {
            self.known.clear();
        }
        self.known.insert(key.pid, (key, facts));
    }

    /// More is to be found out of the container or pod of this process, once.
    fn seek(&mut self, pid: u32, facts: &ProcessFacts) {
        let Some(id) = facts.container.as_ref().or(facts.pod.as_ref()) else { return };
        if self.asked.contains(id) {
            return;
        }
        if self.asked.len() >= ASKED_MAX {
            self.asked.clear();
        }
        self.asked.insert(id.clone());
        self.sought.push(Sought { container: facts.container.clone(), pod: facts.pod.clone(), pid });
    }

    fn blind_spot(&mut self, header: &RecordHeader, payload: &[u8]) {
        let Some(kind) = u32_at(payload, 0).and_then(BlindSpotKind::from_number) else { return };
        let key = ProcessKey { tid: 0, ..header.process };
        if self.blind.len() >= BLIND_MAX {
            self.blind.clear();
        }
        if !self.blind.insert((key, kind)) {
            return;
        }
        let (kind, reason) = match kind {
            BlindSpotKind::IoUring => (
                "io_uring",
                "The process uses io_uring, which makes no system calls to look at in mode syscall.",
            ),
            BlindSpotKind::CompatCalls => {
                ("compat_calls", "The process makes 32-bit system calls, which mode syscall does not read.")
            }
        };
        let exe = self.known.get(&key.pid).map_or_else(String::new, |(_, facts)| facts.exe.clone());
        let facts = BlindSpotFacts { kind: kind.to_owned(), exe, reason: reason.to_owned() };
        let payload = serde_json::to_vec(&facts).unwrap_or_default();
        self.ready.push_back(made(RecordKind::BlindSpot, header.at_ns, key, payload));
    }
}

/// A record of the agent's own.
pub(super) fn made(kind: RecordKind, at_ns: u64, process: ProcessKey, payload: Vec<u8>) -> Made {
    let header = RecordHeader {
        layout: LAYOUT,
        kind: kind as u16,
        payload_len: u32::try_from(payload.len()).unwrap_or(0),
        moved_len: 0,
        cpu: 0,
        at_ns,
        position: 0,
        process: ProcessKey { tid: 0, ..process },
        stream: 0,
    };
    Made { header, payload }
}

fn u32_at(payload: &[u8], at: usize) -> Option<u32> {
    payload.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes)
}

fn u64_at(payload: &[u8], at: usize) -> Option<u64> {
    payload.get(at..at + 8)?.try_into().ok().map(u64::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(kind: ControlKind, pid: u32, payload: &[u8]) -> RecordHeader {
        let mut header =
            made(RecordKind::Time, 5, ProcessKey { pid, tid: 0, started_ns: 1 }, payload.to_vec()).header;
        header.kind = kind as u16;
        header
    }

    fn exec_payload(filename: &[u8], arguments: &[u8]) -> Vec<u8> {
        let mut payload = Vec::new();
        for word in [1, filename.len(), arguments.len(), arguments.len()] {
            payload.extend((word as u32).to_ne_bytes());
        }
        payload.extend(filename);
        payload.resize(16 + FILENAME_MAX, 0);
        payload.extend(arguments);
        payload.resize(16 + FILENAME_MAX + ARGUMENTS_MAX, 0);
        payload
    }

    fn facts(made: &Made) -> ProcessFacts {
        serde_json::from_slice(&made.payload).unwrap()
    }

    /// Larger than any process number, so that `/proc` knows nothing of it.
    const GONE: u32 = u32::MAX - 1;

    #[test]
    fn a_program_that_is_gone_already_has_a_name_and_arguments() {
        let mut processes = Processes::default();
        let payload = exec_payload(b"/bin/server", b"server\0--stdio\0");
        processes.take(header(ControlKind::Exec, GONE, &payload), &payload);
        let facts = facts(&processes.ready[0]);
        assert_eq!((facts.parent, facts.exe.as_str()), (1, "/bin/server"));
        assert!(facts.gone, "and says that it could not be looked at");
        assert_eq!(Vec::from(facts.arguments), ["server", "--stdio"]);
    }

    #[test]
    fn a_fork_has_the_facts_of_its_parent() {
        let mut processes = Processes::default();
        let payload = exec_payload(b"/bin/server", b"server\0");
        processes.take(header(ControlKind::Exec, GONE, &payload), &payload);
        let parent = [GONE.to_ne_bytes(), [0; 4]].concat();
        processes.take(header(ControlKind::Fork, GONE - 1, &parent), &parent);
        let facts = facts(&processes.ready[1]);
        assert_eq!((facts.parent, facts.exe.as_str()), (GONE, "/bin/server"));
    }

    #[test]
    fn where_a_program_ran_that_is_gone_already_is_its_parents_to_say() {
        let mut processes = Processes::default();
        processes.found(std::process::id(), 1);
        let mut payload = exec_payload(b"/bin/client", b"client\0");
        payload[..4].copy_from_slice(&std::process::id().to_ne_bytes());
        processes.take(header(ControlKind::Exec, GONE, &payload), &payload);
        let [own, gone] = [0, 1].map(|at| facts(&processes.ready[at]));
        assert!(own.uid.is_some() && !own.gone);
        assert_eq!((gone.uid, gone.unit, gone.gone), (own.uid, own.unit, true));
    }

    #[test]
    fn an_end_is_held_back() {
        let mut processes = Processes::default();
        let status = [256i32.to_ne_bytes(), [0; 4]].concat();
        processes.take(header(ControlKind::Exit, 7, &status), &status);
        assert!(processes.ready.is_empty());
        assert_eq!(processes.ends[0].header.kind, RecordKind::ProcessExited as u16);
        assert_eq!(processes.ends[0].payload, 256i32.to_ne_bytes());
    }

    #[test]
    fn a_blind_spot_is_told_once_for_a_process() {
        let mut processes = Processes::default();
        let payload = [(BlindSpotKind::IoUring as u32).to_ne_bytes(), [0; 4]].concat();
        for pid in [7, 7, 8] {
            processes.take(header(ControlKind::BlindSpot, pid, &payload), &payload);
        }
        assert_eq!(processes.ready.len(), 2);
    }

    #[test]
    fn a_cut_record_is_passed_by() {
        let mut processes = Processes::default();
        for kind in [ControlKind::Exec, ControlKind::Fork, ControlKind::Exit, ControlKind::Mapped] {
            processes.take(header(kind, 7, &[]), &[]);
        }
        assert!(processes.ready.is_empty() && processes.ends.is_empty() && processes.looks.is_empty());
    }
}
