//! HTTP requests and their responses on one connection: which response belongs to which request, and what their
//! heads say about MCP.
//!
//! Sources: RFC 9112 §9.3 (responses come in the order of the requests); MCP Streamable HTTP, revisions
//! 2025-03-26 to 2026-07-28.

use std::collections::VecDeque;

use super::{Field, RequestHead, ResponseHead};
use crate::pipeline::limits::{Budget, Share};

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
    /// The stream of HTTP/2 on which it is.
    pub stream: Option<u32>,
    /// Whether a message of JSON-RPC was posted in it.
    pub has_message: bool,
    /// Whether its response began in a hole, and what comes behind that is another's.
    pub answered_unseen: bool,
    /// Whether it was told how the request was let in.
    pub auth_told: bool,
    /// Its room, if there are more on its connection than usual.
    _room: Option<Share>,
}

impl Exchange {
    /// Whether the request is of the stateless era (2026-07-28 on), by its headers.
    pub fn is_modern(&self) -> bool {
        self.request.fields.value(Field::McpMethod).is_some()
    }
}

/// The exchanges of one connection that have not ended.
///
/// On HTTP/1 responses come in the order of the requests. On HTTP/2 each has its stream: the one that is
/// [selected](Exchanges::select) is meant wherever one exchange is asked for.
#[derive(Debug, Default)]
pub struct Exchanges {
    queue: VecDeque<Exchange>,
    next: u64,
    selected: Option<u32>,
}

impl Exchanges {
    /// What follows is about this stream.
    pub const fn select(&mut self, stream: u32) {
        self.selected = Some(stream);
    }

    /// The stream that is meant, on HTTP/2.
    pub const fn selected(&self) -> Option<u32> {
        self.selected
    }

    /// The connection goes on in HTTP/2: the request that asked for it has become its first stream.
    pub fn upgrade(&mut self) {
        if let Some(exchange) = self.queue.front_mut() {
            exchange.stream = Some(1);
        }
    }

    /// A request begins. Returns an exchange that had to go: at the limit, for want of room, or one on the same
    /// stream.
    pub fn begin(&mut self, request: Box<RequestHead>, limit: usize, buffers: &Budget) -> Option<Exchange> {
        let before = self.place().filter(|_| self.selected.is_some());
        if request.damaged && before.is_some() {
            return None; // it was found to be missing when its response was here
        }
        let before = before.and_then(|index| self.queue.remove(index));
        let (number, stream) = (self.next, self.selected);
        let usual = self.queue.len() < USUAL_EXCHANGES;
        let room = if usual { None } else { buffers.take(EXCHANGE_BYTES) };
        let fits = usual || room.is_some();
        self.queue.push_back(Exchange {
            number,
            request,
            response: None,
            session: None,
            stream,
            has_message: false,
            answered_unseen: false,
            auth_told: false,
            _room: room,
        });
        self.next += 1;
        if self.queue.len() > limit || !fits { self.queue.pop_front() } else { before }
    }

    /// The exchange whose request is being sent: the newest.
    pub fn asking(&mut self) -> Option<&mut Exchange> {
        if self.selected.is_some() { self.answering() } else { self.queue.back_mut() }
    }

    /// The exchange whose response is being sent: the oldest.
    pub fn front(&self) -> Option<&Exchange> {
        self.queue.get(self.place()?)
    }

    /// The same, to be changed.
    pub fn answering(&mut self) -> Option<&mut Exchange> {
        let place = self.place()?;
        self.queue.get_mut(place)
    }

    fn place(&self) -> Option<usize> {
        match self.selected {
            None => (!self.queue.is_empty()).then_some(0),
            selected => self.queue.iter().position(|exchange| exchange.stream == selected),
        }
    }

    /// All of them, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Exchange> {
        self.queue.iter()
    }

    /// The response is over.
    pub fn end(&mut self) -> Option<Exchange> {
        let place = self.place()?;
        self.queue.remove(place)
    }

    /// Takes out all but the newest `keep`, oldest first.
    pub fn drop_all_but(&mut self, keep: usize) -> impl Iterator<Item = Exchange> + '_ {
        self.queue.drain(..self.queue.len().saturating_sub(keep))
    }
}

/// So many on one connection need no room of their own.
const USUAL_EXCHANGES: usize = 4;
/// What an exchange needs, with usual heads.
const EXCHANGE_BYTES: u64 = 1 << 10;

/// Whether the head of a request shows that MCP is spoken: `Mcp-*` headers.
pub fn is_mcp(request: &RequestHead) -> bool {
    [Field::SessionId, Field::ProtocolVersion, Field::McpMethod, Field::McpName]
        .into_iter()
        .any(|field| request.fields.value(field).is_some())
}

/// Whether a request may carry MCP, or lead to it: a JSON body, a wish for an event stream or another protocol.
pub fn may_be_mcp(request: &RequestHead) -> bool {
    let has = |field, text: &str| request.fields.value(field).is_some_and(|value| value.contains(text));
    is_mcp(request)
        || request.damaged
        || request.fields.value(Field::Upgrade).is_some()
        || match &*request.method {
            "POST" => has(Field::ContentType, "json") || request.fields.value(Field::ContentType).is_none(),
            "GET" => has(Field::Accept, "text/event-stream"),
            _ => false,
        }
}

/// The text that an `Mcp-Name` header stands for: what is not plain ASCII comes as `=?base64?...?=`.
pub fn mcp_name(value: &str) -> String {
    let coded = value.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?="));
    let decoded = coded.and_then(decode_base64).and_then(|bytes| String::from_utf8(bytes).ok());
    decoded.unwrap_or_else(|| value.to_owned())
}

/// RFC 4648, §4; padding may be missing.
fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count) = (0u32, 0);
    for byte in text.trim_end_matches('=').bytes() {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        (bits, count) = (bits << 6 | u32::from(value), count + 6);
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xFF).ok()?);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::mcp_name;

    #[test]
    fn names_that_are_not_ascii_are_decoded() {
        for (value, name) in [
            ("slow", "slow"),
            ("=?base64?w7xiZXI=?=", "über"),
            ("=?base64?w7xiZXI?=", "über"),
            ("=?base64??=", ""),
            ("=?base64?*?=", "=?base64?*?="),
            ("=?base64?/w==?=", "=?base64?/w==?="),
        ] {
            assert_eq!(mcp_name(value), name, "{value}");
        }
    }
}
