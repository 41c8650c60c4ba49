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
    /// The data has a hole, and the end of the event may be in it.
    torn: bool,
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
            torn: false,
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
            self.torn = true;
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
        if self.torn {
            // Few write data in several lines: the blank line that was in front of this one is missing.
            self.dispatch(out);
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
        (self.lost, self.torn) = (false, false);
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

#[cfg(test)]
mod tests {
    use crate::pipeline::limits::Limits;
    use crate::pipeline::transport::http1::Responses;
    use crate::pipeline::transport::tests::{assert_cuts_do_not_matter, read, read_lossy};

    const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";

    fn responses() -> Responses {
        Responses::new(&Limits::default())
    }

    /// The events of a body as `kind id text`, after the first law was tried on it.
    fn events(body: &str) -> Vec<String> {
        let stream = format!("{HEAD}{body}");
        assert_cuts_do_not_matter(responses, stream.as_bytes());
        events_in(&read(responses, stream.as_bytes()).log)
    }

    fn events_in(log: &[String]) -> Vec<String> {
        let mut text = String::new();
        let mut events = Vec::new();
        for line in log {
            if let Some(part) = line.strip_prefix("text ") {
                text.push_str(part);
            } else if line.starts_with("gap") {
                text.push('?');
            } else if let Some(end) = line.strip_prefix("end ") {
                let carrier = end.split_once(' ').unwrap().1;
                let carrier = carrier.strip_prefix("SseEvent { event: ").unwrap().strip_suffix(" }").unwrap();
                events.push(format!("{} {text}", carrier.replace(", id:", "")));
                text.clear();
            } else if line == "abort" {
                events.push(format!("abort {text}"));
                text.clear();
            }
        }
        events
    }

    #[test]
    fn every_line_end_and_order_of_fields() {
        let expected = ["Message None {}", "Other Some(\"4\") {}"];
        for end in ["\n", "\r", "\r\n"] {
            let body =
                ["event: message", "data: {}", "", "id:4", "data:{}", "retry: 10", "event:ping", "", ""];
            assert_eq!(events(&body.join(end)), expected, "{end:?}");
        }
    }

    #[test]
    fn the_endpoint_of_the_old_transport() {
        let body = "\u{FEFF}event: endpoint\ndata: /message?sessionId=f1d9\n\n";
        assert_eq!(events(body), ["Endpoint None /message?sessionId=f1d9"]);
    }

    #[test]
    fn several_data_lines_are_joined() {
        assert_eq!(events("data: [1,\ndata:2]\ndata\nx: y\n\n"), [r"Message None [1,\n2]\n"]);
    }

    #[test]
    fn what_has_no_data_is_no_text() {
        assert_eq!(
            events("id: 1\ndata: \n\n: ping - 2026\n\nretry: 3000\n\ndata\n\nevent: x\n\n"),
            [] as [&str; 0]
        );
        assert_eq!(
            events("event: x\n\ndata: {}\n\n"),
            ["Message None {}"],
            "fields of another event do not count"
        );
        assert_eq!(events("dat: 1\ndatas: 1\n data: 1\ndata: {}\n\n"), ["Message None {}"]);
    }

    #[test]
    fn an_event_without_its_blank_line_does_not_count() {
        assert_eq!(events("data: {}\n\ndata: {}\n"), ["Message None {}", "abort {}"]);
    }

    #[test]
    fn positions_are_those_of_the_data() {
        let log = read(responses, format!("{HEAD}data: {{}}  \r\n\r\n").as_bytes()).log;
        let begin = HEAD.len() + 6;
        assert_eq!(log[1], format!("begin {begin}"));
        assert!(log[3].starts_with(&format!("end {} ", begin + 3)), "{}", log[3]);
    }

    #[test]
    fn a_gap_spoils_one_event() {
        let stream = format!("{HEAD}data: {{1}}\n\nid: 2\ndata: {{2}}\n\ndata: {{3}}\n\n");
        let read = |lost: &str, len| {
            let start = stream.find(lost).unwrap();
            events_in(&read_lossy(responses, stream.as_bytes(), start..start + len).log)
        };
        let (one, three) = ("Message None {1}", "Message None {3}");
        assert_eq!(read("2}", 1), [one, "Message Some(\"2\") {?}", three]);
        assert_eq!(read("id: 2", 3), [one, three]);
        assert_eq!(read("data: {2", 7), [one, three]);
        let endings = format!("{HEAD}data: {{1}}\r: x\n\ndata: {{2}}\n\n");
        let start = endings.find(": x").unwrap();
        assert_eq!(
            events_in(&read_lossy(responses, endings.as_bytes(), start..start + 3).log),
            ["Message None {1}?", "Message None {2}"],
            "the line feed behind the hole is not that of the carriage return before it"
        );
        assert_eq!(
            read("1}", 12),
            ["Message None {?ta: {2}", three],
            "the hole hides the border of two events"
        );
        assert_eq!(
            read("}\n\nid", 2),
            ["Message None {1?", "Message Some(\"2\") {2}", three],
            "what is behind the hole is the blank line of the event, or the end of its data"
        );
    }
}
