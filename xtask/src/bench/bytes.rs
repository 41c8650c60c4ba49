//! Bytes per second that results of one size make, call after call, with and without an observer.

use anyhow::{Context as _, Result};

use super::rounds::{CONDITIONS, Taken, in_turns};
use super::{Bench, Figures, load};
use crate::process;

const CARRIERS: [&str; 2] = ["pipe", "socketpair"];
/// Bytes of text in each result.
const SIZES: [u32; 5] = [64, 1 << 10, 16 << 10, 256 << 10, 4 << 20];

/// What the table says of it.
pub const ABOUT: &str = "Results of one size, call after call: bytes per second without an observer, with empty programs, with the observer,\n\
     and the share that is left.";

/// Measures all sizes over pipes and Unix sockets.
pub fn measure(bench: &Bench) -> Result<Figures> {
    let rounds = in_turns(bench, bench.rounds.div_ceil(4), || {
        let mut taken = Taken { values: Vec::new(), calls: 0.0 };
        for carrier in CARRIERS {
            for size in SIZES {
                taken.values.push(rate(bench, carrier, size)?);
            }
        }
        Ok(taken)
    })?;
    let mut figures = Figures::default();
    for (number, carrier) in CARRIERS.iter().enumerate() {
        for (place, size) in SIZES.iter().enumerate() {
            let medians = rounds.medians(number * SIZES.len() + place);
            for (condition, rate) in CONDITIONS.iter().zip(medians) {
                figures.add(format!("{carrier}_{size}_bytes_per_s_{condition}"), rate);
            }
            let [none, floor, observer] = medians;
            figures.add(format!("{carrier}_{size}_share_of_none"), observer / none);
            figures.add(format!("{carrier}_{size}_share_of_floor"), observer / floor);
        }
    }
    Ok(figures)
}

fn rate(bench: &Bench, carrier: &str, size: u32) -> Result<f64> {
    let mut peer = bench.closed_loop(carrier, [0, 1]);
    peer.args(["--bytes", &size.to_string(), "--warm-up-ms", "100", "--for-ms", "400"]);
    let summary = load::summary(&process::output(&mut peer)?)?;
    let bytes = summary["bytes"].as_f64().context("the summary has no bytes")?;
    Ok(bytes / summary["seconds"].as_f64().context("the summary has no time")?)
}
