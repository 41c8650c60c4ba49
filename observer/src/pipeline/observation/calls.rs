//! What is told of calls and of what belongs to them.

use std::sync::Arc;
use std::time::Duration;

use observer_common::stream::TlsLibrary;

use super::{
    CallDirection, ChosenHeaders, Outcome, Peer, SpanFacts, Subject, TaskStatus, TraceContext, Transport,
};
use crate::pipeline::jsonrpc::Id;
use crate::pipeline::private::Private;
use crate::pipeline::time::Timestamp;

/// A request and how it ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// When the first byte of the request was sent, or first seen.
    pub at: Timestamp,
    /// JSON-RPC method.
    pub method: Box<str>,
    /// What it was about.
    pub subject: Option<Subject>,
    /// JSON-RPC id.
    pub id: Id,
    /// Who asked whom.
    pub direction: CallDirection,
    /// How it travelled.
    pub transport: Transport,
    /// The library in which it was read, if it travelled inside TLS.
    pub tls: Option<TlsLibrary>,
    /// Protocol revision, if known: what the server said, or the request itself (2026-07-28).
    pub revision: Option<Arc<str>>,
    /// How it ended.
    pub outcome: Outcome,
    /// JSON-RPC error code or HTTP status.
    pub error_code: Option<i64>,
    /// From the first byte that the asking process sent to the last byte of the answer that it read.
    pub client_duration: Option<Duration>,
    /// From the last byte of the request that the asked process read to the last byte of the answer that it
    /// sent.
    pub server_duration: Option<Duration>,
    /// Time to the first byte of the answer or to the first progress notification.
    pub first_answer: Option<Duration>,
    /// Size of the request's text.
    pub request_bytes: u64,
    /// Size of the answer's text.
    pub response_bytes: u64,
    /// Progress notifications in between.
    pub progress: u32,
    /// Hash of the session id, if there is a session with an id.
    pub session: Option<u64>,
    /// W3C trace context of the request.
    pub trace: Option<TraceContext>,
    /// The asking and answering processes, as MCP client and server (not as asker and asked).
    pub client: Peer,
    /// See `client`.
    pub server: Peer,
    /// How sure the figures are.
    pub certainty: Certainty,
    /// What only spans tell of it.
    pub span: SpanFacts,
    /// What the user has chosen to know (`expressions`); empty until then.
    pub attributes: Vec<Attribute>,
    /// Headers of its HTTP request that the user asks for.
    pub headers: Private<ChosenHeaders>,
    /// Other calls and messages that belong to it.
    pub links: Links,
    /// Raw arguments, if payloads are kept.
    pub arguments: Option<Private<Box<[u8]>>>,
    /// Raw result, if payloads are kept.
    pub result: Option<Private<Box<[u8]>>>,
}

impl Call {
    /// The client's view where it is known, else the server's.
    pub fn duration(&self) -> Option<Duration> {
        self.client_duration.or(self.server_duration)
    }

    /// Whether it is counted: a hop that passes on another call is not, that call is.
    pub const fn is_counted(&self) -> bool {
        self.links.relay.is_none()
    }

    /// Whether it ends what the client wanted: a round that asks for more input does not, and a hop neither.
    pub const fn is_logical_end(&self) -> bool {
        self.is_counted() && !matches!(self.outcome, Outcome::InputRequired)
    }
}

/// Other calls and messages that belong to a call.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Links {
    /// Where this is the last of several rounds: what they are together.
    pub rounds: Option<Rounds>,
    /// Of `subscriptions/listen`: how many notifications came on it.
    pub notifications: u32,
    /// The call that this one passes on, if it is a hop of that one.
    pub relay: Option<Relay>,
    /// The calls that pass this one on, in the order in which they ended; the first few.
    pub hops: Vec<Hop>,
}

/// All rounds of a call that was asked for more input (2026-07-28), together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rounds {
    /// How many, this one included.
    pub count: u32,
    /// From the first request to the last answer.
    pub logical: Duration,
    /// The rounds' own durations together: without the time that the client took to find the input.
    pub working: Duration,
}

/// The call that a hop passes on.
#[derive(Clone, Debug, PartialEq)]
pub struct Relay {
    /// When it began.
    pub at: Timestamp,
    /// Its JSON-RPC id.
    pub id: Id,
    /// No process ties them: they are the same in all that they say.
    pub inferred: bool,
}

/// One hop of a call, seen from that call.
#[derive(Clone, Debug, PartialEq)]
pub struct Hop {
    /// Who answered it.
    pub server: Peer,
    /// How it travelled.
    pub transport: Transport,
    /// How long it took.
    pub duration: Option<Duration>,
}

/// A task has ended, as far as that was seen.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskEnded {
    /// When the end was first seen.
    pub at: Timestamp,
    /// Method of the request that made it.
    pub method: Box<str>,
    /// What that was about.
    pub subject: Option<Subject>,
    /// Its JSON-RPC id.
    pub id: Id,
    /// Who asked whom.
    pub direction: CallDirection,
    /// How it travelled.
    pub transport: Transport,
    /// Protocol revision.
    pub revision: Option<Arc<str>>,
    /// The final status.
    pub status: TaskStatus,
    /// How the call ended that it stands for.
    pub outcome: Outcome,
    /// From the request that made it until its end was first seen.
    pub duration: Duration,
    /// How often its state was asked for.
    pub polls: u32,
    /// Hash of the session id, if there is a session with an id.
    pub session: Option<u64>,
    /// W3C trace context of the request that made it.
    pub trace: Option<TraceContext>,
    /// The MCP client.
    pub client: Peer,
    /// The MCP server.
    pub server: Peer,
}

/// An attribute of a call that the user has chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Attribute {
    /// Its name.
    pub name: Arc<str>,
    /// Its value.
    pub value: AttributeValue,
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[serde(untagged)]
pub enum AttributeValue {
    /// Text.
    Text(Box<str>),
    /// A whole number.
    Int(i64),
    /// A number.
    Double(f64),
    /// True or false.
    Bool(bool),
}

impl AttributeValue {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Text(text) if text.is_empty())
    }
}

impl std::fmt::Display for AttributeValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(it) => f.write_str(it),
            Self::Int(it) => it.fmt(f),
            Self::Double(it) => it.fmt(f),
            Self::Bool(it) => it.fmt(f),
        }
    }
}

/// How sure the figures of a call are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Certainty {
    /// Every byte of request and answer was seen.
    Whole,
    /// Bytes are missing; the times are right.
    TimesOnly,
    /// Something was concluded and not seen.
    Inferred,
}

impl Certainty {
    /// The value of `certainty`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::TimesOnly => "times_only",
            Self::Inferred => "inferred",
        }
    }
}
