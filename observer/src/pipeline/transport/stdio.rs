//! Newline framing: one message per line, on pipes and Unix streams.
//!
//! A line whose first byte after blanks is `{` or `[` is a message text; any other line (a banner, a log line) is
//! skipped and counted. Blank lines, a byte order mark and a carriage return before the line feed are tolerated.
//!
//! Two rules for streams that are not seen whole. The first byte of a flow counts as the start of a line. What
//! follows a gap may be the start of a line if the gap began at one: most writers write whole lines, so most losses
//! are whole lines. It may also be the tail of a message, and that too can begin with `{`; but then more follows
//! after the matching `}`, and the skimmer refuses it. As such a line proves itself only by its end, it is forgotten
//! when another gap or the end of the stream comes first. (Not excluded: a log line that ends in a document, of
//! which just the beginning is lost.)

use super::cursor::{Cursor, end_of_gap};
use super::{Carrier, Frame, Frames};
use crate::pipeline::limits::Limits;
use crate::pipeline::reassembly::{Mark, Piece};

/// Finds the lines of one direction.
#[derive(Debug)]
pub struct Lines {
    state: State,
}

/// ```text
///          { or [                line feed: End
/// Start ----------> Text -----------------------> Start
///   |  other byte              line feed
///   |-------------> Junk -----------------------> Start
///   |                |\ Content-Length:
///   |                | `----------> Foreign (for good)
///   |                | gap                 line feed
///   |                 `----------> Unknown ------> Start
///   | gap                 other byte ^
///    `----> AfterGap -----------------
///              |  { or [
///               `----------> Text (unproven)
/// ```
#[derive(Debug)]
enum State {
    Start,
    Text(Text),
    /// So many bytes of the line are those of [`FOREIGN_HEAD`]; `None`: it is no such line, and counted.
    Junk(Option<usize>),
    AfterGap,
    Unknown,
    Foreign,
}

#[derive(Clone, Copy, Debug)]
struct Text {
    /// Last byte of the text so far.
    last: Mark,
    /// The last byte seen was a carriage return that may belong to the line end.
    held_cr: Option<Mark>,
    /// The last byte of the text that is not blank closes an object or array.
    closed: bool,
    /// Has a gap.
    damaged: bool,
    /// Began directly after a gap.
    unproven: bool,
}

impl Lines {
    /// At the start of a line.
    pub const fn new(_limits: &Limits) -> Self {
        Self { state: State::Start }
    }

    /// Takes the next piece of the flow.
    pub fn push(&mut self, piece: Piece<'_>, out: &mut impl Frames) {
        match piece {
            Piece::Data { at, position, data } => {
                self.read(&mut Cursor::new(at, position, data), out);
            }
            Piece::Gap { at, position, missing } => self.gap(end_of_gap(at, position, missing), missing, out),
            Piece::End { .. } => self.end(out),
        }
    }

    /// Reads bytes that are there.
    pub(super) fn read(&mut self, cursor: &mut Cursor<'_>, out: &mut impl Frames) {
        while !cursor.is_empty() {
            self.step(cursor, out);
        }
    }

    fn step(&mut self, cursor: &mut Cursor<'_>, out: &mut impl Frames) {
        match &mut self.state {
            State::Start => self.begin_line(cursor, false, out),
            State::AfterGap => self.begin_line(cursor, true, out),
            State::Text(text) => {
                if text.push(cursor, out) {
                    self.state = State::Start;
                }
            }
            State::Junk(Some(matched)) => {
                let matched = *matched;
                self.foreign_head(cursor, matched, out);
            }
            State::Junk(None) | State::Unknown => {
                cursor.take_line();
                if cursor.next().is_some() {
                    self.state = State::Start;
                }
            }
            State::Foreign => {
                cursor.take(usize::MAX);
            }
        }
    }

    fn begin_line(&mut self, cursor: &mut Cursor<'_>, after_gap: bool, out: &mut impl Frames) {
        // A line feed ends an empty line, so it may be skipped like the blanks; after a gap it is what is waited for.
        let blanks = cursor.take_while(is_skipped);
        let after_gap = after_gap && !blanks.contains(&b'\n');
        let first_byte = cursor.mark();
        self.state = match cursor.peek() {
            None if after_gap => State::AfterGap,
            None => State::Start,
            Some(b'{' | b'[') => {
                out.frame(Frame::Begin { first_byte });
                State::Text(Text {
                    last: first_byte,
                    held_cr: None,
                    closed: false,
                    damaged: false,
                    unproven: after_gap,
                })
            }
            Some(_) if after_gap => State::Unknown,
            Some(_) => State::Junk(Some(0)),
        };
    }

    /// Tells `Content-Length: 52`, which opens every message of the Language Server and Debug Adapter Protocols,
    /// from lines that are nothing.
    fn foreign_head(&mut self, cursor: &mut Cursor<'_>, mut matched: usize, out: &mut impl Frames) {
        while let Some(expected) = FOREIGN_HEAD.get(matched) {
            match cursor.peek() {
                None => return self.state = State::Junk(Some(matched)),
                Some(byte) if byte.eq_ignore_ascii_case(expected) => {
                    cursor.next();
                    matched += 1;
                }
                Some(_) => {
                    out.frame(Frame::Fault("junk_line"));
                    return self.state = State::Junk(None);
                }
            }
        }
        out.frame(Frame::Fault("lsp_framing"));
        self.state = State::Foreign;
    }

    fn gap(&mut self, end: Mark, missing: u64, out: &mut impl Frames) {
        match &mut self.state {
            State::Text(text) if text.unproven => {
                out.frame(Frame::Abort);
                self.state = State::Unknown;
            }
            State::Text(text) => text.gap(end, missing, out),
            State::Junk(matched) => {
                if matched.is_some() {
                    out.frame(Frame::Fault("junk_line"));
                }
                self.state = State::Unknown;
            }
            State::Start => self.state = State::AfterGap,
            State::AfterGap | State::Unknown | State::Foreign => {}
        }
    }

    fn end(&mut self, out: &mut impl Frames) {
        match std::mem::replace(&mut self.state, State::Start) {
            State::Text(text) if text.unproven => out.frame(Frame::Abort),
            State::Text(text) => out.frame(Frame::End { last_byte: text.last, carrier: Carrier::StdioLine }),
            State::Junk(Some(_)) => out.frame(Frame::Fault("junk_line")),
            _ => {}
        }
    }
}

impl Text {
    /// Passes bytes on up to the line end. Returns whether that was reached.
    fn push(&mut self, cursor: &mut Cursor<'_>, out: &mut impl Frames) -> bool {
        if cursor.peek() != Some(b'\n') {
            self.release_cr(out);
        }
        let line = cursor.take_line();
        let content = line.strip_suffix(b"\r").unwrap_or(line);
        if !content.is_empty() {
            let after = (line.len() - content.len()) as u64;
            let last = cursor.last();
            self.last = Mark { position: last.position.saturating_sub(after), ..last };
            if let Some(byte) = content.iter().rev().find(|byte| !byte.is_ascii_whitespace()) {
                self.closed = matches!(byte, b'}' | b']');
            }
            out.frame(Frame::Text(content));
        }
        if line.len() > content.len() {
            self.held_cr = Some(cursor.last());
        }
        let ended = cursor.next().is_some();
        if ended {
            self.finish(out);
        }
        ended
    }

    /// A line that does not end in a bracket is no document: a log line such as `[info] ready`, or a message of a
    /// framing without line ends, joined late.
    fn finish(&self, out: &mut impl Frames) {
        if self.closed || self.damaged {
            out.frame(Frame::End { last_byte: self.last, carrier: Carrier::StdioLine });
        } else {
            out.frame(Frame::Abort);
            out.frame(Frame::Fault("junk_line"));
        }
    }

    fn gap(&mut self, end: Mark, missing: u64, out: &mut impl Frames) {
        self.release_cr(out);
        out.frame(Frame::Gap(missing));
        self.last = end;
        self.damaged = true;
    }

    /// The carriage return that was held back belongs to the text.
    fn release_cr(&mut self, out: &mut impl Frames) {
        if let Some(held) = self.held_cr.take() {
            self.last = held;
            out.frame(Frame::Text(b"\r"));
        }
    }
}

/// Blanks, line ends and the bytes of the byte order mark, none of which begins a line's content.
const fn is_skipped(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | 0xEF | 0xBB | 0xBF)
}

const FOREIGN_HEAD: &[u8] = b"content-length:";

#[cfg(test)]
mod tests {
    use super::Lines;
    use crate::pipeline::limits::Limits;
    use crate::pipeline::transport::tests::{
        assert_any_bytes_are_survived, assert_cuts_do_not_matter, assert_losses_are_holes, read, read_cut,
        read_lossy, read_with_holes,
    };

    fn lines() -> Lines {
        Lines::new(&Limits::default())
    }

    fn log(text: &str) -> Vec<String> {
        read(lines, text.as_bytes()).log
    }

    /// Real lines of SDKs, with what else is found on pipes.
    const SESSION: &str = concat!(
        "listening on stdio {\"port\":1}\n",
        r#"{"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"roots":{"listChanged":true},"#,
        r#""sampling":{}},"clientInfo":{"name":"c1","version":"0.1"}},"jsonrpc":"2.0","id":0}"#,
        "\n\n",
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"progressToken":0}}}"#,
        "\r\n \n[info] ready\n",
        r#"{"result":{"content":[{"type":"text","text":"{\"id\":9}\n"}]},"jsonrpc":"2.0","id":2}"#,
        "\n",
        r#"[{"jsonrpc":"2.0","id":3,"method":"ping"},{"jsonrpc":"2.0","method":"notifications/initialized"}]"#,
        "\n",
        r#"{"jsonrpc":"2.0","id":"server-discover-probe-1","error":{"code":-32601,"message":"Method not found"}}"#,
        "\n",
    );

    #[test]
    fn each_line_is_a_text() {
        assert_eq!(
            log("{\"id\":1}\n \t[2]\r\n"),
            ["begin 0", r#"text {\"id\":1}"#, "end 7 StdioLine", "begin 11", "text [2]", "end 13 StdioLine"]
        );
    }

    #[test]
    fn the_last_byte_is_not_the_line_end_that_comes_later() {
        // The recorder checks that the end has the time of the first piece.
        assert_eq!(read_cut(lines, b"{}\n", &[2]).log, ["begin 0", "text {}", "end 1 StdioLine"]);
        assert_eq!(read_cut(lines, b"{}\r\n", &[2, 3]).log, ["begin 0", "text {}", "end 1 StdioLine"]);
    }

    #[test]
    fn other_lines_are_counted() {
        assert_eq!(
            log("hello {}\n\n \n{}\n"),
            ["fault junk_line", "begin 12", "text {}", "end 13 StdioLine"]
        );
        assert_eq!(
            log("[info] ready\n"),
            ["begin 0", "text [info] ready", "abort", "fault junk_line"],
            "a line that begins like a message and ends otherwise"
        );
        assert_eq!(log("cont"), ["fault junk_line"]);
    }

    #[test]
    fn a_byte_order_mark_is_left_out() {
        assert_eq!(log("\u{FEFF}{}\n"), ["begin 3", "text {}", "end 4 StdioLine"]);
    }

    #[test]
    fn a_stream_that_ends_in_a_line_ends_its_text() {
        assert_eq!(log("{}"), ["begin 0", "text {}", "end 1 StdioLine"]);
        assert!(read(lines, b"{\"id\":1").whole_messages().is_empty());
        assert_eq!(read(lines, br#"{"id":1,"method":"ping"}"#).whole_messages().len(), 1);
    }

    #[test]
    fn framing_by_length_is_another_protocol() {
        let message = r#"{"jsonrpc":"2.0","id":1,"method":"initialize"}"#;
        let stream =
            format!("content-LENGTH: 46\r\n\r\n{message}Content-Length: 46\r\n\r\n{message}\n{message}\n");
        assert_eq!(log(&stream), ["fault lsp_framing"]);
        assert_cuts_do_not_matter(lines, stream.as_bytes());
        let joined = format!("{message}Content-Length: 46\r\n\r\n{message}Content-Length: 46\r\n\r\n");
        assert!(read(lines, joined.as_bytes()).skimmed.is_empty(), "joined inside a message");
    }

    #[test]
    fn a_gap_in_a_text_is_part_of_it() {
        let stream = b"{\"id\":1,\"x\":\"abcdef\"}\n{}\n";
        assert_eq!(
            read_lossy(lines, stream, 13..17).log,
            [
                "begin 0",
                r#"text {\"id\":1,\"x\":\""#,
                "gap 4",
                r#"text ef\"}"#,
                "end 20 StdioLine",
                "begin 22",
                "text {}",
                "end 23 StdioLine"
            ]
        );
    }

    #[test]
    fn behind_a_gap_only_a_document_counts() {
        let stream = b"{\"a\":1}\n{\"a\":{\"id\":2,\"method\":\"ping\"}}\n{\"b\":1}\n";
        let read = |lost| read_lossy(lines, stream, lost);
        let texts = |lost| read(lost).whole_messages().len();
        assert_eq!(texts(0..8), 2, "it begins at a line");
        assert_eq!(texts(8..13), 2, "the tail begins with a bracket and is refused");
        assert_eq!(texts(8..20), 2, "it begins inside a line");
        let log = read(8..13).log;
        assert!(log.contains(&"begin 13".to_owned()), "{log:?}");
        let tail = read_lossy(lines, &stream[..30], 8..13);
        assert_eq!(tail.log.last().unwrap(), "abort", "not proven before the end");
        assert_eq!(tail.whole_messages().len(), 1);
        let twice = read_with_holes(lines, stream, &[8..13, 20..21]);
        assert!(twice.log.contains(&"abort".to_owned()), "not proven before the next gap: {:#?}", twice.log);
    }

    #[test]
    fn cuts_do_not_matter() {
        assert_cuts_do_not_matter(lines, SESSION.as_bytes());
        assert_cuts_do_not_matter(lines, "\u{FEFF}{}\r\r\n{\r}\rx\r\n\r\nContent-Lengtx\n{".as_bytes());
    }

    #[test]
    fn losses_are_holes() {
        assert_eq!(read(lines, SESSION.as_bytes()).whole_messages().len(), 6);
        assert_losses_are_holes(lines, SESSION.as_bytes());
    }

    #[test]
    fn any_bytes_are_survived() {
        assert_any_bytes_are_survived(lines, SESSION.as_bytes());
        assert_any_bytes_are_survived(lines, b"\xEF\xBB\xBF{}\r\n content-length: 5\r\n{} \r\n");
    }
}
