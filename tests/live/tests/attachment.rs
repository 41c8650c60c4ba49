//! Coming late, leaving in order, and being killed.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use live::observer::{Observer, still_loaded};
use live::programs::programs;
use live::scene::Scene;
use peers::running::Running;
use peers::sdk::{Sdk, Transport};
use peers::truth::Line;

#[test]
fn a_stdio_server_that_ran_before() -> Result<()> {
    let peers = &programs()?.peers;
    let mut clients = Vec::new();
    for sdk in Sdk::WITH_SESSIONS {
        let server = sdk.server(peers, Transport::Stdio, &programs()?.certificates);
        clients.push((Running::start(&mut sdk.stdio_client(peers, &[], &server))?, None));
    }
    came_late(clients)?.check("stdio", None).map(drop)
}

#[test]
fn an_http_server_that_ran_before() -> Result<()> {
    let (clients, _servers) = http_clients(Transport::Http)?;
    came_late(clients)?.check("streamable_http", None).map(drop)
}

#[test]
fn an_https_server_that_ran_before() -> Result<()> {
    let (clients, _servers) = http_clients(Transport::Https)?;
    came_late(clients)?.check("streamable_http", Some("openssl")).map(drop)
}

#[test]
fn an_interrupt_ends_it_within_a_second_with_everything_printed() -> Result<()> {
    let observer = Observer::start(&[])?;
    let mut load = Running::<Line>::start(live::scene::raw_peer(programs()?).args([
        "stdio",
        "--sessions",
        "4",
        "--calls",
        "500",
    ]))?;
    load.wait_for("a call", |lines| lines.iter().any(|line| matches!(line, Line::Call(_))))?;
    let lines = load.finish()?;
    // Without waiting for its lines: what was seen up to here must be printed now.
    let (printed, took) = observer.interrupt()?;
    let made = lines.iter().filter(|line| matches!(line, Line::Call(_))).count();
    let pids: Vec<u64> = lines.iter().filter_map(server_pid).map(u64::from).collect();
    let seen = printed.iter().filter(|line| line["type"] == "call");
    let seen =
        seen.filter(|line| line["server"]["pid"].as_u64().is_some_and(|pid| pids.contains(&pid))).count();
    ensure!(seen == made, "{seen} of {made} calls were printed");
    ensure!(took <= Duration::from_secs(1), "it took {took:?} to end");
    Ok(())
}

#[test]
fn nothing_stays_attached_when_it_is_killed() -> Result<()> {
    let observer = Observer::start(&[])?;
    let programs = observer.kernel_programs()?;
    ensure!(!programs.is_empty(), "the observer holds no kernel program");
    ensure!(still_loaded(&programs)? == programs, "its kernel programs are not loaded");
    observer.kill()?;
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        let left = still_loaded(&programs)?;
        if left.is_empty() {
            return Ok(());
        }
        ensure!(Instant::now() < end, "kernel programs {left:?} are still loaded");
        std::thread::sleep(Duration::from_millis(20));
    }
}

type Clients = Vec<(Running, Option<u32>)>;

fn http_clients(transport: Transport) -> Result<(Clients, Vec<Running>)> {
    let (peers, certificates) = (&programs()?.peers, &programs()?.certificates);
    let (mut clients, mut servers) = (Vec::new(), Vec::new());
    for sdk in Sdk::WITH_SESSIONS {
        let mut server: Running = Running::start(&mut sdk.server(peers, transport, certificates))?;
        let address = (transport, server.port()?);
        let mut client = sdk.http_client(peers, &[], address, certificates);
        if sdk == Sdk::Rust {
            client.arg("--keep-alive");
        }
        clients.push((Running::start(&mut client)?, Some(server.pid())));
        servers.push(server);
    }
    Ok((clients, servers))
}

/// Lets the sessions begin, starts the observer, and goes on with them.
fn came_late(mut clients: Clients) -> Result<Scene> {
    let listed = |lines: &[Line]| {
        lines.iter().any(|line| matches!(line, Line::Call(call) if call.method == "tools/list"))
    };
    for (client, _) in &mut clients {
        client.wait_for("a session", listed)?;
    }
    let mut scene = Scene::start()?;
    for (mut client, server_pid) in clients {
        client.send(r#"{"tool":"echo","arguments":{"message":"hi"},"repeat":20}"#)?;
        client.send(r#"{"tool":"big","arguments":{"bytes":300000}}"#)?;
        let lines = client.finish().context("a client that was there before")?;
        let (ready, mut late) = (scene.observer.ready_unix_ns, lines);
        late.retain(|line| !matches!(line, Line::Call(call) if call.start_unix_ns < ready));
        scene.add(&late, server_pid, "there before the observer");
    }
    Ok(scene)
}

fn server_pid(line: &Line) -> Option<u32> {
    match line {
        Line::Peer { server_pid, .. } => *server_pid,
        _ => None,
    }
}
