//! A server on its standard input and output.

use anyhow::Result;
use clap::Args;
use serde_json::Value;

use crate::message::Replies;
use crate::wire::Wire;

/// How it behaves, beyond what each call asks for.
#[derive(Args)]
pub struct Settings {
    /// Move the wire to high descriptors and leave the null device behind.
    #[arg(long)]
    high: bool,
    /// Print a banner and log lines between the messages.
    #[arg(long)]
    junk: bool,
    /// Exit after so many calls.
    #[arg(long)]
    calls: Option<u64>,
}

/// Serves until the input ends or the calls are used up.
pub fn run(settings: &Settings) -> Result<()> {
    let mut wire = Wire::standard(settings.high)?;
    let mut calls = 0;
    if settings.junk {
        wire.write(BANNER.as_bytes(), 0)?;
    }
    while settings.calls.is_none_or(|limit| calls < limit) {
        let Some(line) = wire.read_line()? else { break };
        let Ok(message) = serde_json::from_str::<Value>(&line) else { continue };
        if settings.junk {
            wire.write_line(JUNK, 0)?;
        }
        let replies = Replies::to(&message);
        for text in &replies.before {
            wire.write_line(text, replies.shape.chunk)?;
        }
        replies.wait();
        if let Some(answer) = &replies.answer {
            wire.write_line(answer, replies.shape.chunk)?;
        }
        calls += u64::from(message["method"] == "tools/call");
    }
    Ok(())
}

const BANNER: &str = "Example server 1.0 {starting}\n\n  * listening on stdio [ok]\r\n{not json}\n";
const JUNK: &str = r#"{"level":"debug","msg":"message received"} trailing"#;
