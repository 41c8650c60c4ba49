//! What was moved, for the comparison later.

use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::content::Content;
use crate::streams::{Kind, Name};
use crate::ways::By;

/// One stream that the workload used.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Entry {
    /// For people: kind of stream and calls.
    pub case: String,
    /// What joined the two ends.
    pub kind: Kind,
    /// The end that received.
    pub receiving: Name,
    /// The end that sent.
    pub sending: Name,
    /// Who did both.
    pub pid: u32,
    /// Seed of the content.
    pub seed: u64,
    /// Bytes that were sent.
    pub sent: u64,
    /// Bytes that the receiver took out.
    pub received: u64,
    /// How it was sent.
    #[serde(default)]
    pub sent_by: By,
    /// How it was received.
    #[serde(default)]
    pub received_by: By,
    /// Bytes that were taken out in a way that hides them from an observer, or thrown away unread: it shows a gap of
    /// this size then.
    #[serde(default)]
    pub hidden: u64,
    /// Threads of the kernel may have moved the bytes for the process.
    #[serde(default)]
    pub by_kernel_threads: bool,
    /// A short call stands in front.
    #[serde(default)]
    pub introduced: bool,
    /// What was received, byte for byte, where it was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

impl Entry {
    /// What was sent.
    pub fn content(&self) -> Content {
        if self.introduced {
            return Content::introduced(self.kind, self.seed, self.sent);
        }
        Content::new(self.kind, self.seed, self.sent)
    }
}

/// Writes the manifest of a run.
pub fn write(dir: &Path, entries: &[Entry]) -> Result<()> {
    let text = serde_json::to_string_pretty(entries)?;
    std::fs::write(dir.join(NAME), text).with_context(|| format!("cannot write into {}", dir.display()))
}

/// Reads the manifest of a run.
pub fn read(dir: &Path) -> Result<Vec<Entry>> {
    let path = dir.join(NAME);
    let text = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(serde_json::from_slice(&text)?)
}

const NAME: &str = "manifest.json";
