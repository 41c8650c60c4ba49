//! What the processes of servers take: memory and processor time, from `/proc`, at a slow and bounded pace.
//!
//! Each process is looked at when it is first asked for, and then every ten seconds; more than so many a second are
//! not, and each then comes later. What counts is the process itself: its children are processes of their own.

use std::collections::VecDeque;
use std::fs;
use std::time::Duration;

use observer_common::process::{ProcessKey, ProcessUsage};

use super::processes::TICK_NS;
use crate::pipeline::time::Timestamp;

/// Between two looks at one process: a scraper's usual interval is longer.
const EVERY: Duration = Duration::from_secs(10);
/// Between two turns.
const TURN: Duration = Duration::from_secs(1);
/// Processes that are looked at in one turn. Each costs one file of `/proc`.
const MOST_A_TURN: usize = 32;

/// The processes that are looked at.
#[derive(Debug, Default)]
pub struct Usage {
    /// When each is next looked at, those that are due first in front.
    queue: VecDeque<(Timestamp, ProcessKey)>,
    turn_at: Timestamp,
}

/// Tells what a process takes.
pub trait Meter {
    /// What the process takes; none if it is gone.
    fn usage(&self, process: ProcessKey, now: Timestamp) -> Option<ProcessUsage>;
}

/// The host's `/proc`.
#[derive(Clone, Copy, Debug)]
pub struct Proc;

impl Usage {
    /// Looks at a process from now on, or no longer.
    pub fn watch(&mut self, process: ProcessKey, is_wanted: bool) {
        if is_wanted {
            self.queue.push_front((Timestamp::default(), process));
        } else {
            self.queue.retain(|(_, watched)| *watched != process);
        }
    }

    /// Looks at what is due.
    pub fn look(
        &mut self,
        now: Timestamp,
        meter: &impl Meter,
        tell: &mut dyn FnMut(ProcessKey, ProcessUsage),
    ) {
        if now < self.turn_at {
            return;
        }
        self.turn_at = now.after(TURN);
        for _ in 0..MOST_A_TURN {
            let Some((_, process)) = self.queue.pop_front_if(|(due, _)| *due <= now) else { return };
            if let Some(usage) = meter.usage(process, now) {
                tell(process, usage);
                self.queue.push_back((now.after(EVERY), process));
            }
        }
    }
}

impl Meter for Proc {
    fn usage(&self, process: ProcessKey, now: Timestamp) -> Option<ProcessUsage> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", process.pid)).ok()?;
        let fields = Fields::read(&stat)?;
        (fields.started_ns == process.started_ns).then(|| ProcessUsage {
            uptime_ns: now.as_nanos().saturating_sub(fields.started_ns),
            resident_bytes: fields.resident_pages * rustix::param::page_size() as u64,
            cpu_ns: fields.cpu_ns,
        })
    }
}

/// What is read of the text of `/proc/PID/stat`.
#[derive(Debug, PartialEq, Eq)]
struct Fields {
    started_ns: u64,
    cpu_ns: u64,
    resident_pages: u64,
}

impl Fields {
    /// The program's name stands in parentheses and may hold anything, so counting begins behind the last one.
    fn read(stat: &str) -> Option<Self> {
        let fields: Vec<&str> = stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace().collect();
        // The first of these is field 3 of proc(5).
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self {
            started_ns: field(22)? * TICK_NS,
            cpu_ns: (field(14)? + field(15)?) * TICK_NS,
            resident_pages: field(24)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A host on which all processes live whose number is even.
    struct Even;

    impl Meter for Even {
        fn usage(&self, process: ProcessKey, _: Timestamp) -> Option<ProcessUsage> {
            process.pid.is_multiple_of(2).then(ProcessUsage::default)
        }
    }

    fn process(pid: u32) -> ProcessKey {
        ProcessKey { pid, tid: 0, started_ns: 1 }
    }

    fn seen_at(usage: &mut Usage, seconds: u64) -> Vec<u32> {
        let mut seen = Vec::new();
        let now = Timestamp::from_nanos(seconds * 1_000_000_000);
        usage.look(now, &Even, &mut |process, _| seen.push(process.pid));
        seen
    }

    #[test]
    fn each_is_seen_at_once_and_then_from_time_to_time() {
        let mut usage = Usage::default();
        usage.watch(process(2), true);
        assert_eq!(seen_at(&mut usage, 100), [2]);
        usage.watch(process(4), true);
        usage.watch(process(5), true);
        assert!(seen_at(&mut usage, 100).is_empty(), "not in the same second");
        assert_eq!(seen_at(&mut usage, 101), [4]);
        assert!(seen_at(&mut usage, 109).is_empty());
        assert_eq!(seen_at(&mut usage, 110), [2]);
        usage.watch(process(2), false);
        assert_eq!(seen_at(&mut usage, 120), [4]);
        assert_eq!(usage.queue.len(), 1, "what is gone is forgotten");
    }

    #[test]
    fn many_take_turns() {
        let mut usage = Usage::default();
        (1..=100).for_each(|number| usage.watch(process(number * 2), true));
        let turns: Vec<_> = (0..4).map(|second| seen_at(&mut usage, 100 + second).len()).collect();
        assert_eq!(turns, [32, 32, 32, 4]);
    }

    #[test]
    fn reads_behind_a_name_with_spaces_and_parentheses() {
        let stat = "42 (a) b (c) S 7 42 42 0 -1 4194560 1 2 3 4 150 60 70 80 20 0 1 0 12345 1000 10 1844";
        let fields = Fields { started_ns: 123_450_000_000, cpu_ns: 2_100_000_000, resident_pages: 10 };
        assert_eq!(Fields::read(stat), Some(fields));
        assert_eq!(Fields::read("42 (a) S 7 42"), None);
    }

    #[test]
    fn knows_this_process_and_no_later_one_with_its_number() {
        let (key, _) = super::super::processes::key(std::process::id()).unwrap();
        let now = super::super::BootClock.now();
        let usage = Proc.usage(key, now).unwrap();
        assert!(usage.resident_bytes > 100_000 && usage.uptime_ns < now.as_nanos(), "{usage:?}");
        assert_eq!(Proc.usage(ProcessKey { started_ns: key.started_ns + TICK_NS, ..key }, now), None);
    }
}
