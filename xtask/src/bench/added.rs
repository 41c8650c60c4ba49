//! What observing adds to a call: one call after the other with no observer, with empty programs, with the observer.

use anyhow::{Context as _, Result};

use super::rounds::{CONDITIONS, Rounds, Taken, in_turns};
use super::{Bench, Figures, load};
use crate::process;

/// A closed loop: its name in the figures, what carries it, and the processors of client and server.
struct Loop {
    name: &'static str,
    carrier: &'static str,
    cpus: [usize; 2],
}

/// On two processors, a program behind a write runs while the other processor wakes up; on one, all of it is waited for.
const LOOPS: [Loop; 4] = [
    Loop { name: "stdio", carrier: "pipe", cpus: [0, 1] },
    Loop { name: "stdio_one_cpu", carrier: "pipe", cpus: [1, 1] },
    Loop { name: "http", carrier: "http", cpus: [0, 1] },
    Loop { name: "http_one_cpu", carrier: "http", cpus: [1, 1] },
];

const QUANTILES: [&str; 2] = ["p50", "p99"];

/// What the table says of it.
pub const ABOUT: &str = "Calls of one client, one after the other, whose peers do nothing but read and write: without an observer (`none`),\n\
     with empty programs on the same hooks (`floor`), with the observer; what is added, and as a ratio. On two processors\n\
     the programs behind a write run while the other processor wakes up; on one all of them are waited for. Work of the\n\
     lowest priority keeps the processors awake, since waking one would hide the rest. A ratio is left out\n\
     (`none`) where what the floor adds is not above the spread of its rounds.";

/// Measures what is added, over pipes and over HTTP.
pub fn measure(bench: &Bench) -> Result<Figures> {
    let rounds = in_turns(bench, bench.rounds, || {
        let mut taken = Taken { values: Vec::new(), calls: 0.0 };
        for one in &LOOPS {
            run(bench, one, &mut taken)?;
        }
        Ok(taken)
    })?;
    let mut figures = Figures::default();
    for (number, one) in LOOPS.iter().enumerate() {
        for (place, quantile) in QUANTILES.iter().enumerate() {
            compare(one.name, quantile, &rounds, number * QUANTILES.len() + place, &mut figures);
        }
    }
    Ok(figures)
}

/// Runs one closed loop once.
fn run(bench: &Bench, one: &Loop, taken: &mut Taken) -> Result<()> {
    let mut peer = bench.closed_loop(one.carrier, one.cpus);
    peer.args(["--warm-up-ms", "200", "--for-ms", "700"]);
    let summary = load::summary(&process::output(&mut peer)?)?;
    let figure = |name: &str| summary[name].as_f64().with_context(|| format!("the summary has no {name}"));
    taken.values.extend([figure("p50_ns")?, figure("p99_ns")?]);
    taken.calls += figure("calls")?;
    Ok(())
}

fn compare(name: &str, quantile: &str, rounds: &Rounds, value: usize, figures: &mut Figures) {
    let (medians, spreads) = (rounds.medians(value), rounds.spreads(value));
    for ((condition, median), spread) in CONDITIONS.iter().zip(medians).zip(spreads) {
        figures.add(format!("{name}_{quantile}_ns_{condition}"), median);
        figures.add(format!("{name}_{quantile}_ns_{condition}_spread"), spread);
    }
    let [none, floor, observer] = medians;
    figures.add(format!("{name}_added_{quantile}_ns_floor"), floor - none);
    figures.add(format!("{name}_added_{quantile}_ns_observer"), observer - none);
    // A quotient of two values that are noise says nothing, and may look good.
    let is_clear = floor - none > spreads[0].max(spreads[1]);
    let ratio = if is_clear { (observer - none) / (floor - none) } else { f64::NAN };
    figures.add(format!("{name}_added_{quantile}_over_floor"), ratio);
}
