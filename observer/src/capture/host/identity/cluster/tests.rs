//! The watch against an API server of a few lines: real HTTP, a list, a watch that goes on, and single objects.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::*;

/// Longer than anything here takes, also on a host that is busy.
const DEADLINE: Duration = Duration::from_secs(30);

/// Answers as an API server does.
struct Cluster {
    url: String,
    /// Events for the watch.
    events: Sender<Value>,
    asked: Arc<Mutex<Vec<String>>>,
}

/// The watch that is under test, in a thread of its own.
struct Watching {
    told: Receiver<Told>,
}

impl Cluster {
    /// One with these pods. Where `refuses`, it answers that it may not tell.
    fn with(pods: Vec<Value>, refuses: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (events, watched) = channel();
        let watched = Arc::new(Mutex::new(watched));
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let log = asked.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (pods, watched, log) = (pods.clone(), watched.clone(), log.clone());
                thread::spawn(move || serve(&stream.unwrap(), &pods, refuses, &watched, &log));
            }
        });
        Self { url, events, asked }
    }

    /// Watches it as the agent on `node-1` does.
    fn watch(&self) -> Watching {
        let (tell, told) = sync_channel(100);
        let config = Config::new(self.url.parse().unwrap());
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                watch(Client::try_from(config).unwrap(), "node-1", &tell).await;
            });
        });
        Watching { told }
    }

    fn asked_for(&self, part: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|path| path.contains(part)).count()
    }
}

impl Watching {
    fn pod(&self) -> PodFacts {
        match self.told.recv_timeout(DEADLINE) {
            Ok(Told::Pod(facts)) => facts,
            other => panic!("no pod: {other:?}"),
        }
    }
}

fn serve(
    stream: &TcpStream,
    pods: &[Value],
    refuses: bool,
    watched: &Mutex<Receiver<Value>>,
    log: &Mutex<Vec<String>>,
) {
    let mut lines = BufReader::new(stream).lines();
    while let Some(Ok(first)) = lines.next() {
        while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
        let path = first.split(' ').nth(1).unwrap().to_owned();
        log.lock().unwrap().push(path.clone());
        let answer = match path.split('?').next().unwrap() {
            _ if refuses => Err(403),
            "/api/v1/pods" if path.contains("watch=true") => return stream_events(stream, watched),
            "/api/v1/pods" => Ok(json!({
                "kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1",
                "metadata": {"resourceVersion": "7"}, "items": pods,
            })),
            "/apis/apps/v1/namespaces/shop/replicasets/web-7d4b9" => {
                Ok(object("web-7d4b9", "r1", Some(("apps/v1", "Deployment", "web", "d1"))))
            }
            "/apis/batch/v1/namespaces/shop/jobs/report-29" => {
                Ok(object("report-29", "j1", Some(("batch/v1", "CronJob", "report", "c1"))))
            }
            _ => Err(404),
        };
        let (status, body) = match answer {
            Ok(body) => (200, body),
            Err(code) => (
                code,
                json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": "no", "reason": "Forbidden", "code": code}),
            ),
        };
        let body = body.to_string();
        let head = format!(
            "HTTP/1.1 {status} Told\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        if (&mut &*stream).write_all((head + &body).as_bytes()).is_err() {
            return;
        }
    }
}

fn stream_events(mut stream: &TcpStream, watched: &Mutex<Receiver<Value>>) {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut written = stream.write_all(head.as_bytes());
    while written.is_ok()
        && let Ok(event) = watched.lock().unwrap().recv()
    {
        let line = format!("{event}\n");
        written = stream.write_all(format!("{:x}\r\n{line}\r\n", line.len()).as_bytes());
    }
}

fn object(name: &str, uid: &str, owner: Option<(&str, &str, &str, &str)>) -> Value {
    let owners: Vec<Value> = owner
        .into_iter()
        .map(|(version, kind, name, uid)| {
            json!({"apiVersion": version, "kind": kind, "name": name, "uid": uid, "controller": true})
        })
        .collect();
    json!({
        "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
        "metadata": {"name": name, "namespace": "shop", "uid": uid, "resourceVersion": "7", "ownerReferences": owners},
    })
}

fn workload(facts: &PodFacts) -> String {
    facts.workload.as_ref().map(ToString::to_string).unwrap_or_default()
}

#[test]
fn workloads_are_the_owners_of_owners() {
    let pods = vec![
        object("web-7d4b9-x", "u1", Some(("apps/v1", "ReplicaSet", "web-7d4b9", "r1"))),
        object("web-7d4b9-y", "u2", Some(("apps/v1", "ReplicaSet", "web-7d4b9", "r1"))),
        object("db-0", "u3", Some(("apps/v1", "StatefulSet", "db", "s1"))),
        object("logs-q", "u4", Some(("apps/v1", "DaemonSet", "logs", "e1"))),
        object("report-29-k", "u5", Some(("batch/v1", "Job", "report-29", "j1"))),
        object("alone", "u6", None),
        object("gone-1", "u7", Some(("apps/v1", "ReplicaSet", "gone", "r2"))),
    ];
    let cluster = Cluster::with(pods, false);
    let watching = cluster.watch();
    let told: Vec<PodFacts> = (0..7).map(|_| watching.pod()).collect();
    let told: Vec<_> = told.iter().map(|facts| (facts.uid.as_str(), workload(facts))).collect();
    let expected = [
        ("u1", "deployment/web"),
        ("u2", "deployment/web"),
        ("u3", "statefulset/db"),
        ("u4", "daemonset/logs"),
        ("u5", "cronjob/report"),
        ("u6", ""),
        ("u7", "replicaset/gone"),
    ];
    assert_eq!(told, expected.map(|(uid, workload)| (uid, workload.to_owned())));
    assert_eq!(cluster.asked_for("replicasets/web-7d4b9"), 1, "the owner of two pods is asked for once");
    let lists = cluster.asked_for("/api/v1/pods");
    assert_eq!(cluster.asked_for("fieldSelector=spec.nodeName%3Dnode-1"), lists, "no other node's pods");
}

#[test]
fn a_pod_that_comes_later_is_told_of_with_its_annotations() {
    let cluster = Cluster::with(Vec::new(), false);
    let watching = cluster.watch();
    let mut pod = object("late", "u1", None);
    pod["metadata"]["annotations"] = json!({
        "resource.opentelemetry.io/service.name": "shop", "other": "x", "resource.opentelemetry.io/long": "x".repeat(2000),
    });
    cluster.events.send(json!({"type": "ADDED", "object": pod})).unwrap();
    let facts = watching.pod();
    assert_eq!((facts.name.as_deref(), facts.namespace.as_deref()), (Some("late"), Some("shop")));
    assert_eq!(facts.attributes, Some([("service.name".to_owned(), "shop".to_owned())].into()));
    pod["metadata"]["annotations"] = json!({"resource.opentelemetry.io/service.name": "other"});
    cluster.events.send(json!({"type": "MODIFIED", "object": pod})).unwrap();
    assert_eq!(watching.pod().attributes.unwrap_or_default()["service.name"], "other");
}

#[test]
fn a_static_pod_has_the_uid_that_its_processes_have() {
    let mut pod = object("etcd-node-1", "u1", Some(("v1", "Node", "node-1", "n1")));
    pod["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "0af1"});
    let facts = Cluster::with(vec![pod], false).watch().pod();
    assert_eq!((facts.uid.as_str(), facts.workload), ("0af1", None));
}

#[test]
fn a_refusal_is_told_of_with_what_is_missing() {
    let watching = Cluster::with(Vec::new(), true).watch();
    let Ok(Told::Refused(facts)) = watching.told.recv_timeout(DEADLINE) else { panic!("no refusal") };
    assert_eq!(facts.kind, "kubernetes_api");
    assert!(facts.reason.contains("list and watch on pods"), "{}", facts.reason);
}
