//! Which container a process runs in, by the names of its control groups.

/// The container id in the text of `/proc/PID/cgroup`, if the process is in one.
///
/// Runtimes name the group after the container: `docker-<id>.scope`, `cri-containerd-<id>.scope`,
/// `/docker/<id>`, `/kubepods/…/<id>`, each with 64 hexadecimal digits; containerd without systemd and without
/// Kubernetes puts it in `/<namespace>/<name>`, which cannot be told from any other group and is not taken.
pub fn container_id(cgroups: &str) -> Option<String> {
    cgroups.lines().find_map(|line| {
        let path = line.splitn(3, ':').nth(2)?;
        path.rsplit('/').find_map(id_in_name).map(str::to_owned)
    })
}

fn id_in_name(name: &str) -> Option<&str> {
    let name = name.strip_suffix(".scope").unwrap_or(name);
    let id = name.rsplit(['-', ':']).next()?;
    let is_id = id.len() == 64 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    is_id.then_some(id)
}

#[cfg(test)]
mod tests {
    use super::container_id;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn finds_the_id_however_the_runtime_writes_it() {
        for path in [
            format!("/system.slice/docker-{ID}.scope"),
            format!("/docker/{ID}"),
            format!(
                "/kubepods.slice/kubepods-besteffort.slice/kubepods-pod1.slice/cri-containerd-{ID}.scope"
            ),
            format!("/kubepods/burstable/pod1234/{ID}"),
            format!("/machine.slice/libpod-{ID}.scope/container"),
            format!("/kubelet/kubepods/pod1:cri-containerd:{ID}"),
        ] {
            assert_eq!(container_id(&format!("0::{path}\n")).as_deref(), Some(ID), "{path}");
        }
    }

    #[test]
    fn takes_the_first_hierarchy_that_tells() {
        let text = format!("12:pids:/docker/{ID}\n0::/\n");
        assert_eq!(container_id(&text).as_deref(), Some(ID));
    }

    #[test]
    fn a_process_outside_of_containers_has_none() {
        assert_eq!(container_id("0::/user.slice/user-0.slice/session-1.scope\n"), None);
        assert_eq!(container_id("0::/\n"), None);
        assert_eq!(container_id(""), None);
    }
}
