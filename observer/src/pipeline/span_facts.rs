//! Gathers what only spans tell of a call: notifications about it, and who makes spans of its own.

use super::Pipeline;
use super::input::ProcessId;
use super::jsonrpc::Message;
use super::mcp::method::{self, CallDirection};
use super::mcp::span_facts::{CallEvent, is_span_export};
use super::observation::Peer;
use super::pairing::CallId;
use super::reassembly::twin::{ConnectionId, End};
use super::time::Timestamp;
use super::transport::RequestHead;

impl Pipeline {
    /// `message`, whose first byte came towards `to` at `first`, tells of an open call.
    pub(super) fn tell_of(&mut self, call: CallId, message: &Message, from_asker: bool, at: Timestamp) {
        let method = message.method.as_deref().and_then(method::known).map_or("_other", |known| known.name);
        if let Some(open) = self.calls.call_mut(call) {
            let direction = match (open.direction, from_asker) {
                (CallDirection::ClientToServer, true) | (CallDirection::ServerToClient, false) => {
                    CallDirection::ClientToServer
                }
                _ => CallDirection::ServerToClient,
            };
            open.span.add(CallEvent { at, method, direction });
        }
    }

    /// A process that sends spans to a collector traces itself, perhaps its MCP calls too.
    pub(super) fn notice_span_export(&mut self, id: ConnectionId, client: End, head: &RequestHead) {
        if !is_span_export(head) {
            return;
        }
        let process = self.connections.value(&id).and_then(|connection| connection.process(client));
        if let Some(process) = process {
            let _ = self.span_senders.insert(process, ());
        }
    }

    /// Which of the two parties send spans of their own.
    pub(super) fn senders_of_spans(&self, peers: [&Peer; 2]) -> [bool; 2] {
        let sends = |process: ProcessId| self.span_senders.value(&process).is_some();
        peers.map(|peer| peer.process.as_deref().is_some_and(|process| sends(process.id)))
    }
}
