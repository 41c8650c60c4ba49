//! A scene: an observer, peers that talk before its eyes, and the comparison at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use peers::running::Running;
use peers::script::Step;
use peers::sdk::{Sdk, Transport};
use peers::truth::{Call, Line};

use crate::comparison::{Difference, Observed};
use crate::observer::Observer;
use crate::programs::{Programs, programs};

/// What happened so far.
#[derive(Debug)]
pub struct Scene {
    /// Who watches.
    pub observer: Observer,
    programs: &'static Programs,
    truth: Vec<Call>,
    /// All processes that took part, each with what it was.
    cast: BTreeMap<u32, String>,
}

impl Scene {
    /// An observer, ready, and nobody else yet.
    pub fn start() -> Result<Self> {
        Self::with(Observer::start(&[])?)
    }

    /// A scene before the eyes of this observer.
    pub fn with(observer: Observer) -> Result<Self> {
        Ok(Self { observer, programs: programs()?, truth: Vec::new(), cast: BTreeMap::new() })
    }

    /// Runs a hand-written peer to its end.
    pub fn raw(&mut self, arguments: &[&str]) -> Result<()> {
        let peer = Running::start(raw_peer(self.programs).args(arguments))?;
        let lines = peer.finish().with_context(|| arguments.join(" "))?;
        self.add(&lines, None, &arguments.join(" "));
        Ok(())
    }

    /// Lets a client of one SDK talk to a server of another. Returns the client's process.
    pub fn talk(&mut self, transport: Transport, server: Sdk, client: Sdk, steps: &[&str]) -> Result<u32> {
        let label = format!("{client:?} client, {server:?} server, {transport:?}");
        let server = server.server(&self.programs.peers, transport, &self.programs.certificates);
        self.talk_to(server, transport, client, steps, &label).context(label)
    }

    /// Lets a client of an SDK talk to the server of this command line. Returns the client's process.
    pub fn talk_to(
        &mut self,
        mut server: Command,
        transport: Transport,
        client: Sdk,
        steps: &[&str],
        label: &str,
    ) -> Result<u32> {
        let Programs { peers, certificates, .. } = self.programs;
        let words: Vec<String> = steps.iter().map(|step| (*step).to_owned()).collect();
        if transport == Transport::Stdio {
            let client = Running::start(&mut client.stdio_client(peers, &words, &server))?;
            return self.witness(client, None, steps, label);
        }
        let mut server = Running::start(&mut server)?;
        let address = (transport, server.port()?);
        let client = Running::start(&mut client.http_client(peers, &words, address, certificates))?;
        self.witness(client, Some(server.pid()), steps, label)
    }

    /// Lets a client and a server of the first line of an SDK talk about tasks.
    pub fn tasks(&mut self, transport: Transport, sdk: Sdk) -> Result<u32> {
        let peers = &self.programs.peers;
        let (mut client, mut server) = (sdk.with_tasks(peers, "client"), sdk.with_tasks(peers, "server"));
        let label = format!("tasks, {sdk:?}, {transport:?}");
        if transport == Transport::Stdio {
            client.arg("--").arg(server.get_program()).args(server.get_args()).arg("stdio");
            return self.witness(Running::start(&mut client)?, None, &[], &label);
        }
        let mut server = Running::<Line>::start(server.arg("http"))?;
        client.arg(format!("http://127.0.0.1:{}/mcp", server.port()?));
        self.witness(Running::start(&mut client)?, Some(server.pid()), &[], &label)
    }

    /// Adds what a client tells to its end, which is to be of every tool that it was to call.
    fn witness(
        &mut self,
        client: Running,
        server_pid: Option<u32>,
        steps: &[&str],
        label: &str,
    ) -> Result<u32> {
        let client_pid = client.pid();
        let lines = client.finish()?;
        for step in steps {
            let step = Step::parse(step)?;
            let of_the_tool =
                |line: &&Line| matches!(line, Line::Call(call) if call.tool.as_ref() == Some(&step.tool));
            let told = lines.iter().filter(of_the_tool).count();
            ensure!(step.tool.is_empty() || told >= step.repeat, "{told} calls of {step:?}: {lines:?}");
        }
        self.add(&lines, server_pid, label);
        Ok(client_pid)
    }

    /// Adds what a server logged of its calls, all of which this client made. What a call took, and what its
    /// headers say that it speaks, is the client's to say.
    pub fn add_log(&mut self, lines: &[Line], client_pid: u32, label: &str) {
        let as_seen_by_the_client = |line: &Line| match line {
            Line::Call(call) => {
                Line::Call(Call { client_pid, revision: None, duration_ms: f64::INFINITY, ..call.clone() })
            }
            other => other.clone(),
        };
        let lines: Vec<Line> = lines.iter().map(as_seen_by_the_client).collect();
        self.add(&lines, None, label);
    }

    /// Adds what a peer told. Its server is the one that it started, or else `server_pid`.
    pub fn add(&mut self, lines: &[Line], server_pid: Option<u32>, label: &str) {
        for line in lines {
            let pids = match line {
                Line::Peer { client_pid, server_pid } => [Some(*client_pid), *server_pid],
                Line::Listening { pid, .. } => [Some(*pid), None],
                Line::Call(call) => {
                    let mut call = call.clone();
                    call.server_pid = call.server_pid.or(server_pid);
                    self.truth.push(call);
                    [server_pid, None]
                }
            };
            self.cast.extend(pids.into_iter().flatten().map(|pid| (pid, label.to_owned())));
        }
    }

    /// Waits until every call is seen, ends the observer and compares. Returns the observed calls of this scene.
    pub fn check(mut self, transport: &str, tls: Option<&str>) -> Result<Vec<Observed>> {
        ensure!(!self.cast.is_empty(), "nobody took part");
        let pids: BTreeSet<u32> = self.cast.keys().copied().collect();
        let seen_all = |lines: &[serde_json::Value]| {
            lines.len() >= self.truth.len() && {
                let (observed, _) = Observed::among(lines);
                Difference::between(&self.truth, &observed, &pids).missing.is_empty()
            }
        };
        // Where calls are missing in the end the comparison below tells which.
        let _ = self.observer.wait_for("all calls", seen_all);
        let (lines, _) = self.observer.interrupt()?;
        let (observed, broken) = Observed::among(&lines);
        ensure!(broken.is_empty(), "lines that are not as promised: {broken:?}");
        let difference = Difference::between(&self.truth, &observed, &pids);
        ensure!(difference.is_empty(), "{difference:#?}\nof {} calls by {:#?}", self.truth.len(), self.cast);
        let ours = observed.into_iter().filter(|call| call.server.pid.is_some_and(|pid| pids.contains(&pid)));
        let ours: Vec<Observed> = ours.collect();
        let astray = ours.iter().find(|call| call.transport != transport || call.tls.as_deref() != tls);
        ensure!(astray.is_none(), "expected {transport} and {tls:?}: {astray:?}");
        Ok(ours)
    }
}

/// The hand-written peer.
pub fn raw_peer(programs: &Programs) -> Command {
    Command::new(programs.peers.programs.join("raw-peer"))
}

/// Calls with each outcome, several at once, small and large.
pub const STEPS: [&str; 7] = [
    r#"{"tool":"echo","arguments":{"message":"hi"},"repeat":3}"#,
    r#"{"tool":"add","arguments":{"a":1,"b":2},"repeat":6,"concurrency":3}"#,
    r#"{"tool":"big","arguments":{"bytes":300000}}"#,
    r#"{"tool":"fail"}"#,
    r#"{"tool":"absent"}"#,
    r#"{"tool":"progress","arguments":{"count":25}}"#,
    r#"{"method":"ping"}"#,
];
