//! Facts that the host tells outside of the rings: `/proc`, and the clock.

pub mod cgroups;
pub mod homes;
pub mod identity;
pub mod libraries;
pub mod processes;
pub mod root;
pub mod usage;
pub mod users;

use std::path::PathBuf;

use rustix::time::{ClockId, clock_gettime};

use crate::pipeline::time::{Timestamp, WallClock};

/// What an agent must be told of its host where it cannot find out.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Where the host's root folder is, other than at the root of process 1.
    pub root: Option<PathBuf>,
    /// What the cluster calls this node, other than by the host's name.
    pub node: Option<String>,
}

/// The clock that the kernel programs stamp records with: it runs on while the host sleeps.
#[derive(Clone, Copy, Debug)]
pub struct BootClock;

impl BootClock {
    /// Time since boot.
    pub fn now(self) -> Timestamp {
        Timestamp::from_nanos(u64::try_from(nanoseconds(ClockId::Boottime)).unwrap_or(0))
    }

    /// How wall-clock time relates to it. Three looks, of which the one that took the shortest time counts.
    pub fn wall_clock(self) -> WallClock {
        let look = || {
            let before = nanoseconds(ClockId::Boottime);
            let wall = nanoseconds(ClockId::Realtime);
            let after = nanoseconds(ClockId::Boottime);
            (after - before, wall - (before + after) / 2)
        };
        let shortest = [look(), look(), look()].into_iter().min_by_key(|&(took, _)| took);
        WallClock { unix_ns_at_boot: shortest.map_or(0, |(_, offset)| offset) }
    }
}

fn nanoseconds(clock: ClockId) -> i64 {
    let time = clock_gettime(clock);
    time.tv_sec.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec)
}

#[cfg(test)]
mod tests {
    use std::time::{SystemTime, UNIX_EPOCH};

    use super::BootClock;

    #[test]
    fn boot_time_and_wall_time_agree() {
        let clock = BootClock;
        let unix = clock.wall_clock().unix_ns(clock.now());
        let system = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as i64;
        assert!((unix - system).abs() < 1_000_000_000, "{unix} {system}");
    }
}
