//! The streams of an HTTP/2 connection, in one direction: heads and bodies.

use std::collections::VecDeque;

use crate::pipeline::limits::{Limits, Share};
use crate::pipeline::reassembly::Mark;
use crate::pipeline::time::Timestamp;
use crate::pipeline::transport::body::{Body, Content, Framing};
use crate::pipeline::transport::coding::Codings;
use crate::pipeline::transport::cursor::Cursor;
use crate::pipeline::transport::head::Name;
use crate::pipeline::transport::hpack::Entry;
use crate::pipeline::transport::resync::Side;
use crate::pipeline::transport::{Field, Fields, Frame, Frames, RequestHead, ResponseHead};

/// The streams whose bodies are being read, oldest first.
#[derive(Debug)]
pub(super) struct Streams {
    open: VecDeque<Open>,
    limits: Limits,
}

#[derive(Debug)]
struct Open {
    stream: u32,
    body: Body,
    /// Its part of the memory of all streams.
    _room: Share,
}

/// A head, as it is put together.
#[derive(Debug, Default)]
pub(super) struct Head {
    method: Option<Box<str>>,
    target: Option<Box<str>>,
    status: Option<u16>,
    fields: Fields,
    pub(super) damaged: bool,
}

impl Head {
    pub(super) fn add(&mut self, entry: &Entry) {
        let (Some(name), Some(value)) = (entry.name, &entry.value) else {
            self.damaged = true;
            return;
        };
        match name {
            Name::Other => {}
            Name::Method => self.method = Some(value.clone()),
            Name::Target => self.target = Some(value.clone()),
            Name::Status => self.status = value.parse().ok(),
            Name::Kept(field, _) => self.fields.add(field, value),
        }
    }

    /// The direction in which such a head travels, if it shows it.
    pub(super) const fn side(&self) -> Option<Side> {
        match (&self.status, &self.method, &self.target) {
            (Some(_), ..) => Some(Side::Responses),
            (None, None, None) => None,
            (None, ..) => Some(Side::Requests),
        }
    }
}

impl Streams {
    pub(super) fn new(limits: &Limits) -> Self {
        Self { open: VecDeque::new(), limits: limits.clone() }
    }

    pub(super) fn has(&self, stream: u32) -> bool {
        self.open.iter().any(|open| open.stream == stream)
    }

    fn body(&mut self, stream: u32) -> Option<&mut Body> {
        self.open.iter_mut().find(|open| open.stream == stream).map(|open| &mut open.body)
    }

    fn take(&mut self, stream: u32) -> Option<Body> {
        let index = self.open.iter().position(|open| open.stream == stream)?;
        self.open.remove(index).map(|open| open.body)
    }

    /// Forgets a stream that the other direction has ended.
    pub(super) fn forget(&mut self, stream: u32) {
        self.take(stream);
    }

    /// A head is complete; its first and last byte are those.
    pub(super) fn begin(
        &mut self,
        side: Side,
        stream: u32,
        head: Head,
        (first_byte, last_byte): (Mark, Mark),
        ends_stream: bool,
        out: &mut impl Frames,
    ) {
        if self.has(stream) {
            // Trailers.
            if ends_stream {
                self.close(stream, out);
            }
            return;
        }
        let Head { method, target, status, fields, damaged } = head;
        let mut codings = Codings::None;
        codings.add(fields.value(Field::ContentEncoding).unwrap_or_default());
        let mut body = Body::new(Framing::Close, Content::of(&fields, codings, &self.limits), last_byte);
        let first_byte = Some(first_byte);
        let frame = match side {
            Side::Requests if method.is_none() && !damaged => return,
            Side::Requests => {
                let (method, target) = (method.unwrap_or_default(), target.unwrap_or_default());
                Frame::Request(Box::new(RequestHead { first_byte, method, target, fields, damaged }))
            }
            // Trailers of a stream that is not followed, or an early head.
            Side::Responses if status.is_none() && !damaged => return,
            Side::Responses if status.is_some_and(|status| status < 200) => return,
            Side::Responses => {
                let status = status.unwrap_or(0);
                Frame::Response(Box::new(ResponseHead { first_byte, status, fields, damaged }))
            }
        };
        out.frame(Frame::Stream(stream));
        out.frame(frame);
        if ends_stream {
            body.close(out);
        } else {
            self.open(stream, body, out);
        }
    }

    /// A body whose head was not seen.
    pub(super) fn join(&mut self, side: Option<Side>, stream: u32, first_byte: Mark, out: &mut impl Frames) {
        let first = Some(first_byte);
        out.frame(Frame::Stream(stream));
        let damaged = true;
        out.frame(match side {
            Some(Side::Responses) => {
                Frame::Response(Box::new(ResponseHead { first_byte: first, damaged, ..Default::default() }))
            }
            _ => Frame::Request(Box::new(RequestHead { first_byte: first, damaged, ..Default::default() })),
        });
        let body = Body::new(Framing::Close, Content::joined(&self.limits), first_byte);
        self.open(stream, body, out);
    }

    fn open(&mut self, stream: u32, mut body: Body, out: &mut impl Frames) {
        if self.open.len() >= self.limits.http2_streams
            && let Some(Open { stream: oldest, mut body, .. }) = self.open.pop_front()
        {
            out.frame(Frame::Stream(oldest));
            body.give_up(out);
            out.frame(Frame::Fault("stream_limit"));
            out.frame(Frame::Stream(stream));
        }
        match self.limits.buffers.take(STREAM_BYTES) {
            Some(room) => self.open.push_back(Open { stream, body, _room: room }),
            None => {
                body.give_up(out);
                out.frame(Frame::Fault("stream_limit"));
            }
        }
    }

    pub(super) fn push(&mut self, stream: u32, mut data: Cursor<'_>, out: &mut impl Frames) {
        if let Some(body) = self.body(stream) {
            out.frame(Frame::Stream(stream));
            body.push(&mut data, out);
        }
    }

    pub(super) fn gap(
        &mut self,
        stream: u32,
        (at, position, missing): (Timestamp, u64, u64),
        out: &mut impl Frames,
    ) {
        if let Some(body) = self.body(stream) {
            out.frame(Frame::Stream(stream));
            body.gap(at, position, missing, out);
        }
    }

    /// Any of them may have lost bytes; nobody knows how many.
    pub(super) fn gap_in_all(&mut self, at: Mark, out: &mut impl Frames) {
        for Open { stream, body, .. } in &mut self.open {
            out.frame(Frame::Stream(*stream));
            body.gap(at.at, at.position, AT_LEAST, out);
        }
    }

    /// The stream has ended as it should.
    pub(super) fn close(&mut self, stream: u32, out: &mut impl Frames) {
        if let Some(mut body) = self.take(stream) {
            out.frame(Frame::Stream(stream));
            body.cut(out);
        }
    }

    /// The stream has ended otherwise.
    pub(super) fn give_up(&mut self, stream: u32, out: &mut impl Frames) {
        if let Some(mut body) = self.take(stream) {
            out.frame(Frame::Stream(stream));
            body.give_up(out);
        }
    }

    /// The connection has ended.
    pub(super) fn end(&mut self, out: &mut impl Frames) {
        for Open { stream, mut body, .. } in std::mem::take(&mut self.open) {
            out.frame(Frame::Stream(stream));
            body.break_off(out);
        }
    }
}

/// Of a hole whose size nobody knows.
const AT_LEAST: u64 = 1;
/// What a stream with an unfinished text needs.
const STREAM_BYTES: u64 = 4 << 10;
