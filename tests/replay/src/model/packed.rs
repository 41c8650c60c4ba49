//! Bytes to be written, and where in them a message is.

use std::ops::Range;

/// Bytes that carry a text.
#[derive(Clone, Debug, Default)]
pub struct Packed {
    /// All of them.
    pub bytes: Vec<u8>,
    /// Where the first and the last byte are by which the text can be read.
    pub text: [usize; 2],
    /// Ranges that are written and read in one piece: when what is compressed can be read depends on the decoder.
    pub solid: Vec<Range<usize>>,
}

impl Packed {
    /// `bytes`, in which `text` stands.
    pub fn new(bytes: Vec<u8>, text: &str) -> Self {
        let text = text.as_bytes();
        let first = bytes.windows(text.len()).position(|window| window == text);
        let first = first.expect("the text is in the bytes");
        Self { bytes, text: [first, first + text.len() - 1], solid: Vec::new() }
    }

    /// All of it is the text.
    pub fn whole(bytes: Vec<u8>) -> Self {
        let last = bytes.len() - 1;
        Self { bytes, text: [0, last], solid: Vec::new() }
    }

    /// With bytes in front.
    pub fn behind(self, front: &[u8]) -> Self {
        let count = front.len();
        Self {
            bytes: [front, &self.bytes].concat(),
            text: self.text.map(|place| place + count),
            solid: self.solid.into_iter().map(|range| range.start + count..range.end + count).collect(),
        }
    }

    /// With bytes behind it.
    pub fn before(mut self, back: &[u8]) -> Self {
        self.bytes.extend_from_slice(back);
        self
    }

    /// Whether it may be cut in front of this byte.
    pub fn can_be_cut(&self, place: usize) -> bool {
        self.solid.iter().all(|range| place <= range.start || range.end <= place)
    }
}
