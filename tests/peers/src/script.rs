//! What a client is told to do: one JSON object per step.

use serde::Deserialize;
use serde_json::{Map, Value};

/// One step: the same request, some number of times.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// `tools/call`, `tools/list` or `ping`.
    #[serde(default = "tools_call")]
    pub method: String,
    /// The tool to call.
    #[serde(default)]
    pub tool: String,
    /// Its arguments.
    #[serde(default)]
    pub arguments: Map<String, Value>,
    /// How many requests in all.
    #[serde(default = "one")]
    pub repeat: usize,
    /// How many of them are under way at once.
    #[serde(default = "one")]
    pub concurrency: usize,
    /// After this time the client gives up and cancels the request.
    pub timeout_ms: Option<u64>,
}

impl Step {
    /// Reads a step from one line.
    pub fn parse(line: &str) -> anyhow::Result<Self> {
        serde_json::from_str(line).map_err(|error| anyhow::anyhow!("not a step: {error}"))
    }
}

fn tools_call() -> String {
    "tools/call".to_owned()
}

fn one() -> usize {
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_one_call_unless_it_says_otherwise() {
        let step = Step::parse(r#"{"tool":"echo","arguments":{"message":"hi"}}"#).unwrap();
        assert_eq!((step.method.as_str(), step.repeat, step.concurrency), ("tools/call", 1, 1));
    }

    #[test]
    fn a_misspelt_member_is_refused() {
        assert!(Step::parse(r#"{"tool":"echo","argments":{}}"#).is_err());
    }
}
