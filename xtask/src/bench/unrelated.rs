//! What a system call costs that has nothing to do with streams: every process of the host pays it.

use anyhow::{Context as _, Result};

use super::rounds::{CONDITIONS, Taken, in_turns};
use super::{Bench, Figures, load};
use crate::process;

/// What the table says of it.
pub const ABOUT: &str = "A system call without any stream (`getppid`): what each process of the host pays.";

/// Measures `getppid`, one of the shortest calls.
pub fn measure(bench: &Bench) -> Result<Figures> {
    let rounds = in_turns(bench, bench.rounds.div_ceil(2), || {
        let mut peer = bench.first(&bench.programs.peers.join("raw-peer"));
        let printed = process::output(peer.args(["unrelated", "--calls", "1000000", "--cpu", "1"]))?;
        let time = load::summary(&printed)?["ns_per_call"].as_f64();
        Ok(Taken { values: vec![time.context("the summary has no time")?], calls: 0.0 })
    })?;
    let medians = rounds.medians(0);
    let mut figures = Figures::default();
    for (condition, time) in CONDITIONS.iter().zip(medians) {
        figures.add(format!("unrelated_syscall_ns_{condition}"), time);
    }
    let [none, floor, observer] = medians;
    figures.add("unrelated_syscall_ns", observer - none);
    figures.add("unrelated_syscall_over_floor", (observer - none) / (floor - none));
    Ok(figures)
}
