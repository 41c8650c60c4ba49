//! An observer with nothing to do: its processor time and its memory.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::vitals::{cpu_seconds, resident};
use super::{Bench, Figures};

/// After the start, until what was found then is dealt with.
const SETTLE: Duration = Duration::from_secs(3);
const OBSERVED: Duration = Duration::from_secs(25);

/// What the table says of it.
pub const ABOUT: &str = "An agent with nothing to do for 25 s. Resident memory is without the rings, each of whose pages is mapped twice.";

/// Measures over a while in which only this machine's own services run.
pub fn measure(bench: &Bench) -> Result<Figures> {
    let agent = bench.agent()?;
    let pid = agent.observer.pid();
    std::thread::sleep(SETTLE);
    let (began, before) = (Instant::now(), cpu_seconds(pid)?);
    std::thread::sleep(OBSERVED);
    let share = (cpu_seconds(pid)? - before) / began.elapsed().as_secs_f64();
    let resident = resident(pid)?;
    agent.observer.stop()?;
    let mut figures = Figures::default();
    figures.add("rest_cpu_percent", share * 100.0);
    figures.add("rest_rss_mb", resident.without_rings_mb);
    figures.add("rest_rings_mapped_mb", resident.rings_mb);
    Ok(figures)
}
