//! Each official client talks to each official server over each transport, and tells the same of it.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use peers::install::{Installed, install};
use peers::running::Running;
use peers::sdk::{Certificates, Sdk, Transport};
use peers::truth::Call;

#[test]
fn over_stdio() -> Result<()> {
    each_pair(Transport::Stdio)
}

#[test]
fn over_http() -> Result<()> {
    each_pair(Transport::Http)
}

#[test]
fn over_https() -> Result<()> {
    each_pair(Transport::Https)
}

#[test]
fn over_the_two_endpoints_of_2024() -> Result<()> {
    each_pair(Transport::Sse)
}

#[test]
fn the_reference_server_answers_every_client() -> Result<()> {
    let (installed, _) = prepared(Transport::Stdio)?;
    let modules = installed.node.join("node_modules/@modelcontextprotocol");
    let mut server = Command::new("node");
    server.arg(modules.join("server-everything/dist/index.js")).arg("stdio");
    let steps = [r#"{"tool":"echo","arguments":{"message":"hi"},"repeat":3}"#.to_owned()];
    for client in Sdk::WITH_SESSIONS {
        let calls = Running::start(&mut client.stdio_client(&installed, &steps, &server))?.calls()?;
        let echoes = calls.iter().filter(|call| call.tool.as_deref() == Some("echo"));
        ensure!(echoes.filter(|call| call.outcome == "ok").count() == 3, "{client:?}: {calls:?}");
    }
    Ok(())
}

fn each_pair(transport: Transport) -> Result<()> {
    let (installed, tls) = prepared(transport)?;
    for server in Sdk::WITH_SESSIONS.into_iter().filter(|sdk| sdk.serves_over(transport)) {
        for client in Sdk::WITH_SESSIONS.into_iter().filter(|sdk| sdk.asks_over(transport)) {
            let pair = || format!("{client:?} client, {server:?} server, {transport:?}");
            let calls = talk(&installed, &tls, transport, server, client).with_context(pair)?;
            check(&calls).with_context(pair)?;
        }
    }
    Ok(())
}

fn prepared(transport: Transport) -> Result<(Installed, Certificates)> {
    let programs = Path::new(env!("CARGO_BIN_EXE_peer-server")).parent().context("no folder")?;
    let tls = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{transport:?}"));
    peers::certificate::make(&tls)?;
    Ok((install(programs)?, Certificates(tls)))
}

fn talk(
    installed: &Installed,
    tls: &Certificates,
    transport: Transport,
    server: Sdk,
    client: Sdk,
) -> Result<Vec<Call>> {
    let steps: Vec<String> = STEPS.iter().map(|(step, ..)| (*step).to_owned()).collect();
    let mut server = server.server(installed, transport, tls);
    if transport == Transport::Stdio {
        return Running::start(&mut client.stdio_client(installed, &steps, &server))?.calls();
    }
    let mut server: Running = Running::start(&mut server)?;
    let address = (transport, server.port()?);
    Running::start(&mut client.http_client(installed, &steps, address, tls))?.calls()
}

fn check(calls: &[Call]) -> Result<()> {
    let seen =
        |tool: &str| calls.iter().filter(|call| call.tool.as_deref() == Some(tool)).collect::<Vec<_>>();
    for (_, tool, count, outcome, progress) in STEPS {
        let seen = seen(tool);
        ensure!(seen.len() == count, "{tool}: {seen:?}");
        for call in seen {
            ensure!(call.outcome == outcome && call.progress == progress, "{call:?}");
            ensure!(call.id.is_some() && call.start_unix_ns <= call.end_unix_ns, "{call:?}");
        }
    }
    for method in ["initialize", "tools/list", "ping"] {
        ensure!(calls.iter().any(|call| call.method == method && call.outcome == "ok"), "no {method}");
    }
    Ok(())
}

/// Step, tool, calls, outcome and progress of each.
const STEPS: [(&str, &str, usize, &str, u64); 7] = [
    (r#"{"tool":"echo","arguments":{"message":"hi"},"repeat":3}"#, "echo", 3, "ok", 0),
    (r#"{"tool":"add","arguments":{"a":1,"b":2},"repeat":6,"concurrency":3}"#, "add", 6, "ok", 0),
    (r#"{"tool":"big","arguments":{"bytes":300000}}"#, "big", 1, "ok", 0),
    (r#"{"tool":"fail"}"#, "fail", 1, "tool_error", 0),
    (r#"{"tool":"absent"}"#, "absent", 1, "rpc_error", 0),
    (r#"{"tool":"progress","arguments":{"count":25}}"#, "progress", 1, "ok", 25),
    (r#"{"method":"ping"}"#, "", 0, "", 0),
];
