//! What the pipeline tells the exporters. Absent facts are `None`, never invented.

mod servers;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use observer_common::stream::TlsLibrary;

use super::input::{BlindSpotFacts, ProcessId};
use super::jsonrpc::Id;
use super::private::Private;
use super::time::Timestamp;

pub use servers::{Auth, AuthResult, InFlight, ProtocolStep, Server, ServerUsage, ToolChanged, ToolsListed};

pub use super::attribution::{Home, Process, Workload};
pub use super::mcp::inventory::Changed;
pub use super::mcp::meta::{Subject, TraceContext};
pub use super::mcp::method::CallDirection;
pub use super::mcp::span_facts::{CallEvent, SpanFacts};
pub use super::mcp::step::Step;
pub use super::mcp::ties::TaskStatus;
pub use super::pairing::outcome::Outcome;
pub use super::transport::authorization::Scheme;
pub use super::transport::{ChosenHeaders, Transport};

/// One thing that users may want to know.
#[derive(Clone, Debug, PartialEq)]
pub enum Observation {
    /// A request and how it ended.
    Call(Box<Call>),
    /// A message that wants no answer.
    Notification(Box<Notification>),
    /// A session began.
    SessionStarted(Box<Session>),
    /// A session ended.
    SessionEnded(Box<Session>),
    /// A process was recognised as an MCP server.
    ServerStarted(Box<Server>),
    /// The process of an MCP server has ended.
    ServerStopped(Box<Server>),
    /// A task has ended.
    TaskEnded(Box<TaskEnded>),
    /// An answer without a request: the request was sent before the observer came, or lost.
    Unanswerable(Box<Unanswerable>),
    /// Records were lost.
    Loss(Loss),
    /// Something cannot be seen.
    BlindSpot(Box<BlindSpot>),
    /// A server listed its tools, and not those that it listed before.
    ToolsListed(Box<ToolsListed>),
    /// A server tells something else of a tool than before.
    ToolChanged(Box<ToolChanged>),
    /// A conversation came to its next step.
    ProtocolStep(Box<ProtocolStep>),
    /// An HTTP request with MCP was let in, or not.
    Auth(Box<Auth>),
    /// What the process of a server takes.
    ServerUsage(Box<ServerUsage>),
    /// How many calls are in flight.
    InFlight(Box<InFlight>),
}

impl Observation {
    /// The MCP client and the MCP server that it tells of.
    pub fn parties(&self) -> [Option<&Peer>; 2] {
        let (client, server) = match self {
            Self::Call(it) => (Some(&it.client), &it.server),
            Self::Notification(it) => (Some(&it.client), &it.server),
            Self::SessionStarted(it) | Self::SessionEnded(it) => (Some(&it.client), &it.server),
            Self::ServerStarted(it) | Self::ServerStopped(it) => (None, &it.server),
            Self::TaskEnded(it) => (Some(&it.client), &it.server),
            Self::Unanswerable(it) => (Some(&it.to), &it.from),
            Self::ToolsListed(it) => (Some(&it.client), &it.server),
            Self::ToolChanged(it) => (Some(&it.client), &it.server),
            Self::ProtocolStep(it) => (Some(&it.client), &it.server),
            Self::Auth(it) => (Some(&it.client), &it.server),
            Self::ServerUsage(it) => (None, &it.server),
            Self::Loss(Loss { stream: Some(hole), .. }) => (Some(&hole.client), &hole.server),
            Self::Loss(_) | Self::BlindSpot(_) | Self::InFlight(_) => return [None, None],
        };
        [client, Some(server)]
    }
}

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

/// One party of a call.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Peer {
    /// The name that it gave itself (`clientInfo`, `serverInfo`). Untrusted text.
    pub name: Option<Arc<str>>,
    /// The version that it gave itself.
    pub version: Option<Arc<str>>,
    /// Its process, if it is on this host.
    pub process: Option<Arc<Process>>,
    /// Its address, for TCP.
    pub address: Option<SocketAddr>,
}

impl Peer {
    /// The name for people and labels: its own, else that of its script or executable.
    pub fn label(&self) -> Option<&str> {
        let own = self.name.as_deref().filter(|name| !name.is_empty());
        own.or_else(|| self.process.as_deref().map(|process| &*process.short_name))
    }
}

/// A message that wants no answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Notification {
    /// When its first byte was sent, or first seen.
    pub at: Timestamp,
    /// JSON-RPC method.
    pub method: Box<str>,
    /// Who told whom.
    pub direction: CallDirection,
    /// How it travelled.
    pub transport: Transport,
    /// JSON-RPC id of the `subscriptions/listen` on which it came (2026-07-28).
    pub subscription: Option<Id>,
    /// The MCP client.
    pub client: Peer,
    /// The MCP server.
    pub server: Peer,
}

/// A session, at its beginning or end.
#[derive(Clone, Debug, PartialEq)]
pub struct Session {
    /// When.
    pub at: Timestamp,
    /// How it travels.
    pub transport: Transport,
    /// Protocol revision.
    pub revision: Option<Arc<str>>,
    /// Hash of the session id, if there is one.
    pub session: Option<u64>,
    /// How long it lasted, at its end.
    pub duration: Option<Duration>,
    /// The MCP client.
    pub client: Peer,
    /// The MCP server.
    pub server: Peer,
}

/// An answer without a request.
#[derive(Clone, Debug, PartialEq)]
pub struct Unanswerable {
    /// When.
    pub at: Timestamp,
    /// Its id.
    pub id: Option<Id>,
    /// How it travelled.
    pub transport: Transport,
    /// Who sent it.
    pub from: Peer,
    /// Who read it.
    pub to: Peer,
}

/// Records that were lost.
#[derive(Clone, Debug, PartialEq)]
pub struct Loss {
    /// When it was counted.
    pub at: Timestamp,
    /// The `cause` label.
    pub cause: &'static str,
    /// How many records.
    pub records: u64,
    /// How many bytes.
    pub bytes: u64,
    /// Whose figures it touches, where it is a hole in a stream that carries MCP. The kernel's own counts, which are
    /// told without a stream, have it in them too.
    pub stream: Option<Box<Hole>>,
}

impl Loss {
    /// The cause of what is told of a stream: bytes that moved and were not read, for whatever reason.
    pub const HOLE: &'static str = "hole";
}

/// A stream with MCP of which bytes are missing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hole {
    /// Its number.
    pub stream: u64,
    /// The MCP client.
    pub client: Peer,
    /// The MCP server.
    pub server: Peer,
}

/// Something that cannot be seen.
#[derive(Clone, Debug, PartialEq)]
pub struct BlindSpot {
    /// When it was noticed.
    pub at: Timestamp,
    /// The process concerned.
    pub process: ProcessId,
    /// What and why.
    pub facts: BlindSpotFacts,
}
