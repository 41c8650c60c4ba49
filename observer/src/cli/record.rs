//! `mcp-observer record`: writes what the kernel saw to a capture file.

use std::path::PathBuf;

use clap::Args;
use clap::builder::BoolishValueParser;

use super::flags::CaptureFlags;
use super::{live, tell};
use crate::agent::Agent;
use crate::capture::file::{Head, HostFacts, Writer};
use crate::error::Error;
use crate::pipeline::Settings;

/// Write all records to a capture file, which only its owner can read: it holds what processes told each other.
#[derive(Args, Clone, Debug)]
pub struct Record {
    /// The capture file to write.
    #[arg(short = 'o', long = "file", env = "MCP_OBSERVER_FILE")]
    file: PathBuf,
    /// Replace the file if it is there.
    #[arg(long, env = "MCP_OBSERVER_FORCE", value_parser = BoolishValueParser::new())]
    force: bool,
    #[command(flatten)]
    capture: CaptureFlags,
}

impl Record {
    /// Does it. The pipeline runs although it shows nothing: it tells the kernel which streams to capture.
    pub fn run(self) -> Result<(), Error> {
        let tally = live::observe(&self.capture, |source| {
            let facts = source.facts();
            let facts = HostFacts {
                observer: env!("CARGO_PKG_VERSION").into(),
                kernel: facts.kernel.clone(),
                mode: facts.mode.clone(),
                architecture: std::env::consts::ARCH.into(),
            };
            let head = Head { clock: source.wall_clock(), facts };
            let recorder = Writer::create(&self.file, &head, self.force)?;
            live::tell_attached(source.facts());
            Ok(Agent::new(Settings::default(), source.wall_clock(), Vec::new()).with_recorder(recorder))
        })?;
        super::tell_tally(&tally);
        tell(format_args!("written to {}", self.file.display()));
        Ok(())
    }
}
