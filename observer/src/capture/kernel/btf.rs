//! Reads from the kernel's type information where the members of its structs are.
//!
//! In: the bytes of `/sys/kernel/btf/vmlinux`. Out: offsets, constants and numbers of types, by name. Deliberately
//! nothing else of BTF: `aya` does not tell offsets, and the kernel programs need no more.

use std::collections::HashMap;

use super::types::large;

/// Type information, in which some types can be found by name.
pub struct Btf<'a> {
    bytes: &'a [u8],
    strings: &'a [u8],
    /// Where each type begins, by its number.
    types: Vec<u32>,
    /// The numbers of the types that were asked for. A struct and a function may have the same name.
    named: HashMap<&'a [u8], Vec<u32>>,
}

/// Why type information could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadBtf(pub &'static str);

const MAGIC: u16 = 0xeb9f;
/// A type's fixed part: name, info, size or type.
const TYPE_LEN: usize = 12;
const MEMBER_LEN: usize = 12;
const CONSTANT_LEN: usize = 8;

const STRUCT: u32 = 4;
const UNION: u32 = 5;
const ENUM: u32 = 6;
/// Kind of a type: another name for one.
pub const TYPEDEF: u32 = 8;
const VOLATILE: u32 = 9;
const CONST: u32 = 10;
const RESTRICT: u32 = 11;
/// Kind of a type: a function.
pub const FUNCTION: u32 = 12;
const TYPE_TAG: u32 = 18;

/// Members inside of members; more than any kernel struct has, and an end for loops in broken input.
const MAX_DEPTH: u32 = 16;

impl<'a> Btf<'a> {
    /// Reads `bytes`, and remembers where the types with these names are.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn parse(bytes: &'a [u8], names: &[&'a str]) -> Result<Self, BadBtf> {
        let header = |at| word(bytes, at).ok_or(BadBtf("header is cut"));
        let magic = bytes.get(..2).and_then(|b| b.try_into().ok()).map(u16::from_ne_bytes);
        if magic != Some(MAGIC) {
            return Err(BadBtf("no BTF of this byte order"));
        }
        let header_len = header(4)? as usize;
        let section = |at: usize| -> Result<(usize, usize), BadBtf> {
            let from = header_len + header(at)? as usize;
            Ok((from, from + header(at + 4)? as usize))
        };
        let (types_from, types_to) = section(8)?;
        let (strings_from, strings_to) = section(16)?;
        let strings = bytes.get(strings_from..strings_to).ok_or(BadBtf("strings are cut"))?;
        let named = names.iter().map(|name| (name.as_bytes(), Vec::new())).collect();
        let mut btf = Self { bytes, strings, types: large(), named };
        btf.types.push(0);
        let mut at = types_from;
        while at < types_to {
            let number = btf.types.len() as u32;
            let kind = btf.index(at, number).ok_or(BadBtf("types are cut"))?;
            at += TYPE_LEN + kind;
        }
        Ok(btf)
    }

    /// Remembers the type at `at`. Returns the length of what follows its fixed part.
    fn index(&mut self, at: usize, number: u32) -> Option<usize> {
        let (kind, count) = self.kind_at(at)?;
        self.types.push(u32::try_from(at).ok()?);
        if let Some(numbers) = self.named.get_mut(name_in(self.strings, word(self.bytes, at)?)?) {
            numbers.push(number);
        }
        Some(match kind {
            STRUCT | UNION | 15 | 19 => count * 12,
            ENUM | 13 => count * 8,
            3 => 12,
            1 | 14 | 17 => 4,
            _ => 0,
        })
    }

    /// Offset in bytes of the first of the members at `paths`, divided by `|`, that the struct `name` has, and so
    /// many bytes more as stand behind a `+`.
    pub fn any_offset(&self, name: &str, paths: &str) -> Option<u32> {
        paths.split('|').find_map(|path| {
            let (path, more) = path.split_once('+').unwrap_or((path, "0"));
            Some(self.offset(name, path)? + more.parse::<u32>().ok()?)
        })
    }

    /// Offset in bytes of the member at `path` (names joined by dots) of the struct `name`. Members of anonymous
    /// structs and unions count as their owner's.
    pub fn offset(&self, name: &str, path: &str) -> Option<u32> {
        self.numbers(name).find_map(|mut number| {
            let mut bits = 0;
            for part in path.split('.') {
                let (at, of) = self.member(number, part.as_bytes(), 0)?;
                bits += at;
                number = of;
            }
            (bits % 8 == 0).then_some(bits / 8)
        })
    }

    /// Value of the constant `name` of the enum `of`.
    pub fn constant(&self, of: &str, name: &str) -> Option<u32> {
        self.numbers(of).find_map(|number| {
            let at = self.at(number)?;
            let (kind, count) = self.kind_at(at)?;
            let count = if kind == ENUM { count } else { 0 };
            (0..count).find_map(|i| {
                let constant = at + TYPE_LEN + i * CONSTANT_LEN;
                let is_it = self.name(word(self.bytes, constant)?)? == name.as_bytes();
                is_it.then(|| word(self.bytes, constant + 4)).flatten()
            })
        })
    }

    /// Number of the type with this name that is of this kind.
    pub fn number(&self, name: &str, kind: u32) -> Option<u32> {
        self.numbers(name)
            .find(|&number| self.at(number).and_then(|at| self.kind_at(at)).is_some_and(|(of, _)| of == kind))
    }

    /// Numbers of the types with a name that was asked for.
    fn numbers(&self, name: &str) -> impl Iterator<Item = u32> {
        self.named.get(name.as_bytes()).into_iter().flatten().copied()
    }

    /// Where a type begins.
    fn at(&self, number: u32) -> Option<usize> {
        self.types.get(number as usize).map(|&at| at as usize)
    }

    /// Offset in bits and type of a member.
    fn member(&self, of: u32, wanted: &[u8], depth: u32) -> Option<(u32, u32)> {
        let at = self.at(self.resolved(of)?)?;
        let (kind, count) = self.kind_at(at)?;
        if depth > MAX_DEPTH || kind != STRUCT && kind != UNION {
            return None;
        }
        let has_bit_fields = word(self.bytes, at + 4)? >> 31 == 1;
        (0..count).find_map(|i| {
            let member = at + TYPE_LEN + i * MEMBER_LEN;
            let name = self.name(word(self.bytes, member)?)?;
            let of = word(self.bytes, member + 4)?;
            let offset = word(self.bytes, member + 8)?;
            let offset = if has_bit_fields { offset & 0xff_ffff } else { offset };
            if name == wanted {
                return Some((offset, of));
            }
            if !name.is_empty() {
                return None;
            }
            self.member(of, wanted, depth + 1).map(|(inner, of)| (offset + inner, of))
        })
    }

    /// The type behind typedefs and qualifiers.
    fn resolved(&self, mut number: u32) -> Option<u32> {
        for _ in 0..MAX_DEPTH {
            let at = self.at(number)?;
            match self.kind_at(at)?.0 {
                TYPEDEF | VOLATILE | CONST | RESTRICT | TYPE_TAG => number = word(self.bytes, at + 8)?,
                _ => return Some(number),
            }
        }
        None
    }

    /// Kind and number of parts of the type at `at`.
    fn kind_at(&self, at: usize) -> Option<(u32, usize)> {
        let info = word(self.bytes, at + 4)?;
        Some((info >> 24 & 0x1f, (info & 0xffff) as usize))
    }

    fn name(&self, at: u32) -> Option<&'a [u8]> {
        name_in(self.strings, at)
    }
}

fn name_in(strings: &[u8], at: u32) -> Option<&[u8]> {
    let rest = strings.get(at as usize..)?;
    rest.get(..memchr::memchr(0, rest)?)
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 4] = ["inner", "outer", "way", "inner_t"];

    /// Type information of:
    /// `struct inner { int x; int y; }; typedef struct inner inner_t;`
    /// `struct outer { int a; union { int b; inner_t c; }; }; enum way { UP = 3 };`
    fn sample() -> Vec<u8> {
        let strings = b"\0inner\0x\0y\0inner_t\0outer\0a\0b\0c\0int\0way\0UP\0";
        let name = |wanted: &str| {
            let wanted = [b"\0", wanted.as_bytes(), b"\0"].concat();
            strings.windows(wanted.len()).position(|w| w == wanted).unwrap() as u32 + 1
        };
        let kind = |kind: u32, parts: u32| kind << 24 | parts;
        let words = [
            // 1: int
            vec![name("int"), kind(1, 0), 4, 32],
            // 2: struct inner
            vec![name("inner"), kind(STRUCT, 2), 8, name("x"), 1, 0, name("y"), 1, 32],
            // 3: typedef
            vec![name("inner_t"), kind(TYPEDEF, 0), 2],
            // 4: the anonymous union
            vec![0, kind(UNION, 2), 8, name("b"), 1, 0, name("c"), 3, 0],
            // 5: struct outer, with the flag for bit fields
            vec![name("outer"), kind(STRUCT, 2) | 1 << 31, 12, name("a"), 1, 0, 0, 4, 32],
            // 6: the enum
            vec![name("way"), kind(ENUM, 1), 4, name("UP"), 3],
        ]
        .concat();
        let types: Vec<u8> = words.iter().flat_map(|w: &u32| w.to_ne_bytes()).collect();
        let mut bytes = MAGIC.to_ne_bytes().to_vec();
        bytes.extend([1, 0]);
        for word in [24, 0, types.len() as u32, types.len() as u32, strings.len() as u32] {
            bytes.extend(word.to_ne_bytes());
        }
        [bytes, types, strings.to_vec()].concat()
    }

    #[test]
    fn finds_members_by_name() {
        let bytes = sample();
        let btf = Btf::parse(&bytes, &NAMES).unwrap();
        assert_eq!(btf.offset("inner", "y"), Some(4));
        assert_eq!(btf.offset("outer", "a"), Some(0));
    }

    #[test]
    fn looks_into_anonymous_members_and_through_typedefs() {
        let bytes = sample();
        let btf = Btf::parse(&bytes, &NAMES).unwrap();
        assert_eq!(btf.offset("outer", "b"), Some(4));
        assert_eq!(btf.offset("outer", "c.y"), Some(8));
    }

    #[test]
    fn takes_the_first_member_that_is_there() {
        let bytes = sample();
        let btf = Btf::parse(&bytes, &NAMES).unwrap();
        assert_eq!(btf.any_offset("outer", "z|b|a"), Some(4));
        assert_eq!(btf.any_offset("outer", "z|c.y+16"), Some(24));
        assert_eq!(btf.any_offset("outer", "y|z"), None);
    }

    #[test]
    fn tells_constants() {
        let bytes = sample();
        let btf = Btf::parse(&bytes, &NAMES).unwrap();
        assert_eq!(btf.constant("way", "UP"), Some(3));
        assert_eq!(btf.constant("way", "DOWN"), None);
        assert_eq!(btf.constant("other", "UP"), None);
    }

    #[test]
    fn tells_numbers_by_name_and_kind() {
        let bytes = sample();
        let btf = Btf::parse(&bytes, &NAMES).unwrap();
        assert_eq!(btf.number("inner_t", TYPEDEF), Some(3));
        assert_eq!(btf.number("inner_t", FUNCTION), None);
    }

    #[test]
    fn says_what_is_not_there() {
        let bytes = sample();
        let btf = Btf::parse(&bytes, &NAMES).unwrap();
        assert_eq!(btf.offset("outer", "y"), None);
        assert_eq!(btf.offset("other", "a"), None);
    }

    #[test]
    fn refuses_what_is_cut_anywhere() {
        let bytes = sample();
        for len in 0..bytes.len() {
            assert!(Btf::parse(&bytes[..len], &NAMES).is_err(), "{len} bytes");
        }
    }
}
