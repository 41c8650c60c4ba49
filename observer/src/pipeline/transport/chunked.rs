//! The chunked transfer coding: sizes, extensions and trailers around the bytes of a body.

use super::cursor::Cursor;

/// Where in the coding the next byte is. ([RFC 9112, section 7.1](https://www.rfc-editor.org/rfc/rfc9112#section-7.1))
#[derive(Clone, Copy, Debug)]
pub(super) enum Chunks {
    /// In the digits of a size.
    Size {
        /// Its value so far.
        size: u64,
        /// How many digits it has.
        digits: u8,
    },
    /// Behind the digits: an extension or the line end.
    Extension {
        /// The size.
        size: u64,
    },
    /// In the data of a chunk.
    Data {
        /// How much of it is still to come.
        left: u64,
    },
    /// In the line end behind the data.
    DataEnd,
    /// Behind the last chunk: trailer fields up to a blank line.
    Trailer {
        /// Nothing but carriage returns was seen of the line.
        blank: bool,
    },
}

/// What came next.
pub(super) enum Step<'a> {
    /// Nothing yet.
    More,
    /// Bytes of the body.
    Data(Cursor<'a>),
    /// The end of the body; the cursor is behind it.
    Over,
    /// This is not the chunked coding.
    Broken,
}

impl Chunks {
    /// At the first size.
    pub(super) const START: Self = Self::Size { size: 0, digits: 0 };

    /// Reads up to the next thing of interest.
    pub(super) fn next<'a>(&mut self, cursor: &mut Cursor<'a>) -> Step<'a> {
        while !cursor.is_empty() {
            match *self {
                Self::Data { left: 0 } => *self = Self::DataEnd,
                Self::Data { left } => {
                    let data = cursor.split(left);
                    *self = Self::Data { left: left.saturating_sub(data.rest().len() as u64) };
                    return Step::Data(data);
                }
                Self::Extension { size } => {
                    cursor.take_line();
                    if cursor.next().is_some() {
                        *self =
                            if size == 0 { Self::Trailer { blank: true } } else { Self::Data { left: size } };
                    }
                }
                Self::Trailer { blank } => {
                    let line = cursor.take_line();
                    let blank = blank && line.iter().all(|&byte| byte == b'\r');
                    let ended = cursor.next().is_some();
                    if ended && blank {
                        return Step::Over;
                    }
                    *self = Self::Trailer { blank: ended || blank };
                }
                Self::Size { .. } | Self::DataEnd => {
                    if !self.byte(cursor) {
                        return Step::Broken;
                    }
                }
            }
        }
        Step::More
    }

    /// So many bytes are missing. Returns whether it is known where in the coding the next byte is.
    pub(super) const fn gap(&mut self, missing: u64) -> bool {
        match self {
            Self::Data { left } if *left >= missing => {
                *left -= missing;
                true
            }
            _ => false,
        }
    }

    /// Reads one byte of a size line or of the line end behind data. Returns whether it fits.
    fn byte(&mut self, cursor: &mut Cursor<'_>) -> bool {
        let Some(byte) = cursor.peek() else { return true };
        match *self {
            Self::Size { size, digits } => match char::from(byte).to_digit(16) {
                Some(digit) if digits < MOST_DIGITS => {
                    cursor.next();
                    *self = Self::Size { size: size << 4 | u64::from(digit), digits: digits + 1 };
                }
                None if digits > 0 && matches!(byte, b'\r' | b'\n' | b';' | b' ' | b'\t') => {
                    *self = Self::Extension { size };
                }
                _ => return false,
            },
            _ => match byte {
                b'\r' => {
                    cursor.next();
                }
                b'\n' => {
                    cursor.next();
                    *self = Self::START;
                }
                _ => return false,
            },
        }
        true
    }
}

/// Digits of the largest size that fits in 64 bits.
const MOST_DIGITS: u8 = 16;
