//! Compressed bodies: `gzip`, `deflate`, `br` and `zstd`, decoded as they come and within bounds.
//!
//! In: the coded bytes in any portions. Out: all that they stand for so far, handed on at once, so that an event has
//! the time of the bytes that completed it. (Not with `zstd`, whose decoder keeps a window back until its frame ends.)

mod brotli;
mod gzip;
mod zstd;

use crate::pipeline::limits::{Limits, Share};

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    /// RFC 1952.
    Gzip,
    /// RFC 1950, or what some take it for: RFC 1951.
    Deflate,
    /// RFC 7932.
    Brotli,
    /// RFC 8878.
    Zstd,
    /// RFC 7692: messages that are compressed one by one, with what was before them as dictionary.
    Messages,
}

/// What a list of codings comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Codings {
    /// The body is as it is.
    #[default]
    None,
    /// It is compressed once.
    One(Coding),
    /// In another way, or twice.
    Unknown,
}

impl Codings {
    /// Adds those of a header field's value. `chunked` is none of them.
    pub(super) fn add(&mut self, value: &str) {
        for name in value.split(',').map(str::trim) {
            let is = |names: &[&str]| names.iter().any(|other| name.eq_ignore_ascii_case(other));
            let coding = match () {
                () if is(&["", "identity", "chunked"]) => continue,
                () if is(&["gzip", "x-gzip"]) => Some(Coding::Gzip),
                () if is(&["deflate"]) => Some(Coding::Deflate),
                () if is(&["br"]) => Some(Coding::Brotli),
                () if is(&["zstd"]) => Some(Coding::Zstd),
                () => None,
            };
            *self = match (*self, coding) {
                (Self::None, Some(coding)) => Self::One(coding),
                _ => Self::Unknown,
            };
        }
    }
}

/// Decodes one body.
pub(super) struct Decoder {
    coding: Coding,
    /// Made when the first bytes come, with what it takes of the memory of all decoders.
    kind: Option<(Kind, Share)>,
    bounds: Bounds,
    limits: Limits,
}

enum Kind {
    Gzip(gzip::Gzip),
    Deflate(gzip::Deflate),
    Brotli(brotli::Brotli),
    Zstd(Box<zstd::Zstd>),
}

/// How far a body has grown.
struct Bounds {
    coded: u64,
    decoded: u64,
    most: u64,
    ratio: u64,
}

/// Why a body cannot be read further; a counter's label.
pub(super) type Fault = &'static str;

const BROKEN: Fault = "content_encoding";
const TOO_LARGE: Fault = "expansion_limit";
const NO_ROOM: Fault = "decoder_limit";

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoder").field("coded", &self.bounds.coded).finish_non_exhaustive()
    }
}

impl Decoder {
    /// At the start of a body.
    pub(super) fn new(coding: Coding, limits: &Limits) -> Self {
        let bounds = Bounds { coded: 0, decoded: 0, most: limits.unexpanded_bytes, ratio: limits.expansion };
        Self { coding, kind: None, bounds, limits: limits.clone() }
    }

    /// Decodes the next bytes. After a fault nothing more can be.
    pub(super) fn push(&mut self, coded: &[u8], out: &mut dyn FnMut(&[u8])) -> Result<(), Fault> {
        if self.kind.is_none() {
            self.kind = self.open(coded)?;
        }
        let Some((kind, _)) = &mut self.kind else { return Ok(()) };
        let mut rest = coded;
        while !rest.is_empty() {
            // The bound grows in steps that are the same wherever the bytes were cut.
            let left = STEP - self.bounds.coded % STEP;
            let (part, behind) = usize::try_from(left)
                .ok()
                .and_then(|left| rest.split_at_checked(left))
                .unwrap_or((rest, &[]));
            rest = behind;
            let bounds = &mut self.bounds;
            let most = bounds.most.max((bounds.coded + left).saturating_mul(bounds.ratio));
            bounds.coded += part.len() as u64;
            let mut checked = |bytes: &[u8]| {
                let room = usize::try_from(most - bounds.decoded).unwrap_or(usize::MAX);
                let (fits, excess) = bytes.split_at_checked(room).unwrap_or((bytes, &[]));
                bounds.decoded += fits.len() as u64;
                if !fits.is_empty() {
                    out(fits);
                }
                if excess.is_empty() { Ok(()) } else { Err(TOO_LARGE) }
            };
            match kind {
                Kind::Gzip(gzip) => gzip.push(part, &mut checked),
                Kind::Deflate(deflate) => deflate.push(part, &mut checked),
                Kind::Brotli(brotli) => brotli.push(part, &mut checked),
                Kind::Zstd(zstd) => zstd.push(part, &mut checked),
            }?;
        }
        Ok(())
    }

    /// Finds the room that the body asks for, in its first bytes or by its coding.
    fn open(&self, coded: &[u8]) -> Result<Option<(Kind, Share)>, Fault> {
        let window = match self.coding {
            Coding::Gzip | Coding::Deflate | Coding::Messages => 32 << 10,
            Coding::Brotli => match coded.first() {
                Some(first) => brotli::window(*first),
                None => return Ok(None),
            },
            // It refuses larger ones itself.
            Coding::Zstd => ZSTD_WINDOW_BYTES,
        };
        if window > self.limits.decoder_window_bytes {
            return Err(NO_ROOM);
        }
        let share = self.limits.decoders.take(window + STATE_BYTES).ok_or(NO_ROOM)?;
        let kind = match self.coding {
            Coding::Gzip => Kind::Gzip(gzip::Gzip::new()),
            Coding::Deflate => Kind::Deflate(gzip::Deflate::new()),
            Coding::Messages => Kind::Deflate(gzip::Deflate::raw()),
            Coding::Brotli => Kind::Brotli(brotli::Brotli::new()),
            Coding::Zstd => Kind::Zstd(Box::new(zstd::Zstd::new())),
        };
        Ok(Some((kind, share)))
    }
}

/// Takes decoded bytes.
type Out<'a> = dyn FnMut(&[u8]) -> Result<(), Fault> + 'a;

/// What a decoder needs beside its window.
const STATE_BYTES: u64 = 64 << 10;
/// What RFC 9659 allows on the web.
const ZSTD_WINDOW_BYTES: u64 = 8 << 20;
/// Coded bytes after which the bound is worked out again.
const STEP: u64 = 1 << 10;
/// Decoded bytes handed on together.
const PORTION: usize = 8 << 10;

#[cfg(test)]
mod tests;
