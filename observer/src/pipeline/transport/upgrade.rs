//! When a connection that began as HTTP/1 changes to another protocol, or keeps back what it announced.

use super::attached::Output;
use super::cursor::Cursor;
use super::http1::{Flow, State};
use super::http2::Http2;
use super::resync::Side;
use super::stdio::Lines;
use super::websocket::{Compression, Messages};
use super::{Field, Fields, Frame, Frames, Protocol};
use crate::pipeline::reassembly::Piece;

/// What a flow of HTTP/1 has become.
#[derive(Debug)]
pub(super) enum Other {
    Http2(Box<Http2>),
    WebSocket(Box<Messages>),
    /// Of a container.
    Input(Box<Lines>),
    Output(Box<Output>),
}

impl Other {
    pub(super) fn push(&mut self, piece: Piece<'_>, out: &mut impl Frames) {
        match self {
            Self::Http2(http2) => http2.push(piece, out),
            Self::WebSocket(messages) => messages.push(piece, out),
            Self::Input(lines) => lines.push(piece, out),
            Self::Output(output) => output.push(piece, out),
        }
    }

    pub(super) fn read(&mut self, cursor: &mut Cursor<'_>, out: &mut impl Frames) {
        match self {
            Self::Http2(http2) => http2.read(cursor, out),
            Self::WebSocket(messages) => messages.read(cursor, out),
            Self::Input(lines) => lines.read(cursor, out),
            Self::Output(output) => output.read(cursor, out),
        }
    }
}

impl Flow {
    /// The server has answered before any of the body came that the client keeps back until it is asked for.
    pub(super) fn refuse_body(&mut self) {
        if std::mem::take(&mut self.waits)
            && let State::Body(_) = self.state
        {
            self.state = State::Head;
        }
    }

    /// The other direction has ended this stream of HTTP/2.
    pub(super) fn forget_stream(&mut self, stream: u32) {
        if let State::Other(Other::Http2(http2)) = &mut self.state {
            http2.forget(stream);
        }
    }

    /// The client's preface is here, of which the window holds so many bytes.
    pub(super) fn begin_http2(&mut self, held: usize, out: &mut impl Frames) {
        let mut http2 = Box::new(Http2::requests(&self.limits));
        for mut byte in self.window.replay(0, held) {
            http2.read(&mut byte, out);
        }
        self.window.clear();
        self.state = State::Other(Other::Http2(http2));
    }

    /// A message of WebSocket is here, of which the window holds so many bytes.
    pub(super) fn begin_websocket(&mut self, held: usize, out: &mut impl Frames) {
        let mut messages = Box::new(Messages::joined(&self.limits));
        for mut byte in self.window.replay(0, held) {
            messages.read(&mut byte, out);
        }
        self.window.clear();
        out.frame(Frame::Fault("resync"));
        self.state = State::Other(Other::WebSocket(messages));
    }

    /// What follows is of another protocol.
    pub(super) fn upgrade(&mut self, protocol: Protocol) {
        self.window.clear();
        let limits = &self.limits;
        self.state = State::Other(match (protocol, self.side) {
            // The client begins with its preface, which tells.
            (Protocol::Http2, Side::Requests) => return self.state = State::Head,
            (Protocol::Http2, Side::Responses) => Other::Http2(Box::new(Http2::responses(limits))),
            (Protocol::WebSocket(compression), Side::Requests) => {
                Other::WebSocket(Box::new(Messages::of_client(compression, limits)))
            }
            (Protocol::WebSocket(compression), Side::Responses) => {
                Other::WebSocket(Box::new(Messages::of_server(compression, limits)))
            }
            (Protocol::Attached, Side::Requests) => Other::Input(Box::new(Lines::new(limits))),
            (Protocol::Attached, Side::Responses) => Other::Output(Box::new(Output::new(limits))),
        });
    }

    pub(super) fn change_protocol(&mut self, cause: &'static str, out: &mut impl Frames) {
        out.frame(Frame::Fault(cause));
        self.state = State::Stopped;
        self.window.clear();
    }
}

/// The protocol that a server agrees to, if it is one that can be read.
pub(super) fn protocol(fields: &Fields) -> Option<Protocol> {
    match fields.value(Field::Upgrade)? {
        "h2c" => Some(Protocol::Http2),
        // What the API of Docker and podman calls its streams.
        "tcp" => Some(Protocol::Attached),
        "websocket" => Some(Protocol::WebSocket(Compression::of(fields))),
        _ => None,
    }
}
