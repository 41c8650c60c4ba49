//! When a connection that began as HTTP/1 changes to another protocol, or keeps back what it announced.

use super::attached::Output;
use super::http1::{Flow, State};
use super::http2::Http2;
use super::resync::Side;
use super::stdio::Lines;
use super::websocket::{Compression, Messages};
use super::{Field, Fields, Frame, Frames, Protocol};

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
        if let State::Http2(http2) = &mut self.state {
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
        self.state = State::Http2(http2);
    }

    /// A message of WebSocket is here, of which the window holds so many bytes.
    pub(super) fn begin_websocket(&mut self, held: usize, out: &mut impl Frames) {
        let mut messages = Box::new(Messages::joined(&self.limits));
        for mut byte in self.window.replay(0, held) {
            messages.read(&mut byte, out);
        }
        self.window.clear();
        out.frame(Frame::Fault("resync"));
        self.state = State::WebSocket(messages);
    }

    /// What follows is of another protocol.
    pub(super) fn upgrade(&mut self, protocol: Protocol) {
        self.window.clear();
        let limits = &self.limits;
        self.state = match (protocol, self.side) {
            // The client begins with its preface, which tells.
            (Protocol::Http2, Side::Requests) => State::Head,
            (Protocol::Http2, Side::Responses) => State::Http2(Box::new(Http2::responses(limits))),
            (Protocol::WebSocket(compression), Side::Requests) => {
                State::WebSocket(Box::new(Messages::of_client(compression, limits)))
            }
            (Protocol::WebSocket(compression), Side::Responses) => {
                State::WebSocket(Box::new(Messages::of_server(compression, limits)))
            }
            (Protocol::Attached, Side::Requests) => State::Input(Box::new(Lines::new(limits))),
            (Protocol::Attached, Side::Responses) => State::Output(Box::new(Output::new(limits))),
        };
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
