//! What the cluster's API server knows of the pods of this node: what made them, and their annotations.
//!
//! One watch of the metadata of pods, limited to this node, in a thread of its own; for each owner that has an owner
//! one question. It runs where a pod's credentials are found and nowhere else. Nothing waits for it: what it tells
//! completes what the host's own files told before.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::mpsc::SyncSender;
use std::thread;

use futures_util::StreamExt as _;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::core::PartialObjectMeta;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, Config};
use rustc_hash::FxHashMap;

use super::Told;
use crate::error::Error;
use crate::pipeline::input::{BlindSpotFacts, PodFacts, WorkloadFacts};

/// Starts the thread where there are credentials.
///
/// # Errors
/// No thread can be started.
pub fn start(node: Option<String>, told: SyncSender<Told>) -> Result<(), Error> {
    let (Some(node), Ok(config)) = (node, Config::incluster()) else { return Ok(()) };
    let spawned = thread::Builder::new().name("cluster".to_owned()).spawn(move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        runtime.block_on(async {
            match Client::try_from(config) {
                // It ends when nobody listens any more.
                Ok(client) => watch(client, &node, &told).await,
                Err(error) => drop(told.send(refused(&error))),
            }
        });
    });
    spawned.map(drop).map_err(|source| Error::Io { act: "start a thread".to_owned(), source })
}

/// Tells of the pods of a node as they come and change, until nobody listens any more.
pub async fn watch(client: Client, node: &str, told: &SyncSender<Told>) {
    let of_node = watcher::Config::default().fields(&format!("spec.nodeName={node}"));
    let pods = watcher(Api::<PartialObjectMeta<Pod>>::all(client.clone()), of_node).default_backoff();
    let mut pods = pin!(pods);
    let mut owners = Owners { client, known: FxHashMap::default() };
    let mut was_refused = false;
    while let Some(event) = pods.next().await {
        let news = match event {
            Ok(Event::Apply(pod) | Event::InitApply(pod)) => {
                let owner = owners.of_pod(&pod.metadata).await;
                facts(pod.metadata, owner).map(Told::Pod)
            }
            // It is tried again, later and later; of what is wrong once is told once.
            Err(error) if !was_refused => {
                was_refused = true;
                Some(refused(&error))
            }
            Ok(Event::Init | Event::InitDone | Event::Delete(_)) | Err(_) => None,
        };
        if news.is_some_and(|news| told.send(news).is_err()) {
            return;
        }
    }
}

/// The owners of owners, each asked for once.
struct Owners {
    client: Client,
    known: FxHashMap<String, WorkloadFacts>,
}

/// Owners that are remembered; past it all are asked for again.
const OWNERS_MAX: usize = 4096;

impl Owners {
    /// What keeps a pod running: its owner, or the owner of that.
    async fn of_pod(&mut self, pod: &ObjectMeta) -> Option<WorkloadFacts> {
        let owner = controller(pod)?;
        if let Some(known) = self.known.get(&owner.uid) {
            return Some(known.clone());
        }
        let own = WorkloadFacts { kind: owner.kind.clone(), name: owner.name.clone() };
        let asked = match (owner.api_version.split('/').next(), owner.kind.as_str()) {
            (Some("apps"), "ReplicaSet") => self.metadata::<ReplicaSet>(pod, &owner.name).await,
            (Some("batch"), "Job") => self.metadata::<Job>(pod, &owner.name).await,
            _ => Some(ObjectMeta::default()),
        };
        // Who may not ask, or asks too late, still knows the first owner.
        let Some(asked) = asked else { return Some(own) };
        let above = controller(&asked);
        let workload =
            above.map_or(own, |above| WorkloadFacts { kind: above.kind.clone(), name: above.name.clone() });
        if self.known.len() >= OWNERS_MAX {
            self.known.clear();
        }
        self.known.insert(owner.uid.clone(), workload.clone());
        Some(workload)
    }

    async fn metadata<K>(&self, pod: &ObjectMeta, name: &str) -> Option<ObjectMeta>
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
        K: Clone + std::fmt::Debug + serde::de::DeserializeOwned,
    {
        let namespace = pod.namespace.as_deref()?;
        let api = Api::<PartialObjectMeta<K>>::namespaced(self.client.clone(), namespace);
        api.get(name).await.ok().map(|found| found.metadata)
    }
}

/// The one owner that acts on an object.
fn controller(object: &ObjectMeta) -> Option<&OwnerReference> {
    object.owner_references.iter().flatten().find(|owner| owner.controller == Some(true))
}

/// Annotations that give resource attributes begin so.
const ATTRIBUTE: &str = "resource.opentelemetry.io/";
/// Attributes of one pod, and bytes of the value of each.
const ATTRIBUTES_MAX: usize = 64;
const VALUE_MAX: usize = 1024;

fn facts(pod: ObjectMeta, workload: Option<WorkloadFacts>) -> Option<PodFacts> {
    let annotations = pod.annotations.unwrap_or_default();
    // The kubelet's static pods have another uid on the node than in the cluster, which shows a mirror of them.
    let mirrored = annotations.get("kubernetes.io/config.mirror").cloned();
    let attributes = annotations.iter().filter_map(|(name, value)| {
        let name = name.strip_prefix(ATTRIBUTE).filter(|name| !name.is_empty())?;
        (value.len() <= VALUE_MAX).then(|| (name.to_owned(), value.clone()))
    });
    let attributes: BTreeMap<_, _> = attributes.take(ATTRIBUTES_MAX).collect();
    Some(PodFacts {
        uid: mirrored.or(pod.uid)?,
        name: pod.name,
        namespace: pod.namespace,
        workload: workload.filter(|workload| workload.kind != "Node"),
        attributes: Some(attributes),
    })
}

fn refused(error: &dyn std::error::Error) -> Told {
    Told::Refused(BlindSpotFacts {
        kind: "kubernetes_api".to_owned(),
        exe: String::new(),
        reason: format!(
            "The cluster's API server does not tell of the pods of this node ({error}): what made them and their \
             annotations are not known. The agent's service account needs the verbs list and watch on pods, and get on \
             replicasets and jobs."
        ),
    })
}

#[cfg(test)]
mod tests;
