//! From ordered bytes to message texts: the framings.
//!
//! In: [`Piece`](super::reassembly::Piece)s of one direction. Out: [`Frame`]s, pushed into a [`Frames`] as they are
//! found, so that no framing holds a message. A framing is a type with `new` and `push(&mut self, piece, out)`; it
//! never fails: bytes that are not of its kind are reported as [`Frame::Fault`] and it looks for the next place to
//! begin again.
//!
//! | Fault | Meaning |
//! | --- | --- |
//! | `junk_line` | a line that is no JSON |
//! | `lsp_framing` | the stream has messages behind `Content-Length` lines: all that follows is skipped |
//! | `resync` | bytes lost outside of a body, or a connection joined in the middle: the next head is searched |
//! | `http_head`, `http_body`, `head_limit` | a head, a chunk or the length of a head that cannot be: likewise |
//! | `head_cut` | the connection ended inside a head |
//! | `sse_cut` | the body, or what is known of it, ended inside an event |
//! | `content_encoding` | a compressed body that cannot be read, or no further |
//! | `expansion_limit` | a compressed body that grows beyond measure: it is read no further |
//! | `decoder_limit` | a compressed body whose decoder needs more memory than there is for it: it is not read |
//! | `upgraded` | the connection left HTTP: all that follows is skipped |
//! | `http2_resync` | bytes lost between the frames of HTTP/2, or a connection joined there: the next frame is searched |
//! | `websocket_resync` | the same for the messages of WebSocket |
//! | `attached_resync` | the same for the frames of a container's output |
//! | `hpack` | compressed headers that cannot be read: they are known in part from here on |
//! | `stream_limit` | too many streams at once: the oldest is given up |
//! | `pipeline_limit` | too many requests without responses: methods of the oldest are forgotten |

pub mod attached;
pub mod authorization;
mod body;
mod chunked;
mod coding;
mod cursor;
mod head;
mod hpack;
pub mod http1;
pub mod http2;
pub mod http_sse;
pub mod recognise;
mod resync;
mod search;
mod sse;
pub mod stdio;
pub mod streamable_http;
mod upgrade;
pub mod websocket;

use super::reassembly::Mark;

/// How a message travelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// Lines on pipes or Unix streams.
    Stdio,
    /// HTTP with one endpoint.
    StreamableHttp,
    /// HTTP with an event stream and a second endpoint (2024-11-05).
    HttpSse,
    /// Messages of WebSocket.
    WebSocket,
}

impl Transport {
    /// The value of `transport`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stdio => "stdio",
            Self::StreamableHttp => "streamable_http",
            Self::HttpSse => "http_sse",
            Self::WebSocket => "websocket",
        }
    }
}

/// What a framing found.
#[derive(Clone, Debug, PartialEq)]
pub enum Frame<'a> {
    /// What follows is of this one of many streams on the connection (HTTP/2). Texts of several may be open.
    Stream(u32),
    /// The sender ends the stream before its time.
    Reset,
    /// The server agrees: from here on the connection speaks this protocol.
    Upgraded(Protocol),
    /// The head of an HTTP request.
    Request(Box<RequestHead>),
    /// The head of an HTTP response (final ones; `1xx` are skipped).
    Response(Box<ResponseHead>),
    /// A message text begins (a line, a JSON body, an SSE event's data).
    Begin {
        /// Its first byte.
        first_byte: Mark,
    },
    /// Bytes of the text, in order.
    Text(&'a [u8]),
    /// So many bytes of the text are not known.
    Gap(u64),
    /// The text is complete.
    End {
        /// Its last byte (not the line end behind it).
        last_byte: Mark,
        /// How it was carried.
        carrier: Carrier,
    },
    /// The text that had begun is not one after all, or its end cannot be found: forget it.
    Abort,
    /// An HTTP body is over.
    BodyEnd {
        /// The last byte of the HTTP message, terminator included.
        last_byte: Mark,
        /// Whether it ended as its framing says (`false`: connection closed, or bytes lost).
        whole: bool,
        /// Whether all that came of it could be decoded, as long as nothing was missing.
        is_read: bool,
    },
    /// Bytes that are not of this framing; the cause is a counter's label.
    Fault(&'static str),
}

/// What a connection that began as HTTP/1 goes on as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/2.
    Http2,
    /// WebSocket.
    WebSocket(Option<websocket::Compression>),
    /// Lines, which are a container's input and output.
    Attached,
}

/// Takes what a framing finds.
pub trait Frames {
    /// The next frame.
    fn frame(&mut self, frame: Frame<'_>);
}

/// How a message text was carried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// One line of a pipe or Unix stream.
    StdioLine,
    /// A message of WebSocket.
    WebSocketMessage,
    /// The body of an HTTP message.
    HttpBody,
    /// One event of an event stream in an HTTP response.
    SseEvent {
        /// Its `event` field.
        event: SseKind,
        /// Its `id` field, cut to the kept length.
        id: Option<Box<str>>,
    },
}

/// The `event` field of a server-sent event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SseKind {
    /// `message`, or none.
    Message,
    /// `endpoint`: the text is the address to post to (HTTP+SSE of 2024).
    Endpoint,
    /// Any other.
    Other,
}

/// What is kept of a request's head. Header values are cut to the kept length.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestHead {
    /// First byte of the head, if known.
    pub first_byte: Option<Mark>,
    /// `GET`, `POST`, ...
    pub method: Box<str>,
    /// Path and query.
    pub target: Box<str>,
    /// Header fields that matter, by [`Field`].
    pub fields: Fields,
    /// Some of it could not be read: fields may be missing.
    pub damaged: bool,
}

/// What is kept of a response's head.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseHead {
    /// First byte of the head, if known.
    pub first_byte: Option<Mark>,
    /// Status code.
    pub status: u16,
    /// Header fields that matter, by [`Field`].
    pub fields: Fields,
    /// Some of it could not be read: fields may be missing.
    pub damaged: bool,
}

/// Header fields that are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    /// `Host`.
    Host,
    /// `Content-Type`, in lower case, without parameters.
    ContentType,
    /// `Content-Encoding`, in lower case.
    ContentEncoding,
    /// `Accept`, in lower case.
    Accept,
    /// `Mcp-Session-Id`.
    SessionId,
    /// `MCP-Protocol-Version`.
    ProtocolVersion,
    /// `Mcp-Method`.
    McpMethod,
    /// `Mcp-Name`.
    McpName,
    /// `Last-Event-ID`.
    LastEventId,
    /// `traceparent`.
    TraceParent,
    /// Scheme of `Authorization`: the name of an [`authorization::Scheme`], never anything of its value.
    AuthorizationScheme,
    /// `Expect`, in lower case.
    Expect,
    /// `Upgrade`, in lower case.
    Upgrade,
    /// `Sec-WebSocket-Extensions`, in lower case.
    WebSocketExtensions,
    /// One that the user asks for: its place in `Limits::kept_headers`.
    Chosen(u8),
}

/// Values of headers that the user asks for, by their places in `Limits::kept_headers`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChosenHeaders(pub Box<[(u8, Box<str>)]>);

/// The kept header fields of one head.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields(Vec<(Field, Box<str>)>);

impl Fields {
    /// Keeps `value` for `field`; the first one counts.
    pub fn add(&mut self, field: Field, value: &str) {
        if self.value(field).is_none() {
            self.0.push((field, value.into()));
        }
    }

    /// The value of `field`.
    pub fn value(&self, field: Field) -> Option<&str> {
        self.0.iter().find(|(name, _)| *name == field).map(|(_, value)| &**value)
    }

    /// Those that the user asks for by these names.
    pub fn chosen(&self, names: &[Box<str>]) -> ChosenHeaders {
        let mut chosen = Vec::new();
        for (place, name) in (0..).zip(names) {
            chosen.extend(self.value(head::field(name, place)).map(|value| (place, value.into())));
        }
        ChosenHeaders(chosen.into())
    }
}

#[cfg(test)]
pub(crate) mod tests;
