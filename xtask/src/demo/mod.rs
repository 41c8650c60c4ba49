//! `cargo xtask demo`: real MCP traffic over three transports, observed live, and every call accounted for.
//!
//! Server and client are those of the official Rust SDK. The client says which calls it made; the observer, which
//! knows nothing of that, says which calls it saw. The demonstration succeeds if both say the same.

mod account;
mod report;
pub mod session;
mod traffic;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::agent::{Agent, Metrics, Programs, Watch};
use crate::{process, setup};
use account::{Account, Call};

/// Time for the last calls to come out of the observer.
const SETTLE: Duration = Duration::from_secs(15);

/// Sets up, builds, observes and reports.
pub fn run() -> Result<()> {
    setup::for_build()?;
    println!("demo: building, which takes some minutes the first time");
    let programs = Programs::build()?;
    may_observe()?;

    println!("demo: attaching to this host");
    let agent = Agent::start(&programs)?;
    let watch = Watch::start(&programs, &[])?;
    let mut account = Account::default();
    for transport in traffic::TRANSPORTS {
        println!("demo: a client calls a server over {}", transport.name());
        account.made(traffic::exchange(&programs, transport)?);
    }
    observe(&watch, &mut account);
    let metrics = settled_metrics(&agent, &account)?;
    account.seen_all(watch.stop()?.iter().filter_map(Call::read));
    agent.observer.stop()?;

    report::calls(&account);
    report::latencies(&account);
    report::metrics(&metrics, &account);
    conclude(&account)
}

/// Asks for the password now, not in the middle of the output.
fn may_observe() -> Result<()> {
    if process::is_root() {
        return Ok(());
    }
    println!(
        "demo: the observer reads other processes' traffic in the kernel, for which it needs root: asking sudo"
    );
    let asked = process::run(std::process::Command::new("sudo").arg("-v"));
    asked.context("the observer needs root; start this as root, or as a user who may use sudo")
}

/// Takes in what `watch` prints until every call has been seen, or long enough after the last one.
fn observe(watch: &Watch, account: &mut Account) {
    let deadline = Instant::now() + SETTLE;
    while !account.all_seen() {
        let Some(line) = watch.next(deadline) else { return };
        account.seen_all(Call::read(&line));
    }
}

/// The metrics once they count every tool call, or as they are when the time is over.
fn settled_metrics(agent: &Agent, account: &Account) -> Result<Metrics> {
    let deadline = Instant::now() + SETTLE;
    let made = account.tool_calls_made() as f64;
    loop {
        let metrics = agent.metrics()?;
        if metrics.sum("mcp_tool_calls_total", &[report::SERVER_LABEL]) >= made || Instant::now() > deadline {
            return Ok(metrics);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn conclude(account: &Account) -> Result<()> {
    let sum = account.sum();
    println!("\n{} calls made, {} seen exactly once", sum.made, sum.seen_once);
    ensure!(sum.missed == 0, "{} calls were not seen", sum.missed);
    ensure!(sum.excess == 0, "{} calls were seen that were not made, or twice", sum.excess);
    Ok(())
}
