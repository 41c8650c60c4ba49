//! Passes over an object or array of which nothing is wanted, 64 bytes at a time.
//!
//! Most bytes of large messages are in such values. What is counted is how deep brackets are nested outside of strings;
//! whether they match in kind, and the order of what is between them, is not looked at. Strings are told from the rest
//! as in simdjson (Langdale and Lemire, 2019): quotes that no backslash escapes, and between them by adding up bits.

use super::block::{BLOCK, Block};

/// Where the value has been read to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Skip {
    /// Brackets that are open, the value's own included.
    depth: usize,
    /// All ones inside a string, else zero.
    in_string: u64,
    /// 1 if the next byte is escaped.
    escaped: u64,
}

/// How far a skip has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// The bytes are used up.
    More,
    /// The value ended.
    Done,
    /// It is nested too deeply.
    TooDeep,
}

impl Skip {
    /// Behind the opening bracket.
    pub(super) const fn new() -> Self {
        Self { depth: 1, in_string: 0, escaped: 0 }
    }

    /// Reads up to the end of the value. `most`: how many brackets may be open in it.
    pub(super) fn push(&mut self, rest: &mut &[u8], most: usize) -> Progress {
        while let Some((bytes, behind)) = rest.split_first_chunk::<BLOCK>() {
            let block = Block::new(bytes);
            let (quotes, backslashes) = (block.equal(b'"'), block.equal(b'\\'));
            if quotes | backslashes == 0 && self.in_string != 0 {
                // A long text, as it seems: up to the next byte that may end it.
                self.escaped = 0;
                let at = memchr::memchr2(b'"', b'\\', behind).unwrap_or(behind.len());
                *rest = behind.get(at..).unwrap_or_default();
                continue;
            }
            match self.block(&block, quotes, backslashes, BLOCK, most) {
                Ok(()) => *rest = behind,
                Err(end) => return end.leave(rest),
            }
        }
        let mut last = [b' '; BLOCK];
        if let Some(start) = last.get_mut(..rest.len()) {
            start.copy_from_slice(rest);
        }
        let block = Block::new(&last);
        match self.block(&block, block.equal(b'"'), block.equal(b'\\'), rest.len(), most) {
            Ok(()) => *rest = &[],
            Err(end) => return end.leave(rest),
        }
        Progress::More
    }

    /// Reads a block of which the first `len` bytes count; the others are blanks.
    #[inline(always)]
    fn block(
        &mut self,
        block: &Block,
        quotes: u64,
        backslashes: u64,
        len: usize,
        most: usize,
    ) -> Result<(), End> {
        let quotes = quotes & !self.escapes(backslashes, len);
        let strings = if quotes == 0 { self.in_string } else { sums(quotes) ^ self.in_string };
        // Brackets and braces differ in one bit, which no other character that could be meant has.
        let opening = block.equal_with(0x20, b'{') & !strings;
        let closing = block.equal_with(0x20, b'}') & !strings;
        let (opened, closed) = (opening.count_ones() as usize, closing.count_ones() as usize);
        if closed >= self.depth || self.depth + opened > most {
            self.walk(opening, closing, most)?;
        } else {
            self.depth = self.depth + opened - closed;
        }
        if len > 0 {
            // The state behind the last byte, in all bits.
            self.in_string = ((strings << (BLOCK - len)) as i64 >> 63) as u64;
        }
        Ok(())
    }

    /// The bytes behind odd numbers of backslashes, the first of which is not escaped itself.
    fn escapes(&mut self, backslashes: u64, len: usize) -> u64 {
        if backslashes == 0 {
            let escaped = self.escaped;
            if len > 0 {
                self.escaped = 0;
            }
            return escaped;
        }
        let starting = backslashes & !self.escaped;
        let behind = starting << 1 | self.escaped;
        let odd_starts = starting & !EVEN & !behind;
        let (runs, carry) = odd_starts.overflowing_add(starting);
        let escaped = (EVEN ^ (runs << 1)) & behind;
        self.escaped = if len == BLOCK { carry.into() } else { escaped >> len & 1 };
        escaped
    }

    /// Bracket by bracket: the end is in this block, or the limit.
    fn walk(&mut self, opening: u64, closing: u64, most: usize) -> Result<(), End> {
        let mut brackets = opening | closing;
        while brackets != 0 {
            let at = brackets.trailing_zeros() as usize;
            brackets &= brackets - 1;
            if opening >> at & 1 != 0 {
                self.depth += 1;
                if self.depth > most {
                    return Err(End { len: at + 1, progress: Progress::TooDeep });
                }
            } else {
                self.depth -= 1;
                if self.depth == 0 {
                    return Err(End { len: at + 1, progress: Progress::Done });
                }
            }
        }
        Ok(())
    }
}

/// What ends a skip, behind so many bytes of a block.
struct End {
    len: usize,
    progress: Progress,
}

impl End {
    fn leave(self, rest: &mut &[u8]) -> Progress {
        *rest = rest.get(self.len..).unwrap_or_default();
        self.progress
    }
}

/// Every other bit.
const EVEN: u64 = 0x5555_5555_5555_5555;

/// Each bit the sum of those up to it, so that what is between two quotes is ones.
const fn sums(mut bits: u64) -> u64 {
    let mut by = 1;
    while by < u64::BITS {
        bits ^= bits << by;
        by *= 2;
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::{Progress, Skip};

    /// Where the value ends that begins with the first byte of `text`, read in portions of `portion` bytes.
    fn end(text: &[u8], portion: usize) -> Option<usize> {
        let (mut skip, mut at) = (Skip::new(), 1);
        for part in text[1..].chunks(portion) {
            let mut rest = part;
            let progress = skip.push(&mut rest, 1000);
            at += part.len() - rest.len();
            if progress == Progress::Done {
                return Some(at);
            }
            assert!(rest.is_empty());
        }
        None
    }

    fn by_byte(text: &[u8]) -> Option<usize> {
        let (mut depth, mut in_string, mut escaped) = (0, false, false);
        for (at, byte) in text.iter().enumerate() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = !in_string,
                b'{' | b'[' if !in_string => depth += 1,
                b'}' | b']' if !in_string => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return Some(at + 1);
            }
        }
        None
    }

    #[test]
    fn the_end_is_the_one_that_a_reader_of_bytes_finds() {
        let parts: [&[u8]; 10] = [
            b"{",
            b"}",
            b"[",
            b"]",
            b"\"",
            b"\\\"",
            b"\\\\",
            b"text",
            b",\"k\":",
            b"\"a long one: \\u00e9\\\\\",",
        ];
        let mut random = 1u64;
        for _ in 0..20_000 {
            let mut text = b"{".to_vec();
            while text.len() < 200 {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                text.extend(parts[(random >> 33) as usize % parts.len()]);
            }
            let expected = by_byte(&text);
            for portion in [1, 7, 63, 64, 65, 200] {
                assert_eq!(end(&text, portion), expected, "{} by {portion}", text.escape_ascii());
            }
        }
    }

    #[test]
    fn long_strings_are_passed_over() {
        let text = format!("{{\"a\":\"{}\\\"}}\",\"b\":[1]}} behind", "x".repeat(5000));
        for portion in [64, 1000, 100_000] {
            assert_eq!(end(text.as_bytes(), portion), Some(text.len() - 7));
        }
    }

    #[test]
    fn depth_has_its_limit() {
        let mut skip = Skip::new();
        let text = "[".repeat(99) + &"]".repeat(99) + "}";
        assert_eq!(skip.push(&mut text.as_bytes(), 100), Progress::Done);
        assert_eq!(Skip::new().push(&mut text.as_bytes(), 99), Progress::TooDeep);
    }
}
