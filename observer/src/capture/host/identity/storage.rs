//! Containers in the storage that podman and CRI-O have in common. Which of them it is, the control groups tell: each
//! uses annotations of the other.

use serde::Deserialize;

use super::local::{Found, bundle, description, fill};
use crate::capture::host::root::HostRoot;

/// Storage drivers, in the order of their use.
const DRIVERS: [&str; 3] = ["overlay", "vfs", "btrfs"];
/// Where containers stay and where those are that run.
const FOLDERS: [&str; 2] = ["/var/lib/containers/storage", "/run/containers/storage"];
/// Those that go when they end are in a list of their own.
const LISTS: [&str; 2] = ["containers.json", "volatile-containers.json"];

/// One container of the list.
#[derive(Deserialize)]
struct Stored {
    id: String,
    #[serde(default)]
    names: Vec<String>,
    /// Text of JSON.
    #[serde(default)]
    metadata: String,
}

/// What its maker wrote of it.
#[derive(Deserialize)]
struct Metadata {
    #[serde(rename = "image-name", default)]
    image: Option<String>,
}

/// Fills in what the storage knows.
pub fn look(root: &HostRoot, id: &str, found: &mut Found) {
    for driver in DRIVERS {
        let bundles = FOLDERS.map(|folder| format!("{folder}/{driver}-containers/{id}/userdata/config.json"));
        if let Some(annotations) = bundles.iter().find_map(|path| bundle(root, path)) {
            found.take_labels(&annotations);
        }
        let lists = FOLDERS
            .iter()
            .flat_map(|folder| LISTS.map(|list| format!("{folder}/{driver}-containers/{list}")));
        for list in lists {
            if let Some(stored) = stored(root, &list, id) {
                let metadata = serde_json::from_str::<Metadata>(&stored.metadata).ok();
                // Of a pod's container this is the whole of pod, namespace and attempt.
                if !found.is_in_pod() {
                    fill(&mut found.container.name, stored.names.into_iter().next());
                }
                fill(
                    &mut found.container.image,
                    metadata.and_then(|it| it.image).filter(|it| !it.is_empty()),
                );
                return;
            }
        }
    }
}

fn stored(root: &HostRoot, list: &str, id: &str) -> Option<Stored> {
    description::<Vec<Stored>>(root, list)?.into_iter().find(|stored| stored.id == id)
}
