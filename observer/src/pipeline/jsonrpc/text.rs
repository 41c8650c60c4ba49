//! The text of one string or number, unescaped and bounded while it comes.

/// Collects a text.
#[derive(Debug, Default)]
pub(super) struct Text {
    bytes: Vec<u8>,
    limit: usize,
    cut: bool,
    escape: Escape,
    /// The first half of a surrogate pair.
    high: Option<u16>,
}

#[derive(Clone, Copy, Debug, Default)]
enum Escape {
    #[default]
    None,
    /// Behind the backslash.
    Begun,
    /// Behind so many digits of `\uXXXX`.
    Unicode { digits: u8, unit: u16 },
}

impl Text {
    /// Begins a new text of at most `limit` bytes; with none, nothing is stored.
    pub(super) fn begin(&mut self, limit: usize) {
        self.bytes.clear();
        (self.limit, self.cut, self.escape, self.high) = (limit, false, Escape::None, None);
    }

    /// Adds bytes as they are.
    pub(super) fn add(&mut self, bytes: &[u8]) {
        if self.limit == 0 || bytes.is_empty() {
            return;
        }
        if self.high.take().is_some() {
            self.add_char(char::REPLACEMENT_CHARACTER);
        }
        self.append(bytes);
    }

    /// A backslash was seen.
    pub(super) const fn begin_escape(&mut self) {
        self.escape = Escape::Begun;
    }

    /// Whether the next byte belongs to an escape.
    pub(super) const fn is_escaping(&self) -> bool {
        !matches!(self.escape, Escape::None)
    }

    /// Takes a byte of an escape. Returns whether there can be such an escape.
    pub(super) fn escaped(&mut self, byte: u8) -> bool {
        match self.escape {
            Escape::Begun if byte == b'u' => self.escape = Escape::Unicode { digits: 0, unit: 0 },
            Escape::Unicode { digits, unit } => {
                let Some(digit) = char::from(byte).to_digit(16) else { return false };
                let unit = unit << 4 | digit as u16;
                self.escape =
                    if digits < 3 { Escape::Unicode { digits: digits + 1, unit } } else { Escape::None };
                if digits == 3 {
                    self.add_unit(unit);
                }
            }
            Escape::Begun | Escape::None => {
                self.escape = Escape::None;
                let Some((_, plain)) = SHORT_ESCAPES.iter().find(|(short, _)| *short == byte) else {
                    return false;
                };
                self.add(&[*plain]);
            }
        }
        true
    }

    /// The text as it is, unless it was cut.
    pub(super) fn uncut(&self) -> Option<&[u8]> {
        (!self.cut && self.high.is_none()).then_some(&self.bytes)
    }

    /// The text, cut between two characters.
    pub(super) fn read(&mut self) -> Box<str> {
        if self.high.take().is_some() {
            self.add_char(char::REPLACEMENT_CHARACTER);
        }
        let end = match std::str::from_utf8(&self.bytes) {
            Ok(text) => return text.into(),
            Err(error) if self.cut && error.error_len().is_none() => error.valid_up_to(),
            Err(_) => self.bytes.len(),
        };
        String::from_utf8_lossy(self.bytes.get(..end).unwrap_or_default()).into()
    }

    /// A UTF-16 code unit. Half a pair without the other half becomes a replacement character.
    fn add_unit(&mut self, unit: u16) {
        if self.limit == 0 {
            return;
        }
        let high = self.high.take();
        if let (Some(high), 0xDC00..=0xDFFF) = (high, unit) {
            let both = char::decode_utf16([high, unit]).next();
            return self.add_char(both.and_then(Result::ok).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        if high.is_some() {
            self.add_char(char::REPLACEMENT_CHARACTER);
        }
        if matches!(unit, 0xD800..=0xDBFF) {
            self.high = Some(unit);
        } else {
            self.add_char(char::from_u32(unit.into()).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
    }

    fn add_char(&mut self, char: char) {
        self.append(char.encode_utf8(&mut [0; 4]).as_bytes());
    }

    fn append(&mut self, bytes: &[u8]) {
        let room = self.limit.saturating_sub(self.bytes.len());
        self.cut |= bytes.len() > room;
        self.bytes.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
    }
}

const SHORT_ESCAPES: &[(u8, u8)] = &[
    (b'"', b'"'),
    (b'\\', b'\\'),
    (b'/', b'/'),
    (b'n', b'\n'),
    (b't', b'\t'),
    (b'r', b'\r'),
    (b'b', 0x08),
    (b'f', 0x0C),
];

#[cfg(test)]
mod tests {
    use super::Text;

    fn unescape(limit: usize, escaped: &str) -> String {
        let mut text = Text::default();
        text.begin(limit);
        for &byte in escaped.as_bytes() {
            if text.is_escaping() {
                assert!(text.escaped(byte), "{escaped}");
            } else if byte == b'\\' {
                text.begin_escape();
            } else {
                text.add(&[byte]);
            }
        }
        text.read().into()
    }

    #[test]
    fn escapes_are_resolved() {
        assert_eq!(unescape(99, r#"a\"\\\/\n\t\r\b\f\u00e9\u20AC"#), "a\"\\/\n\t\r\u{8}\u{c}é€");
        assert_eq!(unescape(99, r"\ud83d\ude00!"), "😀!");
    }

    #[test]
    fn half_a_pair_is_replaced() {
        assert_eq!(unescape(99, r"\ud83dx"), "\u{FFFD}x");
        assert_eq!(unescape(99, r"\ud83d"), "\u{FFFD}");
        assert_eq!(unescape(99, r"\ude00x"), "\u{FFFD}x");
        assert_eq!(unescape(99, r"\ud83d\ud83d\ude00"), "\u{FFFD}😀");
        assert_eq!(unescape(99, r"\ud83d\n"), "\u{FFFD}\n");
    }

    #[test]
    fn the_end_is_between_characters() {
        assert_eq!(unescape(3, "aéé"), "aé");
        assert_eq!(unescape(4, "aéé"), "aé");
        assert_eq!(unescape(5, "aéé"), "aéé");
        assert_eq!(unescape(4, r"ab\u20ac"), "ab");
    }

    #[test]
    fn no_more_is_held_than_is_wanted() {
        for limit in [0, 8] {
            let mut text = Text::default();
            text.begin(limit);
            (0..1000).for_each(|_| text.add(&[b'x'; 1000]));
            assert!(text.bytes.capacity() <= limit, "{}", text.bytes.capacity());
        }
    }
}
