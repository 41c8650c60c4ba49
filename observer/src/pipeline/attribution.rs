//! Who the processes are.
//!
//! In: facts of processes, containers and pods, in any order. Out: [`Process`]es as they are shown: executable, safe
//! command, user, and where they run.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::input::{ContainerFacts, PodFacts, ProcessFacts, ProcessId};
use super::limits::{Limits, Table};
use super::private::Private;

pub use super::input::WorkloadFacts as Workload;

/// A process as it is shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Process {
    /// Its identity.
    pub id: ProcessId,
    /// Path of the executable; empty if it was never known.
    pub exe: Box<str>,
    /// What it runs: the program and, for an interpreter, the script: `python3 server.py`.
    pub command: Box<str>,
    /// The script's or the program's name alone: `server.py`.
    pub short_name: Box<str>,
    /// The whole command line.
    pub arguments: Private<Vec<String>>,
    /// Container id.
    pub container: Option<Box<str>>,
    /// Where it runs and for whom.
    pub home: Home,
}

/// Where a process runs and for whom.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Home {
    /// Number of the user whose rights it has, as this host counts.
    pub uid: Option<u32>,
    /// The user's name, outside of containers.
    pub user: Option<Box<str>>,
    /// Its systemd unit, outside of containers.
    pub unit: Option<Box<str>>,
    /// What runs its container, as far as the process itself tells.
    runtime: Option<Box<str>>,
    /// The class of service of its pod.
    pub qos: Option<Box<str>>,
    /// All of this is its parent's: it was gone before it could be looked at.
    pub is_inherited: bool,
    container: Option<Arc<ContainerFacts>>,
    pod: Option<Arc<PodFacts>>,
}

impl Process {
    /// A process of which nothing is known.
    pub fn unknown(id: ProcessId) -> Self {
        Self {
            id,
            exe: "".into(),
            command: "".into(),
            short_name: "".into(),
            arguments: Private::new(Vec::new()),
            container: None,
            home: Home::default(),
        }
    }

    /// Name of its pod.
    pub fn pod(&self) -> Option<&str> {
        self.home.pod.as_deref()?.name.as_deref()
    }

    /// Unique id of its pod.
    pub fn pod_uid(&self) -> Option<&str> {
        self.home.pod.as_deref().map(|pod| pod.uid.as_str())
    }

    /// Namespace of its pod.
    pub fn namespace(&self) -> Option<&str> {
        self.home.pod.as_deref()?.namespace.as_deref()
    }

    /// What keeps its pod running.
    pub fn workload(&self) -> Option<&Workload> {
        self.home.pod.as_deref()?.workload.as_ref()
    }

    /// Resource attributes that annotations of its pod give it.
    pub fn attributes(&self) -> Option<&BTreeMap<String, String>> {
        self.home.pod.as_deref()?.attributes.as_ref()
    }

    /// Name of its container.
    pub fn container_name(&self) -> Option<&str> {
        self.home.container.as_deref()?.name.as_deref()
    }

    /// The image that its container was made from.
    pub fn image(&self) -> Option<&str> {
        self.home.container.as_deref()?.image.as_deref()
    }

    /// What runs its container.
    pub fn runtime(&self) -> Option<&str> {
        let told = self.home.container.as_deref().and_then(|container| container.runtime.as_deref());
        told.or(self.home.runtime.as_deref())
    }
}

/// The processes of the host, as far as they were seen.
#[derive(Debug)]
pub struct Processes {
    known: Table<ProcessId, Arc<Process>>,
    containers: Table<Arc<str>, Arc<ContainerFacts>>,
    pods: Table<Arc<str>, Arc<PodFacts>>,
}

impl Processes {
    /// For at most so many of each.
    pub fn new(limits: &Limits) -> Self {
        Self {
            known: Table::new(limits.processes),
            containers: Table::new(limits.containers),
            pods: Table::new(limits.pods),
        }
    }

    /// Takes facts in; later ones replace earlier ones (an `exec` changes the program).
    pub fn see(&mut self, id: ProcessId, facts: ProcessFacts) {
        let home = self.home(&facts);
        let arguments = Vec::from(facts.arguments);
        let (command, short_name) = describe(&facts.exe, &arguments);
        let process = Process {
            id,
            exe: facts.exe.into(),
            command: command.into(),
            short_name: short_name.into(),
            arguments: Private::new(arguments),
            container: facts.container.map(Into::into),
            home,
        };
        let _ = self.known.insert(id, Arc::new(process));
    }

    fn home(&self, facts: &ProcessFacts) -> Home {
        let container = facts.container.as_deref().and_then(|id| self.containers.value(id));
        let in_pod = container.and_then(|container| container.pod.as_deref());
        Home {
            uid: facts.uid,
            user: facts.user.as_deref().map(Into::into),
            unit: facts.unit.as_deref().map(Into::into),
            runtime: facts.runtime.as_deref().map(Into::into),
            qos: facts.qos.as_deref().map(Into::into),
            is_inherited: facts.gone,
            container: container.cloned(),
            pod: facts.pod.as_deref().or(in_pod).map(|uid| self.pod(uid)),
        }
    }

    fn pod(&self, uid: &str) -> Arc<PodFacts> {
        let known = self.pods.value(uid).cloned();
        known.unwrap_or_else(|| Arc::new(PodFacts { uid: uid.to_owned(), ..PodFacts::default() }))
    }

    /// Takes in what is known of a container; processes that were seen before get it too.
    pub fn see_container(&mut self, mut facts: ContainerFacts) {
        if let Some(known) = self.containers.value(facts.id.as_str()) {
            facts.keep(known);
        }
        let facts = Arc::new(facts);
        let _ = self.containers.insert(facts.id.as_str().into(), facts.clone());
        let pod = facts.pod.as_deref().map(|uid| self.pod(uid));
        self.change(
            |process| process.container.as_deref() == Some(&facts.id),
            |home| {
                home.container = Some(facts.clone());
                home.pod = home.pod.take().or_else(|| pod.clone());
            },
        );
    }

    /// The same of a pod.
    pub fn see_pod(&mut self, mut facts: PodFacts) {
        if let Some(known) = self.pods.value(facts.uid.as_str()) {
            facts.keep(known);
        }
        let facts = Arc::new(facts);
        let _ = self.pods.insert(facts.uid.as_str().into(), facts.clone());
        self.change(|process| process.pod_uid() == Some(&facts.uid), |home| home.pod = Some(facts.clone()));
    }

    /// Containers and pods are few and told of once or twice: a look at all processes is cheaper than an index.
    fn change(&mut self, concerns: impl Fn(&Process) -> bool, change: impl Fn(&mut Home)) {
        let concerned = |id: &&ProcessId| self.known.value(id).is_some_and(|process| concerns(process));
        let ids: Vec<ProcessId> = self.known.keys().filter(concerned).copied().collect();
        for id in ids {
            if let Some(process) = self.known.value_mut(&id) {
                change(&mut Arc::make_mut(process).home);
            }
        }
    }

    /// The process `id`; without a name if nothing is known of it.
    pub fn process(&self, id: ProcessId) -> Arc<Process> {
        self.known.value(&id).cloned().unwrap_or_else(|| Arc::new(Process::unknown(id)))
    }

    /// Forgets a process that has ended.
    pub fn forget(&mut self, id: ProcessId) {
        self.known.remove(&id);
    }
}

impl ContainerFacts {
    /// Keeps of the facts that were known before what these do not tell.
    fn keep(&mut self, before: &Self) {
        keep(&mut self.runtime, &before.runtime);
        keep(&mut self.name, &before.name);
        keep(&mut self.image, &before.image);
        keep(&mut self.pod, &before.pod);
    }
}

impl PodFacts {
    /// See [`ContainerFacts::keep`].
    fn keep(&mut self, before: &Self) {
        keep(&mut self.name, &before.name);
        keep(&mut self.namespace, &before.namespace);
        keep(&mut self.workload, &before.workload);
        keep(&mut self.attributes, &before.attributes);
    }
}

fn keep<T: Clone>(fact: &mut Option<T>, before: &Option<T>) {
    if fact.is_none() {
        fact.clone_from(before);
    }
}

/// Programs whose first plain argument is a script that says more than the program's name. With the options of
/// each that take a value of their own.
const INTERPRETERS: &[(&str, &[&str])] = &[
    ("python", &["-W", "-X", "--check-hash-based-pycs"]),
    ("node", &["-r", "--require", "--import", "--loader", "-C", "--conditions"]),
    ("bun", &["-r", "--preload", "--cwd"]),
    ("deno", &[]),
    ("ruby", &["-r", "-I"]),
    ("perl", &["-I"]),
    ("php", &["-d", "-c"]),
    ("java", &["-cp", "-classpath", "--class-path", "--module-path"]),
    ("bash", &["-o", "-O"]),
    ("sh", &["-o"]),
];

/// The command as it may be shown, and its short name. Only the program and an interpreter's script are shown:
/// other arguments may be secrets.
fn describe(exe: &str, arguments: &[String]) -> (String, String) {
    let first = arguments.first().map_or(exe, String::as_str);
    let program = base_name(if first.is_empty() { exe } else { first });
    match script(base_name(exe), arguments).or_else(|| script(program, arguments)) {
        Some(script) => {
            let name = base_name(script);
            (format!("{program} {name}"), name.to_owned())
        }
        None => (program.to_owned(), program.to_owned()),
    }
}

fn script<'a>(program: &str, arguments: &'a [String]) -> Option<&'a str> {
    let (_, with_value) = INTERPRETERS.iter().find(|(name, _)| {
        // python3, python3.11, node20
        let rest = program.strip_prefix(name);
        rest.is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit() || c == '.'))
    })?;
    let mut rest = arguments.iter().skip(1);
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "-c" | "-e" | "--eval" | "-p" | "--print" => return None, // program text
            "-m" | "-jar" => return rest.next().map(String::as_str),
            option if with_value.contains(&option) => {
                rest.next();
            }
            option if option.starts_with('-') => {}
            script => return Some(script),
        }
    }
    None
}

fn base_name(path: &str) -> &str {
    path.rsplit('/').find(|part| !part.is_empty()).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(exe: &str, line: &str) -> String {
        describe(exe, &line.split(' ').map(str::to_owned).collect::<Vec<_>>()).0
    }

    #[test]
    fn shows_the_script_and_never_another_argument() {
        assert_eq!(
            command("/usr/bin/python3.11", "python3 -u srv/server.py --token s3cret"),
            "python3 server.py"
        );
        assert_eq!(command("/usr/bin/node", "/usr/bin/node -r x.js /app/index.mjs stdio"), "node index.mjs");
        assert_eq!(
            command("/usr/bin/python3", "python -m mcp_server_time --key k"),
            "python mcp_server_time"
        );
        assert_eq!(command("/usr/bin/python3", "python -c print('s3cret')"), "python");
        assert_eq!(command("/opt/server", "./server --password s3cret"), "server");
        assert_eq!(command("/opt/server", ""), "server");
    }

    const ID: ProcessId = ProcessId { pid: 7, started_ns: 1 };

    fn in_container() -> ProcessFacts {
        let text = |text: &str| Some(text.to_owned());
        ProcessFacts {
            container: text("c1"),
            runtime: text("docker"),
            pod: text("u1"),
            ..ProcessFacts::default()
        }
    }

    fn container() -> ContainerFacts {
        let text = |text: &str| Some(text.to_owned());
        ContainerFacts {
            id: "c1".into(),
            name: text("web"),
            image: text("shop:1"),
            ..ContainerFacts::default()
        }
    }

    fn pod() -> PodFacts {
        let text = |text: &str| Some(text.to_owned());
        PodFacts { uid: "u1".into(), name: text("web-0"), namespace: text("shop"), ..PodFacts::default() }
    }

    #[test]
    fn facts_of_containers_and_pods_may_come_before_or_after_the_process() {
        let mut orders = Vec::new();
        for late in [false, true] {
            let mut processes = Processes::new(&Limits::default());
            if late {
                processes.see(ID, in_container());
                assert_eq!(processes.process(ID).pod_uid(), Some("u1"));
                assert_eq!(processes.process(ID).pod(), None);
            }
            processes.see_container(container());
            processes.see_pod(pod());
            if !late {
                processes.see(ID, in_container());
            }
            let process = processes.process(ID);
            assert_eq!((process.pod(), process.namespace()), (Some("web-0"), Some("shop")));
            assert_eq!((process.container_name(), process.image()), (Some("web"), Some("shop:1")));
            assert_eq!(process.runtime(), Some("docker"));
            orders.push(process);
        }
        assert_eq!(orders[0], orders[1]);
    }

    #[test]
    fn what_is_told_later_takes_nothing_back() {
        let mut processes = Processes::new(&Limits::default());
        processes.see(ID, in_container());
        let workload = Some(Workload { kind: "StatefulSet".into(), name: "web".into() });
        processes.see_pod(PodFacts { uid: "u1".into(), workload, ..PodFacts::default() });
        processes.see_pod(pod());
        let process = processes.process(ID);
        assert_eq!(process.pod(), Some("web-0"));
        assert_eq!(process.workload().map(|workload| workload.kind.as_str()), Some("StatefulSet"));
    }

    #[test]
    fn a_container_can_tell_of_the_pod_that_its_processes_do_not_know() {
        let mut processes = Processes::new(&Limits::default());
        processes.see(ID, ProcessFacts { pod: None, ..in_container() });
        processes.see_pod(pod());
        processes.see_container(ContainerFacts { pod: Some("u1".into()), ..container() });
        assert_eq!(processes.process(ID).pod(), Some("web-0"));
    }

    #[test]
    fn other_processes_are_not_concerned() {
        let mut processes = Processes::new(&Limits::default());
        let other = ProcessFacts { container: Some("c2".into()), pod: Some("u2".into()), ..in_container() };
        processes.see(ID, other);
        processes.see_container(container());
        processes.see_pod(pod());
        assert_eq!((processes.process(ID).pod(), processes.process(ID).image()), (None, None));
    }
}
