//! What travels beside a call: its subject and its W3C trace context.

use std::sync::Arc;

use crate::pipeline::jsonrpc::{Member, Message};
use crate::pipeline::private::Private;

/// What a request is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// `params.name` of `tools/call`.
    Tool(Arc<str>),
    /// `params.name` of `prompts/get`.
    Prompt(Arc<str>),
    /// `params.uri`: payload.
    Resource(Private<Arc<str>>),
}

impl Subject {
    /// The tool's name, if it is a tool.
    pub fn tool(&self) -> Option<&str> {
        if let Self::Tool(name) = self { Some(name) } else { None }
    }
}

/// W3C trace context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// `trace-id`.
    pub trace_id: u128,
    /// `parent-id`.
    pub parent_span_id: u64,
    /// The sampled flag.
    pub sampled: bool,
}

/// What a request is about.
pub fn subject(message: &Message) -> Option<Subject> {
    let text = |member| message.string(member).map(Arc::<str>::from);
    match message.method.as_deref()? {
        "tools/call" => text(Member::Name).map(Subject::Tool),
        "prompts/get" => text(Member::Name).map(Subject::Prompt),
        "resources/read" | "resources/subscribe" | "resources/unsubscribe" => {
            text(Member::Uri).map(|uri| Subject::Resource(Private::new(uri)))
        }
        _ => None,
    }
}

/// The kept text of a member, a string.
pub(super) fn as_text(message: &Message, member: Member) -> Option<Box<str>> {
    message.string(member).map(Into::into)
}

/// What a request is about whose method and name are known from elsewhere.
pub fn subject_named(method: &str, name: &str) -> Option<Subject> {
    match method {
        "tools/call" => Some(Subject::Tool(name.into())),
        "prompts/get" => Some(Subject::Prompt(name.into())),
        "resources/read" => Some(Subject::Resource(Private::new(name.into()))),
        _ => None,
    }
}

/// The trace context in `params._meta.traceparent`, if it is valid.
pub fn trace(message: &Message) -> Option<TraceContext> {
    parse_traceparent(message.string(Member::TraceParent)?)
}

/// Reads a `traceparent` (W3C Trace Context, §3.2): `version-traceid-parentid-flags` in lower-case hex.
pub fn parse_traceparent(text: &str) -> Option<TraceContext> {
    let mut parts = text.split('-');
    let version = lower_hex(parts.next()?, 2)?;
    let trace_id = lower_hex(parts.next()?, 32)?;
    let parent = lower_hex(parts.next()?, 16)?;
    let flags = lower_hex(parts.next()?, 2)?;
    let more = parts.next().is_some();
    if version == 0xff || (version == 0 && more) || trace_id == 0 || parent == 0 {
        return None;
    }
    Some(TraceContext { trace_id, parent_span_id: u64::try_from(parent).ok()?, sampled: flags & 1 == 1 })
}

fn lower_hex(text: &str, digits: usize) -> Option<u128> {
    let right =
        text.len() == digits && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    right.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_example_of_the_specification() {
        let context = parse_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").unwrap();
        assert_eq!(context.trace_id, 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736);
        assert_eq!(context.parent_span_id, 0x00f0_67aa_0ba9_02b7);
        assert!(context.sampled);
    }

    #[test]
    fn refuses_what_the_specification_refuses() {
        for text in [
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "00-4bf92f3577b34da6a3ce929d0e0e4736",
            "",
        ] {
            assert_eq!(parse_traceparent(text), None, "{text}");
        }
    }
}
