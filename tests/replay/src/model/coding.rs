//! Compressed bodies. All but one way to compress leave the text as it is, so that it is known when it can be read.

use miniz_oxide::deflate::core::{
    CompressorOxide, TDEFLFlush, compress_to_output, create_comp_flags_from_zip_params,
};

use super::packed::Packed;
use super::random::Random;

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// `gzip`, as everybody does it.
    Gzip,
    /// `gzip` in blocks that are as they were.
    GzipStored,
    /// `deflate`, likewise.
    DeflateStored,
    /// `br`, likewise.
    BrotliStored,
    /// `zstd`, likewise. It can be read as soon as all of it is there.
    ZstdStored,
}

/// Those in which a part of a body can be read before the rest is there.
const OF_EVENTS: &[Coding] = &[Coding::Gzip, Coding::GzipStored, Coding::DeflateStored, Coding::BrotliStored];
const OF_BODIES: &[Coding] =
    &[Coding::Gzip, Coding::GzipStored, Coding::DeflateStored, Coding::BrotliStored, Coding::ZstdStored];

/// Within so many bytes from its beginning a compressed text shows its first byte.
const FRONT: usize = 200;
/// So many bytes from the end the last byte of a compressed text may be known.
const BACK: usize = 24;

impl Coding {
    /// One by chance, or none.
    pub fn pick(random: &mut Random, is_event_stream: bool) -> Option<Self> {
        let possible = if is_event_stream { OF_EVENTS } else { OF_BODIES };
        random.one_in(3).then(|| *random.pick(possible))
    }

    /// The value of `Content-Encoding`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gzip | Self::GzipStored => "gzip",
            Self::DeflateStored => "deflate",
            Self::BrotliStored => "br",
            Self::ZstdStored => "zstd",
        }
    }
}

/// Compresses one body part by part.
#[derive(Default)]
pub struct Coder {
    coding: Option<Coding>,
    compressor: Option<Box<CompressorOxide>>,
    begun: bool,
}

impl std::fmt::Debug for Coder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Coder").field("coding", &self.coding).finish_non_exhaustive()
    }
}

impl Coder {
    /// An empty body.
    pub fn new(coding: Option<Coding>) -> Self {
        let compressor = (coding == Some(Coding::Gzip)).then(|| {
            let flags = create_comp_flags_from_zip_params(6, -15, 0);
            Box::new(CompressorOxide::new(flags))
        });
        Self { coding, compressor, begun: false }
    }

    /// The next part of it, in which `text` stands.
    pub fn part(&mut self, content: &str, text: &str) -> Packed {
        let Some(coding) = self.coding else { return Packed::new(content.into(), text) };
        let (front, bytes) = (self.front(coding), content.as_bytes());
        match coding {
            Coding::Gzip => {
                let coded = self.compress(bytes, TDEFLFlush::Sync);
                let mut packed = Packed::whole([front, &coded].concat());
                packed.solid.push(0..FRONT.min(packed.bytes.len()));
                end_in_one_piece(packed, BACK)
            }
            Coding::GzipStored | Coding::DeflateStored => {
                let [low, high] = length(bytes).to_le_bytes();
                let header = [0, low, high, !low, !high];
                literal([front, &header].concat(), content, text)
            }
            Coding::BrotliStored => {
                // Not the last, 4 nibbles, the length less 1, and the mark of what is as it was.
                let header = (u32::from(length(bytes)) - 1) << 3 | 1 << 19;
                let header = if front.is_empty() { header } else { header << 1 };
                literal(header.to_le_bytes()[..3].to_vec(), content, text)
            }
            Coding::ZstdStored => {
                let header = (u32::from(length(bytes)) << 3 | 1).to_le_bytes();
                let mut packed = Packed::whole([front, &header[..3], bytes].concat());
                packed.text[0] = packed.text[1];
                packed
            }
        }
    }

    /// The end of the body.
    pub fn end(&mut self) -> Vec<u8> {
        let Some(coding) = self.coding else { return Vec::new() };
        let front = self.front(coding).to_vec();
        // Nobody who only looks needs to check a checksum.
        let end = match coding {
            Coding::ZstdStored => Vec::new(),
            Coding::Gzip => [self.compress(&[], TDEFLFlush::Finish), vec![0; 8]].concat(),
            Coding::GzipStored => [&[1, 0, 0, 0xFF, 0xFF][..], &[0; 8]].concat(),
            Coding::DeflateStored => [&[1, 0, 0, 0xFF, 0xFF][..], &[0; 4]].concat(),
            Coding::BrotliStored if front.is_empty() => vec![3],
            Coding::BrotliStored => return vec![6],
        };
        [front, end].concat()
    }

    /// A body of one part.
    pub fn body(&mut self, text: &str) -> Packed {
        let packed = self.part(text, text);
        let end = self.end();
        let back = end.len() + if self.coding == Some(Coding::Gzip) { BACK } else { 1 };
        let packed = packed.before(&end);
        if end.is_empty() { packed } else { end_in_one_piece(packed, back) }
    }

    /// What stands before the first part. (Of `br`, a single bit.)
    fn front(&mut self, coding: Coding) -> &'static [u8] {
        if std::mem::replace(&mut self.begun, true) {
            return &[];
        }
        match coding {
            Coding::Gzip | Coding::GzipStored => &[0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3],
            Coding::DeflateStored => &[0x78, 1],
            Coding::BrotliStored => &[0],
            Coding::ZstdStored => &[0x28, 0xB5, 0x2F, 0xFD, 0, 7 << 3],
        }
    }

    fn compress(&mut self, bytes: &[u8], flush: TDEFLFlush) -> Vec<u8> {
        let mut coded = Vec::new();
        let mut write = |part: &[u8]| {
            coded.extend_from_slice(part);
            true
        };
        let compressor = self.compressor.as_mut().expect("a compressor of this coding");
        let _ = compress_to_output(compressor, bytes, flush, &mut write);
        coded
    }
}

/// A block whose content is as it was.
fn literal(header: Vec<u8>, content: &str, text: &str) -> Packed {
    let mut packed = Packed::new(content.into(), text).behind(&header);
    packed.solid.push(0..packed.text[0] + 1); // all that is decoded together has the place of its first byte
    let back = packed.bytes.len() - packed.text[1];
    end_in_one_piece(packed, back)
}

/// The last `count` bytes are not cut: a decoder may take them together.
fn end_in_one_piece(mut packed: Packed, count: usize) -> Packed {
    let len = packed.bytes.len();
    packed.solid.push(len.saturating_sub(count)..len);
    packed
}

fn length(bytes: &[u8]) -> u16 {
    u16::try_from(bytes.len()).expect("a short text")
}
