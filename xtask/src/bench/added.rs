//! What observing adds to a call: one call after the other with no observer, with empty programs, with the observer.
//!
//! The three conditions take turns in many short rounds, so that what the machine does beside them touches all alike;
//! of the rounds' quantiles the median counts.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use aya::Ebpf;

use super::floor::Object;
use super::{Bench, Figures};
use crate::agent::Agent;
use crate::process::{self, Killed};

/// A closed loop: its name in the figures, what carries it, and the processors of client and server.
struct Loop {
    name: &'static str,
    carrier: &'static str,
    cpus: [usize; 2],
}

const LOOPS: [Loop; 3] = [
    Loop { name: "stdio", carrier: "pipe", cpus: [0, 1] },
    Loop { name: "stdio_one_cpu", carrier: "pipe", cpus: [1, 1] },
    Loop { name: "http", carrier: "http", cpus: [0, 1] },
];

const CONDITIONS: [&str; 3] = ["none", "floor", "observer"];

/// What a condition keeps attached while it lasts.
enum Attached {
    Nothing,
    Floor { _programs: Box<Ebpf> },
    Observer(Agent),
}

impl Attached {
    fn begin(condition: &str, object: &Object, bench: &Bench) -> Result<Self> {
        Ok(match condition {
            "floor" => Self::Floor { _programs: Box::new(object.attach()?) },
            "observer" => Self::Observer(bench.agent()?),
            _ => Self::Nothing,
        })
    }

    /// Detaches, and makes sure that an observer had seen the calls.
    fn end(self, calls: f64) -> Result<()> {
        if let Self::Observer(agent) = self {
            let metrics = super::load::settled(&agent, calls)?;
            let seen = super::load::seen(&metrics);
            ensure!(seen > 0.9 * calls, "the observer saw {seen} of {calls} calls");
            agent.observer.stop()?;
        }
        // The kernel takes programs off its hooks a moment after their last descriptor has gone.
        std::thread::sleep(Duration::from_millis(50));
        Ok(())
    }
}

/// Quantiles of one closed loop, in nanoseconds, one of each round.
#[derive(Clone, Default)]
struct Rounds {
    p50: Vec<f64>,
    p99: Vec<f64>,
}

/// Work of the lowest priority on each processor. Waking a processor that sleeps takes longer than all that is measured
/// here, and how often one sleeps depends on what else runs, the observer included.
struct Awake(#[expect(dead_code, reason = "ends with this value")] Vec<Killed>);

impl Awake {
    fn keep() -> Result<Self> {
        let spin = |cpu: usize| {
            let mut command = Command::new("chrt");
            command.args(["-i", "0", "taskset", "-c", &cpu.to_string(), "sh", "-c", "while :; do :; done"]);
            command.spawn().map(Killed).context("starting chrt")
        };
        (0..=1).map(spin).collect::<Result<_>>().map(Self)
    }
}

/// Measures what is added, over pipes and over HTTP.
pub fn measure(bench: &Bench) -> Result<Figures> {
    let object = Object::read()?;
    let _awake = Awake::keep()?;
    let mut rounds = vec![vec![Rounds::default(); CONDITIONS.len()]; LOOPS.len()];
    for _ in 0..bench.rounds {
        for (number, condition) in CONDITIONS.iter().enumerate() {
            let attached = Attached::begin(condition, &object, bench)?;
            let mut calls = 0.0;
            for (one, rounds) in LOOPS.iter().zip(&mut rounds) {
                calls += run(bench, one, &mut rounds[number])?;
            }
            attached.end(calls)?;
        }
    }
    let mut figures = Figures::default();
    for (one, rounds) in LOOPS.iter().zip(&rounds) {
        compare(one.name, rounds, &mut figures);
    }
    Ok(figures)
}

/// Runs one closed loop once. Returns how many calls it made.
fn run(bench: &Bench, one: &Loop, rounds: &mut Rounds) -> Result<f64> {
    let mut peer = bench.closed_loop(one.carrier, one.cpus);
    peer.args(["--warm-up-ms", "200", "--for-ms", "700"]);
    let summary = super::load::summary(&process::output(&mut peer)?)?;
    let figure = |name: &str| summary[name].as_f64().with_context(|| format!("the summary has no {name}"));
    rounds.p50.push(figure("p50_ns")?);
    rounds.p99.push(figure("p99_ns")?);
    figure("calls")
}

fn compare(name: &str, conditions: &[Rounds], figures: &mut Figures) {
    for quantile in ["p50", "p99"] {
        let of = |rounds: &Rounds| if quantile == "p50" { rounds.p50.clone() } else { rounds.p99.clone() };
        let values: Vec<Vec<f64>> = conditions.iter().map(of).collect();
        let medians: Vec<f64> = values.iter().map(|values| median(values)).collect();
        for ((condition, values), middle) in CONDITIONS.iter().zip(&values).zip(&medians) {
            figures.add(format!("{name}_{quantile}_ns_{condition}"), *middle);
            figures.add(format!("{name}_{quantile}_ns_{condition}_spread"), spread(values));
        }
        let (floor, observer) = (medians[1] - medians[0], medians[2] - medians[0]);
        figures.add(format!("{name}_added_{quantile}_ns_floor"), floor);
        figures.add(format!("{name}_added_{quantile}_ns_observer"), observer);
        figures.add(format!("{name}_added_{quantile}_over_floor"), observer / floor);
    }
}

fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// The distance between the quarters of the values.
fn spread(values: &[f64]) -> f64 {
    quantile(values, 0.75) - quantile(values, 0.25)
}

fn quantile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = (sorted.len().saturating_sub(1) as f64 * part).round() as usize;
    sorted.get(at).copied().unwrap_or(f64::NAN)
}
