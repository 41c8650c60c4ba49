//! HTTP exchanges of shapes that break a careless observer.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use live::programs::programs;
use live::scene::{STEPS, Scene};
use peers::running::Running;
use peers::sdk::{Sdk, Transport};

fn seen(arguments: &[&[&str]]) -> Result<()> {
    let mut scene = Scene::start()?;
    for arguments in arguments {
        scene.raw(&[&["http"], *arguments].concat())?;
    }
    scene.check("streamable_http", None).map(drop)
}

#[test]
fn kept_and_fresh_connections() -> Result<()> {
    seen(&[&["--calls", "200"], &["--calls", "100", "--fresh"]])
}

#[test]
fn an_event_stream_with_three_hundred_progress_notifications() -> Result<()> {
    seen(&[
        &["--sse", "--progress", "300", "--calls", "3"],
        &["--sse", "--progress", "300", "--fresh", "--chunk", "13"],
    ])
}

#[test]
fn requests_and_bodies_cut_at_any_byte() -> Result<()> {
    seen(&[&["--chunk", "1"], &["--chunk", "1", "--sse"], &["--chunk", "3", "--id-last", "--bytes", "5000"]])
}

#[test]
fn large_bodies() -> Result<()> {
    seen(&[
        &["--bytes", "24000000", "--calls", "1"],
        &["--bytes", "24000000", "--id-last", "--sse", "--calls", "1"],
    ])
}

#[test]
fn batches() -> Result<()> {
    seen(&[&["--batch", "5", "--calls", "12"], &["--batch", "3", "--calls", "6", "--fresh"]])
}

#[test]
fn answers_that_are_only_a_status() -> Result<()> {
    seen(&[&["--status", "503"], &["--status", "401", "--fresh"], &["--status", "404"]])
}

#[test]
fn the_two_endpoints_of_2024() -> Result<()> {
    let mut scene = Scene::start()?;
    scene.raw(&["sse", "--calls", "50"])?;
    scene.raw(&["sse", "--progress", "300", "--calls", "2", "--bytes", "100000"])?;
    scene.check("http_sse", None).map(drop)
}

#[test]
fn json_bodies_without_sessions() -> Result<()> {
    let mut scene = Scene::start()?;
    let mut server = Command::new(programs()?.peers.programs.join("peer-server"));
    server.args(["http", "--stateless"]);
    scene.talk_to(server, Transport::Http, Sdk::Node, &STEPS, "no sessions")?;
    scene.check("streamable_http", None).map(drop)
}

#[test]
fn kept_and_fresh_connections_inside_tls() -> Result<()> {
    let programs = programs()?;
    let (peers, certificates) = (&programs.peers, &programs.certificates);
    let mut scene = Scene::start()?;
    let mut server = Running::start(&mut Sdk::Rust.server(peers, Transport::Https, certificates))?;
    let address = (Transport::Https, server.port()?);
    let steps = [r#"{"tool":"echo","arguments":{"message":"hi"},"repeat":30}"#.to_owned()];
    for flags in [&[] as &[&str], &["--keep-alive"]] {
        let mut client = Sdk::Rust.http_client(peers, &steps, address, certificates);
        let lines = Running::start(client.args(flags))?.finish().context("the client")?;
        scene.add(&lines, Some(server.pid()), "one server, two clients");
    }
    let calls = scene.check("streamable_http", Some("openssl"))?;
    ensure!(calls.iter().filter(|call| call.tool.as_deref() == Some("echo")).count() == 60);
    Ok(())
}

#[test]
fn many_calls_on_one_connection_of_http2() -> Result<()> {
    let peers = &programs()?.peers;
    let node = |script: &str| {
        let mut command = Command::new("node");
        command.arg(peers.node.join(script));
        command
    };
    let mut scene = Scene::start()?;
    let mut server = Running::start(node("server.mjs").arg("http2"))?;
    let url = format!("http://127.0.0.1:{}/mcp", server.port()?);
    let mut client = node("client.mjs");
    client.args(["--http2", "--url", &url]);
    client.args(STEPS.iter().flat_map(|step| ["--call", *step]));
    let lines = Running::start(&mut client)?.finish().context("the client")?;
    scene.add(&lines, Some(server.pid()), "HTTP/2 at both ends");
    scene.check("streamable_http", None).map(drop)
}
