//! What is known of one connection: its ends, the bytes each way, and whether it carries MCP.

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;

use observer_common::stream::Verdict;

use super::completion::Ended;
use super::early::Early;
use super::input::{ProcessId, StreamId};
use super::jsonrpc::Message;
use super::limits::Limits;
use super::mcp::session::Parties;
use super::observation::Session;
use super::pairing::CallId;
use super::pairing::ids::Ids;
use super::reader::{Envelope, Kind, Reader};
use super::reassembly::stream::Flow;
use super::reassembly::twin::{End, Medium, Place};
use super::time::Timestamp;
use super::transport::Transport;
use super::transport::streamable_http::Exchanges;

/// Whether a connection carries MCP.
///
/// ```text
/// Unknown --proof--> Mcp --a look-alike's mark--> Other
///    \------------a look-alike's mark------------> Other --proof--> Mcp
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Label {
    /// Nothing proven.
    #[default]
    Unknown,
    /// It does.
    Mcp,
    /// It carries another protocol.
    Other,
}

/// One connection.
#[derive(Debug)]
pub struct Connection {
    /// What it is.
    pub medium: Medium,
    /// Processes at ends A and B, as far as they were seen.
    pub ends: [Option<ProcessId>; 2],
    /// The kernel's streams that it consists of.
    pub streams: Vec<StreamId>,
    /// The bytes towards end A and towards end B.
    pub ways: [Way; 2],
    /// Whether it carries MCP.
    pub label: Label,
    /// The verdict that the kernel was given.
    pub verdict: Option<Verdict>,
    /// The end at which the MCP client is.
    pub client: Option<End>,
    /// What its parties said of themselves.
    pub parties: Parties,
    /// HTTP requests without a complete response.
    pub exchanges: Exchanges,
    /// Open calls whose requests it carried.
    pub calls: BTreeSet<CallId>,
    /// Finished calls that wait until it is known to carry MCP.
    pub unproven: Vec<Ended>,
    /// Answers without a request that came before it was known to carry MCP.
    pub orphans: u32,
    /// For TLS: the socket that it travels on.
    pub socket: Option<Place>,
    /// For TCP: its first sends, until it is known whether the other end is on this host.
    pub early: Early,
    /// Responses were lost, perhaps whole ones: the next head answers the newest request.
    pub misaligned: bool,
    /// For a socket: at which ends the plaintext of its TLS is read.
    pub is_read_inside_tls: [bool; 2],
    /// Holes in it since they were last told of: how many, and how many bytes.
    pub holes: (u64, u64),
    /// The HTTP session that was last named on it.
    pub session: Option<u64>,
    /// Hash of the address that last accepted a request without an answer: answers come on an event stream of 2024.
    pub accepts: Option<u64>,
    /// It began as HTTP, and carries messages in this way.
    pub upgraded: Option<Transport>,
    /// When its MCP session began.
    pub session_since: Option<Timestamp>,
    /// Its MCP session is over; what is to be told of that once its calls are.
    pub session_over: Option<Box<Session>>,
}

/// One way of a connection.
#[derive(Debug, Default)]
pub struct Way {
    /// Order and times of its bytes.
    pub flow: Flow,
    /// Reads the bytes; made when the first come.
    pub reader: Option<Box<Reader>>,
    /// Messages that wait until their sender is known.
    pub held: VecDeque<Held>,
    /// Bytes since the last JSON-RPC message.
    pub unread: u64,
    /// Whether the kernel may have skipped bytes as it was told to: then a gap is a new beginning.
    pub may_skip: bool,
    /// Ids of the requests in it.
    pub ids: Ids,
}

/// A message that waits until its sender is known.
#[derive(Debug)]
pub struct Held {
    /// The message.
    pub message: Message,
    /// Where it was.
    pub envelope: Envelope,
    /// When waiting ends.
    pub until: Timestamp,
}

impl Way {
    /// The framing of its bytes.
    pub fn kind(&self) -> Kind {
        self.reader.as_ref().map_or(Kind::Unknown, |reader| reader.kind())
    }

    /// Its reader.
    pub fn reader(&mut self, limits: &Limits, payloads: bool) -> &mut Reader {
        self.reader.get_or_insert_with(|| Box::new(Reader::new(limits, payloads)))
    }

    /// Whether nothing that came is missing, as far as is known: all of it was read, or nothing was seen at all.
    pub fn is_without_holes(&self) -> bool {
        let is_read = self.reader.is_some() || self.flow.is_new();
        is_read && self.ids.are_all()
    }

    /// Whether nothing that was sent is missing either.
    pub fn is_all_read(&self) -> bool {
        self.is_without_holes() && !self.flow.has_unread()
    }

    /// Forgets what was being read.
    pub fn restart(&mut self) {
        if let Some(reader) = &mut self.reader {
            reader.restart();
        }
        self.unread = 0;
    }
}

impl Connection {
    /// A connection of which nothing was seen.
    pub fn new(medium: Medium) -> Self {
        Self {
            medium,
            ends: [None; 2],
            streams: Vec::new(),
            ways: Default::default(),
            label: Label::Unknown,
            verdict: None,
            client: None,
            parties: Parties::default(),
            exchanges: Exchanges::default(),
            calls: BTreeSet::new(),
            unproven: Vec::new(),
            orphans: 0,
            socket: None,
            early: Early::Unknown,
            misaligned: false,
            is_read_inside_tls: [false; 2],
            holes: (0, 0),
            session: None,
            accepts: None,
            upgraded: None,
            session_since: None,
            session_over: None,
        }
    }

    /// How messages travel on it, without HTTP around each.
    pub const fn transport(&self) -> Transport {
        match self.upgraded {
            Some(transport) => transport,
            None => Transport::Stdio,
        }
    }

    /// The process at `end`.
    pub fn process(&self, end: End) -> Option<ProcessId> {
        match end {
            End::A => self.ends[0],
            End::B => self.ends[1],
        }
    }

    /// An end of TCP tells its own address: behind address translation the other end knows another one.
    pub fn meet_address(&mut self, end: End, address: SocketAddr) {
        if let Medium::Tcp(addresses) = &mut self.medium
            && let Some(known) = addresses.get_mut(end.index())
        {
            *known = address;
        }
    }

    /// The bytes towards `end`.
    pub const fn way(&self, end: End) -> &Way {
        match end {
            End::A => &self.ways[0],
            End::B => &self.ways[1],
        }
    }

    /// The bytes towards `end`, to be changed.
    pub const fn way_mut(&mut self, end: End) -> &mut Way {
        match end {
            End::A => &mut self.ways[0],
            End::B => &mut self.ways[1],
        }
    }

    /// The end at which `process` is.
    pub fn end_of(&self, process: ProcessId) -> Option<End> {
        [End::A, End::B].into_iter().find(|end| self.process(*end) == Some(process))
    }

    /// Whether it is read as lines when it begins with something else than JSON.
    pub const fn may_begin_with_a_banner(&self) -> bool {
        matches!(self.medium, Medium::Pipe { .. } | Medium::Unix)
    }
}
