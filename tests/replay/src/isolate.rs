//! Makes a fixture of a recording: what the processes of one case did, without a word of the host that it ran on.

use std::collections::BTreeSet;

use mcp_observer::pipeline::input::ProcessFacts;
use observer_common::record::RecordKind;

use crate::captures::{Capture, OwnedRecord, carries_bytes};

/// What belongs to a case, and what is not to be told of the host.
#[derive(Debug, Default)]
pub struct Selection {
    /// The processes that the case started; all that come of them belong to it too.
    pub processes: BTreeSet<u32>,
    /// Folders of the host, and what stands for each.
    pub folders: Vec<(String, String)>,
    /// Words that no record may hold.
    pub forbidden: Vec<String>,
}

impl Selection {
    /// The case alone.
    ///
    /// # Errors
    /// A record holds a forbidden word, or nothing is left.
    pub fn isolate(mut self, mut capture: Capture) -> Result<Capture, String> {
        self.drop_what_started_them(&mut capture);
        self.find_descendants(&capture);
        capture.records.retain(|record| self.keeps(record));
        capture.records.iter_mut().for_each(|record| self.make_neutral(record));
        drop_idle_time(&mut capture.records);
        let release = capture.head.facts.kernel.split('.').take(2).collect::<Vec<_>>().join(".");
        capture.head.facts.kernel = release;
        if !capture.records.iter().any(carries_bytes) {
            return Err("nothing of the case was recorded".into());
        }
        match self.forbidden.iter().find(|word| holds(&capture, word)) {
            Some(word) => Err(format!("the recording holds {word:?}")),
            None => Ok(capture),
        }
    }

    /// Between its fork and its exec a process is a copy of the one that recorded the case.
    fn drop_what_started_them(&self, capture: &mut Capture) {
        let is_seen = |record: &OwnedRecord| record.header.kind == RecordKind::ProcessSeen as u16;
        for pid in &self.processes {
            let seen = |record: &OwnedRecord| is_seen(record) && record.header.process.pid == *pid;
            let mut earlier = capture.records.iter().filter(|record| seen(record)).count().saturating_sub(1);
            capture.records.retain(|record| {
                let drops = seen(record) && earlier > 0;
                earlier -= usize::from(drops);
                !drops
            });
        }
    }

    /// Parents are recorded before their children.
    fn find_descendants(&mut self, capture: &Capture) {
        for record in &capture.records {
            if facts(record).is_some_and(|facts| self.processes.contains(&facts.parent)) {
                self.processes.insert(record.header.process.pid);
            }
        }
    }

    fn keeps(&self, record: &OwnedRecord) -> bool {
        record.header.kind == RecordKind::Time as u16 || self.processes.contains(&record.header.process.pid)
    }

    fn make_neutral(&self, record: &mut OwnedRecord) {
        let kind = record.header.kind;
        if let Some(mut facts) = facts(record) {
            facts.exe = self.neutral_program(&facts.exe);
            let arguments: Vec<String> = facts.arguments.into();
            facts.arguments = arguments.iter().map(|word| self.neutral(word)).collect::<Vec<_>>().into();
            // Where it ran and for whom is this host's, and not the case's.
            let facts = ProcessFacts {
                parent: facts.parent,
                exe: facts.exe,
                arguments: facts.arguments,
                ..ProcessFacts::default()
            };
            replace(record, serde_json::to_vec(&facts).unwrap_or_default());
        } else if [RecordKind::LibraryFound as u16, RecordKind::BlindSpot as u16].contains(&kind) {
            let text = String::from_utf8_lossy(&record.payload).into_owned();
            replace(record, self.neutral(&text).into_bytes());
        }
    }

    fn neutral(&self, text: &str) -> String {
        self.folders.iter().fold(text.to_owned(), |text, (folder, name)| text.replace(folder, name))
    }

    /// Interpreters stand where a distribution has them.
    fn neutral_program(&self, path: &str) -> String {
        let path = self.neutral(path);
        let name = path.rsplit('/').next().unwrap_or_default();
        if path.starts_with("/usr/") { path } else { format!("/usr/bin/{name}") }
    }
}

/// Time passes once behind each act; what it does while nothing happens is of no interest, but for the end.
fn drop_idle_time(records: &mut Vec<OwnedRecord>) {
    let is_time = |record: &OwnedRecord| record.header.kind == RecordKind::Time as u16;
    let begin = records.iter().position(|record| !is_time(record)).unwrap_or(0);
    records.drain(..begin);
    let mut before_is_time = false;
    let last = records.len().saturating_sub(1);
    let mut at = 0;
    records.retain(|record| {
        let keeps = !is_time(record) || !before_is_time || at == last;
        before_is_time = is_time(record);
        at += 1;
        keeps
    });
}

fn facts(record: &OwnedRecord) -> Option<ProcessFacts> {
    let is_seen = record.header.kind == RecordKind::ProcessSeen as u16;
    is_seen.then(|| serde_json::from_slice(&record.payload).ok()).flatten()
}

fn replace(record: &mut OwnedRecord, payload: Vec<u8>) {
    record.header.payload_len = payload.len() as u32;
    record.payload = payload;
}

fn holds(capture: &Capture, word: &str) -> bool {
    let mut found = capture.records.iter().map(|record| &record.payload);
    found.any(|payload| payload.windows(word.len()).any(|part| part == word.as_bytes()))
}
