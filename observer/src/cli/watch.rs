//! `mcp-observer watch`: prints each call as it ends.

use clap::Args;

use super::flags::{CaptureFlags, ExpressionFlags, FilterFlags, OutputFlags, PayloadFlags};
use super::live;
use crate::agent::Agent;
use crate::error::Error;
use crate::expressions;

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
    expressions: ExpressionFlags,
    #[command(flatten)]
    capture: CaptureFlags,
}

impl Watch {
    /// Does it.
    pub fn run(self) -> Result<(), Error> {
        let filter = self.filter.filter()?;
        let payloads = self.payloads.payloads;
        let expressions = self.expressions.expressions(payloads)?;
        let tally = live::observe(&self.capture, |source| {
            if self.output.is_text() {
                live::tell_attached(source.facts());
            }
            let settings = expressions::settings(expressions.as_ref(), payloads);
            let exporters = vec![self.output.exporter(payloads)];
            Ok(Agent::new(settings, source.wall_clock(), exporters)
                .with_filter(filter)
                .with_expressions(expressions))
        })?;
        if self.output.is_text() {
            super::tell_tally(&tally);
        }
        Ok(())
    }
}
