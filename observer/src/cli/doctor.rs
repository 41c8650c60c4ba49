//! `mcp-observer doctor`: what this host supports, and what is missing.

use std::fmt::Write as _;
use std::io::{self, Write};

use clap::Args;
use serde_json::Value;

use super::flags::OutputFlags;
use crate::capture::kernel;
#[cfg(feature = "kernel")]
use crate::capture::tls::unread;
use crate::error::Error;

/// Tell what this host supports, which mode would run and what is missing.
#[derive(Args, Clone, Debug)]
pub struct Doctor {
    #[command(flatten)]
    output: OutputFlags,
}

impl Doctor {
    /// Does it. A survey is shown as it is: what `capture` adds to it appears here.
    pub fn run(self) -> Result<(), Error> {
        let shown =
            |error: serde_json::Error| Error::Io { act: "show the survey".into(), source: error.into() };
        let mut survey = serde_json::to_value(kernel::survey()).map_err(shown)?;
        #[cfg(feature = "kernel")]
        let blind_spots = serde_json::to_value(unread::processes_with_unread()).map_err(shown)?;
        // A build that cannot look sees nothing.
        #[cfg(not(feature = "kernel"))]
        let blind_spots = Value::Array(Vec::new());
        if let Value::Object(survey) = &mut survey {
            survey.insert("blind_spots".to_owned(), blind_spots);
        }
        let mut text = String::new();
        match self.output.is_text() {
            true => outline(&survey, 0, &mut text),
            false => text = format!("{survey}\n"),
        }
        let mut output = io::stdout();
        output.write_all(text.as_bytes()).and_then(|()| output.flush()).map_err(Error::from_output)
    }
}

/// Writes members as `name: value`, one a line, what is inside of others indented.
fn outline(value: &Value, depth: usize, text: &mut String) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let name = name.replace('_', " ");
                entry(&format!("{name}:"), member, depth, text);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| entry("-", item, depth, text)),
        _ => entry("", value, depth, text),
    }
}

fn entry(name: &str, value: &Value, depth: usize, text: &mut String) {
    let (indent, width) = (depth * 2, 28usize.saturating_sub(depth * 2));
    let shown = match value {
        Value::Object(_) | Value::Array(_) => None,
        Value::String(string) => Some(string.clone()),
        Value::Bool(is) => Some(if *is { "yes" } else { "no" }.to_owned()),
        Value::Null => Some("unknown".to_owned()),
        Value::Number(number) => Some(number.to_string()),
    };
    // Writing to a string cannot fail.
    let _ = match shown {
        Some(shown) if name == "-" => writeln!(text, "{:indent$}- {shown}", ""),
        Some(shown) => writeln!(text, "{:indent$}{name:<width$} {shown}", ""),
        None => writeln!(text, "{:indent$}{name}", ""),
    };
    if matches!(value, Value::Object(_) | Value::Array(_)) {
        outline(value, depth + 1, text);
    }
}

#[cfg(test)]
mod tests {
    use super::outline;
    use serde_json::json;

    #[test]
    fn a_survey_is_readable() {
        let survey =
            json!({"kernel": "6.18", "modes": [{"name": "syscall", "works": true}], "missing": ["CAP_BPF"]});
        let mut text = String::new();
        outline(&survey, 0, &mut text);
        let expected = "kernel:                      6.18\n\
                        missing:\n  - CAP_BPF\n\
                        modes:\n  -\n    name:                    syscall\n    works:                   yes\n";
        assert_eq!(text, expected);
    }
}
