//! What the pipeline tells the exporters. Absent facts are `None`, never invented.

mod calls;
mod servers;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::input::{BlindSpotFacts, ProcessId};
use super::jsonrpc::Id;
use super::time::Timestamp;

pub use calls::{Attribute, AttributeValue, Call, Certainty, Hop, Links, Relay, Rounds, TaskEnded};
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
