//! The official conformance suite, on either side: each request in the log of who was asked is one call.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use live::conformance::{calls_of, scenarios};
use live::programs::{programs, target_directory};
use live::scene::Scene;
use peers::install::{Conformance, install_conformance};
use peers::running::Running;
use peers::truth::Line;

/// Calls of the suite's active scenarios for servers, of which there are thirty.
const LEAST_CALLS: usize = 60;
/// Its scenarios for clients, and their calls.
const CLIENT_SCENARIOS: usize = 26;
const LEAST_CLIENT_CALLS: usize = 80;

#[test]
fn the_suite_of_the_protocol() -> Result<()> {
    let conformance = install_conformance(&programs()?.peers.programs)?;
    let mut scene = Scene::start()?;
    let mut server: Running = Running::start(Command::new("node").arg(&conformance.server))?;
    let url = format!("http://localhost:{}/mcp", server.port()?);
    let client_pid = run_suite(&conformance, &["server".as_ref(), "--url".as_ref(), url.as_ref()])?;
    let calls = |lines: &[Line]| lines.iter().filter(|line| matches!(line, Line::Call(_))).count();
    server.wait_for("the log of the suite's calls", |lines| calls(lines) >= LEAST_CALLS)?;
    scene.add_log(server.lines(), client_pid, "the conformance suite");
    let seen = scene.check("streamable_http", None)?;
    ensure!(seen.len() >= LEAST_CALLS, "only {} calls", seen.len());
    Ok(())
}

#[test]
fn clients_that_the_suite_judges() -> Result<()> {
    let conformance = install_conformance(&programs()?.peers.programs)?;
    let results = target_directory()?.join("conformance");
    let _ = fs::remove_dir_all(&results);
    let mut scene = Scene::start()?;
    let suite_pid = run_client_scenarios(&conformance, &results)?;
    let scenarios = scenarios(&results)?;
    ensure!(scenarios.len() == CLIENT_SCENARIOS, "{} scenarios: {scenarios:?}", scenarios.len());
    for scenario in scenarios {
        let calls = calls_of(&scenario, suite_pid)?;
        ensure!(calls.iter().any(|line| matches!(line, Line::Call(_))), "no call in {}", scenario.display());
        let name = scenario.file_name().unwrap_or_default().to_string_lossy().into_owned();
        scene.add(&calls, Some(suite_pid), &name);
    }
    let seen = scene.check("streamable_http", None)?;
    ensure!(seen.len() >= LEAST_CLIENT_CALLS, "only {} calls", seen.len());
    Ok(())
}

/// All scenarios at once, each with a client of its own, which has time enough on a slow and busy machine.
fn run_client_scenarios(conformance: &Conformance, results: &Path) -> Result<u32> {
    let client = format!("node {}", conformance.client.display());
    let words = ["client", "--suite", "all", "--timeout", "120000", "--command", &client, "-o"];
    let words: Vec<&OsStr> = words.iter().map(OsStr::new).chain([results.as_os_str()]).collect();
    run_suite(conformance, &words)
}

/// Runs it to its end and returns its process id. Its verdict on our peers does not matter, that it has one does.
fn run_suite(conformance: &Conformance, arguments: &[&OsStr]) -> Result<u32> {
    let mut suite = Command::new(&conformance.node);
    suite.arg(&conformance.suite).args(arguments);
    let suite = suite.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let suite = suite.context("cannot start the conformance suite")?;
    let pid = suite.id();
    let output = suite.wait_with_output()?;
    let told = String::from_utf8_lossy(&output.stdout);
    ensure!(told.contains("SUMMARY ==="), "the conformance suite did not end well: {told}");
    Ok(pid)
}
