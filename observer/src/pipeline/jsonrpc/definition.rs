//! The hash of what a list tells of a tool.
//!
//! In: the text of the tool's object, as it comes. Out: a hash that is the same however members are ordered, blanks are
//! set and characters are escaped. It is not one that can be guessed around: a server that changes what it says of a
//! tool cannot keep the hash. That takes longer than all else that is done with a list, so the hashes of texts that
//! were seen before are remembered.

use sha2::{Digest as _, Sha256};

use super::spelling;
use crate::pipeline::limits::{Budget, Memo, Share};

/// The members that tell what a tool does.
const TOLD: &[&str] = &["title", "description", "inputSchema", "outputSchema", "annotations"];

/// Names and hashes of tools by their texts.
pub(super) type Known = Memo<(Box<str>, u128)>;

/// The text of a tool that is being read. Most are in one piece and need not be held.
#[derive(Debug)]
pub(super) struct ToolText {
    /// From where on the bytes of this push belong to it.
    from: usize,
    held: Vec<u8>,
    /// Room for more than is usual.
    room: Option<Share>,
    /// There was no room.
    refused: bool,
}

/// Bytes that need no room of their own.
const USUAL: usize = 4 << 10;

impl ToolText {
    /// It begins with the byte at `from` of the pushed bytes.
    pub(super) const fn new(from: usize) -> Self {
        Self { from, held: Vec::new(), room: None, refused: false }
    }

    /// It goes on to the end of the pushed `bytes`, and beyond.
    pub(super) fn push(&mut self, bytes: &[u8], limit: usize, buffers: &Budget) {
        let bytes = bytes.get(std::mem::take(&mut self.from)..).unwrap_or_default();
        let len = self.held.len() + bytes.len();
        if len > USUAL && self.room.is_none() {
            self.room = buffers.take(limit as u64);
        }
        if len > USUAL && self.room.is_none() || len > limit {
            self.refused = true;
            (self.held, self.room) = (Vec::new(), None);
        }
        if !self.refused {
            self.held.extend_from_slice(bytes);
        }
    }

    /// It ends behind `end` of the pushed `bytes`: its hash. None if it was too large. `name` is what it calls the tool.
    pub(super) fn finish(
        mut self,
        bytes: &[u8],
        end: usize,
        limit: usize,
        name: &str,
        known: &Known,
    ) -> Option<u128> {
        let last = bytes.get(self.from..end)?;
        if self.refused || self.held.len() + last.len() > limit {
            return None;
        }
        if self.held.is_empty() {
            return Some(hash_of(last, name, known));
        }
        self.held.extend_from_slice(last);
        Some(hash_of(&self.held, name, known))
    }
}

/// The hash of a definition.
fn hash_of(text: &[u8], name: &str, known: &Known) -> u128 {
    if let Some((_, hash)) = known.recall(text) {
        return hash;
    }
    // What cannot be read (half a surrogate pair) counts as it is written.
    let hash = first_half(spelling::of_members(text, TOLD).as_deref().unwrap_or(text));
    known.keep(text, (name.into(), hash));
    hash
}

fn first_half(text: &[u8]) -> u128 {
    let hash: [u8; 32] = Sha256::digest(text).into();
    hash.first_chunk::<16>().map_or(0, |first| u128::from_be_bytes(*first))
}

#[cfg(test)]
mod tests {
    use super::ToolText;
    use crate::pipeline::limits::{Budget, Memo};

    const LIMIT: usize = 8 << 10;

    /// The hash of a tool with this schema, read in portions of so many bytes.
    fn hash_with(schema: &str, portion: usize, buffers: &Budget) -> Option<u128> {
        let text = format!(r#"[{{"name":"a","inputSchema":{schema}}}]"#);
        let mut tool = ToolText::new(1);
        let mut left = text.len() - 1;
        for part in text.as_bytes().chunks(portion) {
            if left <= part.len() {
                return tool.finish(part, left, LIMIT, "a", &Memo::new(2));
            }
            left -= part.len();
            tool.push(part, LIMIT, buffers);
        }
        None
    }

    fn hash(schema: &str, portion: usize) -> Option<u128> {
        hash_with(schema, portion, &Budget::new(1 << 20))
    }

    #[test]
    fn what_means_the_same_has_the_same_hash() {
        for (one, other) in [
            (r#"{"a":1,"b":[true,null,"x"]}"#, r#" { "b" : [ true , null , "x" ] , "a" : 1 } "#),
            (r#"{"a":{"c":1,"d":2}}"#, r#"{"a":{"d":2,"c":1}}"#),
            (r#""\u00e9\ud83d\ude00/""#, r#""é😀\/""#),
            (r#"{"\u0061":[]}"#, r#"{"a":[]}"#),
            (r#"{},"title":"b""#, r#"{},"title":"b","_meta":{"served":7}"#),
        ] {
            assert_eq!(hash(one, 1000), hash(other, 2), "{one} {other}");
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
            "{},\"description\":\"b\"",
            "{},\"title\":\"b\"",
        ];
        let hashes: std::collections::BTreeSet<_> = texts.iter().map(|text| hash(text, 3)).collect();
        assert_eq!(hashes.len(), texts.len());
        assert!(!hashes.contains(&None));
    }

    #[test]
    fn what_is_too_large_has_none() {
        let text = |len: usize| format!("\"{}\"", "x".repeat(len));
        assert!(hash(&text(LIMIT - 200), 1000).is_some());
        assert_eq!(hash(&text(LIMIT), 1000), None);
        assert_eq!(hash_with(&text(LIMIT - 200), 1000, &Budget::new(100)), None, "no room");
        assert_eq!(hash(&text(LIMIT), 2 * LIMIT), None, "in one piece too");
    }

    #[test]
    fn what_was_seen_before_is_known() {
        let known = Memo::new(2);
        known.keep(b"a", 1);
        known.keep(b"b", 2);
        assert_eq!([known.recall(b"a"), known.recall(b"b"), known.recall(b"c")], [Some(1), Some(2), None]);
        known.keep(b"c", 3);
        assert_eq!([known.recall(b"a"), known.recall(b"c")], [None, Some(3)], "only so many are");
    }
}
