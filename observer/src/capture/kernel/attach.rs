//! Probes in libraries, as the source sees them: what is to be looked at goes in, what was found comes out.
//!
//! The work is done in a thread of its own (`worker`).

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, TrySendError, channel, sync_channel};
use std::thread;

use observer_common::process::ProcessKey;
use observer_common::record::RecordKind;

use super::control::{Made, made};
use super::programs::Attached;
use super::worker::Worker;
use crate::capture::host::libraries::Look;
use crate::error::Error;

/// The thread that attaches, as the source sees it.
pub(super) struct Libraries {
    looks: SyncSender<Job>,
    found: Receiver<Report>,
    /// Looks that found no room; a look at everything replaces them.
    is_behind: bool,
    /// Probes that are attached now.
    probes: Arc<AtomicUsize>,
    /// The programs behind them, by name.
    programs: Vec<(&'static str, OwnedFd)>,
}

/// What is attached after the first look around.
#[derive(Default)]
pub(super) struct Settled {
    pub libraries: usize,
    pub probes: usize,
    pub feature: Option<&'static str>,
}

/// What the thread is asked to do.
pub(super) enum Job {
    Look(Look),
    LookEverywhere,
    /// TLS records of this process went by unread.
    Suspect(u32),
    /// Answer when all that came before is done.
    Settle(Sender<Settled>),
}

/// What it tells.
pub(super) struct Report {
    pub kind: RecordKind,
    pub process: ProcessKey,
    pub payload: Vec<u8>,
}

/// Looks that wait. A burst of new processes beyond it costs one look at all of `/proc`.
const LOOKS_MAX: usize = 4096;

impl Libraries {
    /// Starts the thread. The programs live and die with it.
    pub fn start(attached: Attached, probes: bool) -> Result<Self, Error> {
        let (looks, jobs) = sync_channel(LOOKS_MAX);
        let (reports, found) = channel();
        let mut worker = Worker::new(attached.ebpf, attached.chosen.by_loop, probes, reports)?;
        let (probes, programs) = (worker.probes.clone(), worker.descriptors());
        let spawned = thread::Builder::new().name("libraries".to_owned()).spawn(move || worker.run(&jobs));
        spawned.map_err(|source| Error::Io { act: "start a thread".to_owned(), source })?;
        Ok(Self { looks, found, is_behind: false, probes, programs })
    }

    /// Probes that are attached now.
    pub fn probes(&self) -> usize {
        self.probes.load(Ordering::Relaxed)
    }

    /// The programs behind the probes. They are handed over once.
    pub fn take_programs(&mut self) -> Vec<(&'static str, OwnedFd)> {
        std::mem::take(&mut self.programs)
    }

    /// A process moves TLS records that nobody reads.
    pub fn suspect(&self, pid: u32) {
        // With the queue full there is a look at everything to come, and the process is named after its next TLS.
        let _ = self.looks.try_send(Job::Suspect(pid));
    }

    /// Hands over what is to be looked at.
    pub fn look(&mut self, looks: &mut Vec<Look>) {
        for look in looks.drain(..) {
            if !self.is_behind && matches!(self.looks.try_send(Job::Look(look)), Err(TrySendError::Full(_))) {
                self.is_behind = true;
            }
        }
        if self.is_behind && self.looks.try_send(Job::LookEverywhere).is_ok() {
            self.is_behind = false;
        }
    }

    /// Waits until everything handed over has been looked at.
    pub fn settle(&mut self) -> Settled {
        let (answer, settled) = channel();
        if self.looks.send(Job::Settle(answer)).is_err() {
            return Settled::default();
        }
        settled.recv().unwrap_or_default()
    }

    /// Records of what was found since the last time.
    pub fn found(&mut self, now_ns: u64) -> impl Iterator<Item = Made> {
        self.found.try_iter().map(move |report| made(report.kind, now_ns, report.process, report.payload))
    }
}
