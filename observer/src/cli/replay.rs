//! `mcp-observer replay`: the same pipeline and outputs from a capture file.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use clap::builder::BoolishValueParser;

use super::flags::{ExpressionFlags, FilterFlags, OutputFlags, PayloadFlags};
use crate::agent::Agent;
use crate::capture::file::Reader;
use crate::error::Error;
use crate::export::Exporter;
use crate::export::prometheus::{Prometheus, exposition};
use crate::expressions;

/// Show what a capture file holds, as watch would have shown it.
#[derive(Args, Clone, Debug)]
pub struct Replay {
    /// The capture file to read.
    file: PathBuf,
    /// Print the metrics at the end.
    #[arg(long, env = "MCP_OBSERVER_METRICS", value_parser = BoolishValueParser::new())]
    metrics: bool,
    /// End after this many calls.
    #[arg(long, env = "MCP_OBSERVER_COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    #[command(flatten)]
    output: OutputFlags,
    #[command(flatten)]
    payloads: PayloadFlags,
    #[command(flatten)]
    filter: FilterFlags,
    #[command(flatten)]
    expressions: ExpressionFlags,
}

impl Replay {
    /// Does it.
    pub fn run(self) -> Result<(), Error> {
        let filter = self.filter.filter()?;
        let payloads = self.payloads.payloads;
        let expressions = self.expressions.expressions(payloads)?;
        let reader = Reader::open(&self.file)?;
        let prometheus = Prometheus::default();
        let registry = prometheus.registry();
        let mut exporters = vec![self.output.exporter(payloads)];
        if self.metrics {
            exporters.push(Box::new(prometheus) as Box<dyn Exporter>);
        }
        let settings = expressions::settings(expressions.as_ref(), payloads);
        let agent = Agent::new(settings, reader.head().clock, exporters);
        let tally = agent
            .with_filter(filter)
            .with_expressions(expressions)
            .with_most_calls(self.count)
            .replay(reader)?;
        if self.metrics {
            let mut output = io::stdout();
            let written = output.write_all(&exposition::plain_text(&registry)).and_then(|()| output.flush());
            written.map_err(Error::from_output)?;
        }
        if self.output.is_text() {
            super::tell_tally(&tally);
        }
        Ok(())
    }
}
