//! Where a process runs, by the names of its control groups: container and what runs it, pod, systemd unit.
//!
//! In: the text of `/proc/PID/cgroup`, of cgroup v1, v2 or both. Out: a [`Place`]. Names are all that there is to go
//! by, so what looks like no known runtime's is no container.

/// Where a process runs, as far as its control groups tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Container id.
    pub container: Option<String>,
    /// What runs the container, where the name says so.
    pub runtime: Option<&'static str>,
    /// Unique id of the pod.
    pub pod: Option<String>,
    /// The pod's class of service.
    pub qos: Option<&'static str>,
    /// Systemd unit, outside of containers.
    pub unit: Option<String>,
    /// A namespace and a name: a container of containerd without Kubernetes if containerd knows it.
    pub task: Option<(String, String)>,
}

/// Where the process with this `/proc/PID/cgroup` runs.
///
/// Each hierarchy of cgroup v1 has a line, and so has cgroup v2. Where both are used, runtimes may have made groups in
/// either, so the line that tells most counts; of equals cgroup v2's, then systemd's.
pub fn place(cgroups: &str) -> Place {
    let places = cgroups.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':');
        let (number, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        let place = of_path(path);
        let told =
            [place.container.is_some(), place.pod.is_some(), place.unit.is_some(), place.task.is_some()];
        Some((told, number == "0", controllers == "name=systemd", place))
    });
    places.max_by_key(|(told, unified, systemd, _)| (*told, *unified, *systemd)).unwrap_or_default().3
}

fn of_path(path: &str) -> Place {
    // A namespace of control groups shows what is outside of it behind `/..`.
    let names: Vec<&str> = path.split('/').filter(|name| !["", ".."].contains(name)).collect();
    let mut place = Place::default();
    let mut outer = "";
    // The innermost of each counts: a node of a cluster may itself be a container.
    for name in &names {
        if let Some(pod) = pod_in_name(name) {
            let qos =
                ["burstable", "besteffort"].into_iter().find(|qos| name.contains(*qos) || outer == *qos);
            place = Place { pod: Some(pod), qos: qos.or(Some("guaranteed")), ..Place::default() };
        }
        if let Some((id, runtime)) = container_in_name(name, outer) {
            place.container = Some(id.to_owned());
            place.runtime = runtime;
        }
        outer = name;
    }
    if place.container.is_none() && place.pod.is_none() {
        place.unit = names.iter().rev().find(|name| is_unit(name)).map(|name| unescaped(name));
        if let ([namespace, name, ..], None) = (names.as_slice(), &place.unit)
            && !namespace.ends_with(".slice")
        {
            place.task = Some(((*namespace).to_owned(), (*name).to_owned()));
        }
    }
    place
}

/// The container id in the name of a group, and whose it is: `docker-<id>.scope`, `cri-containerd-<id>.scope`,
/// `<slice>:cri-containerd:<id>`, `crio-<id>`, `libpod-<id>`, or the id alone, below a group that may tell.
fn container_in_name<'a>(name: &'a str, outer: &str) -> Option<(&'a str, Option<&'static str>)> {
    let name = name.strip_suffix(".scope").unwrap_or(name);
    let (before, id) = match name.rfind(['-', ':']) {
        // Containers of Amazon ECS without instances: task and number.
        Some(at) if is_hex(&name[..at], 32) && name[at + 1..].bytes().all(|byte| byte.is_ascii_digit()) => {
            return Some((name, None));
        }
        Some(at) => (&name[..at], &name[at + 1..]),
        None => ("", name),
    };
    if !is_hex(id, 64) {
        return None;
    }
    // Monitors of containers are processes of the host.
    if before.ends_with("conmon") {
        return None;
    }
    let runtimes =
        RUNTIMES.iter().find(|(prefix, _)| before == *prefix || before.ends_with(&format!(":{prefix}")));
    let outers = OUTERS.iter().find(|(name, _)| before.is_empty() && outer == *name);
    Some((id, runtimes.or(outers).map(|(_, runtime)| *runtime)))
}

/// How runtimes begin the names of groups.
const RUNTIMES: [(&str, &str); 5] = [
    ("docker", "docker"),
    ("cri-containerd", "containerd"),
    ("nerdctl", "containerd"),
    ("crio", "cri-o"),
    ("libpod", "podman"),
];

/// In which groups they put groups that are named by the id alone.
const OUTERS: [(&str, &str); 2] = [("docker", "docker"), ("libpod_parent", "podman")];

/// The unique id in the name of a pod's group: `pod<uid>`, `kubepods-burstable-pod<uid>.slice` with underscores for
/// dashes, or in front of `:cri-containerd:<id>`.
fn pod_in_name(name: &str) -> Option<String> {
    let name = name.split(':').next()?;
    let name = name.strip_suffix(".slice").unwrap_or(name);
    let uid = match name.rfind("-pod") {
        Some(at) if name.contains("kubepods") => &name[at + 4..],
        _ => name.strip_prefix("pod")?,
    };
    let uid = uid.replace('_', "-");
    // The kubelet names its own static pods by a hash.
    let is_static = is_hex(&uid, 32);
    (is_static || is_uuid(&uid)).then_some(uid)
}

fn is_uuid(text: &str) -> bool {
    let lengths = text.split('-').map(str::len);
    lengths.eq([8, 4, 4, 4, 12]) && text.split('-').all(|part| is_hex(part, part.len()))
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_unit(name: &str) -> bool {
    name.ends_with(".service") || name.ends_with(".scope")
}

/// Systemd puts an underscore before names that would mean something to the kernel.
fn unescaped(name: &str) -> String {
    name.strip_prefix('_').unwrap_or(name).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    const OUTER: &str = "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210";
    const UID: &str = "72b8c2f1-6d0e-4a7c-9d51-0f8e3b6a4c2d";
    const STATIC: &str = "3a1d9f0c5be7428896d4e2f07c1b8a53";

    /// A path, and what runtime, and what pod of which class it tells of.
    type Told = (&'static str, Option<&'static str>, Option<(&'static str, &'static str)>);

    /// Path (with `ID`, `OUTER`, `UID`, `U_D` for the uid with underscores, `STATIC`), runtime, pod and class.
    const CONTAINERS: &[Told] = &[
        // Docker, by systemd and by cgroupfs, in a parent of its own, with systemd inside, rootless.
        ("/system.slice/docker-ID.scope", Some("docker"), None),
        ("/docker/ID", Some("docker"), None),
        ("/custom/ID", None, None),
        ("/system.slice/docker-ID.scope/init.scope", Some("docker"), None),
        ("/docker/ID/system.slice/cron.service", Some("docker"), None),
        ("/user.slice/user-1000.slice/user@1000.service/user.slice/docker-ID.scope", Some("docker"), None),
        ("/../../system.slice/docker-ID.scope", Some("docker"), None),
        ("/docker/OUTER/docker/ID", Some("docker"), None),
        // Podman.
        ("/machine.slice/libpod-ID.scope", Some("podman"), None),
        ("/machine.slice/libpod-ID.scope/container", Some("podman"), None),
        ("/libpod_parent/libpod-ID", Some("podman"), None),
        (
            "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-ID.scope/container",
            Some("podman"),
            None,
        ),
        // nerdctl, by systemd.
        ("/system.slice/nerdctl-ID.scope", Some("containerd"), None),
        // Kubernetes with containerd.
        (
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podU_D.slice/cri-containerd-ID.scope",
            Some("containerd"),
            Some((UID, "burstable")),
        ),
        (
            "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-podU_D.slice/cri-containerd-ID.scope",
            Some("containerd"),
            Some((UID, "besteffort")),
        ),
        (
            "/kubepods.slice/kubepods-podU_D.slice/cri-containerd-ID.scope",
            Some("containerd"),
            Some((UID, "guaranteed")),
        ),
        (
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podSTATIC.slice/cri-containerd-ID.scope",
            Some("containerd"),
            Some((STATIC, "burstable")),
        ),
        ("/kubepods/burstable/podUID/ID", None, Some((UID, "burstable"))),
        ("/kubepods/besteffort/podUID/ID", None, Some((UID, "besteffort"))),
        ("/kubepods/podUID/ID", None, Some((UID, "guaranteed"))),
        (
            "/system.slice/containerd.service/kubepods-burstable-podU_D.slice:cri-containerd:ID",
            Some("containerd"),
            Some((UID, "burstable")),
        ),
        ("/k8s.io/OUTER/kubepods/burstable/podUID/ID", None, Some((UID, "burstable"))),
        (
            "/../../kubepods-besteffort-podU_D.slice/cri-containerd-ID.scope",
            Some("containerd"),
            Some((UID, "besteffort")),
        ),
        ("/../cri-containerd-ID.scope", Some("containerd"), None),
        // Kubernetes with CRI-O and with Docker.
        (
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podU_D.slice/crio-ID.scope",
            Some("cri-o"),
            Some((UID, "burstable")),
        ),
        (
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podU_D.slice/crio-ID.scope/container",
            Some("cri-o"),
            Some((UID, "burstable")),
        ),
        ("/kubepods/burstable/podUID/crio-ID", Some("cri-o"), Some((UID, "burstable"))),
        ("/kubepods.slice/kubepods-podU_D.slice/docker-ID.scope", Some("docker"), Some((UID, "guaranteed"))),
        // A node of a cluster that is a container.
        (
            "/docker/OUTER/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/kubelet-kubepods-besteffort-podU_D.slice/cri-containerd-ID.scope",
            Some("containerd"),
            Some((UID, "besteffort")),
        ),
        ("/system.slice/docker-OUTER.scope/kubelet/kubepods/podUID/ID", None, Some((UID, "guaranteed"))),
        // Amazon ECS.
        ("/ecs/0a1b2c3d4e5f60718293a4b5c6d7e8f9/ID", None, None),
    ];

    fn path(text: &str) -> String {
        let text =
            text.replace("OUTER", OUTER).replace("STATIC", STATIC).replace("U_D", &UID.replace('-', "_"));
        text.replace("UID", UID).replace("ID", ID)
    }

    #[test]
    fn containers_and_pods_of_every_runtime() {
        for &(text, runtime, pod) in CONTAINERS {
            let text = path(text);
            let expected = Place {
                container: Some(ID.to_owned()),
                runtime,
                pod: pod.map(|(uid, _)| uid.to_owned()),
                qos: pod.map(|(_, qos)| qos),
                ..Place::default()
            };
            // cgroup v2; v1; both, with the groups in either.
            for cgroups in [
                format!("0::{text}\n"),
                format!("12:cpu,cpuacct:{text}\n11:pids:{text}\n1:name=systemd:{text}\n"),
                format!("12:pids:/\n1:name=systemd:/\n0::{text}\n"),
                format!("12:pids:{text}\n1:name=systemd:/system.slice/a.service\n0::/\n"),
            ] {
                assert_eq!(place(&cgroups), expected, "{cgroups}");
            }
        }
    }

    #[test]
    fn units_of_plain_hosts() {
        for (path, unit) in [
            ("/system.slice/nginx.service", "nginx.service"),
            ("/system.slice/system-getty.slice/getty@tty1.service", "getty@tty1.service"),
            ("/system.slice/nginx.service/workers", "nginx.service"),
            ("/user.slice/user-1000.slice/session-3.scope", "session-3.scope"),
            (
                "/user.slice/user-1000.slice/user@1000.service/app.slice/app-code-4242.scope",
                "app-code-4242.scope",
            ),
            ("/system.slice/dev\\x2dhost.service", "dev\\x2dhost.service"),
            ("/init.scope", "init.scope"),
        ] {
            let expected = Place { unit: Some(unit.to_owned()), ..Place::default() };
            assert_eq!(place(&format!("1:name=systemd:{path}\n0::{path}\n")), expected);
        }
    }

    #[test]
    fn a_monitor_is_not_in_its_container() {
        let place = place(&path("0::/machine.slice/libpod-conmon-ID.scope\n"));
        assert_eq!((place.container, place.unit), (None, Some(path("libpod-conmon-ID.scope"))));
        let place = super::place(&path("0::/kubepods.slice/kubepods-podU_D.slice/crio-conmon-ID.scope\n"));
        assert_eq!((place.container, place.pod), (None, Some(UID.to_owned())));
    }

    #[test]
    fn a_name_that_containerd_may_know() {
        for (path, name) in [("/k8s.io/web", "web"), ("/k8s.io/web/init", "web")] {
            let expected = Place { task: Some(("k8s.io".into(), name.into())), ..Place::default() };
            assert_eq!(place(&format!("0::{path}\n")), expected);
        }
    }

    #[test]
    fn what_tells_nothing() {
        for cgroups in ["", "0::/\n", "0::/podium\n", "garbage\n", "0::/user.slice/user-0.slice\n", ":::\n"] {
            assert_eq!(place(cgroups), Place::default(), "{cgroups}");
        }
    }
}
