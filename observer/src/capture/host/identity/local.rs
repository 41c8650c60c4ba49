//! What the files of this host tell of a container and its pod.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Sought, kubelet, storage};
use crate::capture::host::homes::TASKS;
use crate::capture::host::root::HostRoot;
use crate::pipeline::input::{ContainerFacts, PodFacts};

/// What is known of a container and its pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Of the container.
    pub container: ContainerFacts,
    /// Of the pod.
    pub pod: PodFacts,
}

/// A container's description is some ten kilobytes; with many mounts a few hundred.
pub const DESCRIPTION_BYTES: u64 = 4 << 20;

/// Looks into the files of runtimes first: they know most. The kubelet's fill in what these do not tell.
pub fn look(root: &HostRoot, sought: &Sought) -> Found {
    let mut found = Found::default();
    found.pod.uid = sought.pod.clone().unwrap_or_default();
    if let Some(id) = &sought.container {
        found.container.id.clone_from(id);
        docker(root, id, &mut found);
        containerd(root, id, &mut found);
        storage::look(root, id, &mut found);
    }
    if found.is_in_pod() {
        kubelet::look(root, sought, &mut found);
    }
    found
}

impl Found {
    /// Whether the container is part of a pod.
    pub fn is_in_pod(&self) -> bool {
        !self.pod.uid.is_empty()
    }

    /// Whether nothing is missing that could still be found.
    pub fn is_whole(&self) -> bool {
        let container =
            self.container.id.is_empty() || (self.container.name.is_some() && self.container.image.is_some());
        let pod = !self.is_in_pod() || (self.pod.name.is_some() && self.pod.namespace.is_some());
        container && pod
    }

    /// Takes what labels and annotations say that runtimes and the kubelet put on containers.
    pub fn take_labels(&mut self, labels: &BTreeMap<String, String>) {
        let first = |keys: &[&str]| keys.iter().find_map(|key| labels.get(*key)).filter(|it| !it.is_empty());
        fill(
            &mut self.container.name,
            first(&["io.kubernetes.container.name", "io.kubernetes.cri.container-name"]),
        );
        fill(
            &mut self.container.image,
            first(&["io.kubernetes.cri.image-name", "io.kubernetes.cri-o.ImageName"]),
        );
        fill(&mut self.pod.name, first(&["io.kubernetes.pod.name", "io.kubernetes.cri.sandbox-name"]));
        fill(
            &mut self.pod.namespace,
            first(&["io.kubernetes.pod.namespace", "io.kubernetes.cri.sandbox-namespace"]),
        );
        let uid = first(&["io.kubernetes.pod.uid", "io.kubernetes.cri.sandbox-uid"]);
        if let (Some(uid), true) = (uid, self.pod.uid.is_empty()) {
            self.pod.uid.clone_from(uid);
        }
        if self.is_in_pod() {
            self.container.pod = Some(self.pod.uid.clone());
        }
    }
}

/// Sets a fact that is not known yet.
pub fn fill(fact: &mut Option<String>, value: Option<impl Into<String>>) {
    if fact.is_none() {
        *fact = value.map(Into::into);
    }
}

/// Docker's own description of a container.
#[derive(Deserialize)]
struct DockerContainer {
    #[serde(rename = "Name", default)]
    name: String,
    #[serde(rename = "Config")]
    config: DockerConfig,
}

#[derive(Deserialize)]
struct DockerConfig {
    #[serde(rename = "Image", default)]
    image: Option<String>,
    #[serde(rename = "Labels", default)]
    labels: Option<BTreeMap<String, String>>,
}

fn docker(root: &HostRoot, id: &str, found: &mut Found) {
    let path = format!("/var/lib/docker/containers/{id}/config.v2.json");
    let Some(container) = description::<DockerContainer>(root, &path) else { return };
    found.container.runtime = Some("docker".to_owned());
    found.take_labels(&container.config.labels.unwrap_or_default());
    fill(&mut found.container.name, Some(container.name.trim_start_matches('/')).filter(|it| !it.is_empty()));
    fill(&mut found.container.image, container.config.image);
}

/// What the specification of the Open Container Initiative calls a bundle: annotations are all that is taken of it.
#[derive(Deserialize)]
pub struct Bundle {
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

/// Reads a bundle's annotations.
pub fn bundle(root: &HostRoot, path: &str) -> Option<BTreeMap<String, String>> {
    Some(description::<Bundle>(root, path)?.annotations)
}

/// Containers that containerd runs, for Kubernetes and by itself. Docker's are among them, with nothing to tell.
fn containerd(root: &HostRoot, id: &str, found: &mut Found) {
    let usual = ["k8s.io", "moby", "default"];
    let known = usual.iter().find(|namespace| root.has(&format!("{TASKS}/{namespace}/{id}"))).copied();
    let other =
        || root.names(TASKS).into_iter().find(|namespace| root.has(&format!("{TASKS}/{namespace}/{id}")));
    let Some(namespace) = known.map(str::to_owned).or_else(other) else { return };
    let Some(annotations) = bundle(root, &format!("{TASKS}/{namespace}/{id}/config.json")) else { return };
    found.take_labels(&annotations);
    if namespace != "moby" {
        found.container.runtime = Some("containerd".to_owned());
        // Without Kubernetes the id is the name that somebody chose, or as good as none.
        let is_name = id.len() < 64 || id.bytes().any(|byte| !byte.is_ascii_hexdigit());
        fill(&mut found.container.name, Some(id).filter(|_| is_name));
    }
}

/// Reads a file of JSON.
pub fn description<T: serde::de::DeserializeOwned>(root: &HostRoot, path: &str) -> Option<T> {
    serde_json::from_slice(&root.read(path, DESCRIPTION_BYTES).ok()?).ok()
}

#[cfg(test)]
mod tests;
