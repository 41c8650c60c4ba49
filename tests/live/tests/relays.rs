//! Calls that cross several processes: each is counted once, and each hop is tied to the one that it passes on.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use live::containers::Host;
use live::observer::Observer;
use live::programs::programs;
use peers::install::install_relays;
use peers::running::Running;
use peers::sdk::{Sdk, Transport};
use peers::truth::{Call, Line};
use serde_json::Value;

/// Several at once, with equal arguments too, and failures.
const STEPS: [&str; 4] = [
    r#"{"tool":"echo","arguments":{"message":"hé / \"there\""},"repeat":6,"concurrency":3}"#,
    r#"{"tool":"add","arguments":{"a":1,"b":2},"repeat":3}"#,
    r#"{"tool":"fail"}"#,
    r#"{"method":"ping"}"#,
];

#[test]
fn a_wrapper_of_standard_input_and_output() -> Result<()> {
    let relays = relays()?;
    let mut wrapper = node(&relays.join("wrapper.mjs"));
    let server = Sdk::Python.server(&programs()?.peers, Transport::Stdio, &programs()?.certificates);
    wrapper.arg(server.get_program()).args(server.get_args());
    passes_on(|steps| Running::start(&mut stdio_client(steps, &wrapper)?)?.finish(), 1, "stdio")
}

#[test]
fn from_standard_input_and_output_to_http() -> Result<()> {
    let (peers, certificates) = (&programs()?.peers, &programs()?.certificates);
    let mut server = Running::<Line>::start(&mut Sdk::Python.server(peers, Transport::Http, certificates))?;
    let remote = mcp_remote(server.port()?)?;
    passes_on(|steps| Running::start(&mut stdio_client(steps, &remote)?)?.finish(), 1, "stdio")
}

#[test]
fn from_http_to_standard_input_and_output() -> Result<()> {
    let (peers, certificates) = (&programs()?.peers, &programs()?.certificates);
    let gateway = Gateway::start("streamableHttp")?;
    let ask = |steps: &[String]| {
        let address = (Transport::Http, gateway.port);
        Running::start(&mut Sdk::Node.http_client(peers, steps, address, certificates))?.finish()
    };
    passes_on(ask, 1, "streamable_http")
}

#[test]
fn from_web_socket_to_standard_input_and_output() -> Result<()> {
    let gateway = Gateway::start("ws")?;
    let ask = |steps: &[String]| {
        let mut client = node(&programs()?.peers.node.join("client.mjs"));
        client.env("NODE_OPTIONS", "--experimental-websocket").arg("--ws");
        client.args(["--url", &format!("ws://127.0.0.1:{}/message", gateway.port)]);
        client.args(steps.iter().flat_map(|step| ["--call", step]));
        Running::start(&mut client)?.finish()
    };
    passes_on(ask, 1, "websocket")
}

#[test]
fn through_a_proxy_that_compresses() -> Result<()> {
    let (peers, certificates) = (&programs()?.peers, &programs()?.certificates);
    let mut server = Running::<Line>::start(&mut Sdk::Python.server(peers, Transport::Http, certificates))?;
    let mut proxy = node(&relays()?.join("compressing.mjs"));
    let mut proxy = Running::<Line>::start(proxy.arg(server.port()?.to_string()))?;
    let address = (Transport::Http, proxy.port()?);
    let ask = |steps: &[String]| {
        Running::start(&mut Sdk::Node.http_client(peers, steps, address, certificates))?.finish()
    };
    passes_on(ask, 1, "streamable_http")
}

#[test]
fn three_hops_are_one_call() -> Result<()> {
    let gateway = Gateway::start("streamableHttp")?;
    let remote = mcp_remote(gateway.port)?;
    passes_on(|steps| Running::start(&mut stdio_client(steps, &remote)?)?.finish(), 2, "stdio")
}

#[test]
fn into_a_container_of_docker() -> Result<()> {
    let mut host = Host::with(IN_CONTAINER.0)?;
    host.start_docker()?;
    // The command, its daemon, and what holds the container's pipes.
    into_container(&host.with_docker("relayed", &program(), &[IN_CONTAINER.1])?, 3)
}

#[test]
fn into_a_container_of_containerd() -> Result<()> {
    let mut host = Host::with(IN_CONTAINER.0)?;
    host.start_containerd()?;
    into_container(&host.with_containerd("relayed", &program(), &[IN_CONTAINER.1]), 2)
}

#[test]
fn into_a_container_of_podman() -> Result<()> {
    let host = Host::with(IN_CONTAINER.0)?;
    into_container(&host.with_podman("relayed", &program(), &[IN_CONTAINER.1])?, 1)
}

/// What runs in the container.
const IN_CONTAINER: (&str, &str) = ("peer-server", "stdio");

fn program() -> String {
    format!("/bin/{}", IN_CONTAINER.0)
}

fn into_container(command: &Command, relays: usize) -> Result<()> {
    passes_on(|steps| Running::start(&mut stdio_client(steps, command)?)?.finish(), relays, "stdio")
}

/// Lets a client ask through so many relays: each of its calls is one, with as many hops.
fn passes_on(ask: impl Fn(&[String]) -> Result<Vec<Line>>, relays: usize, transport: &str) -> Result<()> {
    let mut observer = Observer::start(&[])?;
    let lines = ask(&STEPS.map(str::to_owned))?;
    let is_tool = |call: &&Call| call.method == "tools/call";
    let calls = lines.iter().filter_map(|line| if let Line::Call(call) = line { Some(call) } else { None });
    let made: Vec<Call> = calls.filter(is_tool).cloned().collect();
    ensure!(made.len() == 10, "{} calls", made.len());
    let client = made.first().context("no call")?.client_pid;
    let all = made.len() * (relays + 1);
    // Where hops are missing in the end the comparison below tells which.
    let _ = observer.wait_for("all hops", |lines| tool_calls(lines, client).len() >= all);
    let (lines, _) = observer.interrupt()?;
    let seen = tool_calls(&lines, client);
    ensure!(seen.len() == all, "{} instead of {all}: {seen:#?}", seen.len());
    let (outermost, hops): (Vec<&Value>, Vec<&Value>) =
        seen.into_iter().partition(|call| call["client"]["pid"] == client);
    ensure!(outermost.len() == made.len(), "the client's own: {outermost:#?}");
    for call in &outermost {
        ensure!(call["relay"].is_null() && call["certainty"] == "whole", "passes on nothing: {call}");
        ensure!(call["transport"] == transport, "{transport}: {call}");
    }
    for call in &made {
        let same = |seen: &&&Value| call.id.as_ref() == Some(&seen["id"]) && seen["outcome"] == *call.outcome;
        ensure!(outermost.iter().filter(same).count() == 1, "{call:?} in {outermost:#?}");
    }
    // Each hop leads to another call, and all but the last hop have a hop of their own.
    let passed_on: BTreeSet<String> = hops.iter().map(|hop| hop["relay"].to_string()).collect();
    ensure!(passed_on.len() == hops.len() && hops.iter().all(|hop| hop["relay"].is_object()), "{hops:#?}");
    let with_hops =
        outermost.iter().chain(&hops).filter(|call| call["hops"].as_array().map(Vec::len) == Some(1));
    ensure!(with_hops.count() == made.len() * relays, "{outermost:#?} {hops:#?}");
    Ok(())
}

/// The observed calls of tools by a client, by those whom it asked, and what passes these on: others may be at work on
/// this host.
fn tool_calls(lines: &[Value], client: u32) -> Vec<&Value> {
    let calls: Vec<&Value> =
        lines.iter().filter(|line| line["type"] == "call" && line["method"] == "tools/call").collect();
    let mut ours: Vec<&Value> = Vec::new();
    loop {
        let is_ours = |call: &&Value| {
            let asker = &call["client"]["pid"];
            *asker == client
                || ours.iter().any(|outer| {
                    let relay = &call["relay"];
                    outer["server"]["pid"] == *asker
                        || relay["id"] == outer["id"] && relay["time"] == outer["time"]
                })
        };
        let more: Vec<&Value> = calls.iter().copied().filter(is_ours).collect();
        if more.len() == ours.len() {
            return ours;
        }
        ours = more;
    }
}

fn relays() -> Result<PathBuf> {
    install_relays(&programs()?.peers.programs)
}

fn node(script: &Path) -> Command {
    let mut node = Command::new("node");
    node.arg(script);
    node
}

/// A client that starts `server`, with a home that it may write to.
fn stdio_client(steps: &[String], server: &Command) -> Result<Command> {
    let mut client = Sdk::Node.stdio_client(&programs()?.peers, steps, server);
    client.env("HOME", relays()?.join("home"));
    Ok(client)
}

/// `mcp-remote`, in front of a server over HTTP.
fn mcp_remote(port: u16) -> Result<Command> {
    let mut remote = node(&relays()?.join("node_modules/mcp-remote/dist/proxy.js"));
    remote.arg(format!("http://127.0.0.1:{port}/mcp")).args(["--allow-http", "--transport", "http-only"]);
    Ok(remote)
}

/// `supergateway`, in front of a server on standard input and output.
struct Gateway {
    port: u16,
    _process: Running<Value>,
}

impl Gateway {
    fn start(transport: &str) -> Result<Self> {
        let server = Sdk::Node.server(&programs()?.peers, Transport::Stdio, &programs()?.certificates);
        let words = std::iter::once(server.get_program()).chain(server.get_args());
        let server: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let mut gateway = node(&relays()?.join("node_modules/supergateway/dist/index.js"));
        gateway.args(["--stdio", &server.join(" "), "--outputTransport", transport]);
        if transport == "streamableHttp" {
            gateway.arg("--stateful");
        }
        gateway.args(["--logLevel", "none", "--port", &port.to_string()]).stderr(Stdio::null());
        let process = Running::start(&mut gateway)?;
        wait_for_listener(port)?;
        Ok(Self { port, _process: process })
    }
}

fn wait_for_listener(port: u16) -> Result<()> {
    let end = Instant::now() + Duration::from_secs(60);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    while TcpStream::connect(address).is_err() {
        if Instant::now() > end {
            bail!("nobody listens on {address}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
