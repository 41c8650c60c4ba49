//! What the pipeline could not use or had to give up, counted by stage and cause.

use std::collections::BTreeMap;

/// The stage that counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// `capture`, `input`.
    Input,
    /// `reassembly`.
    Reassembly,
    /// `transport`.
    Transport,
    /// `jsonrpc`.
    JsonRpc,
    /// `mcp`.
    Mcp,
    /// `pairing`.
    Pairing,
    /// `expressions`, behind the pipeline: what the user wrote.
    Expression,
}

impl Stage {
    /// The value of the `stage` label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Reassembly => "reassembly",
            Self::Transport => "transport",
            Self::JsonRpc => "jsonrpc",
            Self::Mcp => "mcp",
            Self::Pairing => "pairing",
            Self::Expression => "expression",
        }
    }
}

/// Counters of one pipeline. Only ever grow.
#[derive(Clone, Debug, Default)]
pub struct Health {
    faults: BTreeMap<(Stage, &'static str), u64>,
    shed: BTreeMap<(Stage, &'static str), u64>,
}

impl Health {
    /// Bytes or facts that made no sense to `stage`.
    pub fn fault(&mut self, stage: Stage, cause: &'static str) {
        *self.faults.entry((stage, cause)).or_default() += 1;
    }

    /// Something given up at a limit.
    pub fn shed(&mut self, stage: Stage, cause: &'static str) {
        *self.shed.entry((stage, cause)).or_default() += 1;
    }

    /// All faults so far.
    pub fn faults(&self) -> impl Iterator<Item = (Stage, &'static str, u64)> {
        self.faults.iter().map(|(&(stage, cause), &count)| (stage, cause, count))
    }

    /// All that was shed so far.
    pub fn sheds(&self) -> impl Iterator<Item = (Stage, &'static str, u64)> {
        self.shed.iter().map(|(&(stage, cause), &count)| (stage, cause, count))
    }
}
