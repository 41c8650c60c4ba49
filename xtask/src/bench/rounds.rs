//! Conditions that take turns in short rounds, so that what the machine does beside them touches all alike.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use aya::Ebpf;

use super::floor::Object;
use super::{Bench, load};
use crate::agent::Agent;
use crate::process::Killed;

/// With no observer, with empty programs on its hooks, with the observer.
pub const CONDITIONS: [&str; 3] = ["none", "floor", "observer"];

/// What one round of a condition gave.
pub struct Taken {
    /// The measured values, in an order that is always the same.
    pub values: Vec<f64>,
    /// Calls that the observer must have seen, so that what was measured is observation. 0 where it may lose some.
    pub calls: f64,
}

/// All values of all rounds.
pub struct Rounds(Vec<(usize, Vec<f64>)>);

impl Rounds {
    /// The middle of one of the values, for each condition.
    pub fn medians(&self, value: usize) -> [f64; 3] {
        [0, 1, 2].map(|condition| quantile(&self.of(condition, value), 0.5))
    }

    /// The distance between the quarters of one of the values, for each condition.
    pub fn spreads(&self, value: usize) -> [f64; 3] {
        [0, 1, 2].map(|condition| {
            let values = self.of(condition, value);
            quantile(&values, 0.75) - quantile(&values, 0.25)
        })
    }

    fn of(&self, condition: usize, value: usize) -> Vec<f64> {
        let rounds = self.0.iter().filter(|(of, _)| *of == condition);
        rounds.filter_map(|(_, values)| values.get(value).copied()).collect()
    }
}

/// Runs so many rounds of all conditions.
pub fn in_turns(bench: &Bench, rounds: u32, mut run: impl FnMut() -> Result<Taken>) -> Result<Rounds> {
    let object = Object::read()?;
    let _awake = Awake::keep()?;
    let mut all = Vec::new();
    for _ in 0..rounds {
        for (number, condition) in CONDITIONS.iter().enumerate() {
            let taken = alone(|| {
                let attached = Attached::begin(condition, &object, bench)?;
                let taken = run()?;
                let alone = observers()? <= usize::from(matches!(attached, Attached::Observer(_)));
                attached.end(taken.calls)?;
                Ok(alone.then_some(taken))
            })?;
            all.push((number, taken.values));
        }
    }
    Ok(Rounds(all))
}

/// Runs a round again and again until no other observer was on this machine meanwhile: its programs would count too.
fn alone(mut round: impl FnMut() -> Result<Option<Taken>>) -> Result<Taken> {
    let deadline = Instant::now() + LONGEST_WAIT;
    loop {
        if observers()? == 0
            && let Some(taken) = round()?
        {
            return Ok(taken);
        }
        ensure!(Instant::now() < deadline, "another mcp-observer is running on this machine");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// How many observers are running.
fn observers() -> Result<usize> {
    let names = std::fs::read_dir("/proc")?.flatten().filter_map(|entry| {
        // Not all are processes, and some have ended by now.
        std::fs::read_to_string(entry.path().join("comm")).ok()
    });
    Ok(names.filter(|name| name.starts_with("mcp-observer")).count())
}

/// How long another observer is waited for.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// What a condition keeps attached while it lasts.
enum Attached {
    Nothing,
    Floor(#[expect(dead_code, reason = "detaches when it goes")] Box<Ebpf>),
    Observer(Agent),
}

impl Attached {
    fn begin(condition: &str, object: &Object, bench: &Bench) -> Result<Self> {
        Ok(match condition {
            "floor" => Self::Floor(Box::new(object.attach(bench.mode)?)),
            "observer" => Self::Observer(bench.agent()?),
            _ => Self::Nothing,
        })
    }

    fn end(self, calls: f64) -> Result<()> {
        if let Self::Observer(agent) = self {
            let metrics = load::settled(&agent, calls)?;
            let seen = load::seen(&metrics);
            ensure!(seen >= 0.9 * calls, "the observer saw {seen} of {calls} calls");
            agent.observer.stop()?;
        }
        // The kernel takes programs off its hooks a moment after their last descriptor has gone.
        std::thread::sleep(Duration::from_millis(50));
        Ok(())
    }
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

fn quantile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = (sorted.len().saturating_sub(1) as f64 * part).round() as usize;
    sorted.get(at).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::Rounds;

    #[test]
    fn conditions_are_told_apart() {
        let rounds =
            [3.0, 1.0, 2.0].iter().flat_map(|value| (0..3).map(move |of| (of, vec![value + of as f64])));
        let rounds = Rounds(rounds.collect());
        assert_eq!(rounds.medians(0), [2.0, 3.0, 4.0]);
        assert!(rounds.spreads(0).iter().all(|spread| *spread > 0.0));
    }
}
