//! HTTP/1.0 and HTTP/1.1, each direction of a connection by itself.
//!
//! Heads are kept only while they are incomplete, bodies never. After lost bytes inside a body whose framing is still
//! known, reading goes on; otherwise, and on connections joined in the middle, the next plausible head is searched.
//! An event stream in chunks is also joined again at a chunk that begins with a field, for it may stay open for the
//! whole session: its events come without a [`Frame::Response`] if its head was never seen.

use std::collections::VecDeque;

use super::body::{Body, Content, Framing, Progress};
use super::chunked::Chunks;
use super::cursor::Cursor;
use super::head::{self, Delimiters};
use super::resync::{self, Found, Head, Side, Window};
use super::{Fields, Frame, Frames};
use crate::pipeline::limits::Limits;
use crate::pipeline::reassembly::{Mark, Piece};
use crate::pipeline::time::Timestamp;

/// The direction from the client to the server.
#[derive(Debug)]
pub struct Requests(Flow);

impl Requests {
    /// At the start of a flow.
    pub fn new(limits: &Limits) -> Self {
        Self(Flow::new(Side::Requests, limits))
    }

    /// Takes the next piece of the flow.
    pub fn push(&mut self, piece: Piece<'_>, out: &mut impl Frames) {
        self.0.push(piece, out);
    }

    /// The server agreed to another protocol (`101`): what follows is not HTTP.
    pub fn stop(&mut self) {
        self.0.stop();
    }
}

/// The direction from the server to the client.
#[derive(Debug)]
pub struct Responses(Flow);

impl Responses {
    /// At the start of a flow.
    pub fn new(limits: &Limits) -> Self {
        Self(Flow::new(Side::Responses, limits))
    }

    /// A request with `method` was seen, whose response comes after those of the requests before. Responses without
    /// such an expectation are read as those to a `GET`.
    pub fn expect_response(&mut self, method: &str) {
        self.0.await_response(method);
    }

    /// Takes the next piece of the flow.
    pub fn push(&mut self, piece: Piece<'_>, out: &mut impl Frames) {
        self.0.push(piece, out);
    }
}

/// Either direction.
#[derive(Debug)]
struct Flow {
    side: Side,
    limits: Limits,
    state: State,
    /// Beginning of a head, or the end of what was searched.
    window: Window,
    expected: VecDeque<Expected>,
    /// More requests waited for responses than are remembered.
    shed: bool,
}

/// ```text
///        complete head              body over
/// Head ----------------> Body -----------------> Head
///   | no head, gap         | framing lost
///    -------> Search <-----
///               | head: as from Head
///                `- chunk of an event stream: Body
/// ```
/// From `Head`, `Stopped` is reached when the connection changes to another protocol.
#[derive(Debug)]
enum State {
    Head,
    Search {
        /// An event stream that may be joined again.
        stream: Option<Body>,
        /// A start line was found at the front of the window.
        found: bool,
        /// The window begins directly behind a gap or at the start of the flow.
        aligned: bool,
    },
    Body(Body),
    Stopped,
}

/// What matters about the request that a response answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    Connect,
    Head,
    Other,
}

impl Flow {
    fn new(side: Side, limits: &Limits) -> Self {
        let (state, window, expected) = (State::Head, Window::default(), VecDeque::new());
        Self { side, limits: limits.clone(), state, window, expected, shed: false }
    }

    fn await_response(&mut self, method: &str) {
        if self.expected.len() >= self.limits.http_pipeline {
            self.expected.clear();
            self.shed = true;
        }
        self.expected.push_back(match method {
            "CONNECT" => Expected::Connect,
            "HEAD" => Expected::Head,
            _ => Expected::Other,
        });
    }

    fn stop(&mut self) {
        self.state = State::Stopped;
        self.window.clear();
    }

    fn push(&mut self, piece: Piece<'_>, out: &mut impl Frames) {
        if std::mem::take(&mut self.shed) {
            out.frame(Frame::Fault("pipeline_limit"));
        }
        match piece {
            Piece::Data { at, position, data } => {
                let mut cursor = Cursor::new(at, position, data);
                while !cursor.is_empty() {
                    self.step(&mut cursor, out);
                }
            }
            Piece::Gap { at, position, missing } => self.gap(at, position, missing, out),
            Piece::End { .. } => self.end(out),
        }
    }

    fn step(&mut self, cursor: &mut Cursor<'_>, out: &mut impl Frames) {
        match &mut self.state {
            State::Head => self.head(cursor, out),
            State::Search { .. } => self.search(cursor, out),
            State::Body(body) => match body.push(cursor, out) {
                Progress::Unfinished => {}
                Progress::Over => self.state = State::Head,
                Progress::Lost => self.lose("http_body", false, out),
            },
            State::Stopped => {
                cursor.take(usize::MAX);
            }
        }
    }

    /// At the start of a message, or in its head.
    fn head(&mut self, cursor: &mut Cursor<'_>, out: &mut impl Frames) {
        if !self.window.bytes().is_empty() {
            return self.split_head(cursor, out);
        }
        cursor.take_while(|byte| matches!(byte, b'\r' | b'\n'));
        let first_byte = cursor.mark();
        match resync::head(self.side, cursor.rest(), false, 0) {
            Head::Complete(len) => {
                let bytes = cursor.take(len);
                self.message(bytes, first_byte, cursor.last(), out);
            }
            Head::Incomplete => self.window.add(first_byte, cursor.take(self.limits.http_head_bytes)),
            Head::Http2 => self.change_protocol("http2", out),
            Head::No => self.lose("resync", true, out),
        }
    }

    /// Joins a head that came in several pieces.
    fn split_head(&mut self, cursor: &mut Cursor<'_>, out: &mut impl Frames) {
        let searched = self.window.bytes().len();
        let room = self.limits.http_head_bytes.saturating_sub(searched);
        let block = cursor.rest().get(..room).unwrap_or(cursor.rest());
        self.window.add(cursor.mark(), block);
        match resync::head(self.side, self.window.bytes(), false, searched) {
            Head::Complete(len) => {
                cursor.take(len.saturating_sub(searched));
                self.message_in_window(len, cursor.last(), out);
            }
            Head::Incomplete if block.is_empty() => {
                self.window.clear();
                self.lose("head_limit", false, out);
            }
            Head::Incomplete => {
                cursor.take(block.len());
            }
            Head::Http2 => self.change_protocol("http2", out),
            Head::No => {
                self.window.truncate(searched);
                self.lose("resync", true, out);
            }
        }
    }

    /// Looks for a place to go on.
    fn search(&mut self, cursor: &mut Cursor<'_>, out: &mut impl Frames) {
        let searched = self.window.bytes().len();
        let block = cursor.rest().get(..SEARCHED_AT_ONCE).unwrap_or(cursor.rest());
        self.window.add(cursor.mark(), block);
        let State::Search { found, aligned, .. } = &mut self.state else { return };
        if !*found {
            match resync::find(self.side, self.window.bytes(), *aligned) {
                Found::Nothing(useless) => {
                    *aligned &= useless == 0;
                    self.window.drop_front(useless);
                    cursor.take(block.len());
                    return;
                }
                Found::Head(start) => {
                    *found = true;
                    return self.found_head(start, searched, cursor, out);
                }
                Found::Chunk { data, size } => return self.join_stream(data, size, searched, cursor, out),
            }
        }
        self.found_head(0, searched, cursor, out);
    }

    /// A start line is at `start` of the window, of which the first `searched` bytes are not the cursor's.
    fn found_head(&mut self, start: usize, searched: usize, cursor: &mut Cursor<'_>, out: &mut impl Frames) {
        let before = self.window.bytes().len();
        let block = before.saturating_sub(searched);
        self.window.drop_front(start);
        match resync::head(self.side, self.window.bytes(), true, searched.saturating_sub(start)) {
            Head::Complete(len) => {
                cursor.take((start + len).saturating_sub(searched));
                self.message_in_window(len, cursor.last(), out);
            }
            Head::Incomplete if before - start <= self.limits.http_head_bytes => {
                cursor.take(block);
            }
            _ => {
                cursor.take(block);
                self.window.clear();
                self.search_again();
            }
        }
    }

    /// The data of a chunk begins at `data` of the window.
    fn join_stream(
        &mut self,
        data: usize,
        size: u64,
        searched: usize,
        cursor: &mut Cursor<'_>,
        out: &mut impl Frames,
    ) {
        let mut body = Body::joined(&self.limits, size, self.window.mark(data.saturating_sub(1)));
        for mut byte in self.window.replay(data, searched.saturating_sub(data)) {
            body.push(&mut byte, out);
        }
        cursor.take(data.saturating_sub(searched));
        self.window.clear();
        self.state = State::Body(body);
    }

    /// The window begins with a head of `len` bytes.
    fn message_in_window(&mut self, len: usize, last_byte: Mark, out: &mut impl Frames) {
        let window = std::mem::take(&mut self.window);
        self.message(window.bytes().get(..len).unwrap_or_default(), window.mark(0), last_byte, out);
    }

    /// A complete head.
    fn message(&mut self, bytes: &[u8], first_byte: Mark, last_byte: Mark, out: &mut impl Frames) {
        let searched = matches!(self.state, State::Search { .. });
        let taken = match self.side {
            Side::Requests => self.request(bytes, first_byte, last_byte, out),
            Side::Responses => self.response(bytes, first_byte, last_byte, out),
        };
        match taken {
            Some(()) => {}
            None if searched => self.search_again(),
            None => self.lose("http_head", false, out),
        }
    }

    fn request(
        &mut self,
        bytes: &[u8],
        first_byte: Mark,
        last_byte: Mark,
        out: &mut impl Frames,
    ) -> Option<()> {
        let (head, delimiters) = head::request(bytes, first_byte, &self.limits)?;
        let framing = match delimiters {
            Delimiters { chunked: true, .. } => Framing::Chunked(Chunks::START),
            Delimiters { coded: true, .. } => return None,
            Delimiters { length, .. } => Framing::Length(length.unwrap_or(0)),
        };
        self.end_lost_stream(out);
        let connect = &*head.method == "CONNECT";
        let body = Body::new(framing, self.content(&head.fields, delimiters), last_byte);
        out.frame(Frame::Request(Box::new(head)));
        if connect {
            self.change_protocol("upgraded", out);
        } else {
            self.begin_body(body, delimiters, out);
        }
        Some(())
    }

    fn response(
        &mut self,
        bytes: &[u8],
        first_byte: Mark,
        last_byte: Mark,
        out: &mut impl Frames,
    ) -> Option<()> {
        let (head, delimiters) = head::response(bytes, first_byte, &self.limits)?;
        self.end_lost_stream(out);
        if matches!(head.status, 100 | 102..=199) {
            self.state = State::Head;
            return Some(());
        }
        let expected = self.expected.pop_front().unwrap_or(Expected::Other);
        let upgraded = head.status == 101 || expected == Expected::Connect && head.status / 100 == 2;
        let framing = match delimiters {
            _ if expected == Expected::Head || matches!(head.status, 204 | 304) => Framing::Length(0),
            Delimiters { chunked: true, .. } => Framing::Chunked(Chunks::START),
            Delimiters { coded: true, .. } | Delimiters { length: None, .. } => Framing::Close,
            Delimiters { length: Some(length), .. } => Framing::Length(length),
        };
        let body = Body::new(framing, self.content(&head.fields, delimiters), last_byte);
        out.frame(Frame::Response(Box::new(head)));
        if upgraded {
            self.change_protocol("upgraded", out);
        } else {
            self.begin_body(body, delimiters, out);
        }
        Some(())
    }

    fn content(&self, fields: &Fields, delimiters: Delimiters) -> Content {
        if delimiters.encoded { Content::Other } else { Content::of(fields, &self.limits) }
    }

    fn begin_body(&mut self, mut body: Body, delimiters: Delimiters, out: &mut impl Frames) {
        if body.is_empty() {
            body.close(out);
            self.state = State::Head;
            return;
        }
        if delimiters.encoded {
            out.frame(Frame::Fault("content_encoding"));
        }
        self.state = State::Body(body);
    }

    fn gap(&mut self, at: Timestamp, position: u64, missing: u64, out: &mut impl Frames) {
        match &mut self.state {
            State::Body(body) => match body.gap(at, position, missing, out) {
                Progress::Unfinished => {}
                Progress::Over => self.state = State::Head,
                Progress::Lost => self.lose("resync", true, out),
            },
            State::Head => {
                self.window.clear();
                self.lose("resync", true, out);
            }
            State::Search { found, aligned, .. } => {
                (*found, *aligned) = (false, true);
                self.window.clear();
            }
            State::Stopped => {}
        }
    }

    /// The connection is over; what comes then is another one.
    fn end(&mut self, out: &mut impl Frames) {
        match std::mem::replace(&mut self.state, State::Head) {
            State::Body(mut body) => body.cut(out),
            State::Search { stream: Some(mut body), .. } => body.give_up(out),
            State::Head if !self.window.bytes().is_empty() => out.frame(Frame::Fault("head_cut")),
            State::Head | State::Search { .. } | State::Stopped => {}
        }
        self.window.clear();
        self.expected.clear();
    }

    /// It is not known what the next byte is.
    fn lose(&mut self, cause: &'static str, aligned: bool, out: &mut impl Frames) {
        let stream = match std::mem::replace(&mut self.state, State::Head) {
            State::Body(mut body) if body.can_be_joined() => {
                body.abort_text(out);
                Some(body)
            }
            State::Body(mut body) => {
                body.give_up(out);
                None
            }
            State::Search { stream, .. } => stream,
            State::Head | State::Stopped => None,
        };
        out.frame(Frame::Fault(cause));
        // Which request the next response answers is not known either.
        self.expected.clear();
        self.state = State::Search { stream, found: false, aligned };
    }

    /// What was found was no head.
    fn search_again(&mut self) {
        if let State::Search { found, aligned, .. } = &mut self.state {
            (*found, *aligned) = (false, false);
        }
    }

    /// A head follows where an event stream was lost: that is over.
    fn end_lost_stream(&mut self, out: &mut impl Frames) {
        if let State::Search { stream, .. } = &mut self.state
            && let Some(mut body) = stream.take()
        {
            body.give_up(out);
        }
    }

    fn change_protocol(&mut self, cause: &'static str, out: &mut impl Frames) {
        out.frame(Frame::Fault(cause));
        self.stop();
    }
}

/// Bytes looked at together in a search, so that a large body is not copied as a whole.
const SEARCHED_AT_ONCE: usize = 4 << 10;
