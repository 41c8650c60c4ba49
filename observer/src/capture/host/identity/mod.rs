//! Names of containers and pods, found in a thread of its own: nothing that is asked here may keep capture waiting.
//!
//! In: ids from the control groups of processes. Out: what is known of them, each as soon as it is known: from files
//! that runtimes and the kubelet keep ([`local`]), from the runtime's own interface ([`cri`]), and, where the agent has
//! credentials for it, from the cluster's API server ([`cluster`]).

#[cfg(feature = "kubernetes")]
pub mod cluster;
#[cfg(feature = "kubernetes")]
pub mod cri;
mod kubelet;
pub mod local;
mod seeker;
mod storage;

use std::sync::mpsc::{Receiver, Sender, SyncSender, TrySendError, channel, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use super::root::HostRoot;
use crate::error::Error;
use crate::pipeline::input::{BlindSpotFacts, ContainerFacts, PodFacts};
use seeker::Seeker;

/// A container or pod of which a process was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sought {
    /// Container id.
    pub container: Option<String>,
    /// Unique id of the pod.
    pub pod: Option<String>,
    /// The process.
    pub pid: u32,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// Of a container.
    Container(ContainerFacts),
    /// Of a pod.
    Pod(PodFacts),
    /// Somebody who knows more does not tell.
    Refused(BlindSpotFacts),
}

/// The threads that look, as the source sees them.
pub struct Identities {
    sought: SyncSender<Job>,
    told: Receiver<Told>,
}

/// What the thread is asked to do.
enum Job {
    Seek(Sought),
    /// Answer when all that came before was looked for once.
    Settle(Sender<()>),
}

/// Ids that wait. What finds no room waits with the source.
const SOUGHT_MAX: usize = 4096;
/// Facts that wait to be taken; the threads wait with them.
const TOLD_MAX: usize = 1024;

impl Identities {
    /// Starts the threads. Without a name of this node the cluster is not asked: its answer would be all pods of all
    /// nodes.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start(root: HostRoot, node: Option<String>) -> Result<Self, Error> {
        let (sought, jobs) = sync_channel(SOUGHT_MAX);
        let (tell, told) = sync_channel(TOLD_MAX);
        #[cfg(feature = "kubernetes")]
        cluster::start(node.or_else(|| node_name(&root)), tell.clone())?;
        #[cfg(not(feature = "kubernetes"))]
        drop(node);
        let seeker = Seeker::new(root, tell);
        let spawned = thread::Builder::new().name("identities".to_owned()).spawn(move || seeker.run(&jobs));
        spawned.map_err(|source| Error::Io { act: "start a thread".to_owned(), source })?;
        Ok(Self { sought, told })
    }

    /// Hands over what is to be looked for, as far as there is room.
    pub fn seek(&self, sought: &mut Vec<Sought>) {
        while let Some(one) = sought.pop() {
            if let Err(TrySendError::Full(Job::Seek(one))) = self.sought.try_send(Job::Seek(one)) {
                return sought.push(one);
            }
        }
    }

    /// What was found since the last time.
    pub fn told(&self) -> impl Iterator<Item = Told> {
        self.told.try_iter()
    }

    /// Waits until the files were looked at for everything that was handed over, but no longer than that, and hands
    /// over what was found.
    pub fn settle(&self, at_most: Duration) -> Vec<Told> {
        let end = Instant::now() + at_most;
        let (answer, settled) = channel();
        let mut told = Vec::new();
        if self.sought.try_send(Job::Settle(answer)).is_ok() {
            // The thread may wait for what it found to be taken.
            while settled.recv_timeout(Duration::from_millis(1)).is_err() && Instant::now() < end {
                told.extend(self.told.try_iter());
            }
        }
        told.extend(self.told.try_iter());
        told
    }
}

/// What the kubelet calls this node if nobody told it otherwise.
#[cfg(feature = "kubernetes")]
fn node_name(root: &HostRoot) -> Option<String> {
    let text = root.read("/etc/hostname", 1024).ok()?;
    let name = String::from_utf8(text).ok()?.trim().to_ascii_lowercase();
    (!name.is_empty()).then_some(name)
}
