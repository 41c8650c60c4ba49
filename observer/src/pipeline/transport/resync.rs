//! Where the head of an HTTP/1 message begins and ends, in bytes that may be anything.
//!
//! Behind a complete message the next head is expected right away and judged leniently. After lost bytes, or on a
//! connection joined in the middle, a head is searched for and judged strictly: text in a JSON body can speak of
//! HTTP, but it cannot hold a raw line end.

use super::cursor::Cursor;
use super::websocket;
use crate::pipeline::reassembly::Mark;
use crate::pipeline::time::Timestamp;

/// Which messages a direction carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// Of a client.
    Requests,
    /// Of a server.
    Responses,
}

/// What bytes may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Head {
    /// A complete head of this length.
    Complete(usize),
    /// The beginning of a head.
    Incomplete,
    /// The preface of HTTP/2.
    Http2,
    /// A message of WebSocket: the head that agreed to it was missed.
    WebSocket,
    /// No head.
    No,
}

/// Where reading can go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// At a head.
    Head(usize),
    /// At the data of a chunk that begins with a field of an event stream.
    Chunk {
        /// Where the data begins.
        data: usize,
        /// How long it is.
        size: u64,
    },
    /// Nowhere yet; bytes before this one are of no further use.
    Nothing(usize),
}

/// Judges the bytes at the place where a head is expected: `strict` after a search. In the first `searched` of them
/// there is no end of a head.
pub(super) fn head(side: Side, bytes: &[u8], strict: bool, searched: usize) -> Head {
    match start_line(side, bytes, strict) {
        Ok(()) => end_of_head(bytes, searched).map_or(Head::Incomplete, Head::Complete),
        Err(Stop::More) => Head::Incomplete,
        Err(Stop::Mismatch) if side == Side::Requests && bytes.starts_with(HTTP2_PREFACE) => Head::Http2,
        Err(Stop::Mismatch) if side == Side::Requests && HTTP2_PREFACE.starts_with(bytes) => Head::Incomplete,
        Err(Stop::Mismatch) => match websocket::begins_with_text(bytes) {
            Some(true) => Head::WebSocket,
            Some(false) => Head::No,
            None => Head::Incomplete,
        },
    }
}

/// Searches for a place to go on. `aligned`: the first byte directly follows a gap or the start of the flow, so a
/// chunk may begin there.
pub(super) fn find(side: Side, bytes: &[u8], aligned: bool) -> Found {
    for (start, &byte) in bytes.iter().enumerate() {
        let Some(rest) = bytes.get(start..) else { break };
        if starts_start_line(side, byte) {
            match start_line(side, rest, true) {
                Ok(()) => return Found::Head(start),
                Err(Stop::More) => return Found::Nothing(start),
                Err(Stop::Mismatch) => {}
            }
        }
        if side == Side::Requests || !(byte == b'\n' || aligned && start == 0) {
            continue;
        }
        let skipped = usize::from(byte == b'\n');
        match rest.get(skipped..).map_or(Err(Stop::More), event_chunk) {
            Ok((data, size)) => return Found::Chunk { data: start + skipped + data, size },
            Err(Stop::More) => return Found::Nothing(start),
            Err(Stop::Mismatch) => {}
        }
    }
    Found::Nothing(bytes.len())
}

/// Bytes kept until it is known what they are, with the time of each.
#[derive(Debug, Default)]
pub(super) struct Window {
    bytes: Vec<u8>,
    position: u64,
    /// From which position on bytes were seen at which time.
    seen: Vec<(u64, Timestamp)>,
}

impl Window {
    /// Adds `bytes`, whose first one is at `mark`.
    pub(super) fn add(&mut self, mark: Mark, bytes: &[u8]) {
        if self.bytes.is_empty() {
            self.position = mark.position;
            self.seen.clear();
        }
        if self.seen.last().is_none_or(|&(_, at)| at != mark.at) {
            self.seen.push((mark.position, mark.at));
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Forgets the first `count` bytes.
    pub(super) fn drop_front(&mut self, count: usize) {
        let count = count.min(self.bytes.len());
        self.bytes.drain(..count);
        self.position = self.position.saturating_add(count as u64);
        let current = self.seen.iter().rposition(|&(from, _)| from <= self.position).unwrap_or(0);
        self.seen.drain(..current);
    }

    /// Forgets all but the first `len` bytes.
    pub(super) fn truncate(&mut self, len: usize) {
        self.bytes.truncate(len);
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.drop_front(usize::MAX);
    }

    /// The bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes, at most so many.
    pub(super) fn start(&self, most: usize) -> &[u8] {
        self.bytes.get(..most).unwrap_or(&self.bytes)
    }

    /// Place of the byte at `offset`.
    pub(super) fn mark(&self, offset: usize) -> Mark {
        let position = self.position.saturating_add(offset as u64);
        let at = self.seen.iter().rfind(|&&(from, _)| from <= position).map(|&(_, at)| at);
        Mark { at: at.unwrap_or_default(), position }
    }

    /// The `count` bytes from `offset` on, to be read again one by one with the time of each.
    pub(super) fn replay(&self, offset: usize, count: usize) -> impl Iterator<Item = Cursor<'_>> {
        self.bytes.iter().enumerate().skip(offset).take(count).map(|(offset, byte)| {
            let mark = self.mark(offset);
            Cursor::new(mark.at, mark.position, std::slice::from_ref(byte))
        })
    }
}

/// Why a pattern does not match.
#[derive(Clone, Copy)]
pub(super) enum Stop {
    /// The bytes end too early to tell.
    More,
    Mismatch,
}

/// Compares bytes with a pattern, part by part.
struct Scan<'a>(&'a [u8]);

impl<'a> Scan<'a> {
    fn literal(&mut self, literal: &[u8]) -> Result<(), Stop> {
        if let Some(rest) = self.0.strip_prefix(literal) {
            self.0 = rest;
            return Ok(());
        }
        Err(if literal.starts_with(self.0) { Stop::More } else { Stop::Mismatch })
    }

    /// Between `least` and `most` bytes that fit, and the byte behind them, which does not.
    fn run(&mut self, least: usize, most: usize, fits: impl Fn(u8) -> bool) -> Result<&'a [u8], Stop> {
        let count = self.0.iter().position(|&byte| !fits(byte));
        let (run, rest) = self.0.split_at_checked(count.unwrap_or(self.0.len())).ok_or(Stop::More)?;
        if run.len() > most || count.is_some() && run.len() < least {
            return Err(Stop::Mismatch);
        }
        count.ok_or(Stop::More)?;
        self.0 = rest;
        Ok(run)
    }

    fn line_end(&mut self) -> Result<(), Stop> {
        if self.0.starts_with(b"\n") { self.literal(b"\n") } else { self.literal(b"\r\n") }
    }

    fn version(&mut self) -> Result<(), Stop> {
        self.literal(b"HTTP/1.")?;
        self.run(1, 1, |byte| byte.is_ascii_digit()).map(|_| ())
    }
}

/// Whether the first line is that of a head.
fn start_line(side: Side, bytes: &[u8], strict: bool) -> Result<(), Stop> {
    let mut scan = Scan(bytes);
    match side {
        Side::Requests => {
            let method =
                scan.run(1, LONGEST_METHOD, |byte| byte.is_ascii_uppercase() || b"-_".contains(&byte));
            if strict && method.is_ok_and(|method| !METHODS.contains(&method)) {
                return Err(Stop::Mismatch);
            }
            method?;
            scan.literal(b" ")?;
            scan.run(1, LONGEST_TARGET, |byte| byte > b' ' && byte != 0x7F && !(strict && byte == b'"'))?;
            scan.literal(b" ")?;
            scan.version()?;
        }
        Side::Responses => {
            scan.version()?;
            scan.literal(b" ")?;
            scan.run(3, 3, |byte| byte.is_ascii_digit())?;
            let longest = if strict { 64 } else { 1024 };
            scan.run(0, longest, |byte| {
                byte.is_ascii_alphanumeric() || b" -'.,()/:".contains(&byte) || !strict && byte >= b' '
            })?;
        }
    }
    scan.line_end()
}

/// The length of the head: up to its blank line.
fn end_of_head(bytes: &[u8], searched: usize) -> Option<usize> {
    let from = searched.saturating_sub(b"\n\r\n".len());
    memchr::memchr_iter(b'\n', bytes.get(from..)?).find_map(|at| match bytes.get(from + at + 1..)? {
        [b'\n', ..] => Some(from + at + 2),
        [b'\r', b'\n', ..] => Some(from + at + 3),
        _ => None,
    })
}

/// A chunk size, its line end and the name of a field of an event stream: where that begins, and the size.
pub(super) fn event_chunk(bytes: &[u8]) -> Result<(usize, u64), Stop> {
    let mut scan = Scan(bytes);
    let digits = scan.run(1, 8, |byte| byte.is_ascii_hexdigit())?;
    scan.literal(b"\r\n")?;
    let size = std::str::from_utf8(digits).ok().and_then(|digits| u64::from_str_radix(digits, 16).ok());
    let size = size.ok_or(Stop::Mismatch)?;
    let mut stop = Stop::Mismatch;
    for name in EVENT_FIELDS {
        match Scan(scan.0).literal(name) {
            Ok(()) if size >= name.len() as u64 => return Ok((bytes.len() - scan.0.len(), size)),
            Ok(()) => return Err(Stop::Mismatch),
            Err(Stop::More) => stop = Stop::More,
            Err(Stop::Mismatch) => {}
        }
    }
    Err(stop)
}

const fn starts_start_line(side: Side, byte: u8) -> bool {
    match side {
        Side::Requests => byte.is_ascii_uppercase(),
        Side::Responses => byte == b'H',
    }
}

/// The methods that MCP and its neighbours use.
const METHODS: &[&[u8]] = &[b"GET", b"POST", b"DELETE", b"OPTIONS", b"HEAD", b"PUT", b"PATCH"];
const LONGEST_METHOD: usize = 24;
/// Servers refuse targets of more than 8 to 16 KiB.
const LONGEST_TARGET: usize = 16 << 10;
const EVENT_FIELDS: &[&[u8]] = &[b"event:", b"data:", b"id:", b"retry:", b":"];
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0";
