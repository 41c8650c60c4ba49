//! Server-sent events: the body of a `text/event-stream` response, one message text per event.
//!
//! Line ends may be CR, LF or CRLF, fields come in any order, an event may be cut anywhere. Data is passed on as it
//! comes; several `data` lines are joined by line feeds, except that empty ones before the first byte are left out.
//! An event without data (a priming event, a comment that keeps the connection open) gives no text.
//! After a gap outside of data, everything up to the next blank line is unknown and left out.

use super::cursor::Cursor;
use super::{Carrier, Frame, Frames, SseKind};
use crate::pipeline::limits::Limits;
use crate::pipeline::reassembly::Mark;

/// Finds the events of one body.
#[derive(Debug)]
pub(super) struct Events {
    kept_bytes: usize,
    line: Line,
    /// A line ended with a carriage return; a line feed that follows belongs to it.
    after_cr: bool,
    /// Fields are not trusted until the next blank line.
    lost: bool,
    /// Last byte of the data so far, once there is data.
    last: Option<Mark>,
    event: Word,
    id: Option<Vec<u8>>,
}

/// Where in a line the next byte is.
#[derive(Clone, Copy, Debug)]
enum Line {
    /// So many bytes of a byte order mark were seen at the start of the body.
    Mark(usize),
    Start,
    Name(Word),
    /// Behind the colon, where one space is left out.
    Space(Field),
    Value(Field),
    Skipped,
}

#[derive(Clone, Copy, Debug)]
enum Field {
    Data,
    Event,
    Id,
}

impl Events {
    /// At the start of a body.
    pub(super) fn new(limits: &Limits) -> Self {
        Self { line: Line::Mark(0), ..Self::joined(limits) }
    }

    /// At the start of an event somewhere in a body.
    pub(super) fn joined(limits: &Limits) -> Self {
        Self {
            kept_bytes: limits.kept_bytes,
            line: Line::Start,
            after_cr: false,
            lost: false,
            last: None,
            event: Word::default(),
            id: None,
        }
    }

    /// Takes the next bytes of the body.
    pub(super) fn push(&mut self, mut cursor: Cursor<'_>, out: &mut impl Frames) {
        while let Some(byte) = cursor.peek() {
            if std::mem::take(&mut self.after_cr) && byte == b'\n' {
                cursor.next();
            } else if matches!(byte, b'\r' | b'\n') {
                cursor.next();
                self.after_cr = byte == b'\r';
                self.line_end(out);
            } else {
                self.step(byte, &mut cursor, out);
            }
        }
    }

    /// Bytes of the body are missing, up to `end`.
    pub(super) fn gap(&mut self, end: Mark, missing: u64, out: &mut impl Frames) {
        self.after_cr = false;
        if let Some(last) = &mut self.last {
            out.frame(Frame::Gap(missing));
            *last = end;
            if matches!(self.line, Line::Value(Field::Data)) {
                return;
            }
        }
        self.line = Line::Skipped;
        self.lost = true;
    }

    /// The body ends here. Returns whether that is between two events. An event without its blank line does not
    /// count: no client takes it.
    pub(super) fn close(&mut self, out: &mut impl Frames) -> bool {
        let between = self.last.take().is_none();
        if !between {
            out.frame(Frame::Abort);
            out.frame(Frame::Fault("sse_cut"));
        }
        between
    }

    /// Bytes that are not blank follow in a line.
    fn step(&mut self, byte: u8, cursor: &mut Cursor<'_>, out: &mut impl Frames) {
        match &mut self.line {
            Line::Mark(seen) if BYTE_ORDER_MARK.get(*seen) == Some(&byte) => {
                cursor.next();
                self.line =
                    if *seen + 1 == BYTE_ORDER_MARK.len() { Line::Start } else { Line::Mark(*seen + 1) };
            }
            Line::Mark(0) | Line::Start => self.line = Line::Name(Word::default()),
            Line::Mark(_) => self.line = Line::Skipped,
            Line::Name(name) => {
                cursor.next();
                if byte == b':' {
                    let name = *name;
                    self.line = self.open(name, out).map_or(Line::Skipped, Line::Space);
                } else {
                    name.push(byte);
                }
            }
            Line::Space(field) => {
                if byte == b' ' {
                    cursor.next();
                }
                self.line = Line::Value(*field);
            }
            Line::Value(Field::Data) => self.data(cursor, out),
            Line::Value(Field::Event) => self.event.push_all(cursor.take_any_line()),
            Line::Value(Field::Id) => {
                let (kept, text) = (self.id.get_or_insert_default(), cursor.take_any_line());
                let room = self.kept_bytes.saturating_sub(kept.len());
                kept.extend_from_slice(text.get(..room).unwrap_or(text));
            }
            Line::Skipped => {
                cursor.take_any_line();
            }
        }
    }

    fn data(&mut self, cursor: &mut Cursor<'_>, out: &mut impl Frames) {
        if self.last.is_none() {
            out.frame(Frame::Begin { first_byte: cursor.mark() });
        }
        let text = cursor.take_any_line();
        self.last = Some(cursor.last());
        out.frame(Frame::Text(text));
    }

    /// A field begins. Returns where its value goes, if anywhere.
    fn open(&mut self, name: Word, out: &mut impl Frames) -> Option<Field> {
        if self.lost {
            return None;
        }
        if name.is(b"data") {
            if self.last.is_some() {
                out.frame(Frame::Text(b"\n"));
            }
            Some(Field::Data)
        } else if name.is(b"event") {
            self.event = Word::default();
            Some(Field::Event)
        } else if name.is(b"id") {
            self.id = Some(Vec::new());
            Some(Field::Id)
        } else {
            None
        }
    }

    fn line_end(&mut self, out: &mut impl Frames) {
        match std::mem::replace(&mut self.line, Line::Start) {
            Line::Mark(0) | Line::Start => self.dispatch(out),
            // A name without a colon is a field with an empty value.
            Line::Name(name) => {
                self.open(name, out);
            }
            _ => {}
        }
    }

    /// A blank line ends the event.
    fn dispatch(&mut self, out: &mut impl Frames) {
        let (event, id) = (std::mem::take(&mut self.event), self.id.take());
        self.lost = false;
        if let Some(last_byte) = self.last.take() {
            let id = id.map(|id| String::from_utf8_lossy(&id).into());
            out.frame(Frame::End { last_byte, carrier: Carrier::SseEvent { event: event.kind(), id } });
        }
    }
}

/// A word that matters only if it is one of a few short ones.
#[derive(Clone, Copy, Debug, Default)]
struct Word {
    bytes: [u8; 8],
    len: usize,
}

impl Word {
    fn push(&mut self, byte: u8) {
        if let Some(free) = self.bytes.get_mut(self.len) {
            *free = byte;
        }
        self.len = self.len.saturating_add(1);
    }

    fn push_all(&mut self, text: &[u8]) {
        for &byte in text.iter().take(self.bytes.len() + 1) {
            self.push(byte);
        }
    }

    fn is(&self, word: &[u8]) -> bool {
        self.bytes.get(..self.len) == Some(word)
    }

    fn kind(&self) -> SseKind {
        if self.len == 0 || self.is(b"message") {
            SseKind::Message
        } else if self.is(b"endpoint") {
            SseKind::Endpoint
        } else {
            SseKind::Other
        }
    }
}

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";
