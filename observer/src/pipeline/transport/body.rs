//! The body of an HTTP message: where it ends, and which message texts are in it.

use super::chunked::{Chunks, Step};
use super::coding::{Codings, Decoder};
use super::cursor::{Cursor, end_of_gap};
use super::sse::Events;
use super::{Carrier, Field, Fields, Frame, Frames};
use crate::pipeline::limits::Limits;
use crate::pipeline::reassembly::Mark;
use crate::pipeline::time::Timestamp;

/// A body that is being read.
#[derive(Debug)]
pub(super) struct Body {
    framing: Framing,
    content: Content,
    last: Mark,
    whole: bool,
    /// All that came of it could be decoded, as long as nothing was missing.
    is_read: bool,
}

/// How the end of a body is told.
#[derive(Clone, Copy, Debug)]
pub(super) enum Framing {
    /// By its length; what is left of it.
    Length(u64),
    /// By its last chunk.
    Chunked(Chunks),
    /// By the end of the connection.
    Close,
}

/// What a body carries.
#[derive(Debug)]
pub(super) enum Content {
    /// One text, if its first byte is `{` or `[`.
    Document,
    /// One text, whose last byte so far this is.
    Text(Mark),
    /// An event stream.
    Events(Box<Events>),
    /// Something whose beginning and kind are not known.
    Joined(Box<Limits>),
    /// Any of these, compressed.
    Coded(Box<Coded>),
    /// Nothing that could be a message.
    Other,
}

/// What a compressed body carries.
#[derive(Debug)]
pub(super) struct Coded {
    /// `None`: it cannot be decoded, or no further.
    decoder: Option<Decoder>,
    /// Why nothing of it can be decoded, until that was told.
    fault: Option<&'static str>,
    inner: Content,
}

/// How far a body got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// More of it will come.
    Unfinished,
    /// It is over, and so reported.
    Over,
    /// Its framing is lost: where it ends is not known.
    Lost,
}

impl Body {
    /// A body behind the head whose last byte is `head_end`.
    pub(super) const fn new(framing: Framing, content: Content, head_end: Mark) -> Self {
        Self { framing, content, last: head_end, whole: true, is_read: true }
    }

    /// Whether it is over before its first byte.
    pub(super) const fn is_empty(&self) -> bool {
        matches!(self.framing, Framing::Length(0))
    }

    /// Whether it is an event stream in chunks, which can be joined again at any chunk.
    pub(super) const fn can_be_joined(&self) -> bool {
        matches!((&self.framing, &self.content), (Framing::Chunked(_), Content::Events(_)))
    }

    /// An event stream joined at an event, with `left` bytes of its chunk to come.
    pub(super) fn joined(limits: &Limits, left: u64, before: Mark) -> Self {
        let content = Content::Events(Box::new(Events::joined(limits)));
        let framing = Framing::Chunked(Chunks::Data { left });
        Self { framing, content, last: before, whole: false, is_read: true }
    }

    /// Takes bytes up to the end of the body.
    pub(super) fn push(&mut self, cursor: &mut Cursor<'_>, out: &mut impl Frames) -> Progress {
        let before = cursor.mark();
        let progress = loop {
            match &mut self.framing {
                Framing::Length(left) => {
                    let data = cursor.split(*left);
                    *left = left.saturating_sub(data.rest().len() as u64);
                    let over = *left == 0;
                    self.content.push(data, out);
                    break if over { Progress::Over } else { Progress::Unfinished };
                }
                Framing::Chunked(chunks) => match chunks.next(cursor) {
                    Step::More => break Progress::Unfinished,
                    Step::Data(data) => self.content.push(data, out),
                    Step::Over => break Progress::Over,
                    Step::Broken => break Progress::Lost,
                },
                Framing::Close => {
                    self.content.push(cursor.split(u64::MAX), out);
                    break Progress::Unfinished;
                }
            }
        };
        if cursor.mark() != before {
            self.last = cursor.last();
        }
        if self.whole {
            self.is_read &= self.content.is_readable();
        }
        if progress == Progress::Over {
            self.close(out);
        }
        progress
    }

    /// Bytes are missing.
    pub(super) fn gap(
        &mut self,
        at: Timestamp,
        position: u64,
        missing: u64,
        out: &mut impl Frames,
    ) -> Progress {
        self.whole = false;
        let over = match &mut self.framing {
            Framing::Length(left) => match left.checked_sub(missing) {
                Some(rest) => {
                    *left = rest;
                    rest == 0
                }
                None => return Progress::Lost,
            },
            Framing::Chunked(chunks) => {
                if !chunks.gap(missing) {
                    return Progress::Lost;
                }
                false
            }
            Framing::Close => false,
        };
        self.last = end_of_gap(at, position, missing);
        self.content.gap(self.last, missing, out);
        if over {
            self.close(out);
            return Progress::Over;
        }
        Progress::Unfinished
    }

    /// The connection ended.
    pub(super) fn cut(&mut self, out: &mut impl Frames) {
        let between_events = self.content.close(out);
        self.whole &= between_events && matches!(self.framing, Framing::Close);
        self.tell_end(out);
    }

    /// The connection ended, and the body with it before its time.
    pub(super) fn break_off(&mut self, out: &mut impl Frames) {
        self.whole = false;
        self.cut(out);
    }

    /// The text that had begun, if any, cannot be followed further.
    pub(super) fn abort_text(&mut self, out: &mut impl Frames) {
        self.content.abort(out);
        self.content = Content::Other;
    }

    /// The end of the body cannot be found.
    pub(super) fn give_up(&mut self, out: &mut impl Frames) {
        self.abort_text(out);
        self.whole = false;
        self.tell_end(out);
    }

    /// The body ended as its framing says.
    pub(super) fn close(&mut self, out: &mut impl Frames) {
        self.content.close(out);
        self.tell_end(out);
    }

    fn tell_end(&self, out: &mut impl Frames) {
        let (whole, is_read) = (self.whole && self.is_read, self.is_read);
        out.frame(Frame::BodyEnd { last_byte: self.last, whole, is_read });
    }
}

impl Content {
    /// What a body with these header fields and codings carries.
    pub(super) fn of(fields: &Fields, codings: Codings, limits: &Limits) -> Self {
        let inner = Self::decoded(fields, limits);
        let decoder = match codings {
            _ if matches!(inner, Self::Other) => return inner,
            Codings::None => return inner,
            Codings::One(coding) => Some(Decoder::new(coding, limits)),
            Codings::Unknown => None,
        };
        let fault = decoder.is_none().then_some("content_encoding");
        Self::Coded(Box::new(Coded { decoder, fault, inner }))
    }

    fn decoded(fields: &Fields, limits: &Limits) -> Self {
        match fields.value(Field::ContentType) {
            Some("text/event-stream") => Self::Events(Box::new(Events::new(limits))),
            None | Some("" | "application/json" | "text/plain" | "application/octet-stream") => {
                Self::Document
            }
            Some(media_type) if media_type.ends_with("+json") => Self::Document,
            Some(_) => Self::Other,
        }
    }

    /// A body whose head was not read.
    pub(super) fn joined(limits: &Limits) -> Self {
        Self::Joined(Box::new(limits.clone()))
    }

    /// Whether what it carries could be read so far.
    fn is_readable(&self) -> bool {
        !matches!(self, Self::Coded(coded) if coded.decoder.is_none())
    }

    /// The text that had begun, if any, cannot be followed further.
    fn abort(&mut self, out: &mut impl Frames) {
        match self {
            Self::Text(_) => out.frame(Frame::Abort),
            Self::Events(events) => drop(events.close(out)),
            Self::Coded(coded) => coded.inner.abort(out),
            Self::Document | Self::Joined(_) | Self::Other => {}
        }
    }

    fn push(&mut self, mut cursor: Cursor<'_>, out: &mut impl Frames) {
        match self {
            Self::Coded(coded) => coded.push(cursor, out),
            Self::Joined(limits) => {
                let Some(first) = cursor.peek() else { return };
                *self = match first {
                    b'{' | b'[' => Self::Document,
                    b'e' | b'd' | b'i' | b'r' | b':' => Self::Events(Box::new(Events::joined(limits))),
                    _ => Self::Other,
                };
                self.push(cursor, out);
            }
            Self::Document => {
                cursor.take_while(is_skipped);
                match cursor.peek() {
                    None => {}
                    Some(b'{' | b'[') => {
                        out.frame(Frame::Begin { first_byte: cursor.mark() });
                        *self = Self::Text(cursor.mark());
                        self.push(cursor, out);
                    }
                    Some(_) => *self = Self::Other,
                }
            }
            Self::Text(last) => {
                let text = cursor.take(usize::MAX);
                if !text.is_empty() {
                    *last = cursor.last();
                    out.frame(Frame::Text(text));
                }
            }
            Self::Events(events) => events.push(cursor, out),
            Self::Other => {}
        }
    }

    fn gap(&mut self, end: Mark, missing: u64, out: &mut impl Frames) {
        match self {
            // What begins after the gap may be the middle of a text.
            Self::Document | Self::Joined(_) => *self = Self::Other,
            Self::Text(last) => {
                *last = end;
                out.frame(Frame::Gap(missing));
            }
            Self::Events(events) => events.gap(end, missing, out),
            Self::Coded(coded) => {
                coded.decoder = None;
                coded.inner.gap(end, missing, out);
            }
            Self::Other => {}
        }
    }

    /// No more will come. Returns whether that leaves nothing unfinished, as far as the content can tell.
    fn close(&mut self, out: &mut impl Frames) -> bool {
        match self {
            Self::Text(last) => {
                out.frame(Frame::End { last_byte: *last, carrier: Carrier::HttpBody });
                true
            }
            Self::Events(events) => events.close(out),
            Self::Coded(coded) => coded.inner.close(out),
            Self::Document | Self::Joined(_) | Self::Other => true,
        }
    }
}

impl Coded {
    fn push(&mut self, coded: Cursor<'_>, out: &mut impl Frames) {
        let Self { decoder, fault, inner } = self;
        if let Some(fault) = fault.take().filter(|_| !coded.is_empty()) {
            out.frame(Frame::Fault(fault));
        }
        let Some(decoding) = decoder else {
            // What comes then belongs to the text all the same: it ends with the body.
            return inner.gap(end_of(&coded), 0, out);
        };
        let result =
            decoding.push(coded.rest(), &mut |bytes| inner.push(Cursor::decoded(&coded, bytes), &mut *out));
        if let Err(fault) = result {
            *decoder = None;
            out.frame(Frame::Fault(fault));
            inner.gap(end_of(&coded), 0, out);
        }
    }
}

fn end_of(coded: &Cursor<'_>) -> Mark {
    Cursor::decoded(coded, &[]).last()
}

/// Blanks and the bytes of the byte order mark.
const fn is_skipped(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | 0xEF | 0xBB | 0xBF)
}
