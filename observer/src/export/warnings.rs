//! What a running agent says of missing data: on standard error, at most once a minute for each cause.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use super::terminal::{Clean, place};
use super::{Exporter, Vitals};
use crate::pipeline::observation::Observation;
use crate::pipeline::time::{Timestamp, WallClock};

/// The exporter.
#[derive(Debug)]
pub struct Warnings<W: Write> {
    output: W,
    last: BTreeMap<Box<str>, Timestamp>,
}

/// Between two warnings of one cause.
const PAUSE: Duration = Duration::from_secs(60);
/// Causes remembered. There are about twenty.
const MOST_CAUSES: usize = 256;

impl<W: Write> Warnings<W> {
    /// Warnings to `output`.
    pub const fn new(output: W) -> Self {
        Self { output, last: BTreeMap::new() }
    }

    fn is_due(&mut self, cause: &str, at: Timestamp) -> bool {
        let last = self.last.get(cause);
        let is_known = last.is_some();
        if last.is_some_and(|last| at.since(*last) < PAUSE) || (!is_known && self.last.len() >= MOST_CAUSES) {
            return false;
        }
        self.last.insert(cause.into(), at);
        true
    }
}

impl<W: Write> Exporter for Warnings<W> {
    fn export(&mut self, observation: &Observation, _clock: WallClock) -> io::Result<()> {
        // Nobody may be reading standard error: that is no reason to end.
        let _ = match observation {
            Observation::Loss(loss) if loss.stream.is_none() && self.is_due(loss.cause, loss.at) => {
                let (records, bytes) = (loss.records, loss.bytes);
                writeln!(self.output, "warning: lost {records} records, {bytes} bytes: {}", loss.cause)
            }
            Observation::BlindSpot(spot) if self.is_due(&spot.facts.kind, spot.at) => {
                writeln!(self.output, "warning: cannot see {}: {}", place(spot), Clean(&spot.facts.reason))
            }
            _ => Ok(()),
        };
        Ok(())
    }

    fn turn(&mut self, _vitals: &Vitals<'_>) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::observation::Loss;

    #[test]
    fn a_cause_is_told_once_a_minute() {
        let mut warnings = Warnings::new(Vec::new());
        for (second, cause) in [(0, "ring_full"), (30, "ring_full"), (31, "undecided"), (60, "ring_full")] {
            let at = Timestamp::from_nanos(second * 1_000_000_000);
            let loss = Loss { at, cause, records: second, bytes: 0, stream: None };
            warnings.export(&Observation::Loss(loss), WallClock { unix_ns_at_boot: 0 }).unwrap();
        }
        let told = String::from_utf8(warnings.output).unwrap();
        let records = told.lines().map(|line| line.split(' ').nth(2).unwrap()).collect::<Vec<_>>();
        assert_eq!(records, ["0", "31", "60"]);
    }
}
