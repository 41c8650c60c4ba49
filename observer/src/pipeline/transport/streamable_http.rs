//! HTTP requests and their responses on one connection: which response belongs to which request, and what their
//! heads say about MCP.
//!
//! Sources: RFC 9112 §9.3 (responses come in the order of the requests); MCP Streamable HTTP, revisions
//! 2025-03-26 to 2026-07-28.

use std::collections::VecDeque;

use super::{Field, RequestHead, ResponseHead};

/// One HTTP request with its response.
#[derive(Debug)]
pub struct Exchange {
    /// Its number on the connection.
    pub number: u64,
    /// Head of the request.
    pub request: Box<RequestHead>,
    /// Head of the response, once it was seen.
    pub response: Option<Box<ResponseHead>>,
    /// Hash of the session that it belongs to.
    pub session: Option<u64>,
}

impl Exchange {
    /// Whether the request is of the stateless era (2026-07-28 on), by its headers.
    pub fn is_modern(&self) -> bool {
        self.request.fields.value(Field::McpMethod).is_some()
    }
}

/// The exchanges of one connection that have not ended.
#[derive(Debug, Default)]
pub struct Exchanges {
    queue: VecDeque<Exchange>,
    next: u64,
}

impl Exchanges {
    /// A request begins. Returns an exchange that had to go at the limit.
    pub fn begin(&mut self, request: Box<RequestHead>, limit: usize) -> Option<Exchange> {
        self.queue.push_back(Exchange { number: self.next, request, response: None, session: None });
        self.next += 1;
        if self.queue.len() > limit { self.queue.pop_front() } else { None }
    }

    /// The exchange whose request is being sent: the newest.
    pub fn asking(&mut self) -> Option<&mut Exchange> {
        self.queue.back_mut()
    }

    /// The exchange whose response is being sent: the oldest.
    pub fn front(&self) -> Option<&Exchange> {
        self.queue.front()
    }

    /// The same, to be changed.
    pub fn answering(&mut self) -> Option<&mut Exchange> {
        self.queue.front_mut()
    }

    /// All of them, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Exchange> {
        self.queue.iter()
    }

    /// The response is over.
    pub fn end(&mut self) -> Option<Exchange> {
        self.queue.pop_front()
    }

    /// Takes out all but the newest `keep`, oldest first.
    pub fn drop_all_but(&mut self, keep: usize) -> impl Iterator<Item = Exchange> + '_ {
        self.queue.drain(..self.queue.len().saturating_sub(keep))
    }
}

/// Whether the head of a request shows that MCP is spoken: `Mcp-*` headers.
pub fn is_mcp(request: &RequestHead) -> bool {
    [Field::SessionId, Field::ProtocolVersion, Field::McpMethod, Field::McpName]
        .into_iter()
        .any(|field| request.fields.value(field).is_some())
}

/// Whether a request may carry MCP: a JSON body, or a wish for an event stream.
pub fn may_be_mcp(request: &RequestHead) -> bool {
    let has = |field, text: &str| request.fields.value(field).is_some_and(|value| value.contains(text));
    is_mcp(request)
        || match &*request.method {
            "POST" => has(Field::ContentType, "json") || request.fields.value(Field::ContentType).is_none(),
            "GET" => has(Field::Accept, "text/event-stream"),
            _ => false,
        }
}
