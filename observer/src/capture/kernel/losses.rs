//! What the kernel programs could not record, as records.
//!
//! The kernel counts for as long as it runs; here only the differences count. Some it counts by cause in a map, and
//! some of the programs themselves, in what `/proc` tells of their descriptors.

use std::os::fd::OwnedFd;

use aya::Ebpf;
use aya::maps::{Array, MapData};
use observer_common::loss::{LossCause, Lost};

use super::ProgramRuns;
use super::descriptors::{Told, numbers};
use super::ring::{map_error, take_map};
use crate::error::Error;

/// The counters and what was already told of them.
pub(super) struct Losses {
    counts: Array<MapData, [u64; 2]>,
    told: [[u64; 2]; LossCause::ALL.len()],
    programs: Vec<Program>,
}

/// A program that the kernel keeps statistics of.
struct Program {
    name: String,
    descriptor: OwnedFd,
    skips_told: u64,
    runs: ProgramRuns,
}

impl Losses {
    /// Takes the counters, and notes all programs that are loaded.
    pub fn take(ebpf: &mut Ebpf) -> Result<Self, Error> {
        let counts =
            Array::try_from(take_map(ebpf, "LOSSES")?).map_err(|error| map_error("LOSSES", &error))?;
        Ok(Self { counts, told: Default::default(), programs: Vec::new() })
    }

    /// Watches a program from now on.
    pub fn watch_program(&mut self, name: &str, descriptor: OwnedFd) {
        let runs = ProgramRuns { program: name.to_owned(), ..ProgramRuns::default() };
        self.programs.push(Program { name: name.to_owned(), descriptor, skips_told: 0, runs });
    }

    /// What was lost since the last time, as the programs counted it.
    pub fn since_last(&mut self) -> Vec<Lost> {
        LossCause::ALL.iter().filter_map(|&cause| self.of(cause)).collect()
    }

    /// What was lost since the last time, as the kernel counted it of the programs. Costs two system calls and more for
    /// each of them.
    pub fn of_programs(&mut self) -> Vec<Lost> {
        let mut lost = Vec::new();
        for program in &mut self.programs {
            let Some([runs, nanoseconds, skipped]) =
                numbers(&program.descriptor, [Told::Runs, Told::RunTime, Told::Skipped])
            else {
                continue;
            };
            program.runs = ProgramRuns { program: program.name.clone(), runs, nanoseconds, skipped };
            lost.extend(more(LossCause::Recursion, skipped, &mut program.skips_told));
        }
        lost
    }

    /// The kernel's statistics of the programs, as [`of_programs`](Self::of_programs) found them.
    pub fn runs(&self) -> impl Iterator<Item = &ProgramRuns> {
        self.programs.iter().map(|program| &program.runs)
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

/// What came to a counter since it was `told`. How many bytes a run that never was would have recorded nobody knows.
fn more(cause: LossCause, now: u64, told: &mut u64) -> Option<Lost> {
    let records = now.saturating_sub(*told);
    *told = now.max(*told);
    (records != 0).then_some(Lost { cause: cause as u32, reserved: 0, records, bytes: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_new_is_told() {
        let mut told = 0;
        let mut records = |now| more(LossCause::Recursion, now, &mut told).map(|lost| lost.records);
        assert_eq!([records(0), records(3), records(3), records(10)], [None, Some(3), None, Some(7)]);
    }
}
