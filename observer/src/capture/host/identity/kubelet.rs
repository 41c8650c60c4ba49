//! What the kubelet's folders tell of a pod: those of logs and of volumes.

use std::path::PathBuf;

use super::Sought;
use super::local::{Found, fill};
use crate::capture::host::root::HostRoot;

/// Fills in what the folders tell. Their names are the kubelet's own; files that a container can write come last.
pub fn look(root: &HostRoot, sought: &Sought, found: &mut Found) {
    logs_of_containers(root, found);
    logs_of_pods(root, found);
    volumes(root, found);
    if let (None, pid @ 1..) = (&found.pod.name, sought.pid) {
        let own = HostRoot::new(Some(&PathBuf::from(format!("/proc/{pid}/root"))));
        fill(&mut found.pod.namespace, line(&own, "/var/run/secrets/kubernetes.io/serviceaccount/namespace"));
        fill(&mut found.pod.name, own_name(&own, "/etc/hosts"));
    }
}

/// `/var/log/containers/POD_NAMESPACE_CONTAINER-ID.log`
fn logs_of_containers(root: &HostRoot, found: &mut Found) {
    if found.is_whole() || found.container.id.is_empty() {
        return;
    }
    let end = format!("-{}.log", found.container.id);
    let names = root.names("/var/log/containers");
    let Some(name) = names.iter().find_map(|name| name.strip_suffix(&end)) else { return };
    if let [pod, namespace, container] = name.split('_').collect::<Vec<_>>()[..] {
        fill(&mut found.pod.name, Some(pod));
        fill(&mut found.pod.namespace, Some(namespace));
        fill(&mut found.container.name, Some(container));
    }
}

/// `/var/log/pods/NAMESPACE_POD_UID/CONTAINER/`
fn logs_of_pods(root: &HostRoot, found: &mut Found) {
    const FOLDER: &str = "/var/log/pods";
    if found.pod.name.is_some() && found.pod.namespace.is_some() && found.container.name.is_some() {
        return;
    }
    let end = format!("_{}", found.pod.uid);
    let names = root.names(FOLDER);
    let Some(name) = names.iter().find(|name| name.ends_with(&end)) else { return };
    if let [namespace, pod, _] = name.split('_').collect::<Vec<_>>()[..] {
        fill(&mut found.pod.namespace, Some(namespace));
        fill(&mut found.pod.name, Some(pod));
    }
    only_container(root, &format!("{FOLDER}/{name}"), found);
}

/// `/var/lib/kubelet/pods/UID/`, with the pod's volumes.
fn volumes(root: &HostRoot, found: &mut Found) {
    let folder = format!("/var/lib/kubelet/pods/{}", found.pod.uid);
    if found.container.name.is_none() {
        only_container(root, &format!("{folder}/containers"), found);
    }
    if found.pod.namespace.is_none() {
        let projected = format!("{folder}/volumes/kubernetes.io~projected");
        let mut volumes = root.names(&projected).into_iter();
        let namespace = volumes.find_map(|volume| line(root, &format!("{projected}/{volume}/namespace")));
        fill(&mut found.pod.namespace, namespace);
    }
    if found.pod.name.is_none() {
        fill(&mut found.pod.name, own_name(root, &format!("{folder}/etc-hosts")));
    }
}

/// Of several containers none can be told to be this one; and a pod's sandbox has no folder.
fn only_container(root: &HostRoot, folder: &str, found: &mut Found) {
    if let ([name], false) = (root.names(folder).as_slice(), found.container.id.is_empty()) {
        fill(&mut found.container.name, Some(name.as_str()));
    }
}

/// The pod's own name in the file of hosts that the kubelet made for it. A pod on the host's network has the host's.
fn own_name(root: &HostRoot, path: &str) -> Option<String> {
    let text = String::from_utf8(root.read(path, 64 << 10).ok()?).ok()?;
    let mut lines = text.lines();
    if lines.next()?.trim_end_matches('.') != "# Kubernetes-managed hosts file" {
        return None;
    }
    let own = lines.take_while(|line| !line.starts_with("# Entries added by HostAliases")).filter(|line| {
        let first = line.split_whitespace().next().unwrap_or_default();
        !first.is_empty() && !LOCAL.iter().any(|local| first.starts_with(local))
    });
    // The name stands last, behind the one with its domain.
    own.last()?.split_whitespace().skip(1).last().map(str::to_owned)
}

/// How lines begin that every such file has: remarks, the loopback, and multicast groups.
const LOCAL: [&str; 4] = ["#", "127.", "::1", "fe00:"];

fn line(root: &HostRoot, path: &str) -> Option<String> {
    let text = String::from_utf8(root.read(path, 1024).ok()?).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}
