//! What is told of servers beside their calls.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use super::{Changed, Peer, Scheme, Step, Transport};
use crate::pipeline::time::Timestamp;

/// A server process, at its beginning or end.
#[derive(Clone, Debug, PartialEq)]
pub struct Server {
    /// When.
    pub at: Timestamp,
    /// The server.
    pub server: Peer,
    /// Wait status, at its end.
    pub status: Option<i32>,
    /// How its messages travel.
    pub transport: Transport,
    /// It was started only to be asked what it is, and is gone.
    pub is_probe: bool,
    /// Its process is older than what was recorded: it did not begin now.
    pub was_running: bool,
}

impl Server {
    /// The value of `reason`, at its end: `exit_0`, `exit_error`, `signal_kill`.
    pub fn reason(&self) -> Option<Cow<'static, str>> {
        let status = self.status?;
        Some(match (status & 0x7f, status >> 8 & 0xff) {
            (0, 0) => "exit_0".into(),
            (0, _) => "exit_error".into(),
            (signal, _) => match SIGNALS.iter().find(|(number, _)| *number == signal) {
                Some((_, name)) => (*name).into(),
                None => format!("signal_{signal}").into(),
            },
        })
    }
}

/// Signals that end processes, with their numbers on every architecture with BPF.
const SIGNALS: &[(i32, &str)] = &[
    (1, "signal_hup"),
    (2, "signal_int"),
    (3, "signal_quit"),
    (4, "signal_ill"),
    (5, "signal_trap"),
    (6, "signal_abrt"),
    (7, "signal_bus"),
    (8, "signal_fpe"),
    (9, "signal_kill"),
    (10, "signal_usr1"),
    (11, "signal_segv"),
    (12, "signal_usr2"),
    (13, "signal_pipe"),
    (14, "signal_alrm"),
    (15, "signal_term"),
    (24, "signal_xcpu"),
    (25, "signal_xfsz"),
    (31, "signal_sys"),
];

/// A list of tools.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolsListed {
    /// When its last page came.
    pub at: Timestamp,
    /// Names of the tools, as they were listed. Untrusted text.
    pub tools: Vec<Arc<str>>,
    /// How it travelled.
    pub transport: Transport,
    /// The MCP client.
    pub client: Peer,
    /// The MCP server.
    pub server: Peer,
}

/// A tool of which something else is told than before.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolChanged {
    /// When it was listed so.
    pub at: Timestamp,
    /// The tool and its definitions.
    pub changed: Changed,
    /// How the list travelled.
    pub transport: Transport,
    /// The MCP client.
    pub client: Peer,
    /// The MCP server.
    pub server: Peer,
}

/// A step of the protocol.
#[derive(Clone, Debug, PartialEq)]
pub struct ProtocolStep {
    /// When the request that ends it was sent.
    pub at: Timestamp,
    /// From where to where.
    pub step: Step,
    /// From the sending of the first request to that of the last.
    pub duration: Duration,
    /// How it travels.
    pub transport: Transport,
    /// The MCP client.
    pub client: Peer,
    /// The MCP server.
    pub server: Peer,
}

/// How a request was let in.
#[derive(Clone, Debug, PartialEq)]
pub struct Auth {
    /// When its response began.
    pub at: Timestamp,
    /// How it showed who asks.
    pub scheme: Scheme,
    /// What the server made of it.
    pub result: AuthResult,
    /// Status of the response.
    pub status: u16,
    /// How it travelled.
    pub transport: Transport,
    /// The MCP client.
    pub client: Peer,
    /// The MCP server.
    pub server: Peer,
}

/// What a server made of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AuthResult {
    /// It was served.
    Accepted,
    /// 401: who asks is not known.
    Unauthorized,
    /// 403: who asks may not.
    Forbidden,
}

impl AuthResult {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Accepted, Self::Unauthorized, Self::Forbidden];

    /// The value of `result`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
        }
    }

    /// What a status means. Redirections and other failures say nothing of who may ask.
    pub const fn of_status(status: u16) -> Option<Self> {
        match status {
            200..300 => Some(Self::Accepted),
            401 => Some(Self::Unauthorized),
            403 => Some(Self::Forbidden),
            _ => None,
        }
    }
}

/// What the process of a server takes: itself, not its children.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerUsage {
    /// When it was asked for.
    pub at: Timestamp,
    /// How long the process has run.
    pub uptime: Duration,
    /// Its memory that is resident.
    pub resident_bytes: u64,
    /// Processor time of all its threads so far.
    pub cpu: Duration,
    /// The MCP server.
    pub server: Peer,
}

/// Calls in flight.
#[derive(Clone, Debug, PartialEq)]
pub struct InFlight {
    /// When they were counted.
    pub at: Timestamp,
    /// Servers with how many there are; those with none are not among them. One may be there several times.
    pub servers: Box<[(Peer, u64)]>,
}
