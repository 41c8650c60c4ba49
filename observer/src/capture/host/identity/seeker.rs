//! The thread that looks: files first, then the runtime, and again later for what was not there yet.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

use super::local::{self, Found};
use super::{Job, Sought, Told};
use crate::capture::host::root::HostRoot;

/// What it looks with, and what it has not found yet.
pub struct Seeker {
    root: HostRoot,
    #[cfg(feature = "kubernetes")]
    runtimes: super::cri::Runtimes,
    waiting: VecDeque<Waiting>,
    told: SyncSender<Told>,
}

struct Waiting {
    sought: Sought,
    found: Found,
    looks: usize,
    at: Instant,
}

/// How long after each look there is another one, where something was missing. The first is at files only, so that
/// what they tell is known at once; the runtime is asked when nobody waits. The kubelet makes its links to logs after
/// the start of a container, and the container may be the first that is seen of a pod.
const AGAIN: [Duration; 4] =
    [Duration::ZERO, Duration::from_millis(500), Duration::from_secs(4), Duration::from_secs(30)];
/// Containers with something missing that are looked for again; at the limit the oldest is given up.
const WAITING_MAX: usize = 1024;
/// Nothing waits: the thread sleeps for so long.
const IDLE: Duration = Duration::from_secs(3600);

impl Seeker {
    pub fn new(root: HostRoot, told: SyncSender<Told>) -> Self {
        Self {
            #[cfg(feature = "kubernetes")]
            runtimes: super::cri::Runtimes::new(root.clone()),
            root,
            waiting: VecDeque::new(),
            told,
        }
    }

    /// Until nobody asks any more.
    pub fn run(mut self, jobs: &Receiver<Job>) {
        loop {
            let now = Instant::now();
            let wait = self.waiting.iter().map(|it| it.at.saturating_duration_since(now)).min();
            match jobs.recv_timeout(wait.unwrap_or(IDLE)) {
                Ok(Job::Seek(sought)) => {
                    self.look(Waiting { sought, found: Found::default(), looks: 0, at: now });
                }
                Ok(Job::Settle(answer)) => drop(answer.send(())),
                // Only then: who asks for the first time comes first.
                Err(RecvTimeoutError::Timeout) => {
                    let due = self.waiting.iter().position(|it| it.at <= Instant::now());
                    if let Some(waiting) = due.and_then(|at| self.waiting.remove(at)) {
                        self.look(waiting);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn look(&mut self, mut waiting: Waiting) {
        #[cfg_attr(not(feature = "kubernetes"), expect(unused_mut, reason = "only files are asked"))]
        let mut found = local::look(&self.root, &waiting.sought);
        #[cfg(feature = "kubernetes")]
        if waiting.looks > 0 && !found.is_whole() {
            self.runtimes.ask(&mut found);
        }
        let is_whole = found.is_whole();
        if found != waiting.found {
            self.tell(&found);
            waiting.found = found;
        }
        let Some(again) = AGAIN.get(waiting.looks).filter(|_| !is_whole) else { return };
        waiting.looks += 1;
        waiting.at = Instant::now() + *again;
        if self.waiting.len() >= WAITING_MAX {
            self.waiting.pop_front();
        }
        self.waiting.push_back(waiting);
    }

    /// An error means that the source is gone, and so will be this thread.
    fn tell(&self, found: &Found) {
        let Found { container, pod } = found;
        if !pod.uid.is_empty() && (pod.name.is_some() || pod.namespace.is_some()) {
            let _ = self.told.send(Told::Pod(pod.clone()));
        }
        if !container.id.is_empty()
            && (container.name.is_some() || container.image.is_some() || container.pod.is_some())
        {
            let _ = self.told.send(Told::Container(container.clone()));
        }
    }
}
