//! HTTP/2, each direction of a connection by itself: with prior knowledge, inside TLS, or after an upgrade.
//!
//! Source: RFC 9113. Settings need no look: what they say of header compression, the compressed headers say again.
//! After bytes were lost inside the payload of a frame, reading goes on; after others, and on connections joined in
//! the middle, the next frame is searched. Headers that refer to what was not seen are then known in part.

mod frame;
mod streams;
#[cfg(test)]
pub(crate) mod tests;

use super::cursor::Cursor;
use super::hpack::Hpack;
use super::resync::Side;
use super::{Frame, Frames};
use crate::pipeline::limits::{Limits, Share};
use crate::pipeline::reassembly::{Mark, Piece};
use crate::pipeline::time::Timestamp;
use frame::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, HAS_PRIORITY, HEADERS, Header, PADDED, PUSH_PROMISE,
    RST_STREAM, Start,
};
use streams::Streams;

pub use frame::{begins_with_frame, begins_with_settings};

/// One direction of a connection.
#[derive(Debug)]
pub struct Http2 {
    /// Known by the first head.
    side: Option<Side>,
    limits: Limits,
    state: State,
    start: Start,
    hpack: Hpack,
    streams: Streams,
    block: Option<Block>,
    /// Heads may have been missed.
    lossy: bool,
}

/// ```text
/// Preface --> Start ----------> Payload --> Start
///               |  possible header  |
///               | no header, gap    | gap beyond the frame
///                `----> Search <----'
///                          `--> Payload (certain header)
/// ```
#[derive(Debug)]
enum State {
    /// So many bytes of the client's preface are to come.
    Preface(usize),
    Start,
    Search,
    Payload(Payload),
}

#[derive(Clone, Copy, Debug)]
struct Payload {
    header: Header,
    first_byte: Mark,
    left: u64,
    /// Bytes of padding, once known.
    padding: Option<u64>,
}

/// A header block that is being collected.
#[derive(Debug)]
struct Block {
    stream: u32,
    first_byte: Mark,
    ends_stream: bool,
    promised: bool,
    bytes: Vec<u8>,
    /// Where the payload of the current frame begins.
    from: usize,
    /// Bytes are missing, or there are too many.
    damaged: bool,
    /// The room of a block that is longer than usual.
    room: Option<Share>,
}

impl Block {
    /// Adds bytes, as far as there is room.
    fn add(&mut self, bytes: &[u8], limits: &Limits) {
        let len = self.bytes.len() + bytes.len();
        if len > USUAL_BLOCK && self.room.is_none() {
            self.room = limits.buffers.take(limits.http_head_bytes as u64);
        }
        if len > limits.http_head_bytes || len > USUAL_BLOCK && self.room.is_none() {
            self.damaged = true;
            (self.bytes, self.room) = (Vec::new(), None);
        } else if !self.damaged {
            self.bytes.extend_from_slice(bytes);
        }
    }
}

impl Http2 {
    /// A client's direction, from its preface on.
    pub fn requests(limits: &Limits) -> Self {
        Self { state: State::Preface(PREFACE), ..Self::new(Some(Side::Requests), limits) }
    }

    /// A server's direction, from its first frame on.
    pub fn responses(limits: &Limits) -> Self {
        Self::new(Some(Side::Responses), limits)
    }

    /// Either direction, from the middle on.
    pub fn joined(limits: &Limits) -> Self {
        let mut joined = Self::new(None, limits);
        joined.hpack.forget();
        joined.lossy = true;
        joined
    }

    fn new(side: Option<Side>, limits: &Limits) -> Self {
        Self {
            side,
            limits: limits.clone(),
            state: State::Start,
            start: Start::new(),
            hpack: Hpack::new(limits),
            streams: Streams::new(limits),
            block: None,
            lossy: false,
        }
    }

    /// Whether it is that of a client.
    pub fn is_requests(&self) -> Option<bool> {
        self.side.map(|side| side == Side::Requests)
    }

    /// The other direction has ended the stream.
    pub fn forget(&mut self, stream: u32) {
        self.streams.forget(stream);
    }

    /// Takes the next piece of the flow.
    pub fn push(&mut self, piece: Piece<'_>, out: &mut impl Frames) {
        match piece {
            Piece::Data { at, position, data } => self.read(&mut Cursor::new(at, position, data), out),
            Piece::Gap { at, position, missing } => self.gap(at, position, missing, out),
            Piece::End { .. } => {
                self.streams.end(out);
                *self = Self::new(None, &self.limits);
                self.hpack.forget();
                self.lossy = true;
            }
        }
    }

    pub(super) fn read(&mut self, cursor: &mut Cursor<'_>, out: &mut impl Frames) {
        while !cursor.is_empty() {
            match self.state {
                State::Preface(left) => {
                    let left = left.saturating_sub(cursor.take(left).len());
                    self.state = if left == 0 { State::Start } else { State::Preface(left) };
                }
                State::Start => self.start(cursor, false, out),
                State::Search => self.start(cursor, true, out),
                State::Payload(payload) => self.payload(payload, cursor, out),
            }
        }
    }

    /// In the header of a frame.
    fn start(&mut self, cursor: &mut Cursor<'_>, searching: bool, out: &mut impl Frames) {
        let mark = cursor.mark();
        let Some(byte) = cursor.next() else { return };
        match self.start.add(byte, mark, searching) {
            None => {}
            Some(Ok((header, first_byte))) => {
                self.start.clear();
                self.begin(header, first_byte, out);
            }
            Some(Err(())) => {
                if !searching {
                    self.lose(mark, out);
                }
                self.start.shift();
            }
        }
    }

    fn begin(&mut self, header: Header, first_byte: Mark, out: &mut impl Frames) {
        let continues = self.block.as_ref().map(|block| block.stream);
        let continued = (header.kind == CONTINUATION).then_some(header.stream);
        if continues != continued {
            // A block must be sent in one piece: part of this one is missing.
            self.block = None;
            self.hpack.forget();
            self.lossy = true;
            out.frame(Frame::Fault("hpack"));
        }
        match header.kind {
            HEADERS | PUSH_PROMISE => {
                self.block = Some(Block {
                    stream: header.stream,
                    first_byte,
                    ends_stream: header.kind == HEADERS && header.has(END_STREAM),
                    promised: header.kind == PUSH_PROMISE,
                    bytes: Vec::new(),
                    from: 0,
                    damaged: false,
                    room: None,
                });
            }
            CONTINUATION => {
                if let Some(block) = &mut self.block {
                    block.from = block.bytes.len();
                }
            }
            RST_STREAM => self.reset(header.stream, out),
            _ => {}
        }
        let padded = header.has(PADDED) && header.kind == DATA;
        let padding = if padded { None } else { Some(0) };
        self.state = State::Payload(Payload { header, first_byte, left: u64::from(header.len), padding });
        if header.len == 0 {
            self.end_frame(header, first_byte, out);
        }
    }

    fn payload(&mut self, mut payload: Payload, cursor: &mut Cursor<'_>, out: &mut impl Frames) {
        let header = payload.header;
        let bytes = match (header.kind, payload.padding) {
            (DATA, None) => {
                let padding = cursor.next().map_or(0, u64::from);
                payload.left -= 1;
                if padding > payload.left {
                    return self.lose(cursor.last(), out);
                }
                payload.padding = Some(padding);
                0
            }
            (DATA, Some(padding)) if payload.left > padding => {
                let data = cursor.split(payload.left - padding);
                let len = data.rest().len() as u64;
                self.data(header.stream, payload.first_byte, data, out);
                len
            }
            (HEADERS | PUSH_PROMISE | CONTINUATION, _) => {
                let bytes = cursor.split(payload.left).rest();
                if let Some(block) = &mut self.block {
                    block.add(bytes, &self.limits);
                }
                bytes.len() as u64
            }
            _ => cursor.split(payload.left).rest().len() as u64,
        };
        payload.left -= bytes;
        self.state = State::Payload(payload);
        if payload.left == 0 {
            self.end_frame(header, cursor.last(), out);
        }
    }

    /// Bytes of a body.
    fn data(&mut self, stream: u32, first_byte: Mark, data: Cursor<'_>, out: &mut impl Frames) {
        if self.lossy && self.side.is_some() && !self.streams.has(stream) && !data.is_empty() {
            self.streams.join(self.side, stream, first_byte, out);
        }
        self.streams.push(stream, data, out);
    }

    /// The last byte of a frame was read.
    fn end_frame(&mut self, header: Header, last_byte: Mark, out: &mut impl Frames) {
        self.state = State::Start;
        match header.kind {
            DATA if header.has(END_STREAM) => self.streams.close(header.stream, out),
            HEADERS | PUSH_PROMISE | CONTINUATION => {
                self.trim(header);
                if header.has(END_HEADERS)
                    && let Some(block) = self.block.take()
                {
                    self.end_block(&block, last_byte, out);
                }
            }
            _ => {}
        }
    }

    /// Takes away what surrounds the part of the block in a frame.
    fn trim(&mut self, header: Header) {
        let Some(block) = self.block.as_mut().filter(|block| !block.damaged) else { return };
        let payload = block.bytes.get(block.from..).unwrap_or_default();
        let padded = header.has(PADDED) && header.kind != CONTINUATION;
        let padding = if padded { payload.first().map_or(0, |padding| usize::from(*padding)) } else { 0 };
        let front = usize::from(padded)
            + match header.kind {
                HEADERS if header.has(HAS_PRIORITY) => 5,
                PUSH_PROMISE => 4,
                _ => 0,
            };
        if front + padding > payload.len() {
            block.damaged = true;
            return;
        }
        block.bytes.truncate(block.bytes.len() - padding);
        block.bytes.drain(block.from..block.from + front);
    }

    fn end_block(&mut self, block: &Block, last_byte: Mark, out: &mut impl Frames) {
        let mut head = streams::Head::default();
        if block.damaged {
            self.hpack.forget();
            out.frame(Frame::Fault("hpack"));
        } else if self.hpack.read(&block.bytes, &mut |entry| head.add(entry)).is_err() {
            head.damaged = true;
            out.frame(Frame::Fault("hpack"));
        }
        head.damaged |= block.damaged;
        if block.promised {
            return;
        }
        self.side = self.side.or_else(|| head.side());
        let Some(side) = self.side else { return };
        self.streams.begin(side, block.stream, head, (block.first_byte, last_byte), block.ends_stream, out);
    }

    fn reset(&mut self, stream: u32, out: &mut impl Frames) {
        self.streams.give_up(stream, out);
        out.frame(Frame::Stream(stream));
        out.frame(Frame::Reset);
    }

    fn gap(&mut self, at: Timestamp, position: u64, missing: u64, out: &mut impl Frames) {
        let end = super::cursor::end_of_gap(at, position, missing);
        self.start.clear();
        let State::Payload(mut payload) = self.state else { return self.lose(end, out) };
        let inside = payload.padding.filter(|_| payload.left >= missing);
        let Some(padding) = inside else { return self.lose(end, out) };
        let header = payload.header;
        if header.kind == DATA {
            let of_data = missing.min(payload.left.saturating_sub(padding));
            if of_data > 0 {
                self.streams.gap(header.stream, (at, position, of_data), out);
            }
        }
        if let Some(block) = &mut self.block {
            block.damaged = true;
        }
        payload.left -= missing;
        self.state = State::Payload(payload);
        if payload.left == 0 {
            self.end_frame(header, end, out);
        }
    }

    /// It is not known what the next byte is: anything may have been missed before `at`.
    fn lose(&mut self, at: Mark, out: &mut impl Frames) {
        if let State::Start | State::Payload(_) | State::Preface(_) = self.state {
            out.frame(Frame::Fault("http2_resync"));
        }
        self.streams.gap_in_all(at, out);
        self.state = State::Search;
        self.block = None;
        self.hpack.forget();
        self.lossy = true;
    }
}

/// `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n`.
const PREFACE: usize = 24;
/// A block of this length needs no room of its own.
const USUAL_BLOCK: usize = 4 << 10;
