//! The official conformance suite: each request in the log of the server that it talks to is one call.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use live::programs::programs;
use live::scene::Scene;
use peers::install::{Conformance, install_conformance};
use peers::running::Running;
use peers::truth::Line;

/// Calls of the suite's active scenarios, of which there are thirty.
const LEAST_CALLS: usize = 60;

#[test]
fn the_suite_of_the_protocol() -> Result<()> {
    let conformance = install_conformance(&programs()?.peers.programs)?;
    let mut scene = Scene::start()?;
    let mut server: Running = Running::start(Command::new("node").arg(&conformance.server))?;
    let port = server.port()?;
    let client_pid = run_suite(&conformance, port)?;
    let calls = |lines: &[Line]| lines.iter().filter(|line| matches!(line, Line::Call(_))).count();
    server.wait_for("the log of the suite's calls", |lines| calls(lines) >= LEAST_CALLS)?;
    scene.add_log(server.lines(), client_pid, "the conformance suite");
    let seen = scene.check("streamable_http", None)?;
    ensure!(seen.len() >= LEAST_CALLS, "only {} calls", seen.len());
    Ok(())
}

/// Runs it to its end and returns its process id. Its verdict on our server does not matter, that it has one does.
fn run_suite(conformance: &Conformance, port: u16) -> Result<u32> {
    let mut suite = Command::new(&conformance.node);
    suite.arg(&conformance.suite).args(["server", "--url", &format!("http://localhost:{port}/mcp")]);
    let suite = suite.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let suite = suite.context("cannot start the conformance suite")?;
    let pid = suite.id();
    let output = suite.wait_with_output()?;
    let told = String::from_utf8_lossy(&output.stdout);
    ensure!(told.contains("=== SUMMARY ==="), "the conformance suite did not end well: {told}");
    Ok(pid)
}
