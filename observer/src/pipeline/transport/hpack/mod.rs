//! HPACK, the header compression of HTTP/2 (RFC 7541), read by somebody who may have come late.
//!
//! Written here because no crate fits: those that are published give up at the first index that they do not know, and
//! are then out of step for good; they build their Huffman tables for every string or move the block for every
//! field; none is kept up. This one knows which entries it cannot know, keeps only what matters of the others, and is
//! linear in the length of a block.

mod huffman;
mod table;

use std::collections::VecDeque;
use std::sync::Arc;

use super::head::Name;
use crate::pipeline::limits::{Budget, Limits, Share};
use table::STATIC;

/// The state of one direction.
pub(super) struct Hpack {
    /// The dynamic table, newest first.
    entries: VecDeque<Entry>,
    /// Its size, as the specification counts it.
    size: usize,
    /// What it may grow to.
    most: usize,
    /// What `most` may be.
    limit: usize,
    /// Older entries may exist that were never seen.
    joined: bool,
    kept_bytes: usize,
    /// Headers that the user asks for.
    chosen: Arc<[Box<str>]>,
    buffers: Budget,
    /// The room of a table that is larger than usual.
    room: Option<Share>,
    scratch: Vec<u8>,
}

/// A field of a header list. `None`: not known.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) name: Option<Name>,
    /// As it is kept; empty if the name does not matter.
    pub(super) value: Option<Box<str>>,
    size: usize,
}

/// A block cannot be read further; the table is no longer known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Broken;

impl std::fmt::Debug for Hpack {
    /// Without values: some are secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hpack").field("entries", &self.entries.len()).field("joined", &self.joined).finish()
    }
}

impl Hpack {
    /// At the start of a connection.
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            entries: VecDeque::new(),
            size: 0,
            most: DEFAULT_SIZE,
            limit: limits.hpack_table_bytes,
            joined: false,
            kept_bytes: limits.kept_bytes,
            chosen: limits.kept_headers.clone(),
            buffers: limits.buffers.clone(),
            room: None,
            scratch: Vec::new(),
        }
    }

    /// Blocks may have been missed.
    pub(super) fn forget(&mut self) {
        self.entries = VecDeque::new();
        self.size = 0;
        self.room = None;
        // It may have been made larger.
        self.most = self.limit;
        self.joined = true;
    }

    /// Reads a whole block.
    pub(super) fn read(&mut self, block: &[u8], out: &mut impl FnMut(&Entry)) -> Result<(), Broken> {
        let mut rest = block;
        if self.scratch.capacity() > DEFAULT_SIZE {
            self.scratch = Vec::new();
        }
        while let Some(&first) = rest.first() {
            if self.field(first, &mut rest, out).is_none() {
                self.forget();
                return Err(Broken);
            }
        }
        Ok(())
    }

    /// One representation (§6), whose first byte is `first`.
    fn field(&mut self, first: u8, rest: &mut &[u8], out: &mut impl FnMut(&Entry)) -> Option<()> {
        if first & 0x80 != 0 {
            let index = integer(rest, 7)?;
            out(&self.entry(index)?);
        } else if first & 0x40 != 0 {
            let entry = self.literal(rest, 6)?;
            out(&entry);
            self.add(entry);
        } else if first & 0x20 != 0 {
            let most = integer(rest, 5)?;
            if most > self.limit {
                return None;
            }
            self.most = most;
            self.evict(0);
        } else {
            let entry = self.literal(rest, 4)?;
            out(&entry);
        }
        Some(())
    }

    /// The entry with this index. `None`: there is none.
    fn entry(&self, index: usize) -> Option<Entry> {
        let index = index.checked_sub(1)?;
        if let Some((name, value)) = STATIC.get(index) {
            let kept = Name::of(name.as_bytes(), &self.chosen);
            return Some(Entry {
                value: Some(kept.value(value.as_bytes(), self.kept_bytes)),
                name: Some(kept),
                size: name.len() + value.len() + OVERHEAD,
            });
        }
        match self.entries.get(index - STATIC.len()) {
            Some(entry) => Some(entry.clone()),
            None => self.joined.then_some(Entry { name: None, value: None, size: OVERHEAD }),
        }
    }

    fn literal(&mut self, rest: &mut &[u8], prefix: u32) -> Option<Entry> {
        let (name, name_len) = match integer(rest, prefix)? {
            0 => {
                self.string(rest)?;
                (Some(Name::of(&self.scratch.to_ascii_lowercase(), &self.chosen)), self.scratch.len())
            }
            // The name's own length does not matter where it is not known: older entries go later than they could.
            index => {
                let entry = self.entry(index)?;
                let value = entry.value.map_or(0, |value| value.len());
                (entry.name, entry.size.saturating_sub(OVERHEAD + value))
            }
        };
        self.string(rest)?;
        let size = name_len + self.scratch.len() + OVERHEAD;
        let value = name.map(|name| name.value(&self.scratch, self.kept_bytes));
        Some(Entry { name, value, size })
    }

    /// A string (§5.2), into the scratch.
    fn string(&mut self, rest: &mut &[u8]) -> Option<()> {
        let coded = rest.first()? & 0x80 != 0;
        let len = integer(rest, 7)?;
        let (text, behind) = rest.split_at_checked(len)?;
        *rest = behind;
        self.scratch.clear();
        if coded {
            huffman::decode(text, &mut self.scratch)
        } else {
            self.scratch.extend_from_slice(text);
            Some(())
        }
    }

    fn add(&mut self, entry: Entry) {
        if self.size + entry.size > DEFAULT_SIZE && self.most > DEFAULT_SIZE && self.room.is_none() {
            // An entry takes more than the specification counts, but never so much.
            self.room = self.buffers.take(4 * self.limit as u64);
            if self.room.is_none() {
                self.most = DEFAULT_SIZE;
                self.joined = true;
            }
        }
        self.evict(entry.size);
        if entry.size <= self.most {
            self.size += entry.size;
            self.entries.push_front(entry);
        }
    }

    /// Makes room for `more`.
    fn evict(&mut self, more: usize) {
        while self.size + more > self.most {
            let Some(oldest) = self.entries.pop_back() else { return };
            self.size -= oldest.size;
        }
    }
}

/// An integer (§5.1) with a prefix of so many bits.
fn integer(rest: &mut &[u8], prefix: u32) -> Option<usize> {
    let (first, mut behind) = rest.split_first()?;
    let mask = (1usize << prefix) - 1;
    let mut value = usize::from(*first) & mask;
    if value == mask {
        for shift in (0..=21).step_by(7) {
            let (next, after) = behind.split_first()?;
            behind = after;
            value += usize::from(next & 0x7F) << shift;
            if next & 0x80 == 0 {
                *rest = behind;
                return Some(value);
            }
        }
        return None;
    }
    *rest = behind;
    Some(value)
}

/// The size of the table before anybody says otherwise.
const DEFAULT_SIZE: usize = 4096;
/// What the specification counts for each entry.
const OVERHEAD: usize = 32;

#[cfg(test)]
mod tests {
    use super::Hpack;
    use crate::pipeline::limits::Limits;
    use crate::pipeline::transport::tests::Random;

    fn table(hpack_table_bytes: usize) -> Hpack {
        Hpack::new(&Limits { hpack_table_bytes, kept_bytes: 100, ..Limits::default() })
    }

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> =
            text.bytes().filter_map(|byte| char::from(byte).to_digit(16)).map(|d| d as u8).collect();
        digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
    }

    fn read(hpack: &mut Hpack, block: &[u8]) -> String {
        let mut fields = Vec::new();
        let result = hpack.read(block, &mut |entry| {
            fields.push(match (&entry.name, &entry.value) {
                (Some(name), Some(value)) => format!("{name:?}={value}"),
                _ => "?".to_owned(),
            });
        });
        if result.is_err() {
            fields.push("broken".to_owned());
        }
        fields.join(" ")
    }

    #[test]
    fn reads_the_requests_of_the_specification() {
        let plain = ["828684410f7777772e6578616d706c652e636f6d", "828684be58086e6f2d6361636865"];
        let huffman = ["828684418cf1e3c2e5f23a6ba0ab90f4ff", "828684be5886a8eb10649cbf"];
        for blocks in [plain, huffman] {
            let mut hpack = table(4096);
            let first = "Method=GET Other= Target=/ Kept(Host, AsIs)=www.example.com";
            assert_eq!(read(&mut hpack, &hex(blocks[0])), first);
            assert_eq!(read(&mut hpack, &hex(blocks[1])), format!("{first} Other="));
            assert_eq!((hpack.entries.len(), hpack.size), (2, 110));
        }
    }

    /// Appendix C.6: a table of 256 bytes, from which entries go.
    #[test]
    fn reads_the_responses_of_the_specification() {
        let blocks = [
            "488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43d3",
            "4883640effc1c0bf",
            "88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335dfdfcd5b3960\
             d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007",
        ];
        let mut hpack = table(4096);
        read(&mut hpack, &[0x3f, 0xe1, 0x01]);
        assert_eq!(read(&mut hpack, &hex(blocks[0])), "Status=302 Other= Other= Other=");
        assert_eq!(read(&mut hpack, &hex(blocks[1])), "Status=307 Other= Other= Other=");
        assert_eq!(
            read(&mut hpack, &hex(blocks[2])),
            "Status=200 Other= Other= Other= Kept(ContentEncoding, LowerCase)=gzip Other="
        );
        assert_eq!((hpack.entries.len(), hpack.size), (3, 215));
    }

    #[test]
    fn who_comes_late_reads_what_is_new() {
        let mut hpack = table(4096);
        hpack.forget();
        let request = hex("8286c1410f7777772e6578616d706c652e636f6d");
        assert_eq!(read(&mut hpack, &request), "Method=GET Other= ? Kept(Host, AsIs)=www.example.com");
        assert_eq!(read(&mut hpack, &[0xBE, 0xBF]), "Kept(Host, AsIs)=www.example.com ?");
        let named_by_what_is_unknown = [0x7F, 0x10, 0x01, b'x'];
        assert_eq!(read(&mut hpack, &named_by_what_is_unknown), "?");
        assert_eq!(read(&mut hpack, &[0xBE, 0xBF]), "? Kept(Host, AsIs)=www.example.com");
    }

    #[test]
    fn what_is_broken_is_no_longer_trusted() {
        let mut hpack = table(4096);
        for broken in ["80", "c0", "41", "4185f1", "ffffffffffff01", "3fe1ff03", "0081ff", "00840000000000"] {
            assert!(read(&mut hpack, &hex(broken)).ends_with("broken"), "{broken}");
            hpack = table(4096);
        }
        read(&mut hpack, &[0x80]);
        assert!(hpack.joined);
    }

    #[test]
    fn the_table_stays_within_its_limit() {
        let mut hpack = table(8192);
        let field = [&[0x40, 1, b'a', 0x7F, 0x81, 0x00][..], &[b'x'; 256]].concat();
        for _ in 0..1000 {
            read(&mut hpack, &field);
            assert!(hpack.size <= 4096 && hpack.entries.len() <= 128);
        }
        let mut random = Random(7);
        for _ in 0..20_000 {
            let block: Vec<u8> = (0..random.below(40)).map(|_| random.below(256) as u8).collect();
            read(&mut hpack, &block);
            assert!(hpack.size <= 8192, "{}", hpack.size);
        }
    }
}
