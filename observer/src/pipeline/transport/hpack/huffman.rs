//! The Huffman code of HPACK (RFC 7541, appendix B). It is canonical, so the lengths of the codes tell the codes.

/// Appends what `coded` stands for to `out`. `None`: it is not this code.
pub(super) fn decode(coded: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let (mut code, mut len, mut ones) = (0u32, 0usize, true);
    for byte in coded {
        for bit in (0..8).rev() {
            let bit = u32::from(byte >> bit & 1);
            code = code << 1 | bit;
            len += 1;
            ones &= bit == 1;
            let level = CODES.levels.get(len)?;
            let Some(offset) = code.checked_sub(level.first).filter(|offset| *offset < level.count) else {
                continue;
            };
            let symbol = *CODES.symbols.get(level.start + offset as usize)?;
            out.push(u8::try_from(symbol).ok()?); // the end of the string is not a symbol
            (code, len, ones) = (0, 0, true);
        }
    }
    // Padding: less than a byte, the beginning of the code for the end.
    (len < 8 && ones).then_some(())
}

/// The codes of one length.
#[derive(Clone, Copy)]
struct Level {
    /// The first of them.
    first: u32,
    /// How many there are.
    count: u32,
    /// Where their symbols begin.
    start: usize,
}

struct Codes {
    levels: [Level; LONGEST + 1],
    /// In the order of their codes.
    symbols: [u16; LENGTHS.len()],
}

const LONGEST: usize = 30;
static CODES: Codes = codes();

#[expect(clippy::indexing_slicing, reason = "worked out by the compiler, which would refuse a bad index")]
const fn codes() -> Codes {
    let mut codes =
        Codes { levels: [Level { first: 0, count: 0, start: 0 }; LONGEST + 1], symbols: [0; LENGTHS.len()] };
    let (mut len, mut next, mut place) = (1, 0, 0);
    while len <= LONGEST {
        next <<= 1;
        codes.levels[len] = Level { first: next, count: 0, start: place };
        let mut symbol = 0;
        while symbol < LENGTHS.len() {
            if LENGTHS[symbol] as usize == len {
                codes.symbols[place] = symbol as u16;
                codes.levels[len].count += 1;
                next += 1;
                place += 1;
            }
            symbol += 1;
        }
        len += 1;
    }
    codes
}

/// Bits of the code of each byte, and of the end of the string.
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28,
    28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6,
    6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7,
    8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7,
    15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24,
    23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23,
    23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26,
    26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20,
    21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27,
    27, 27, 26, 30,
];
