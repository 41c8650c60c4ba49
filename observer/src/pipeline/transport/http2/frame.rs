//! The frames of HTTP/2: their headers, and what bytes may be one.

use crate::pipeline::reassembly::Mark;

/// The header of a frame (RFC 9113, §4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) len: u32,
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
}

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
pub(super) const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
pub(super) const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;

pub(super) const END_STREAM: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;
pub(super) const PADDED: u8 = 8;
pub(super) const HAS_PRIORITY: u8 = 0x20;

impl Header {
    const fn read(bytes: [u8; LENGTH]) -> Self {
        let [a, b, c, kind, flags, d, e, f, g] = bytes;
        Self {
            len: u32::from_be_bytes([0, a, b, c]),
            kind,
            flags,
            stream: u32::from_be_bytes([d, e, f, g]) & 0x7FFF_FFFF,
        }
    }

    pub(super) const fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Whether it can be one, where one is expected: what would end the connection at its peer cannot.
    const fn is_possible(self) -> bool {
        let of_stream = self.stream != 0;
        match self.kind {
            DATA | HEADERS | CONTINUATION => of_stream,
            PUSH_PROMISE => of_stream && self.len >= 4,
            PRIORITY => of_stream && self.len == 5,
            RST_STREAM => of_stream && self.len == 4,
            SETTINGS => !of_stream && self.len.is_multiple_of(6) && (!self.has(1) || self.len == 0),
            PING => !of_stream && self.len == 8,
            GOAWAY => !of_stream && self.len >= 8,
            WINDOW_UPDATE => self.len == 4,
            _ => self.kind < MOST_KINDS,
        }
    }

    /// Whether it is one, after a search: of a kind that can follow anything, with no bit that has no meaning.
    const fn is_certain(self, reserved: bool) -> bool {
        let flags = match self.kind {
            DATA => END_STREAM | PADDED,
            HEADERS => END_STREAM | END_HEADERS | PADDED | HAS_PRIORITY,
            SETTINGS | PING => 1,
            PRIORITY | RST_STREAM | GOAWAY | WINDOW_UPDATE => 0,
            _ => return false,
        };
        let of_client = self.stream % 2 == 1 || !matches!(self.kind, DATA | HEADERS | RST_STREAM);
        let usual = self.len <= USUAL_LENGTH && self.stream < USUAL_STREAMS;
        self.is_possible() && self.flags & !flags == 0 && of_client && usual && !reserved
    }
}

/// The bytes of a header, as they come.
#[derive(Debug)]
pub(super) struct Start {
    bytes: [u8; LENGTH],
    marks: [Mark; LENGTH],
    len: usize,
}

impl Start {
    pub(super) fn new() -> Self {
        let nowhere = Mark { at: Default::default(), position: 0 };
        Self { bytes: [0; LENGTH], marks: [nowhere; LENGTH], len: 0 }
    }

    pub(super) const fn clear(&mut self) {
        self.len = 0;
    }

    /// Adds a byte. With the last one: the header and the place of its first byte, `Err` if it cannot be one.
    pub(super) fn add(
        &mut self,
        byte: u8,
        mark: Mark,
        searching: bool,
    ) -> Option<Result<(Header, Mark), ()>> {
        if let (Some(slot), Some(place)) = (self.bytes.get_mut(self.len), self.marks.get_mut(self.len)) {
            (*slot, *place) = (byte, mark);
            self.len += 1;
        }
        if self.len < LENGTH {
            return None;
        }
        let header = Header::read(self.bytes);
        let fits =
            if searching { header.is_certain(self.bytes[5] & 0x80 != 0) } else { header.is_possible() };
        Some(if fits { Ok((header, self.marks[0])) } else { Err(()) })
    }

    /// Forgets the first byte.
    pub(super) fn shift(&mut self) {
        self.bytes.rotate_left(1);
        self.marks.rotate_left(1);
        self.len = self.len.saturating_sub(1);
    }
}

/// Whether these bytes begin with a frame. `None`: too few of them.
pub fn begins_with_frame(bytes: &[u8]) -> Option<bool> {
    let Some((start, _)) = bytes.split_first_chunk::<LENGTH>() else {
        return bytes.first().is_some_and(|byte| *byte != 0).then_some(false);
    };
    Some(Header::read(*start).is_certain(start[5] & 0x80 != 0))
}

/// Whether these bytes begin with settings, as the connection of a server does.
pub fn begins_with_settings(bytes: &[u8]) -> bool {
    bytes.first_chunk::<LENGTH>().is_some_and(|start| {
        let header = Header::read(*start);
        header.kind == SETTINGS && header.flags == 0 && header.is_possible()
    })
}

const LENGTH: usize = 9;
/// What peers send without having agreed on more is 16 KiB; few agree on more than this.
const USUAL_LENGTH: u32 = 0xFFFF;
const USUAL_STREAMS: u32 = 1 << 24;
/// Extensions use kinds up to 16.
const MOST_KINDS: u8 = 0x20;
