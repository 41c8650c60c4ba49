//! The workload on this host's own kernel. Needs root.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// Each test has the host to itself: the overload of one would be that of the other.
static HOST: Mutex<()> = Mutex::new(());

/// The observer that the environment names, or the one of this workspace, built for release.
fn observer() -> PathBuf {
    if let Some(path) = std::env::var_os("MCP_OBSERVER_BIN") {
        return path.into();
    }
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("cargo's own folder has a parent");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--release", "--package", "mcp-observer", "--target-dir"]).arg(target);
    assert!(cargo.status().expect("cargo starts").success(), "the observer does not build");
    target.join("release/mcp-observer")
}

fn check(part: &str) {
    let _alone = HOST.lock().unwrap_or_else(PoisonError::into_inner);
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("native");
    let mut workload = Command::new(env!("CARGO_BIN_EXE_workload"));
    workload.args(["check", "--part", part, "--observer"]).arg(observer()).arg("--dir").arg(&dir);
    let status = workload.status().expect("the workload starts");
    assert!(status.success(), "{part}: {status}");
}

#[test]
fn every_byte_is_recorded_once_and_at_its_place() {
    check("exact");
}

#[test]
fn in_overload_what_was_sent_was_seen_or_counted_as_lost() {
    check("overload");
}

#[test]
fn what_goes_through_io_uring_is_exact_or_a_blind_spot() {
    check("io-uring");
}

#[test]
fn pages_that_are_moved_are_exact_or_a_gap_of_their_size() {
    check("splice");
}

#[test]
fn nothing_stays_of_an_observer_however_it_ends() {
    check("detach");
}
