//! The hash of a JSON value, computed while it is read and without holding it.
//!
//! In: the tokens of one value, and the bytes of its strings and numbers as they come. Out: a hash that is the same
//! however members are ordered, blanks are set and characters are escaped. It is not one that can be guessed around:
//! a server that changes what it says of a tool cannot keep the hash.

use sha2::{Digest, Sha256};

use super::lexer::Token;
use crate::pipeline::limits::{Budget, Share};

/// A value that is being read.
#[derive(Debug)]
pub(super) struct Definition {
    /// The value around all, then the member that is being read of each open object.
    hashes: Vec<Sha256>,
    /// Which of the open levels are objects, with the number of `members` before each.
    levels: Vec<Option<usize>>,
    /// Members of the open objects that are complete.
    members: Vec<[u8; 32]>,
    /// Bytes of the string or number that is being read.
    text_bytes: u64,
    buffers: Budget,
    /// Room for more than is usual.
    room: Option<Share>,
    /// There was no room.
    refused: bool,
}

/// Members and levels that need no room of their own.
const USUAL: usize = 32;
/// The most that one definition may have open.
const MOST: usize = 2048;
/// What these need.
const MOST_BYTES: u64 = (MOST * (32 + size_of::<Sha256>() + 16)) as u64;

impl Definition {
    /// Before a value.
    pub(super) fn new(buffers: &Budget) -> Self {
        Self {
            hashes: vec![Sha256::new()],
            levels: Vec::new(),
            members: Vec::new(),
            text_bytes: 0,
            buffers: buffers.clone(),
            room: None,
            refused: false,
        }
    }

    /// Bytes of a key, string or number, unescaped.
    pub(super) fn text(&mut self, bytes: &[u8]) {
        self.text_bytes += bytes.len() as u64;
        self.write(bytes);
    }

    /// The next token, of which [`text`](Self::text) has had the bytes. Returns the hash of the value where it ends;
    /// none if there was no room for it.
    pub(super) fn token(&mut self, token: Token) -> Option<Option<u128>> {
        match token {
            Token::Key => {
                self.end_text(b'k');
                return None;
            }
            Token::Object | Token::Array => {
                self.begin(token == Token::Object);
                return None;
            }
            Token::String => self.end_text(b's'),
            Token::Number => self.end_text(b'n'),
            Token::True => self.write(b"t"),
            Token::False => self.write(b"f"),
            Token::Null => self.write(b"0"),
            Token::Close => self.close(),
            Token::More | Token::SkippedClose | Token::Trailing | Token::TooDeep | Token::Bad => return None,
        }
        self.end_value()
    }

    fn begin(&mut self, object: bool) {
        if !object {
            self.write(b"[");
        }
        self.make_room();
        if self.refused {
            return self.levels.push(None); // only where it ends is of interest
        }
        self.levels.push(object.then_some(self.members.len()));
        if object {
            self.hashes.push(Sha256::new());
        }
    }

    fn close(&mut self) {
        match self.levels.pop() {
            Some(Some(from)) => self.close_object(from),
            Some(None) | None => self.write(b"]"),
        }
    }

    /// What an object says does not depend on the order of its members.
    fn close_object(&mut self, from: usize) {
        self.hashes.pop();
        let mut members = self.members.split_off(from.min(self.members.len()));
        members.sort_unstable();
        members.iter().for_each(|member| self.write(member));
        self.write(&(members.len() as u64).to_le_bytes());
        self.write(b"{");
    }

    fn end_value(&mut self) -> Option<Option<u128>> {
        match self.levels.last() {
            None => return Some(self.finish()),
            Some(None) => {}
            Some(Some(_)) => {
                self.make_room();
                let member: Option<[u8; 32]> =
                    self.hashes.last_mut().map(|hash| hash.finalize_reset().into());
                self.members.extend(member.filter(|_| !self.refused));
            }
        }
        None
    }

    fn end_text(&mut self, kind: u8) {
        let bytes = std::mem::take(&mut self.text_bytes);
        self.write(&bytes.to_le_bytes());
        self.write(&[kind]);
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(hash) = self.hashes.last_mut().filter(|_| !self.refused) {
            hash.update(bytes);
        }
    }

    /// One more level or member is to be kept.
    fn make_room(&mut self) {
        let kept = self.members.len() + self.levels.len();
        if kept >= USUAL && self.room.is_none() {
            self.room = self.buffers.take(MOST_BYTES);
            self.refused |= self.room.is_none();
        }
        self.refused |= kept >= MOST;
    }

    fn finish(&mut self) -> Option<u128> {
        let hash: [u8; 32] = self.hashes.last_mut()?.finalize_reset().into();
        let first = hash.first_chunk::<16>().filter(|_| !self.refused)?;
        Some(u128::from_be_bytes(*first))
    }
}

/// The hash of what is told of a tool, each part of which has a hash, if it was there at all.
pub(super) fn of_parts(parts: &[Option<u128>]) -> u128 {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update([u8::from(part.is_some())]);
        hash.update(part.unwrap_or_default().to_be_bytes());
    }
    let hash: [u8; 32] = hash.finalize().into();
    hash.first_chunk::<16>().map_or(0, |first| u128::from_be_bytes(*first))
}

#[cfg(test)]
mod tests {
    use super::super::lexer::{Lexer, Token};
    use super::Definition;
    use crate::pipeline::limits::Budget;

    /// The hash of a text, read in portions of so many bytes.
    fn hash(text: &str, portion: usize) -> Option<u128> {
        let budget = Budget::new(1 << 20);
        let mut lexer = Lexer::new(512, 8);
        lexer.begin_definition(Definition::new(&budget));
        let text = format!("{text} ");
        for mut part in text.as_bytes().chunks(portion) {
            loop {
                match lexer.next(&mut part) {
                    Token::More => break,
                    Token::Bad | Token::TooDeep | Token::Trailing => panic!("{text}"),
                    token => {
                        if let Some(hash) = lexer.define(token) {
                            return hash;
                        }
                    }
                }
            }
        }
        panic!("no end: {text}");
    }

    #[test]
    fn what_means_the_same_has_the_same_hash() {
        for (one, other) in [
            (r#"{"a":1,"b":[true,null,"x"]}"#, r#" { "b" : [ true , null , "x" ] , "a" : 1 } "#),
            (r#"{"a":{"c":1,"d":2}}"#, r#"{"a":{"d":2,"c":1}}"#),
            (r#""\u00e9\ud83d\ude00/""#, r#""é😀\/""#),
            (r#"{"\u0061":[]}"#, r#"{"a":[]}"#),
        ] {
            assert_eq!(hash(one, 1000), hash(other, 1), "{one} {other}");
        }
    }

    #[test]
    fn what_means_something_else_has_another() {
        let texts = [
            "{}",
            "[]",
            "\"\"",
            "null",
            "true",
            "false",
            "0",
            "\"0\"",
            "[[]]",
            "[{}]",
            "{\"a\":{}}",
            "{\"a\":[]}",
            "[1,2]",
            "[2,1]",
            "[12]",
            "[\"a\",\"b\"]",
            "[\"ab\"]",
            "[[1],2]",
            "[[1,2]]",
            "{\"a\":1,\"b\":2}",
            "{\"a\":2,\"b\":1}",
            "{\"a\":{\"b\":1},\"c\":2}",
            "{\"a\":{\"b\":1,\"c\":2}}",
            "{\"ab\":1}",
            "{\"a\":\"b1\"}",
            "\"\\ud83d\"",
            "\"\\ud83dx\"",
        ];
        let hashes: std::collections::BTreeSet<_> = texts.iter().map(|text| hash(text, 3)).collect();
        assert_eq!(hashes.len(), texts.len());
        assert!(!hashes.contains(&None));
    }

    #[test]
    fn what_is_too_large_has_none_and_still_ends() {
        let many = |count: usize| {
            let members: Vec<_> = (0..count).map(|number| format!("\"{number}\":{{\"a\":[1]}}")).collect();
            format!("{{{}}}", members.join(","))
        };
        assert!(hash(&many(2000), 100).is_some());
        assert_eq!(hash(&many(3000), 100), None);
        let budget = Budget::new(100);
        let mut definition = Definition::new(&budget);
        let deep = (0..100).map(|_| Token::Object).chain((0..100).map(|_| Token::Close));
        let ends: Vec<_> = deep.filter_map(|token| definition.token(token)).collect();
        assert_eq!(ends, [None], "no room");
    }
}
