//! A short number for a JSON value, equal for the same value however it is written: other white space, escapes or
//! order of members. It ties messages to each other and is never shown.

use std::hash::Hasher as _;

use super::lexer::{Lexer, Token, Whole};

/// Makes digests, one after the other.
#[derive(Debug)]
pub(super) struct Digester {
    lexer: Lexer,
}

/// No value that stands for something is nested deeper.
const NESTING: usize = 128;

impl Digester {
    pub(super) fn new() -> Self {
        Self { lexer: Lexer::new(NESTING, usize::MAX) }
    }

    /// The digest of the whole value. None of a text that is not one whole value.
    pub(super) fn of_value(&mut self, json: &[u8]) -> Option<u64> {
        let mut rest = json;
        let first = self.begin(&mut rest);
        let digest = self.value(first, &mut rest)?;
        self.is_over(rest).then_some(digest)
    }

    /// The digest of the names of an object's members.
    pub(super) fn of_names(&mut self, json: &[u8]) -> Option<u64> {
        let mut rest = json;
        let Token::Object = self.begin(&mut rest) else { return None };
        let mut digest = 6_u64;
        loop {
            match self.next(&mut rest) {
                Token::Close if self.is_over(rest) => return Some(mix(digest)),
                Token::Key(name) => digest = digest.wrapping_add(self.text(name)?),
                Token::Object | Token::Array => self.lexer.skip(),
                Token::More | Token::Close | Token::Trailing | Token::TooDeep | Token::Bad => return None,
                Token::SkippedClose | Token::String(_) | Token::Number(_) => {}
                Token::True | Token::False | Token::Null => {}
            }
        }
    }

    fn begin<'a>(&mut self, rest: &mut &'a [u8]) -> Token<'a> {
        self.lexer.restart();
        self.lexer.want(usize::MAX);
        self.next(rest)
    }

    fn next<'a>(&mut self, rest: &mut &'a [u8]) -> Token<'a> {
        self.lexer.next(rest)
    }

    /// Whether nothing follows the value.
    fn is_over(&mut self, mut rest: &[u8]) -> bool {
        self.lexer.is_done() && self.next(&mut rest) == Token::More
    }

    /// The value that begins with this token.
    fn value(&mut self, first: Token<'_>, rest: &mut &[u8]) -> Option<u64> {
        match first {
            Token::Null => Some(mix(1)),
            Token::False => Some(mix(2)),
            Token::True => Some(mix(3)),
            Token::Number(text) => self.lexer.bytes(text).and_then(of_number),
            Token::String(text) => self.text(text),
            Token::Array => self.items(rest),
            Token::Object => self.members(rest),
            _ => None,
        }
    }

    fn text(&self, text: Whole<'_>) -> Option<u64> {
        self.lexer.bytes(text).map(of_bytes)
    }

    fn items(&mut self, rest: &mut &[u8]) -> Option<u64> {
        let mut digest = 4;
        loop {
            match self.next(rest) {
                Token::Close => return Some(mix(digest)),
                item => digest = mix(digest ^ self.value(item, rest)?),
            }
        }
    }

    fn members(&mut self, rest: &mut &[u8]) -> Option<u64> {
        let mut digest = 5_u64;
        loop {
            match self.next(rest) {
                Token::Close => return Some(mix(digest)),
                Token::Key(name) => {
                    let name = self.text(name)?;
                    let first = self.next(rest);
                    let value = self.value(first, rest)?;
                    digest = digest.wrapping_add(mix(name.rotate_left(1) ^ value));
                }
                _ => return None,
            }
        }
    }
}

/// The digest of a text, such as a string that was cut.
pub(super) fn of_bytes(bytes: &[u8]) -> u64 {
    let mut hasher = rustc_hash::FxHasher::default();
    hasher.write(bytes);
    mix(hasher.finish())
}

/// Writers differ in `1` and `1.0`.
fn of_number(text: &[u8]) -> Option<u64> {
    let number: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    Some(mix(number.to_bits()))
}

/// Spreads every bit over all others (the finalizer of SplitMix64).
const fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::Digester;

    fn of_value(json: &[u8]) -> Option<u64> {
        Digester::new().of_value(json)
    }

    fn of_names(json: &[u8]) -> Option<u64> {
        Digester::new().of_names(json)
    }

    fn digest(json: &str) -> u64 {
        of_value(json.as_bytes()).unwrap()
    }

    #[test]
    fn how_a_value_is_written_does_not_matter() {
        let one = digest(r#"{"a":"é/","b":[1,{"c":null}],"d":1.0}"#);
        assert_eq!(one, digest(r#"{ "d": 1, "b": [1, {"c": null}], "a": "\u00e9\/" }"#));
    }

    #[test]
    fn what_it_says_does() {
        let texts = [
            r#"{}"#,
            r#"[]"#,
            r#"null"#,
            r#"{"a":"b","c":"d"}"#,
            r#"{"a":"d","c":"b"}"#,
            r#"{"a":{"c":"b"}}"#,
            r#"["a","b"]"#,
            r#"["b","a"]"#,
            r#"true"#,
            r#""""#,
            r#"[[]]"#,
            r#"{"b":"a","c":"d"}"#,
        ];
        let all: std::collections::BTreeSet<u64> = texts.iter().map(|text| digest(text)).collect();
        assert_eq!(all.len(), texts.len());
    }

    #[test]
    fn a_part_of_a_value_has_none() {
        assert_eq!(of_value(br#"{"a":1"#), None);
        assert_eq!(of_value(&[b'['; 1 << 20]), None, "nested without end");
    }

    #[test]
    fn names_are_a_set() {
        let names = |json: &str| of_names(json.as_bytes());
        assert_eq!(names(r#"{"a":1,"b":{"method":"x"}}"#), names(r#"{"b":2,"a":[]}"#));
        assert_ne!(names(r#"{"a":1}"#), names(r#"{"b":1}"#));
        assert_eq!(names("[]"), None);
    }
}
