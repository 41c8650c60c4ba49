//! Where processes run and for whom: a few small reads of `/proc` for each.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use super::cgroups::{Place, place};
use super::root::HostRoot;
use super::users::Users;
use crate::pipeline::input::ProcessFacts;

/// Finds it out.
#[derive(Debug)]
pub struct Homes {
    root: HostRoot,
    users: Users,
}

/// Where containerd keeps the bundles of containers that run, by namespace and id.
pub const TASKS: &str = "/run/containerd/io.containerd.runtime.v2.task";

impl Homes {
    /// For processes of the host with this root.
    pub fn new(root: HostRoot) -> Self {
        Self { users: Users::new(root.clone()), root }
    }

    /// The root of the host's files.
    pub const fn root(&self) -> &HostRoot {
        &self.root
    }

    /// Fills in where a process runs and for whom. False if the process is gone.
    pub fn complete(&mut self, pid: u32, facts: &mut ProcessFacts) -> bool {
        let Ok(cgroups) = fs::read_to_string(format!("/proc/{pid}/cgroup")) else { return false };
        let Place { container, runtime, pod, qos, unit, task } = place(&cgroups);
        let task = task.filter(|_| container.is_none());
        let task = task.filter(|(namespace, name)| self.root.has(&format!("{TASKS}/{namespace}/{name}")));
        facts.runtime = runtime.or(task.as_ref().map(|_| "containerd")).map(str::to_owned);
        facts.container = container.or(task.map(|(_, name)| name));
        facts.pod = pod;
        facts.qos = qos.map(str::to_owned);
        facts.unit = unit;
        // The folder belongs to the user whose rights the process has, whatever it did to hide from `/proc`.
        facts.uid = fs::metadata(format!("/proc/{pid}")).ok().map(|folder| folder.uid());
        let on_host = facts.container.is_none() && facts.pod.is_none();
        facts.user = facts.uid.filter(|_| on_host).and_then(|uid| self.users.name(uid));
        true
    }
}

/// Takes over where the parent runs.
pub fn inherit(facts: &mut ProcessFacts, parent: &ProcessFacts) {
    facts.container.clone_from(&parent.container);
    facts.runtime.clone_from(&parent.runtime);
    facts.pod.clone_from(&parent.pod);
    facts.qos.clone_from(&parent.qos);
    facts.unit.clone_from(&parent.unit);
    facts.uid = parent.uid;
    facts.user.clone_from(&parent.user);
}

impl Default for Homes {
    fn default() -> Self {
        Self::new(HostRoot::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_its_user() {
        let mut facts = ProcessFacts::default();
        assert!(Homes::default().complete(std::process::id(), &mut facts));
        assert_eq!(facts.uid, Some(rustix::process::geteuid().as_raw()));
        assert!(!Homes::default().complete(u32::MAX - 1, &mut facts));
    }
}
