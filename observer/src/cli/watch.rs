//! `mcp-observer watch`: prints each call as it ends.

use clap::Args;

use super::flags::{CaptureFlags, FilterFlags, OutputFlags, PayloadFlags};
use super::live;
use crate::agent::Agent;
use crate::error::Error;
use crate::pipeline::Settings;

/// Attach to everything on this host and print each call as it ends.
#[derive(Args, Clone, Debug)]
pub struct Watch {
    #[command(flatten)]
    output: OutputFlags,
    #[command(flatten)]
    payloads: PayloadFlags,
    #[command(flatten)]
    filter: FilterFlags,
    #[command(flatten)]
    capture: CaptureFlags,
}

impl Watch {
    /// Does it.
    pub fn run(self) -> Result<(), Error> {
        let filter = self.filter.filter()?;
        let payloads = self.payloads.payloads;
        let tally = live::observe(&self.capture, |source| {
            if self.output.is_text() {
                live::tell_attached(source.facts());
            }
            let settings = Settings { payloads, ..Settings::default() };
            let exporters = vec![self.output.exporter(payloads)];
            Ok(Agent::new(settings, source.wall_clock(), exporters).with_filter(filter))
        })?;
        if self.output.is_text() {
            super::tell_tally(&tally);
        }
        Ok(())
    }
}
