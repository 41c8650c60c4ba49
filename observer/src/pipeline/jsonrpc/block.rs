//! Compares 64 bytes at once. Gives a word with one bit for each of them, the first byte's being the lowest.

use wide::u8x16;

/// Bytes of a block.
pub(super) const BLOCK: usize = 64;

/// Bytes of a part of it, which are compared in one step.
pub(super) const PART: usize = 16;

/// Bytes to be compared.
pub(super) struct Block([u8x16; BLOCK / PART]);

impl Block {
    #[inline(always)]
    pub(super) fn new(bytes: &[u8; BLOCK]) -> Self {
        let (parts, _) = bytes.as_chunks::<PART>();
        Self([0, 1, 2, 3].map(|at| u8x16::new(parts.get(at).copied().unwrap_or_default())))
    }

    /// Which bytes are `wanted`.
    #[inline(always)]
    pub(super) fn equal(&self, wanted: u8) -> u64 {
        self.equal_with(0, wanted)
    }

    /// Which bytes are `wanted` once the bits of `ones` are set in them.
    #[inline(always)]
    pub(super) fn equal_with(&self, ones: u8, wanted: u8) -> u64 {
        let (ones, wanted) = (u8x16::splat(ones), u8x16::splat(wanted));
        let bits = |part: &u8x16| u64::from((*part | ones).simd_eq(wanted).to_bitmask());
        self.0.iter().rev().fold(0, |all, part| all << PART | bits(part))
    }
}

/// The first of these bytes that is `one` or `other`.
#[inline(always)]
pub(super) fn first_of(bytes: &[u8; PART], one: u8, other: u8) -> Option<usize> {
    let part = u8x16::new(*bytes);
    let found = (part.simd_eq(u8x16::splat(one)) | part.simd_eq(u8x16::splat(other))).to_bitmask();
    (found != 0).then(|| found.trailing_zeros() as usize)
}

#[cfg(test)]
mod tests {
    use super::{BLOCK, Block, PART, first_of};

    #[test]
    fn each_byte_has_its_bit() {
        for at in 0..BLOCK {
            for byte in [b'{', b'[', b'\\', 0, 0x80, 0xFF] {
                let mut bytes = [b'x'; BLOCK];
                bytes[at] = byte;
                let block = Block::new(&bytes);
                assert_eq!(block.equal(byte), 1 << at, "{byte} at {at}");
                assert_eq!(block.equal(b'x'), !(1 << at), "all but {at}");
                let brackets = if matches!(byte, b'{' | b'[') { 1 << at } else { 0 };
                assert_eq!(block.equal_with(0x20, b'{'), brackets, "{byte} at {at}");
            }
        }
    }

    #[test]
    fn the_first_is_found() {
        assert_eq!(first_of(b"0123456789abcdef", b'9', b'a'), Some(9));
        assert_eq!(first_of(b"0123456789abcdef", b'f', b'0'), Some(0));
        assert_eq!(first_of(&[b'x'; PART], b'y', b'z'), None);
    }
}
