//! Starts the peers and returns the calls that the client says it made.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::account::Call;
use crate::agent::Programs;
use crate::process::{self, Killed};
use crate::workspace;

/// How client and server talk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Stdio,
    Http,
    Https,
}

/// All of them, in the order of the demonstration.
pub const TRANSPORTS: [Transport; 3] = [Transport::Stdio, Transport::Http, Transport::Https];

/// What the client is told to do, beyond opening the session and listing the tools.
const STEPS: [&str; 5] = [
    r#"{"tool":"echo","arguments":{"message":"hello"},"repeat":20}"#,
    r#"{"tool":"add","arguments":{"a":1,"b":2},"repeat":10,"concurrency":5}"#,
    r#"{"tool":"big","arguments":{"bytes":1000000},"repeat":3}"#,
    r#"{"tool":"slow","arguments":{"seconds":0.3,"progress":3},"repeat":2}"#,
    r#"{"tool":"fail"}"#,
];

impl Transport {
    /// As a sentence has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stdio => "stdio",
            Self::Http => "HTTP",
            Self::Https => "HTTPS",
        }
    }
}

/// Runs one client against one server until its script is done.
pub fn exchange(programs: &Programs, transport: Transport) -> Result<Vec<Call>> {
    match transport {
        Transport::Stdio => stdio(programs),
        Transport::Http => {
            let server = Server::start(programs, &["http", "--port", "0"])?;
            client(programs, &["--url", &server.url("http")], &[], server.pid())
        }
        Transport::Https => https(programs),
    }
}

fn stdio(programs: &Programs) -> Result<Vec<Call>> {
    let server = programs.peer("peer-server");
    let server = server.get_program().to_str().context(NO_TEXT)?;
    client(programs, &["--stdio"], &["--", server, "stdio"], None)
}

fn https(programs: &Programs) -> Result<Vec<Call>> {
    let folder = workspace::target()?.join("demo");
    std::fs::create_dir_all(&folder)?;
    let file = |name: &str| text(&folder.join(name));
    process::output(programs.peer("peer-server").args(["make-cert", "--dir", &text(&folder)?]))?;
    let (authority, certificate, key) = (file("ca.pem")?, file("cert.pem")?, file("key.pem")?);
    let server = Server::start(programs, &["https", "--cert", &certificate, "--key", &key])?;
    client(programs, &["--url", &server.url("https"), "--ca", &authority, "--keep-alive"], &[], server.pid())
}

/// A server that listens until this value goes.
struct Server {
    _process: Killed,
    listening: Value,
}

impl Server {
    fn start(programs: &Programs, arguments: &[&str]) -> Result<Self> {
        let mut command = programs.peer("peer-server");
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = Killed(command.spawn().context("starting peer-server")?);
        let out = process.0.stdout.take().context("peer-server has no output")?;
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line)?;
        let listening: Value =
            serde_json::from_str(&line).context("peer-server did not say where it listens")?;
        Ok(Self { _process: process, listening })
    }

    fn pid(&self) -> Option<u64> {
        self.listening["pid"].as_u64()
    }

    fn url(&self, scheme: &str) -> String {
        format!("{scheme}://localhost:{}/mcp", self.listening["port"])
    }
}

/// Runs a client to its end. `server` is the process it talks to, where it does not start that itself.
fn client(programs: &Programs, before: &[&str], after: &[&str], server: Option<u64>) -> Result<Vec<Call>> {
    let mut command = programs.peer("peer-client");
    command.args(before);
    for step in STEPS {
        command.args(["--call", step]);
    }
    let printed = process::output(command.args(after))?;
    let lines = printed.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>()?;
    let started = lines.iter().find_map(|line| line["server_pid"].as_u64());
    let Some(server) = server.or(started) else { bail!("peer-client did not say which server it talked to") };
    let calls = lines.iter().filter(|line| line["type"] == "call");
    Ok(calls.map(|line| Call::of_truth(line, server)).collect())
}

fn text(path: &Path) -> Result<String> {
    path.to_str().map(str::to_owned).context(NO_TEXT)
}

const NO_TEXT: &str = "the target directory's path is no text";
