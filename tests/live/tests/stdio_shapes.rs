//! Stdio sessions of shapes that break a careless observer.

use anyhow::{Result, ensure};
use live::scene::Scene;
use peers::sdk::{Sdk, Transport};

fn seen(arguments: &[&[&str]]) -> Result<()> {
    let mut scene = Scene::start()?;
    for arguments in arguments {
        scene.raw(&[&["stdio"], *arguments].concat())?;
    }
    scene.check("stdio", None).map(drop)
}

#[test]
fn eight_sessions_that_use_the_same_ids() -> Result<()> {
    seen(&[&["--sessions", "8", "--calls", "100", "--delay-ms", "2"]])
}

#[test]
fn a_call_of_more_than_six_seconds() -> Result<()> {
    let mut scene = Scene::start()?;
    scene.raw(&["stdio", "--calls", "1", "--tool", "slow", "--delay-ms", "6500"])?;
    let calls = scene.check("stdio", None)?;
    let slow = calls.iter().find(|call| call.tool.as_deref() == Some("slow"));
    ensure!(slow.and_then(|call| call.duration_ms).is_some_and(|took| took >= 6500.0), "{slow:?}");
    Ok(())
}

#[test]
fn results_from_8_kb_to_24_mb_with_the_id_first_and_last() -> Result<()> {
    for size in [8_000_u64, 65_536, 300_000, 4_000_000, 24_000_000] {
        let mut scene = Scene::start()?;
        let bytes = size.to_string();
        scene.raw(&["stdio", "--calls", "2", "--tool", "big", "--bytes", &bytes])?;
        scene.raw(&["stdio", "--calls", "2", "--tool", "big", "--bytes", &bytes, "--id-last"])?;
        let calls = scene.check("stdio", None)?;
        let big = calls.iter().filter(|call| call.tool.as_deref() == Some("big"));
        for call in big {
            // The text is cut to a whole number of repetitions of a short pattern.
            ensure!(call.response_bytes.is_some_and(|seen| seen + 20 >= size), "{size}: {call:?}");
        }
    }
    Ok(())
}

#[test]
fn writes_cut_at_any_byte() -> Result<()> {
    seen(&[
        &["--chunk", "1", "--bytes", "3000"],
        &["--chunk", "1", "--bytes", "300", "--id-last", "--progress", "3"],
        &["--chunk", "7", "--bytes", "20000"],
        &["--chunk", "4096", "--bytes", "200000", "--wire", "socketpair"],
    ])
}

#[test]
fn batches() -> Result<()> {
    seen(&[&["--batch", "5", "--calls", "23"], &["--batch", "4", "--calls", "8", "--chunk", "11"]])
}

#[test]
fn banners_and_lines_that_are_no_messages() -> Result<()> {
    seen(&[&["--junk", "--calls", "20"], &["--junk", "--wire", "socketpair", "--chunk", "5"]])
}

#[test]
fn socket_pairs_as_node_makes_them() -> Result<()> {
    seen(&[&["--wire", "socketpair", "--calls", "50"], &["--wire", "socketpair", "--bytes", "2000000"]])
}

#[test]
fn a_wire_on_high_descriptors() -> Result<()> {
    seen(&[&["--high", "--calls", "20"], &["--high", "--wire", "socketpair", "--calls", "20"]])
}

#[test]
fn a_server_that_lives_for_one_call() -> Result<()> {
    seen(&[&["--short-lived", "--calls", "1"] as &[&str]; 20])
}

#[test]
fn three_hundred_progress_notifications() -> Result<()> {
    seen(&[&["--progress", "300", "--calls", "3"]])
}

#[test]
fn a_call_that_the_client_cancels() -> Result<()> {
    let mut scene = Scene::start()?;
    let steps = [r#"{"tool":"slow","arguments":{"seconds":2},"timeout_ms":300}"#, r#"{"method":"ping"}"#];
    for client in [Sdk::Rust, Sdk::Node] {
        scene.talk(Transport::Stdio, Sdk::Rust, client, &steps)?;
    }
    scene.check("stdio", None).map(drop)
}
