//! What records tell of processes, containers, pods and libraries. Serialised as JSON in records and capture files.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::pipeline::private::Private;

/// Payload of [`RecordKind::ProcessSeen`](observer_common::record::RecordKind::ProcessSeen). Serialised as JSON in records and capture files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProcessFacts {
    /// Parent's process id.
    pub parent: u32,
    /// Path of the executable.
    pub exe: String,
    /// Arguments, the program's name first.
    pub arguments: PrivateArguments,
    /// Container id, if it runs in one.
    pub container: Option<String>,
    /// What runs the container, where the control group's name tells: `docker`, `containerd`, `cri-o`, `podman`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime: Option<String>,
    /// Unique id of its pod, if it runs in one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// The pod's class of service: `guaranteed`, `burstable`, `besteffort`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub qos: Option<String>,
    /// Its systemd unit, if it runs in no container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Number of the user whose rights it has, as this host counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// Name of the user, if it runs in no container: inside of one the number may mean somebody else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// It was gone before it could be looked at: where it runs and for whom are its parent's, as far as these are known.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub gone: bool,
}

/// Payload of [`RecordKind::ContainerSeen`](observer_common::record::RecordKind::ContainerSeen). What is absent is not known, and takes nothing back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ContainerFacts {
    /// Its id, as in the facts of its processes.
    pub id: String,
    /// What runs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime: Option<String>,
    /// Its name; in a pod the one that the pod's specification gives it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The image that it was made from, as it was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Unique id of its pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
}

/// Payload of [`RecordKind::PodSeen`](observer_common::record::RecordKind::PodSeen). What is absent is not known, and takes nothing back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PodFacts {
    /// Its unique id, as in the facts of its processes.
    pub uid: String,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// What made it, and what made that: kind and name of the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload: Option<WorkloadFacts>,
    /// Resource attributes that its annotations `resource.opentelemetry.io/…` give it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attributes: Option<BTreeMap<String, String>>,
}

/// What keeps pods running.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WorkloadFacts {
    /// As the cluster writes it: `Deployment`.
    pub kind: String,
    /// Its name.
    pub name: String,
}

/// As its users write it: `deployment/web`.
impl fmt::Display for WorkloadFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.to_ascii_lowercase(), self.name)
    }
}

/// Command line arguments: payload, since they often hold secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<String>", into = "Vec<String>")]
pub struct PrivateArguments(pub Private<Vec<String>>);

impl Default for PrivateArguments {
    fn default() -> Self {
        Vec::new().into()
    }
}

impl From<Vec<String>> for PrivateArguments {
    fn from(arguments: Vec<String>) -> Self {
        Self(Private::new(arguments))
    }
}

impl From<PrivateArguments> for Vec<String> {
    fn from(arguments: PrivateArguments) -> Self {
        arguments.0.reveal().clone()
    }
}

/// Payload of [`RecordKind::LibraryFound`](observer_common::record::RecordKind::LibraryFound).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LibraryFacts {
    /// Name of the library: `openssl`.
    pub library: String,
    /// Path of the file it is in.
    pub path: String,
    /// Functions that have probes.
    pub functions: Vec<String>,
}

/// Payload of [`RecordKind::BlindSpot`](observer_common::record::RecordKind::BlindSpot).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BlindSpotFacts {
    /// A short stable name, the `kind` label: `tls_without_probe`, `io_uring`, `library_without_symbols`.
    pub kind: String,
    /// The executable or file concerned.
    pub exe: String,
    /// Why, in a sentence for the operator.
    pub reason: String,
}
