//! Finds names in tables that are made when the program is compiled: by a hash of a few of their bytes.

/// The first bytes of a name as a number, which together with the length is the whole of a short one.
pub const fn start_of(name: &[u8]) -> u64 {
    if let Some(start) = name.first_chunk::<START>() {
        return u64::from_le_bytes(*start);
    }
    if let (Some(start), Some(end)) = (name.first_chunk::<4>(), name.last_chunk::<4>()) {
        return u32::from_le_bytes(*start) as u64 | (u32::from_le_bytes(*end) as u64) << 32;
    }
    match name {
        [a, b, c] => *a as u64 | (*b as u64) << 8 | (*c as u64) << 16,
        [a, b] => *a as u64 | (*b as u64) << 8,
        [a] => *a as u64,
        _ => 0,
    }
}

/// Bytes of [`start_of`].
pub const START: usize = 8;

/// In which of [`SLOTS`] places `name` is looked for first; where there is another one, in the next.
pub const fn slot(within: u8, start: u64, name: &[u8]) -> usize {
    let end = match name.last_chunk::<START>() {
        Some(end) => u64::from_le_bytes(*end),
        None => 0,
    };
    let mixed = start ^ end.rotate_left(23) ^ (name.len() as u64) << 32 ^ (within as u64) << 48;
    (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as usize
}

/// Puts `number` into the first place from `slot` on that is free, which is one with 0.
#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, where a wrong index is an error")]
pub const fn put(places: &mut [u8; SLOTS], mut slot: usize, number: u8) {
    while places[slot % SLOTS] != 0 {
        slot += 1;
    }
    places[slot % SLOTS] = number;
}

/// Many times more than there are names, so that most others are told at once.
pub const SLOTS: usize = 256;

#[cfg(test)]
mod tests {
    use super::start_of;

    #[test]
    fn short_names_differ_in_their_numbers() {
        let names =
            ["", "a", "b", "ab", "ba", "abc", "acb", "abcd", "abce", "abcde", "abxde", "abcdefg", "abcxefg"];
        for (index, one) in names.iter().enumerate() {
            for other in &names[..index] {
                assert!(
                    one.len() != other.len() || start_of(one.as_bytes()) != start_of(other.as_bytes()),
                    "{one} {other}"
                );
            }
        }
    }
}
