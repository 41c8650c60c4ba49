//! WebSocket (RFC 6455), each direction of a connection by itself: a JSON-RPC message is a message of it.
//!
//! Masked or not, in fragments, with control frames between them, compressed one by one (RFC 7692). After bytes were
//! lost beyond a payload, reading goes on at the next frame that begins a JSON text; compressed messages that need
//! what was lost are then given up.

mod frame;

use super::coding::{Coding, Decoder};
use super::cursor::{Cursor, end_of_gap};
use super::{Carrier, Fields, Frame, Frames};
use crate::pipeline::limits::Limits;
use crate::pipeline::reassembly::{Mark, Piece};
use crate::pipeline::time::Timestamp;
use frame::Head;

pub use frame::begins_with_text;

/// What both ends agreed on about compression.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compression {
    /// The client forgets each message.
    client_forgets: bool,
    /// The server forgets each message.
    server_forgets: bool,
}

/// One direction of a connection.
#[derive(Debug)]
pub struct Messages {
    limits: Limits,
    state: State,
    /// The head of a frame, as it comes.
    head: Vec<u8>,
    message: Option<Message>,
    deflate: Option<Deflate>,
    unmasked: Vec<u8>,
}

#[derive(Debug)]
struct Deflate {
    forgets: bool,
    /// `None`: what it would need was lost.
    decoder: Option<Decoder>,
}

/// ```text
/// Head <----> Payload
///  |  gap, no head  | gap beyond the frame
///  `---> Search <---'
///           `---> Payload (head of a JSON text)
/// ```
#[derive(Clone, Copy, Debug)]
enum State {
    Head,
    Search,
    Payload(Payload),
}

#[derive(Clone, Copy, Debug)]
struct Payload {
    left: u64,
    mask: Option<[u8; 4]>,
    /// Bytes of the payload so far, for the mask.
    read: usize,
    control: bool,
    last: bool,
}

/// A message that has begun.
#[derive(Debug)]
struct Message {
    compressed: bool,
    text: Text,
}

#[derive(Clone, Copy, Debug)]
enum Text {
    /// Nothing but blanks so far.
    Blank,
    /// A JSON text; its last byte so far.
    Json(Mark),
    Other,
}

impl Compression {
    /// What the head of the server's response says.
    pub(super) fn of(fields: &Fields) -> Option<Self> {
        let extensions = fields.value(super::Field::WebSocketExtensions)?;
        extensions.contains("permessage-deflate").then(|| Self {
            client_forgets: extensions.contains("client_no_context_takeover"),
            server_forgets: extensions.contains("server_no_context_takeover"),
        })
    }
}

impl Messages {
    /// Of a client, from its first frame on.
    pub(super) fn of_client(compression: Option<Compression>, limits: &Limits) -> Self {
        Self::new(compression.map(|both| both.client_forgets), State::Head, limits)
    }

    /// Of a server, from its first frame on.
    pub(super) fn of_server(compression: Option<Compression>, limits: &Limits) -> Self {
        Self::new(compression.map(|both| both.server_forgets), State::Head, limits)
    }

    /// Of either, from the middle on.
    pub fn joined(limits: &Limits) -> Self {
        Self::new(None, State::Search, limits)
    }

    fn new(forgets: Option<bool>, state: State, limits: &Limits) -> Self {
        let decoder = || Some(Decoder::new(Coding::Messages, limits));
        let deflate = forgets.map(|forgets| Deflate { forgets, decoder: decoder() });
        let (head, unmasked) = (Vec::new(), Vec::new());
        Self { limits: limits.clone(), state, head, message: None, deflate, unmasked }
    }

    /// Takes the next piece of the flow.
    pub fn push(&mut self, piece: Piece<'_>, out: &mut impl Frames) {
        match piece {
            Piece::Data { at, position, data } => self.read(&mut Cursor::new(at, position, data), out),
            Piece::Gap { at, position, missing } => self.gap(at, position, missing, out),
            Piece::End { .. } => {
                self.abort(out);
                (self.state, self.deflate) = (State::Search, None);
                self.head.clear();
            }
        }
    }

    pub(super) fn read(&mut self, cursor: &mut Cursor<'_>, out: &mut impl Frames) {
        while !cursor.is_empty() {
            match self.state {
                State::Head => self.head(cursor, out),
                State::Search => self.search(cursor, out),
                State::Payload(payload) => self.payload(payload, cursor, out),
            }
        }
    }

    fn head(&mut self, cursor: &mut Cursor<'_>, out: &mut impl Frames) {
        self.head.extend(cursor.next());
        match Head::read(&self.head) {
            None => {}
            Some(head) if head.is_possible(self.deflate.is_some()) => {
                self.head.clear();
                self.begin(&head, out);
                if head.len == 0 {
                    self.end_frame(cursor.last(), out);
                }
            }
            Some(_) => {
                self.lose(out);
                self.head.clear();
            }
        }
    }

    /// Looks for a frame that begins a JSON text.
    fn search(&mut self, cursor: &mut Cursor<'_>, out: &mut impl Frames) {
        let before = *cursor;
        self.head.extend(cursor.next());
        loop {
            match begins_with_text(&self.head) {
                Some(false) => drop(self.head.drain(..1)),
                None => return,
                Some(true) => break,
            }
        }
        let Some(head) = Head::read(&self.head) else { return };
        self.head.clear();
        self.begin(&head, out);
        // The byte that showed it is the first of the payload.
        *cursor = before;
    }

    fn begin(&mut self, head: &Head, out: &mut impl Frames) {
        if matches!(head.opcode, 1 | 2) {
            self.abort(out);
            self.message = Some(Message { compressed: head.compressed, text: Text::Blank });
        }
        let (left, mask, last) = (head.len, head.mask, head.last);
        self.state = State::Payload(Payload { left, mask, read: 0, control: head.opcode >= 8, last });
    }

    fn payload(&mut self, mut payload: Payload, cursor: &mut Cursor<'_>, out: &mut impl Frames) {
        let block = cursor.split(payload.left.min(BLOCK));
        if !payload.control {
            match payload.mask {
                None => self.data(block, out),
                Some(mask) => {
                    let mut unmasked = std::mem::take(&mut self.unmasked);
                    unmasked.clear();
                    let key = mask.iter().cycle().skip(payload.read % 4);
                    unmasked.extend(block.rest().iter().zip(key).map(|(byte, key)| byte ^ key));
                    self.data(block.with(&unmasked), out);
                    self.unmasked = unmasked;
                }
            }
        }
        payload.read = payload.read.wrapping_add(block.rest().len());
        payload.left -= block.rest().len() as u64;
        self.state = State::Payload(payload);
        if payload.left == 0 {
            self.end_frame(cursor.last(), out);
        }
    }

    /// Bytes of a message.
    fn data(&mut self, data: Cursor<'_>, out: &mut impl Frames) {
        let Some(message) = &mut self.message else { return };
        if !message.compressed {
            return message.text.push(data, out);
        }
        let decoder = self.deflate.as_mut().and_then(|deflate| deflate.decoder.as_mut());
        let Some(decoder) = decoder else { return message.text.gap(data.mark(), 0, out) };
        let text = &mut message.text;
        let result =
            decoder.push(data.rest(), &mut |bytes| text.push(Cursor::decoded(&data, bytes), &mut *out));
        if let Err(fault) = result {
            out.frame(Frame::Fault(fault));
            self.forget_decoder();
        }
    }

    fn forget_decoder(&mut self) {
        if let Some(deflate) = &mut self.deflate {
            deflate.decoder = None;
        }
    }

    fn end_frame(&mut self, last_byte: Mark, out: &mut impl Frames) {
        let State::Payload(payload) = self.state else { return };
        self.state = State::Head;
        if payload.control || !payload.last {
            return;
        }
        if self.message.as_ref().is_some_and(|message| message.compressed) {
            self.data(Cursor::new(last_byte.at, last_byte.position, &END_OF_MESSAGE), out);
            if let Some(deflate) = &mut self.deflate {
                if deflate.decoder.is_none() {
                    out.frame(Frame::Fault("content_encoding"));
                }
                if deflate.forgets {
                    deflate.decoder = Some(Decoder::new(Coding::Messages, &self.limits));
                }
            }
        }
        if let Some(Message { text: Text::Json(last), .. }) = self.message.take() {
            let last_byte = if last.position > last_byte.position { last_byte } else { last };
            out.frame(Frame::End { last_byte, carrier: Carrier::WebSocketMessage });
        }
    }

    fn gap(&mut self, at: Timestamp, position: u64, missing: u64, out: &mut impl Frames) {
        let end = end_of_gap(at, position, missing);
        match &mut self.state {
            State::Payload(payload) if payload.left >= missing => {
                payload.left -= missing;
                payload.read = payload.read.wrapping_add(usize::try_from(missing % 4).unwrap_or(0));
                let (control, over) = (payload.control, payload.left == 0);
                if !control && let Some(message) = &mut self.message {
                    message.text.gap(end, missing, out);
                    if message.compressed {
                        self.forget_decoder();
                    }
                }
                if over {
                    self.end_frame(end, out);
                }
            }
            _ => {
                self.lose(out);
                self.head.clear();
            }
        }
    }

    /// It is not known what the next byte is.
    fn lose(&mut self, out: &mut impl Frames) {
        self.abort(out);
        if !matches!(self.state, State::Search) {
            out.frame(Frame::Fault("websocket_resync"));
        }
        self.forget_decoder();
        self.state = State::Search;
    }

    fn abort(&mut self, out: &mut impl Frames) {
        if let Some(Message { text: Text::Json(_), .. }) = self.message.take() {
            out.frame(Frame::Abort);
        }
    }
}

impl Text {
    fn push(&mut self, mut data: Cursor<'_>, out: &mut impl Frames) {
        if let Self::Blank = self {
            data.take_while(|byte| byte.is_ascii_whitespace());
            match data.peek() {
                None => return,
                Some(b'{' | b'[') => {
                    out.frame(Frame::Begin { first_byte: data.mark() });
                    *self = Self::Json(data.mark());
                }
                Some(_) => *self = Self::Other,
            }
        }
        if let Self::Json(last) = self {
            let text = data.take(usize::MAX);
            if !text.is_empty() {
                *last = data.last();
                out.frame(Frame::Text(text));
            }
        }
    }

    fn gap(&mut self, end: Mark, missing: u64, out: &mut impl Frames) {
        match self {
            // What begins after the gap may be the middle of a text.
            Self::Blank => *self = Self::Other,
            Self::Json(last) => {
                *last = end;
                out.frame(Frame::Gap(missing));
            }
            Self::Other => {}
        }
    }
}

/// What senders leave out at the end of a compressed message (RFC 7692, §7.2.1).
const END_OF_MESSAGE: [u8; 4] = [0, 0, 0xFF, 0xFF];
/// Bytes that are unmasked together.
const BLOCK: u64 = 8 << 10;

#[cfg(test)]
pub(crate) mod tests;
