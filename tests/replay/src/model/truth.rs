//! What truly happened: every call with its parties, its end, and the times at which its bytes moved.

use std::collections::BTreeMap;

use mcp_observer::pipeline::jsonrpc::Id;
use mcp_observer::pipeline::observation::{CallDirection, Outcome, Transport};

use crate::captures::Capture;

/// A call.
#[derive(Clone, Debug)]
pub struct Truth {
    /// Its session.
    pub session: usize,
    /// The process that asks.
    pub asker: u32,
    /// The process that is asked.
    pub asked: u32,
    /// JSON-RPC method.
    pub method: &'static str,
    /// The tool, for a call of one.
    pub tool: Option<&'static str>,
    /// JSON-RPC id.
    pub id: Id,
    /// Who asks whom.
    pub direction: CallDirection,
    /// How it travels.
    pub transport: Transport,
    /// What revision must be told.
    pub revision: &'static str,
    /// How it ends; nothing while it is in flight.
    pub outcome: Option<Outcome>,
    /// Error code or HTTP status.
    pub code: Option<i64>,
    /// Progress notifications before its end.
    pub progress: u32,
    /// Its request's text, in [`World::spans`].
    pub request: usize,
    /// Its answer's text.
    pub answer: Option<usize>,
    /// The text of its first progress notification.
    pub first_progress: Option<usize>,
}

/// When the ends of a text moved.
#[derive(Clone, Copy, Debug, Default)]
pub struct Span {
    /// Its first byte was sent.
    pub first_sent: u64,
    /// Its last byte was sent.
    pub last_sent: u64,
    /// Its first byte was received.
    pub first_received: u64,
    /// Its last byte was received.
    pub last_received: u64,
}

/// Sessions that ran side by side on one host, and the recording of them.
#[derive(Debug)]
pub struct World {
    /// What was recorded.
    pub capture: Capture,
    /// The calls.
    pub calls: Vec<Truth>,
    /// Texts of messages; a batch is one.
    pub spans: Vec<Span>,
    /// Which session a stream belongs to.
    pub sessions: BTreeMap<u64, usize>,
}

/// The mark that arguments and the answer of a call carry, by which a wrong pair shows itself.
pub fn mark(call: usize) -> String {
    format!("#{call};")
}

/// The error code that only the answer of this call has.
pub const fn code(call: usize) -> i64 {
    -40_000 - call as i64
}
