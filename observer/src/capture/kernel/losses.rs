//! What the kernel programs could not record, as records.
//!
//! The kernel counts by cause for as long as it runs; here only the differences count.

use aya::Ebpf;
use aya::maps::{Array, MapData};
use observer_common::loss::{LossCause, Lost};

use super::ring::{map_error, take_map};
use crate::error::Error;

/// The counters and what was already told of them.
pub(super) struct Losses {
    counts: Array<MapData, [u64; 2]>,
    told: [[u64; 2]; LossCause::ALL.len()],
    /// Descriptors of the programs that the kernel skips when they are already running on a CPU.
    programs: Vec<i32>,
    skips_told: u64,
}

impl Losses {
    /// Takes the counters. `programs`: descriptors of the tracepoint programs, which live as long as this does.
    pub fn take(ebpf: &mut Ebpf, programs: Vec<i32>) -> Result<Self, Error> {
        let counts =
            Array::try_from(take_map(ebpf, "LOSSES")?).map_err(|error| map_error("LOSSES", &error))?;
        Ok(Self { counts, told: Default::default(), programs, skips_told: 0 })
    }

    /// What was lost since the last time.
    pub fn since_last(&mut self) -> Vec<Lost> {
        let mut lost: Vec<Lost> = LossCause::ALL.iter().filter_map(|&cause| self.of(cause)).collect();
        let skips: u64 = self.programs.iter().filter_map(|&fd| skips(fd)).sum();
        if skips > self.skips_told {
            let records = skips - self.skips_told;
            lost.push(Lost { cause: LossCause::Recursion as u32, reserved: 0, records, bytes: 0 });
            self.skips_told = skips;
        }
        lost
    }

    fn of(&mut self, cause: LossCause) -> Option<Lost> {
        let index = cause as u32;
        let now = self.counts.get(&index, 0).ok()?;
        let told = self.told.get_mut(index as usize)?;
        let (records, bytes) = (now[0].wrapping_sub(told[0]), now[1].wrapping_sub(told[1]));
        *told = now;
        (records != 0 || bytes != 0).then_some(Lost { cause: index, reserved: 0, records, bytes })
    }
}

/// How often the kernel skipped a program; it tells since 5.12.
fn skips(program: i32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{program}")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("recursion_misses:"))?;
    line.trim().parse().ok()
}
