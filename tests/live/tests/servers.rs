//! What is told of servers beside their calls: how they end, what they take, their steps and tools, who is let in.

use std::fs;
use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use live::agent::Agent;
use live::observer::Observer;
use serde_json::{Value, json};

/// A server on standard input and output. From its third list on it describes its tool in another way.
const STDIO_SERVER: &str = r#"
import json, os, signal, sys
lists = 0
for line in sys.stdin:
    message = json.loads(line)
    method = message["method"]
    if method == "initialize":
        result = {"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": {"name": sys.argv[1], "version": "1"}}
    elif method == "tools/list":
        lists += 1
        description = "says it again" if lists < 3 else "says it again, and more"
        result = {"tools": [{"name": "echo", "description": description, "inputSchema": {"type": "object"}}]}
    elif message["params"]["name"] == "fail":
        sys.exit(3)
    elif message["params"]["name"] == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    else:
        result = {"content": []}
    print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)
"#;

/// A server on HTTP that wants to know who asks, and lets nobody in who is called so.
const HTTP_SERVER: &str = r#"
import http.server, json, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        message = json.loads(self.rfile.read(int(self.headers["content-length"])))
        who = self.headers.get("authorization")
        status = 401 if who is None else 403 if "nobody" in who else 200
        info = {"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": {"name": sys.argv[1], "version": "1"}}
        answer = {"jsonrpc": "2.0", "id": message["id"], "result": info if message["method"] == "initialize" else {}}
        body = json.dumps(answer).encode() if status == 200 else b""
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
"#;

#[test]
fn the_end_of_a_server_says_how() -> Result<()> {
    let mut observer = Observer::start(&[])?;
    for (tool, reason) in [("echo", "exit_0"), ("fail", "exit_error"), ("die", "signal_kill")] {
        let mut server = Server::start("ends")?;
        server.ask("initialize", initialize())?;
        // It may be gone before it answers.
        let _ = server.ask("tools/call", json!({"name": tool}));
        let pid = server.child.id();
        server.end()?;
        observer.wait_for(reason, |lines| of(lines, "server_stopped", pid).next().is_some())?;
        let stopped = of(observer.lines(), "server_stopped", pid).next().context("it was there")?;
        ensure!(stopped["reason"] == reason && stopped["probe"].is_null(), "{stopped}");
        let started: Vec<_> = of(observer.lines(), "server_started", pid).collect();
        ensure!(started.len() == 1 && started[0]["was_running"].is_null(), "{started:?}");
    }
    observer.interrupt().map(drop)
}

#[test]
fn a_description_that_changes_is_told_once_with_the_tool() -> Result<()> {
    let mut observer = Observer::start(&[])?;
    let mut server = Server::start("changes")?;
    server.ask("initialize", initialize())?;
    for _ in 0..4 {
        server.ask("tools/list", json!({}))?;
    }
    server.ask("tools/call", json!({"name": "echo"}))?;
    let pid = server.child.id();
    server.end()?;
    observer.wait_for("the server's end", |lines| of(lines, "server_stopped", pid).next().is_some())?;
    let (lines, _) = observer.interrupt()?;
    let changed: Vec<_> = of(&lines, "tool_changed", pid).collect();
    ensure!(changed.len() == 1 && changed[0]["tool"] == "echo", "{changed:?}");
    ensure!(!changed[0].to_string().contains("and more"), "what is told of a tool is not shown");
    let listed: Vec<_> = of(&lines, "tools_listed", pid).map(|line| line["tools"].to_string()).collect();
    ensure!(listed == [r#"["echo"]"#; 2], "before and after: {listed:?}");
    let steps: Vec<_> = of(&lines, "protocol_step", pid).filter_map(|line| line["step"].as_str()).collect();
    ensure!(steps == ["initialize_to_list", "list_to_call", "initialize_to_call"], "{steps:?}");
    Ok(())
}

#[test]
fn a_server_that_was_there_before_has_not_started() -> Result<()> {
    let mut server = Server::start("before")?;
    server.ask("initialize", initialize())?;
    let mut observer = Observer::start(&[])?;
    server.ask("tools/list", json!({}))?;
    let pid = server.child.id();
    observer.wait_for("the server", |lines| of(lines, "server_started", pid).next().is_some())?;
    let started = of(observer.lines(), "server_started", pid).next().context("it was there")?;
    ensure!(started["was_running"] == true, "{started}");
    observer.interrupt().map(drop)
}

#[test]
fn what_a_server_takes_is_measured_while_it_runs() -> Result<()> {
    let mut agent = Agent::start()?;
    let name = format!("takes-{}", std::process::id());
    let label = format!("{{server=\"{name}\"}}");
    let mut server = Server::start(&name)?;
    server.ask("initialize", initialize())?;
    server.ask("tools/list", json!({}))?;
    let memory = format!("mcp_server_memory_bytes{label}");
    agent.wait_for(DEADLINE, "its memory", |agent| Ok(agent.metric(&memory).is_ok()))?;
    // An interpreter has some megabytes, and this one has done next to nothing.
    ensure!((1e6..1e9).contains(&agent.metric(&memory)?), "{}", agent.metric(&memory)?);
    let cpu = agent.metric(&format!("mcp_server_cpu_seconds_total{label}"))?;
    ensure!((0.0..60.0).contains(&cpu), "{cpu}");
    ensure!(agent.metric(&format!("mcp_server_uptime_seconds{label}"))? < 600.0);
    ensure!(agent.metric(&format!("mcp_server_starts_total{label}"))? == 1.0);
    ensure!(agent.metric(&format!("mcp_tools_listed{label}"))? == 1.0);
    server.end()?;
    let stops = format!("mcp_server_stops_total{{reason=\"exit_0\",server=\"{name}\"}}");
    agent.wait_for(DEADLINE, "its end", |agent| Ok(agent.metric(&stops).is_ok_and(|stops| stops == 1.0)))?;
    ensure!(agent.metric(&memory).is_err(), "nothing is left of its memory");
    Ok(())
}

#[test]
fn who_is_let_in_is_counted_by_scheme_and_never_by_value() -> Result<()> {
    let mut agent = Agent::start()?;
    let name = format!("guarded-{}", std::process::id());
    let script = script(&name, HTTP_SERVER)?;
    let mut server = Command::new("python3").arg(&script).arg(&name).stdout(Stdio::piped()).spawn()?;
    let output = server.stdout.take().context("no output")?;
    let server = Guard(server);
    let mut port = String::new();
    BufReader::new(output).read_line(&mut port)?;
    let mut client = TcpStream::connect(("127.0.0.1", port.trim().parse()?))?;
    for (authorization, status) in [
        ("", 401),
        ("authorization: Bearer eyJhbGciOi.c2VjcmV0.c2ln\r\n", 200),
        ("authorization: Bearer nobody\r\n", 403),
        ("authorization: Basic c2VjcmV0\r\n", 200),
    ] {
        post(&mut client, authorization, status)?;
    }
    // Who refuses at first has not told its name.
    let counted = |agent: &Agent, scheme: &str, result: &str, server: &str| {
        let labels = format!("{{result=\"{result}\",scheme=\"{scheme}\",server=\"{server}\"}}");
        agent.metric(&format!("mcp_auth_requests_total{labels}")).is_ok_and(|count| count == 1.0)
    };
    agent.wait_for(DEADLINE, "all four", |agent| {
        Ok(counted(agent, "none", "unauthorized", &format!("{name}.py"))
            && counted(agent, "bearer_jwt", "accepted", &name)
            && counted(agent, "bearer", "forbidden", &name)
            && counted(agent, "basic", "accepted", &name))
    })?;
    let metrics = agent.metrics()?;
    ensure!(!metrics.contains("c2VjcmV0") && !metrics.contains("nobody"), "a secret is in the metrics");
    drop(server);
    Ok(())
}

/// A server and the way to it.
struct Server {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    requests: u32,
}

impl Server {
    fn start(name: &str) -> Result<Self> {
        let mut command = Command::new("python3");
        command.arg(script("stdio_server", STDIO_SERVER)?).arg(name);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (input, output) = (child.stdin.take(), child.stdout.take().context("no output")?);
        Ok(Self { child, input, output: BufReader::new(output), requests: 0 })
    }

    fn ask(&mut self, method: &str, params: Value) -> Result<Value> {
        self.requests += 1;
        let request = json!({"jsonrpc": "2.0", "id": self.requests, "method": method, "params": params});
        writeln!(self.input.as_mut().context("no input")?, "{request}")?;
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        Ok(serde_json::from_str(&line)?)
    }

    /// Closes its input and waits for its end.
    fn end(mut self) -> Result<()> {
        drop(self.input.take());
        self.child.wait().map(drop).context("the server")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // An error here means that it has ended already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Ends with this.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        // As above.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn initialize() -> Value {
    json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "live", "version": "1"}})
}

/// Posts `initialize` and reads the whole answer, which must have this status.
fn post(client: &mut TcpStream, header: &str, status: u16) -> Result<()> {
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": initialize()}).to_string();
    let length = body.len();
    let head = "POST /mcp HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
    client.write_all(format!("{head}{header}content-length: {length}\r\n\r\n{body}").as_bytes())?;
    let mut answer = BufReader::new(client);
    let (mut first, mut length) = (String::new(), 0);
    answer.read_line(&mut first)?;
    ensure!(first.contains(&status.to_string()), "{first}");
    loop {
        let mut line = String::new();
        answer.read_line(&mut line)?;
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse()?;
        }
        if line.trim().is_empty() {
            break;
        }
    }
    answer.read_exact(&mut vec![0; length]).context("the body")
}

/// The lines of one type about one server.
fn of<'l>(lines: &'l [Value], kind: &'l str, pid: u32) -> impl Iterator<Item = &'l Value> {
    lines.iter().filter(move |line| line["type"] == kind && line["server"]["pid"] == pid)
}

/// A program in a file of this name: an interpreter's script names the server until it does so itself.
fn script(name: &str, text: &str) -> Result<PathBuf> {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.py"));
    fs::write(&path, text)?;
    Ok(path)
}

const DEADLINE: Duration = Duration::from_secs(20);
