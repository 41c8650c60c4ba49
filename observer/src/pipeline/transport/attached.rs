//! Standard input and output of a container behind the API of its runtime (`docker run -i`, `exec`, `attach`): the
//! connection leaves HTTP, and its bytes are lines.
//!
//! The client's bytes are the input, as they are. The server's come in frames: one byte for which output, three of
//! zero, four for how long, and so many of that output. With a terminal there are no frames. Of the two outputs the
//! first is read. JSON has no byte of zero, so after lost bytes the next frame is found by its three.

use super::cursor::Cursor;
use super::stdio::Lines;
use super::{Frame, Frames};
use crate::pipeline::limits::Limits;
use crate::pipeline::reassembly::{Mark, Piece};

/// The direction from the server to the client.
#[derive(Debug)]
pub struct Output {
    state: State,
    /// The last eight bytes of heads, or of what is searched.
    window: u64,
    lines: Lines,
}

/// ```text
///        8 bytes           none left
/// Head ----------> Frame ------------> Head
///  | gap, no head    | gap beyond it
///  `---> Search <----'
///           `----> Frame (8 bytes that are a head)
/// ```
/// A flow whose first bytes are no head has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// So many bytes of the head are there; at the start of the flow there may be none to come.
    Head {
        read: u32,
        first: bool,
    },
    Frame {
        left: u64,
        shown: bool,
    },
    Search,
    Plain,
}

impl Output {
    /// From its first byte on.
    pub fn new(limits: &Limits) -> Self {
        Self { state: State::Head { read: 0, first: true }, window: 0, lines: Lines::new(limits) }
    }

    /// Takes the next piece of the flow.
    pub fn push(&mut self, piece: Piece<'_>, out: &mut impl Frames) {
        match piece {
            Piece::Data { at, position, data } => self.read(&mut Cursor::new(at, position, data), out),
            Piece::Gap { missing, .. } => {
                match self.state {
                    State::Frame { left, shown: false } if missing <= left => return self.take(missing),
                    State::Frame { left, .. } if missing <= left => self.take(missing),
                    State::Plain => {}
                    State::Head { .. } | State::Frame { .. } | State::Search => self.lose(out),
                }
                self.lines.push(piece, out);
            }
            Piece::End { .. } => self.lines.push(piece, out),
        }
    }

    /// Reads bytes that are there.
    pub(super) fn read(&mut self, cursor: &mut Cursor<'_>, out: &mut impl Frames) {
        while !cursor.is_empty() {
            match self.state {
                State::Head { read, first } => self.head(cursor, read + 1, first, out),
                State::Frame { left, shown } => {
                    let part = cursor.split(left);
                    if shown {
                        self.pass(part, out);
                    }
                    self.take(part.rest().len() as u64);
                }
                State::Search => {
                    self.shift(cursor.split(1));
                    if let Some(frame) = head(self.window) {
                        self.begin(frame);
                    }
                }
                State::Plain => self.pass(cursor.split(u64::MAX), out),
            }
        }
    }

    /// The next byte of a head, the `read`th.
    fn head(&mut self, cursor: &mut Cursor<'_>, read: u32, first: bool, out: &mut impl Frames) {
        let byte = cursor.split(1);
        self.shift(byte);
        if !may_be_head(self.window << (64 - 8 * read), read) {
            if first && read == 1 {
                self.state = State::Plain;
                return self.pass(byte, out);
            }
            self.lose(out);
            // What is skipped from here on may be of a line.
            let Mark { at, position } = byte.mark();
            return self.lines.push(Piece::Gap { at, position, missing: 1 }, out);
        }
        self.state = State::Head { read, first };
        if let Some(frame) = head(self.window).filter(|_| u64::from(read) == HEAD) {
            self.begin(frame);
        }
    }

    /// It is not known what the next byte is.
    fn lose(&mut self, out: &mut impl Frames) {
        if !matches!(self.state, State::Search) {
            out.frame(Frame::Fault("attached_resync"));
            self.state = State::Search;
        }
        self.window = 0;
    }

    fn begin(&mut self, (shown, left): (bool, u64)) {
        self.state = State::Frame { left, shown };
        self.window = 0;
        self.take(0); // it may have none
    }

    /// So many bytes of the frame are over.
    fn take(&mut self, count: u64) {
        if let State::Frame { left, .. } = &mut self.state {
            *left = left.saturating_sub(count);
            if *left == 0 {
                self.state = State::Head { read: 0, first: false };
            }
        }
    }

    fn shift(&mut self, byte: Cursor<'_>) {
        self.window = self.window << 8 | u64::from(byte.peek().unwrap_or_default());
    }

    fn pass(&mut self, part: Cursor<'_>, out: &mut impl Frames) {
        let mark = part.mark();
        self.lines.push(Piece::Data { at: mark.at, position: mark.position, data: part.rest() }, out);
    }
}

/// Whether frames begin here, the first of them with a message; `None`: too few bytes to tell.
pub fn begins_with_frame(bytes: &[u8]) -> Option<bool> {
    let known = bytes.iter().take(8);
    let (window, read) =
        known.fold((0, 0), |(window, read), byte| (window << 8 | u64::from(*byte), read + 1));
    if read == 0 {
        return None;
    }
    if !may_be_head(window << (64 - 8 * read), read) {
        return Some(false);
    }
    Some(matches!(bytes.get(8)?, b'{' | b'['))
}

/// Whether the first `read` bytes of `window`, from its top, may begin a head.
const fn may_be_head(window: u64, read: u32) -> bool {
    let head = window.to_be_bytes();
    let begins = matches!(head[0], FIRST | SECOND) && head[1] == 0 && head[2] == 0 && head[3] == 0;
    begins && (read < 8 || window & 0xFFFF_FFFF <= LONGEST)
}

/// What a head says: whether its frame is of the first output, and how long it is.
const fn head(window: u64) -> Option<(bool, u64)> {
    if may_be_head(window, 8) { Some((window >> 56 == FIRST as u64, window & 0xFFFF_FFFF)) } else { None }
}

/// Standard output and standard error.
const FIRST: u8 = 1;
const SECOND: u8 = 2;
const HEAD: u64 = 8;
/// Runtimes send at once what they have read at once: 32 KiB.
const LONGEST: u64 = 1 << 24;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::transport::tests::{
        assert_any_bytes_are_survived, assert_cuts_do_not_matter, assert_losses_are_holes, read, read_lossy,
    };

    fn output() -> Output {
        Output::new(&Limits::default())
    }

    fn frame(which: u8, text: &[u8]) -> Vec<u8> {
        let length = u32::try_from(text.len()).unwrap().to_be_bytes();
        [&[which, 0, 0, 0], &length[..], text].concat()
    }

    /// Two messages, of which the first is in two frames with one of the other output between them.
    fn session() -> Vec<u8> {
        [
            frame(SECOND, b"server started\n"),
            frame(FIRST, br#"{"jsonrpc":"2.0","id":1,"#),
            frame(SECOND, b"{\"level\":\"info\"}\n"),
            frame(FIRST, b""),
            frame(FIRST, b"\"result\":{}}\n"),
            frame(FIRST, b"{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{}}\n"),
        ]
        .concat()
    }

    #[test]
    fn lines_of_the_first_output_are_texts() {
        let log =
            read(output, &[frame(FIRST, b"{}\n[1"), frame(SECOND, b"{}\n"), frame(FIRST, b"]\n")].concat())
                .log;
        assert_eq!(
            log,
            ["begin 8", "text {}", "end 9 StdioLine", "begin 11", "text [1]", "end 32 StdioLine"]
        );
        assert_eq!(read(output, &session()).whole_messages().len(), 2);
    }

    #[test]
    fn without_frames_all_is_output() {
        assert_eq!(read(output, b"{}\n").log, ["begin 0", "text {}", "end 1 StdioLine"]);
    }

    #[test]
    fn after_a_loss_the_next_frame_is_found() {
        let bytes = [frame(FIRST, b"{}\n"), frame(FIRST, b"{\"id\":1}\n"), frame(FIRST, b"{}\n")].concat();
        let texts = |lost| read_lossy(output, &bytes, lost).whole_messages().len();
        assert_eq!(read(output, &bytes).whole_messages().len(), 3);
        assert_eq!(texts(0..4), 2, "a part of a head");
        assert_eq!(texts(5..25), 1, "a head, and more");
        assert_eq!(texts(20..22), 2, "inside a frame: the line that is hit");
        let log = read_lossy(output, &bytes, 0..4).log;
        assert!(log.contains(&"fault attached_resync".to_owned()), "{log:?}");
    }

    #[test]
    fn what_is_lost_of_the_other_output_is_no_hole() {
        let bytes = session();
        assert_eq!(read_lossy(output, &bytes, 12..14).whole_messages().len(), 2);
    }

    #[test]
    fn frames_are_known_by_their_first_bytes() {
        assert_eq!(begins_with_frame(&frame(FIRST, b"{}")), Some(true));
        assert_eq!(begins_with_frame(&frame(FIRST, b"x")), Some(false));
        assert_eq!(begins_with_frame(&frame(FIRST, b"{}")[..8]), None);
        assert_eq!(begins_with_frame(&[1, 0, 1]), Some(false));
        assert_eq!(begins_with_frame(b"{}"), Some(false));
    }

    #[test]
    fn cuts_do_not_matter() {
        assert_cuts_do_not_matter(output, &session());
        assert_cuts_do_not_matter(output, b"{}\n\x01\0\0\0\n{}");
        assert_cuts_do_not_matter(output, b"\x01\0\0x{}\n\x01\0\0\0\0\0\0\x03{}\n");
    }

    #[test]
    fn losses_are_holes() {
        assert_losses_are_holes(output, &session());
    }

    #[test]
    fn any_bytes_are_survived() {
        assert_any_bytes_are_survived(output, &session());
    }
}
