//! Reads one flow: chooses its framing by its first bytes, and turns pieces into heads and messages.
//!
//! In: [`Piece`]s. Out: [`Found`]s, in the order of the bytes. Joins the stages `transport` and `jsonrpc`; knows
//! nothing of MCP or of the other direction.

use super::jsonrpc::Message;
use super::jsonrpc::skim::Skim;
use super::limits::Limits;
use super::reassembly::{Mark, Piece};
use super::transport::attached::Output;
use super::transport::http1::{Requests, Responses};
use super::transport::http2::Http2;
use super::transport::recognise::{Guess, LONGEST_START, recognise};
use super::transport::stdio::Lines;
use super::transport::websocket::Messages;
use super::transport::{Carrier, Frame, Frames, Protocol, RequestHead, ResponseHead, SseKind};

/// A message text without its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// First byte of the text.
    pub first_byte: Mark,
    /// Last byte of the text.
    pub last_byte: Mark,
    /// How it was carried.
    pub carrier: Carrier,
    /// Size of the text.
    pub bytes: u64,
    /// Its end is in a hole or did not come; or a hole is in it and nothing tells how long it is, so that its end may be another's.
    pub end_unseen: bool,
}

/// What was found in a flow.
#[derive(Debug)]
pub enum Found {
    /// What follows is about this stream of HTTP/2.
    Stream(u32),
    /// The stream ends before its time.
    Reset,
    /// The server agrees to go on in another protocol.
    Upgraded(Protocol),
    /// The head of a request.
    Request(Box<RequestHead>),
    /// The head of a response.
    Response(Box<ResponseHead>),
    /// A message text with its messages: one, or those of a batch.
    Text(Envelope, Vec<Message>),
    /// The address that an `endpoint` event names.
    Endpoint(Box<str>),
    /// An HTTP body is over.
    BodyEnd {
        /// Its last byte.
        last_byte: Mark,
        /// Whether it ended as it should.
        whole: bool,
        /// Whether all that came of it could be decoded, as long as nothing was missing.
        is_read: bool,
    },
    /// Bytes that are not of the framing.
    Fault(&'static str),
    /// Bytes of no known framing.
    Foreign,
}

/// How a flow's bytes are framed.
#[derive(Debug)]
enum Framing {
    /// Nothing recognised yet.
    Unknown(Start),
    Lines(Box<Lines>),
    Requests(Box<Requests>),
    Responses(Box<Responses>),
    Http2(Box<Http2>),
    WebSocket(Box<Messages>),
    Attached(Box<Output>),
}

/// The beginning of a flow.
#[derive(Debug, Default)]
struct Start {
    /// The first bytes so far, with their pieces' times and positions.
    bytes: Vec<(Mark, Box<[u8]>)>,
    /// What is missing directly before them: then they may be the middle of something.
    gap: Option<(Mark, u64)>,
}

/// Which framing a flow has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Not known yet.
    Unknown,
    /// Newline-delimited JSON.
    Lines,
    /// HTTP requests.
    Requests,
    /// HTTP responses.
    Responses,
}

/// The reader of one flow.
#[derive(Debug)]
pub struct Reader {
    framing: Framing,
    text: Text,
    parked: Parked,
}

/// Texts of other streams of HTTP/2 than the current one, oldest first.
#[derive(Debug, Default)]
struct Parked {
    payloads: bool,
    current: u32,
    texts: Vec<(u32, Text)>,
}

/// The text that is being read.
#[derive(Debug)]
struct Text {
    skim: Box<Skim>,
    first_byte: Option<Mark>,
    bytes: u64,
    has_hole: bool,
    /// The last of it is a hole.
    ends_in_hole: bool,
    /// The rest of it was not decoded.
    is_given_up: bool,
    /// The beginning of a text that is not JSON: the address of an endpoint event.
    plain: Vec<u8>,
    plain_limit: usize,
}

impl Reader {
    /// A reader that has seen nothing.
    pub fn new(limits: &Limits, payloads: bool) -> Self {
        let (framing, text) = (Framing::Unknown(Start::default()), Text::new(limits, payloads));
        Self { framing, text, parked: Parked { payloads, ..Parked::default() } }
    }

    /// Which framing was recognised.
    pub fn kind(&self) -> Kind {
        match &self.framing {
            Framing::Unknown(_) => Kind::Unknown,
            Framing::Lines(_) | Framing::WebSocket(_) | Framing::Attached(_) => Kind::Lines,
            Framing::Requests(_) => Kind::Requests,
            Framing::Responses(_) => Kind::Responses,
            Framing::Http2(http2) => match http2.is_requests() {
                Some(true) => Kind::Requests,
                Some(false) => Kind::Responses,
                None => Kind::Unknown,
            },
        }
    }

    /// Takes the next piece. `lines` tells whether a flow of its medium is read as lines when it begins with
    /// something else than JSON: a banner.
    pub fn push(&mut self, piece: Piece<'_>, limits: &Limits, lines: bool, out: &mut Vec<Found>) {
        if let Framing::Unknown(first) = &mut self.framing {
            match piece {
                Piece::Data { at, position, data } => {
                    let first = std::mem::take(first);
                    self.begin(first, (Mark { at, position }, data), limits, lines, out);
                }
                Piece::Gap { at, position, missing } => {
                    *first = Start { gap: Some((Mark { at, position }, missing)), ..Start::default() };
                }
                Piece::End { .. } => *first = Start::default(),
            }
            return;
        }
        self.frame(piece, limits, out);
    }

    /// Recognises the framing by the first bytes, those that were kept and `next`; keeps them all if they are too
    /// few.
    fn begin(
        &mut self,
        mut first: Start,
        (mark, data): (Mark, &[u8]),
        limits: &Limits,
        lines: bool,
        out: &mut Vec<Found>,
    ) {
        let start: Vec<u8> = first
            .bytes
            .iter()
            .flat_map(|(_, bytes)| bytes.iter())
            .chain(data.iter().take(LONGEST_START))
            .copied()
            .collect();
        self.framing = match recognise(&start, lines) {
            Guess::TooShort => {
                first.bytes.push((mark, data.into()));
                self.framing = Framing::Unknown(first);
                return;
            }
            Guess::Foreign => return out.push(Found::Foreign),
            Guess::Lines => Framing::Lines(Box::new(Lines::new(limits))),
            Guess::Requests => Framing::Requests(Box::new(Requests::new(limits))),
            Guess::Responses => Framing::Responses(Box::new(Responses::new(limits))),
            Guess::Attached => Framing::Attached(Box::new(Output::new(limits))),
            Guess::WebSocket => Framing::WebSocket(Box::new(Messages::joined(limits))),
            Guess::Http2Server if first.gap.is_none() => Framing::Http2(Box::new(Http2::responses(limits))),
            Guess::Http2Server | Guess::Http2 => Framing::Http2(Box::new(Http2::joined(limits))),
        };
        if let Some((Mark { at, position }, missing)) = first.gap {
            self.frame(Piece::Gap { at, position, missing }, limits, out);
        }
        for (Mark { at, position }, data) in &first.bytes {
            self.frame(Piece::Data { at: *at, position: *position, data }, limits, out);
        }
        self.frame(Piece::Data { at: mark.at, position: mark.position, data }, limits, out);
    }

    fn frame(&mut self, piece: Piece<'_>, limits: &Limits, out: &mut Vec<Found>) {
        let mut sink = Sink { text: &mut self.text, parked: &mut self.parked, limits, out };
        match &mut self.framing {
            Framing::Unknown(_) => {}
            Framing::Lines(framing) => framing.push(piece, &mut sink),
            Framing::Requests(framing) => framing.push(piece, &mut sink),
            Framing::Responses(framing) => framing.push(piece, &mut sink),
            Framing::Http2(framing) => framing.push(piece, &mut sink),
            Framing::WebSocket(framing) => framing.push(piece, &mut sink),
            Framing::Attached(framing) => framing.push(piece, &mut sink),
        }
    }

    /// The peer has ended this stream of HTTP/2.
    pub fn forget_stream(&mut self, stream: u32) {
        match &mut self.framing {
            Framing::Requests(framing) => framing.forget_stream(stream),
            Framing::Responses(framing) => framing.forget_stream(stream),
            Framing::Http2(framing) => framing.forget(stream),
            Framing::Unknown(_) | Framing::Lines(_) | Framing::WebSocket(_) | Framing::Attached(_) => {}
        }
        if self.parked.current == stream {
            self.text.reset();
        }
        self.parked.texts.retain(|(parked, _)| *parked != stream);
    }

    /// The peer has sent a request with this method: its response comes on this flow.
    pub fn expect_response(&mut self, method: &str, limits: &Limits) {
        if let Framing::Unknown(_) = self.framing {
            self.framing = Framing::Responses(Box::new(Responses::new(limits)));
        }
        if let Framing::Responses(responses) = &mut self.framing {
            responses.expect_response(method);
        }
    }

    /// The server has refused the body of a request before it came.
    pub fn refuse_body(&mut self) {
        if let Framing::Requests(requests) = &mut self.framing {
            requests.refuse_body();
        }
    }

    /// The server has agreed to go on in another protocol; these are the client's bytes.
    pub fn upgrade(&mut self, protocol: Protocol) {
        if let Framing::Requests(requests) = &mut self.framing {
            requests.upgrade(protocol);
        }
    }

    /// Whether a message text has begun and not ended.
    pub const fn in_text(&self) -> bool {
        self.text.first_byte.is_some() || !self.parked.texts.is_empty()
    }

    /// Forgets the framing and the text that was being read: what comes next is a new beginning.
    pub fn restart(&mut self) {
        self.framing = Framing::Unknown(Start::default());
        self.text.reset();
        self.parked.texts.clear();
    }
}

impl Text {
    fn new(limits: &Limits, payloads: bool) -> Self {
        Self {
            skim: Box::new(Skim::new(limits, payloads)),
            first_byte: None,
            bytes: 0,
            has_hole: false,
            ends_in_hole: false,
            is_given_up: false,
            plain: Vec::new(),
            plain_limit: limits.kept_bytes,
        }
    }

    fn begin(&mut self, first_byte: Mark) {
        if self.first_byte.is_some() {
            self.reset();
        }
        self.first_byte = Some(first_byte);
    }

    fn push(&mut self, bytes: &[u8]) {
        let json = self.bytes > 0 && self.plain.is_empty();
        if !json && !matches!(bytes.first(), Some(b'{' | b'[')) {
            let room = self.plain_limit.saturating_sub(self.plain.len());
            self.plain.extend_from_slice(bytes.get(..room.min(bytes.len())).unwrap_or_default());
        }
        self.bytes += bytes.len() as u64;
        self.ends_in_hole = false;
        self.skim.push(bytes);
    }

    fn reset(&mut self) {
        self.skim.finish();
        self.first_byte = None;
        self.forget_content();
    }

    fn forget_content(&mut self) {
        self.bytes = 0;
        (self.has_hole, self.ends_in_hole, self.is_given_up) = (false, false, false);
        self.plain.clear();
    }

    fn end(&mut self, last_byte: Mark, carrier: Carrier, out: &mut Vec<Found>) {
        let Some(first_byte) = self.first_byte.take() else { return };
        let skimmed = self.skim.finish();
        if let Carrier::SseEvent { event: SseKind::Endpoint, .. } = carrier {
            out.push(Found::Endpoint(String::from_utf8_lossy(&self.plain).into()));
        } else {
            if let Some(fault) = skimmed.fault {
                out.push(Found::Fault(fault));
            }
            let ends_by_itself = matches!(carrier, Carrier::StdioLine | Carrier::SseEvent { .. });
            let is_cut = skimmed.fault == Some("cut") && !self.is_given_up;
            let end_unseen = is_cut || self.ends_in_hole || self.has_hole && ends_by_itself;
            let envelope = Envelope { first_byte, last_byte, carrier, bytes: self.bytes, end_unseen };
            out.push(Found::Text(envelope, skimmed.messages));
        }
        self.forget_content();
    }
}

impl Parked {
    /// Exchanges the current text for that of another stream.
    fn select(&mut self, stream: u32, text: &mut Text, limits: &Limits) {
        if stream == self.current {
            return;
        }
        let before = std::mem::replace(&mut self.current, stream);
        let other = self.texts.iter().position(|(parked, _)| *parked == stream);
        let other = other.map(|index| self.texts.remove(index).1);
        if text.first_byte.is_some() {
            let other = other.unwrap_or_else(|| Text::new(limits, self.payloads));
            self.texts.push((before, std::mem::replace(text, other)));
        } else if let Some(other) = other {
            *text = other;
        }
    }
}

/// Joins a framing with the skimmer.
struct Sink<'a> {
    text: &'a mut Text,
    parked: &'a mut Parked,
    limits: &'a Limits,
    out: &'a mut Vec<Found>,
}

impl Frames for Sink<'_> {
    fn frame(&mut self, frame: Frame<'_>) {
        match frame {
            Frame::Stream(stream) => {
                self.parked.select(stream, self.text, self.limits);
                self.out.push(Found::Stream(stream));
            }
            Frame::Reset => self.out.push(Found::Reset),
            Frame::Upgraded(protocol) => self.out.push(Found::Upgraded(protocol)),
            Frame::Request(head) => self.out.push(Found::Request(head)),
            Frame::Response(head) => self.out.push(Found::Response(head)),
            Frame::Begin { first_byte } => self.text.begin(first_byte),
            Frame::Text(bytes) => self.text.push(bytes),
            Frame::Gap(missing) => {
                self.text.bytes = self.text.bytes.saturating_add(missing);
                // Bytes that came and were not decoded are no hole: their end has a time.
                let text = &mut *self.text;
                let flag = if missing == 0 { &mut text.is_given_up } else { &mut text.ends_in_hole };
                *flag = true;
                text.has_hole |= missing > 0;
                self.text.skim.gap(missing);
            }
            Frame::End { last_byte, carrier } => self.text.end(last_byte, carrier, self.out),
            Frame::Abort => self.text.reset(),
            Frame::BodyEnd { last_byte, whole, is_read } => {
                self.out.push(Found::BodyEnd { last_byte, whole, is_read });
            }
            Frame::Fault(cause) => self.out.push(Found::Fault(cause)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::time::Timestamp;

    fn texts(pieces: &[Piece<'_>], lines: bool) -> Vec<usize> {
        let (limits, mut found) = (Limits::default(), Vec::new());
        let mut reader = Reader::new(&limits, false);
        pieces.iter().for_each(|piece| reader.push(*piece, &limits, lines, &mut found));
        let count = |found: &Found| match found {
            Found::Text(_, messages) => Some(messages.len()),
            _ => None,
        };
        found.iter().filter_map(count).collect()
    }

    #[test]
    fn what_follows_a_gap_may_be_the_middle_of_a_message() {
        let at = Timestamp::default();
        let gap = Piece::Gap { at, position: 0, missing: 40 };
        let inner =
            Piece::Data { at, position: 40, data: b"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}]}}\n" };
        assert_eq!(texts(&[gap, inner], true).iter().sum::<usize>(), 0);
        let whole = Piece::Data { at, position: 40, data: b"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n" };
        assert_eq!(texts(&[gap, whole], true), [1]);
    }

    #[test]
    fn an_event_stream_is_joined_late() {
        let event = "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n\n";
        let chunk = format!("{:x}\r\n{event}\r\n", event.len());
        let data = |position, data| Piece::Data { at: Timestamp::default(), position, data };
        assert_eq!(texts(&[data(900, chunk.as_bytes())], false), [1]);
        let (first, rest) = chunk.as_bytes().split_at(3);
        assert_eq!(texts(&[data(900, first), data(903, rest)], false), [1]);
    }
}
