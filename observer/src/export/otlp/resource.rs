//! Whose spans they are: one resource for each observed service, and one for the observer itself.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::resource::v1::Resource;

use super::attributes::Attributes;
use super::settings::{AttributeLimits, Settings};
use crate::capture::host::Options;
use crate::capture::host::root::HostRoot;
use crate::export::trace::Mixer;
use crate::pipeline::input::ProcessId;
use crate::pipeline::observation::{Peer, Process};
use crate::pipeline::time::{Rfc3339, Timestamp, WallClock};

/// Makes resources.
#[derive(Clone, Debug)]
pub struct Resources {
    /// What the user says of all.
    common: Vec<(String, String)>,
    service_name: Option<String>,
    host: Option<Host>,
    payloads: bool,
}

/// A party of a call, as a service.
#[derive(Clone, Copy, Debug)]
pub struct Service<'a> {
    /// The party.
    pub peer: &'a Peer,
    /// Whether it is a program that its client has started: it is no service of its own, whatever its pod is called.
    pub is_child: bool,
}

/// What tells one resource from another within a portion.
pub type Key<'a> = (Option<ProcessId>, Option<&'a str>, Option<&'a str>, Option<std::net::IpAddr>, bool);

/// The host that is observed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Host {
    name: String,
    id: String,
    /// What a cluster calls it, where the user says so.
    node: Option<String>,
}

impl Host {
    /// This host: not the container in which the observer may run, which has a name and files of its own.
    pub fn here(options: &Options) -> Self {
        let root = HostRoot::new(options.root.as_deref());
        let line = |path: &str| {
            let text = String::from_utf8(root.read(path, 1024).ok()?).ok()?;
            Some(text.trim().to_owned()).filter(|text| !text.is_empty())
        };
        let id = ["/etc/machine-id", "/var/lib/dbus/machine-id"].into_iter().find_map(line);
        let own = || rustix::system::uname().nodename().to_string_lossy().into_owned();
        let name = line("/etc/hostname").unwrap_or_else(own);
        Self { name, id: id.unwrap_or_default(), node: options.node.clone() }
    }
}

/// As OpenTelemetry calls it.
const ARCH: &str = if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" };

/// What the user says of the observer, not of the observed.
const OF_THE_OBSERVER: &[&str] = &["service.name", "service.version", "service.instance.id"];

/// No limit: a resource is sent once for a portion.
const LIMITS: AttributeLimits = AttributeLimits { length: usize::MAX, count: usize::MAX };

impl Resources {
    /// As the settings have it. `host`: absent for what was recorded, perhaps elsewhere.
    pub fn new(settings: &Settings, host: Option<Host>, payloads: bool) -> Self {
        let (common, service_name) = (settings.resource.clone(), settings.service_name.clone());
        Self { common, service_name, host, payloads }
    }

    /// What tells the resource of a service from others.
    pub fn key<'a>(Service { peer, is_child }: &Service<'a>) -> Key<'a> {
        let process = peer.process.as_deref().map(|process| process.id);
        let address = peer.address.filter(|_| process.is_none()).map(|address| address.ip());
        (process, peer.name.as_deref(), peer.version.as_deref(), address, *is_child)
    }

    /// The resource of an observed service.
    pub fn observed(&self, service: &Service<'_>, clock: WallClock) -> Resource {
        let peer = service.peer;
        let mut list = Attributes::new(LIMITS);
        for (key, value) in self.common.iter().filter(|(key, _)| !OF_THE_OBSERVER.contains(&key.as_str())) {
            list.text(key, value);
        }
        let process = peer.process.as_deref();
        if let Some(process) = process.filter(|_| !service.is_child) {
            of_pod(&mut list, process);
        }
        add(&mut list, "service.name", Some(peer.label().unwrap_or("unknown_service")));
        add(&mut list, "service.version", peer.version.as_deref());
        if let Some(process) = process {
            add(&mut list, "service.instance.id", Some(&self.instance(process)));
            self.process(&mut list, process, clock);
            of_container(&mut list, process);
            self.node(&mut list, process);
            // A process that is known runs here; a peer that is not may run anywhere.
            self.host(&mut list);
        }
        finish(list)
    }

    /// The resource of the observer itself: of its metrics.
    pub fn own(&self) -> Resource {
        let mut list = Attributes::new(LIMITS);
        list.text("service.name", self.service_name.as_deref().unwrap_or_default());
        for (key, value) in &self.common {
            if !list.has(key) {
                list.text(key, value);
            }
        }
        if !list.has("service.name") {
            list.text("service.name", "mcp-observer");
        }
        if !list.has("service.version") {
            list.text("service.version", env!("CARGO_PKG_VERSION"));
        }
        self.host(&mut list);
        finish(list)
    }

    fn process(&self, list: &mut Attributes, process: &Process, clock: WallClock) {
        list.number("process.pid", process.id.pid);
        let started = clock.unix_ns(Timestamp::from_nanos(process.id.started_ns));
        list.text("process.creation.time", &Rfc3339(started).to_string());
        list.text("process.executable.path", &process.exe);
        list.known("process.executable.name", process.exe.rsplit('/').next());
        list.text("process.command", &process.command);
        if self.payloads {
            list.texts("process.command_args", process.arguments.reveal());
        }
        add(list, "process.owner", process.home.user.as_deref());
        if process.home.is_inherited {
            list.put("mcp_observer.inherited", Value::BoolValue(true));
        }
    }

    fn host(&self, list: &mut Attributes) {
        let Some(host) = &self.host else { return };
        for (key, value) in [("host.name", &*host.name), ("host.id", &host.id), ("host.arch", ARCH)] {
            if !list.has(key) {
                list.text(key, value);
            }
        }
        if !list.has("os.type") {
            list.text("os.type", "linux");
        }
    }

    /// The node of a process in a pod.
    fn node(&self, list: &mut Attributes, process: &Process) {
        let Some(host) = self.host.as_ref().filter(|_| process.pod_uid().is_some()) else { return };
        add(list, "k8s.node.name", Some(host.node.as_deref().unwrap_or(&host.name)));
    }

    /// The same for one process however often it is asked for, and for no other. A UUID of version 8: made by a
    /// hash of our own.
    fn instance(&self, process: &Process) -> String {
        let host = self.host.as_ref().map_or("", |host| &host.id);
        let id = Mixer::of(&(host, process.id.pid, process.id.started_ns));
        let id = id & !(0xf << 76) & !(0b11 << 62) | 0x8 << 76 | 0b10 << 62;
        let hex = format!("{id:032x}");
        let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
        [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-")
    }
}

/// Unless it was said before.
fn add(list: &mut Attributes, key: &str, value: Option<&str>) {
    if !list.has(key) {
        list.known(key, value);
    }
}

/// What a pod is called as a service: by its annotations, else by what keeps it running, else by itself.
fn of_pod(list: &mut Attributes, process: &Process) {
    for (key, value) in process.attributes().into_iter().flatten() {
        add(list, key, Some(value));
    }
    let workload = process.workload().map(|workload| workload.name.as_str());
    add(list, "service.name", workload.or(process.pod()));
    add(list, "service.namespace", process.namespace());
    if let (Some(namespace), Some(pod), Some(container)) =
        (process.namespace(), process.pod(), process.container_name())
    {
        add(list, "service.instance.id", Some(&format!("{namespace}.{pod}.{container}")));
    }
}

fn of_container(list: &mut Attributes, process: &Process) {
    add(list, "container.id", process.container.as_deref());
    add(list, "container.name", process.container_name().filter(|_| process.pod().is_none()));
    add(list, "container.runtime.name", process.runtime());
    add(list, "container.image.name", process.image());
    add(list, "k8s.namespace.name", process.namespace());
    add(list, "k8s.pod.name", process.pod());
    add(list, "k8s.pod.uid", process.pod_uid());
    add(list, "k8s.container.name", process.container_name().filter(|_| process.pod().is_some()));
    if let Some(workload) = process.workload() {
        add(list, &format!("k8s.{}.name", workload.kind.to_lowercase()), Some(&workload.name));
    }
}

fn finish(mut list: Attributes) -> Resource {
    list.text("telemetry.sdk.name", "mcp-observer");
    list.text("telemetry.sdk.language", "rust");
    list.text("telemetry.sdk.version", env!("CARGO_PKG_VERSION"));
    Resource { attributes: list.finish().0, ..Resource::default() }
}
