//! Files as runtimes and the kubelet leave them, below a folder that stands for the host's root.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::json;

use super::*;

const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const UID: &str = "72b8c2f1-6d0e-4a7c-9d51-0f8e3b6a4c2d";

/// A folder that stands for the host's root, and goes with this.
struct Files(PathBuf);

impl Files {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("host-files-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn with(self, path: &str, text: &str) -> Self {
        let path = self.0.join(path.replace("ID", ID).replace("UUU", UID));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    fn look(&self, container: Option<&str>, pod: Option<&str>) -> Found {
        let sought = Sought { container: container.map(str::to_owned), pod: pod.map(str::to_owned), pid: 0 };
        look(&HostRoot::new(Some(&self.0)), &sought)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Name, image and runtime of the container, name and namespace of the pod.
fn facts(found: &Found) -> [Option<&str>; 5] {
    let Found { container, pod } = found;
    [&container.name, &container.image, &container.runtime, &pod.name, &pod.namespace].map(|it| it.as_deref())
}

#[test]
fn docker_by_itself() {
    let text =
        json!({"ID": ID, "Name": "/web", "Config": {"Image": "shop:1", "Labels": null, "Env": ["A=b"]}});
    let files = Files::new().with("var/lib/docker/containers/ID/config.v2.json", &text.to_string());
    assert_eq!(facts(&files.look(Some(ID), None)), [Some("web"), Some("shop:1"), Some("docker"), None, None]);
}

#[test]
fn docker_for_kubernetes() {
    let labels = json!({
        "io.kubernetes.container.name": "app", "io.kubernetes.pod.name": "web-0",
        "io.kubernetes.pod.namespace": "shop", "io.kubernetes.pod.uid": UID,
    });
    let text = json!({"Name": "/k8s_app_web-0_shop_x_0", "Config": {"Image": "shop:1", "Labels": labels}});
    let files = Files::new().with("var/lib/docker/containers/ID/config.v2.json", &text.to_string());
    let found = files.look(Some(ID), Some(UID));
    assert_eq!(facts(&found), [Some("app"), Some("shop:1"), Some("docker"), Some("web-0"), Some("shop")]);
    assert!(found.is_whole());
}

#[test]
fn containerd_for_kubernetes() {
    let annotations = json!({
        "io.kubernetes.cri.container-name": "app", "io.kubernetes.cri.container-type": "container",
        "io.kubernetes.cri.image-name": "shop:1", "io.kubernetes.cri.sandbox-name": "web-0",
        "io.kubernetes.cri.sandbox-namespace": "shop", "io.kubernetes.cri.sandbox-uid": UID,
    });
    let text = json!({"process": {"env": ["SECRET=1"]}, "annotations": annotations}).to_string();
    let path = "run/containerd/io.containerd.runtime.v2.task/k8s.io/ID/config.json";
    let found = Files::new().with(path, &text).look(Some(ID), None);
    assert_eq!(facts(&found), [Some("app"), Some("shop:1"), Some("containerd"), Some("web-0"), Some("shop")]);
    assert_eq!((found.pod.uid.as_str(), found.container.pod.as_deref()), (UID, Some(UID)));
}

#[test]
fn containerd_by_itself() {
    let path = "run/containerd/io.containerd.runtime.v2.task/tools/web/config.json";
    let found = Files::new().with(path, "{}").look(Some("web"), None);
    assert_eq!(facts(&found), [Some("web"), None, Some("containerd"), None, None]);
}

#[test]
fn podman() {
    let list = json!([
        {"id": "other", "names": ["x"], "metadata": ""},
        {"id": ID, "names": ["web"], "image": "sha", "metadata": "{\"image-name\":\"shop:1\",\"name\":\"web\"}"},
    ]);
    let files = Files::new()
        .with("var/lib/containers/storage/overlay-containers/containers.json", &list.to_string())
        .with("run/containers/storage/overlay-containers/ID/userdata/config.json", "{\"annotations\":{}}");
    assert_eq!(facts(&files.look(Some(ID), None)), [Some("web"), Some("shop:1"), None, None, None]);
}

#[test]
fn crio() {
    let annotations = json!({
        "io.kubernetes.container.name": "app", "io.kubernetes.cri-o.ImageName": "shop:1",
        "io.kubernetes.pod.name": "web-0", "io.kubernetes.pod.namespace": "shop", "io.kubernetes.pod.uid": UID,
    });
    let text = json!({"annotations": annotations}).to_string();
    let files = Files::new().with("run/containers/storage/overlay-containers/ID/userdata/config.json", &text);
    let found = files.look(Some(ID), Some(UID));
    assert_eq!(facts(&found), [Some("app"), Some("shop:1"), None, Some("web-0"), Some("shop")]);
}

#[test]
fn logs_of_a_container() {
    let files = Files::new().with("var/log/containers/web-0_shop_my-app-ID.log", "");
    let found = files.look(Some(ID), Some(UID));
    assert_eq!(facts(&found), [Some("my-app"), None, None, Some("web-0"), Some("shop")]);
}

#[test]
fn logs_of_a_pod() {
    let files =
        Files::new().with("var/log/pods/shop_web-0_UUU/app/0.log", "").with("var/log/pods/a_b_c/d/0.log", "");
    let expected = [Some("app"), None, None, Some("web-0"), Some("shop")];
    assert_eq!(facts(&files.look(Some(ID), Some(UID))), expected);
    // Of two containers it could be either.
    let files = files.with("var/log/pods/shop_web-0_UUU/side/0.log", "");
    assert_eq!(facts(&files.look(Some(ID), Some(UID))), [None, None, None, Some("web-0"), Some("shop")]);
}

#[test]
fn volumes_of_a_pod() {
    let hosts = "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost\n\
                 192.0.2.7\tweb-0.svc.shop.local\tweb-0\n\n# Entries added by HostAliases.\n198.51.100.1\tother\n";
    let files = Files::new()
        .with("var/lib/kubelet/pods/UUU/etc-hosts", hosts)
        .with("var/lib/kubelet/pods/UUU/containers/app/0af1", "")
        .with("var/lib/kubelet/pods/UUU/volumes/kubernetes.io~projected/kube-api-access-x/namespace", "shop");
    let expected = [Some("app"), None, None, Some("web-0"), Some("shop")];
    assert_eq!(facts(&files.look(Some(ID), Some(UID))), expected);
}

#[test]
fn a_pod_on_the_network_of_the_host_is_not_named_like_the_host() {
    let hosts = "# Kubernetes-managed hosts file (host network).\n127.0.0.1\tlocalhost\n192.0.2.1\tnode-1\n";
    let files = Files::new().with("var/lib/kubelet/pods/UUU/etc-hosts", hosts);
    assert_eq!(facts(&files.look(Some(ID), Some(UID))), [None; 5]);
}

#[test]
fn files_that_are_no_json_or_too_long_tell_nothing() {
    let long = "x".repeat(DESCRIPTION_BYTES as usize + 1);
    for text in ["", "[]", "{", &long] {
        let files = Files::new().with("var/lib/docker/containers/ID/config.v2.json", text);
        assert_eq!(facts(&files.look(Some(ID), None)), [None; 5]);
    }
}
