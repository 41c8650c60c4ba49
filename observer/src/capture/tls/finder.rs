//! Finds the functions of TLS libraries in a program or shared library.
//!
//! In: an open file. Out: where the functions are, as offsets in the file. Some programs have a hundred megabytes of
//! symbols, so tables are read in small parts: first the names, and only if one is there, the symbols. Nothing of the
//! file is ever executed or loaded.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use memchr::memmem;
use object::elf::{self, FileHeader64};
use object::read::elf::{FileHeader as _, ProgramHeader as _, SectionHeader as _, Sym as _};
use object::{Endianness, ReadCache};
use observer_common::settings::TlsFunction;
use observer_common::stream::TlsLibrary;

use super::{LIBRARIES, Library};

/// A library that is in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Which one.
    pub library: TlsLibrary,
    /// Its functions, each with its place in the file.
    pub functions: Vec<Place>,
}

/// A function in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its name.
    pub name: &'static str,
    /// What it does.
    pub function: TlsFunction,
    /// Where it begins in the file.
    pub offset: u64,
}

/// Larger tables of symbols are not read: only programs with full debug information have them, and it takes long.
const TABLE_MAX: u64 = 256 << 20;

/// The libraries that are in a file. None if it is no ELF file of this host's word size.
pub fn find(file: &File) -> Option<Vec<Found>> {
    // What is read through this stays in memory until the end: heads only.
    let heads = ReadCache::new(file);
    let header = FileHeader64::<Endianness>::parse(&heads).ok()?;
    let endian = header.endian().ok()?;
    let sections = header.section_headers(endian, &heads).ok()?;
    let segments = header.program_headers(endian, &heads).ok()?;
    let wanted = Wanted::new();
    let mut found = Vec::new();
    for section in sections {
        if !matches!(section.sh_type(endian), elf::SHT_DYNSYM | elf::SHT_SYMTAB) {
            continue;
        }
        let strings = sections.get(section.sh_link(endian) as usize)?;
        let [symbols, strings] =
            [section, strings].map(|section| (section.sh_offset(endian), section.sh_size(endian)));
        if symbols.1 > TABLE_MAX || strings.1 > TABLE_MAX {
            continue;
        }
        let names = wanted.names_in(file, strings)?;
        if !names.is_empty() {
            search(file, symbols, &names, endian, &mut found)?;
        }
    }
    for (_, place) in &mut found {
        place.offset = in_file(place.offset, segments, endian).unwrap_or(0);
    }
    found.retain(|(_, place)| place.offset != 0);
    Some(LIBRARIES.iter().filter_map(|library| of_library(library, &found)).collect())
}

/// A function that is looked for.
#[derive(Clone, Copy)]
struct Function {
    library: TlsLibrary,
    name: &'static str,
    function: TlsFunction,
}

/// All functions, with their names as they stand in a file.
struct Wanted(Vec<(memmem::Finder<'static>, Function)>);

/// Where a name stands in a table of strings, and whose it is.
type Name = (u64, Function);

/// Most places of names in a table of strings: a few hundred are usual in no file.
const NAMES_MAX: usize = 4096;

impl Wanted {
    fn new() -> Self {
        let functions = LIBRARIES.iter().flat_map(|library| {
            let of = library.library;
            library.functions.iter().map(move |&(name, function)| Function { library: of, name, function })
        });
        let with_end = |function: Function| {
            let name = [function.name.as_bytes(), &[0]].concat();
            (memmem::Finder::new(&name).into_owned(), function)
        };
        Self(functions.map(with_end).collect())
    }

    /// Where the names stand in a table of strings, in order. A name may be the end of a longer one: linkers make one of
    /// both.
    fn names_in(&self, file: &File, table: (u64, u64)) -> Option<Vec<Name>> {
        let longest = self.0.iter().map(|(finder, _)| finder.needle().len()).max()?;
        let mut names = Vec::new();
        in_parts(file, table, longest - 1, |from, part| {
            for (finder, function) in &self.0 {
                let room = NAMES_MAX.saturating_sub(names.len());
                names.extend(finder.find_iter(part).take(room).map(|at| (from + at as u64, *function)));
            }
        })?;
        names.sort_by_key(|&(at, function)| (at, function.library, function.function));
        names.dedup_by_key(|&mut (at, function)| (at, function.library, function.function));
        Some(names)
    }
}

/// Adds the functions with these names that are defined in a table of symbols, with their addresses for offsets.
fn search(
    file: &File,
    table: (u64, u64),
    names: &[Name],
    endian: Endianness,
    found: &mut Vec<(TlsLibrary, Place)>,
) -> Option<()> {
    in_parts(file, table, 0, |_, part| {
        let symbols: &[elf::Sym64<Endianness>] = object::pod::slice_from_all_bytes(part).unwrap_or_default();
        for symbol in symbols {
            let name = u64::from(symbol.st_name(endian));
            let same = names.partition_point(|&(at, _)| at < name);
            let same = names.iter().skip(same).take_while(|&&(at, _)| at == name);
            for (_, wanted) in same.filter(|_| is_defined(symbol, endian)) {
                let place =
                    Place { name: wanted.name, function: wanted.function, offset: symbol.st_value(endian) };
                if !found.contains(&(wanted.library, place)) {
                    found.push((wanted.library, place));
                }
            }
        }
    })
}

/// Whether this file has the function itself.
fn is_defined(symbol: &elf::Sym64<Endianness>, endian: Endianness) -> bool {
    !symbol.is_undefined(endian) && symbol.st_type() == elf::STT_FUNC && symbol.st_value(endian) != 0
}

/// Bytes that are in memory at a time: whole symbols.
const PART_LEN: usize = 2730 * size_of::<elf::Sym64<Endianness>>();

/// Reads a table (offset and length) part by part. Each part begins with the last `again` bytes of the one before.
fn in_parts(
    file: &File,
    (from, len): (u64, u64),
    again: usize,
    mut look: impl FnMut(u64, &[u8]),
) -> Option<()> {
    let mut part = vec![0; PART_LEN];
    let mut at = 0;
    while at < len {
        let size = usize::try_from(len - at).map_or(PART_LEN, |left| left.min(PART_LEN));
        let part = part.get_mut(..size)?;
        file.read_exact_at(part, from.checked_add(at)?).ok()?;
        look(at, part);
        if at + size as u64 == len {
            break;
        }
        at += (size - again) as u64;
    }
    Some(())
}

/// Place in the file of an address, which must be in a segment of code.
fn in_file(address: u64, segments: &[elf::ProgramHeader64<Endianness>], endian: Endianness) -> Option<u64> {
    segments.iter().find_map(|segment| {
        let (start, size) = (segment.p_vaddr(endian), segment.p_filesz(endian));
        let is_code = segment.p_type(endian) == elf::PT_LOAD && segment.p_flags(endian).contains(elf::PF_X);
        let inside = address.checked_sub(start).filter(|&inside| inside < size)?;
        is_code.then(|| segment.p_offset(endian) + inside)
    })
}

/// A library counts as found if plaintext can be read both ways.
fn of_library(library: &Library, found: &[(TlsLibrary, Place)]) -> Option<Found> {
    let functions: Vec<Place> =
        found.iter().filter(|(of, _)| *of == library.library).map(|&(_, place)| place).collect();
    let has = |wanted: [TlsFunction; 2]| functions.iter().any(|place| wanted.contains(&place.function));
    let both =
        has([TlsFunction::Read, TlsFunction::ReadEx]) && has([TlsFunction::Write, TlsFunction::WriteEx]);
    both.then_some(Found { library: library.library, functions })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: u64 = 0x4000;
    const CODE_OFFSET: u64 = 0x1000;

    /// A symbol, defined or not.
    fn symbol(name: usize, defined: bool, at: u64) -> Vec<u8> {
        let section: u16 = defined.into();
        let name = u32::try_from(name).unwrap();
        [&name.to_ne_bytes()[..], &[2, 0], &section.to_ne_bytes(), &(CODE + at).to_ne_bytes(), &[0; 8]]
            .concat()
    }

    /// A shared library with one segment of code and these two tables.
    fn library(name: &str, symbols: &[u8], strings: &[u8]) -> File {
        let words = |words: &[u64]| words.iter().flat_map(|word| word.to_ne_bytes()).collect::<Vec<u8>>();
        let halves = |halves: &[u32]| halves.iter().flat_map(|half| half.to_ne_bytes()).collect::<Vec<u8>>();
        let (heads, symbols_at) = (64 + 56, 64 + 56 + 3 * 64);
        let strings_at = symbols_at + symbols.len() as u64;
        let endian = if cfg!(target_endian = "little") { 1 } else { 2 };
        let file = [
            vec![0x7f, b'E', b'L', b'F', 2, endian, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            halves(&[3 | 62 << 16, 1]),
            words(&[0, 64, heads]),
            halves(&[0, 64 | 56 << 16, 1 | 64 << 16, 3]),
            // The segment: it may be run.
            halves(&[1, 5]),
            words(&[CODE_OFFSET, CODE, CODE, 0x100_0000, 0x100_0000, 0x1000]),
            vec![0; 64],
            halves(&[0, elf::SHT_DYNSYM.0]),
            words(&[0, 0, symbols_at, symbols.len() as u64]),
            halves(&[2, 0]),
            words(&[8, 24]),
            halves(&[0, elf::SHT_STRTAB.0]),
            words(&[0, 0, strings_at, strings.len() as u64]),
            halves(&[0, 0]),
            words(&[1, 0]),
            symbols.to_vec(),
            strings.to_vec(),
        ]
        .concat();
        let path = std::env::temp_dir().join(format!("observed-{name}-{}", std::process::id()));
        std::fs::write(&path, file).unwrap();
        let file = File::options().read(true).write(true).open(&path).unwrap();
        std::fs::remove_file(path).unwrap();
        file
    }

    fn places(file: &File) -> Vec<(&'static str, u64)> {
        let found = find(file).expect("an ELF file");
        found.iter().flat_map(|found| &found.functions).map(|place| (place.name, place.offset)).collect()
    }

    #[test]
    fn finds_functions_wherever_parts_of_the_tables_end() {
        for shift in 0..20 {
            let mut strings = vec![b'x'; PART_LEN - shift];
            strings.push(0);
            let read = strings.len();
            strings.extend(b"SSL_read\0");
            // The name of the second is the end of another's.
            let write = strings.len() + 3;
            strings.extend(b"my_SSL_write\0");
            let others = symbol(1, true, 1).repeat(PART_LEN / 24 - shift);
            let symbols =
                [others.clone(), symbol(read, true, 0x10), others, symbol(write, true, 0x20)].concat();
            let expected = [("SSL_read", CODE_OFFSET + 0x10), ("SSL_write", CODE_OFFSET + 0x20)];
            assert_eq!(places(&library("parts", &symbols, &strings)), expected, "{shift}");
        }
    }

    #[test]
    fn functions_of_other_files_do_not_count() {
        let strings = b"\0SSL_read\0SSL_write\0SSL_reader\0";
        let symbols = [symbol(1, true, 0x10), symbol(10, false, 0x20), symbol(20, true, 0x30)].concat();
        assert_eq!(places(&library("others", &symbols, strings)), []);
    }

    #[test]
    fn what_is_cut_is_no_library() {
        let symbols = [symbol(1, true, 0x10), symbol(10, true, 0x20)].concat();
        let file = library("cut", &symbols, b"\0SSL_read\0SSL_write\0");
        assert_eq!(places(&file).len(), 2);
        file.set_len(file.metadata().unwrap().len() - 1).unwrap();
        assert!(find(&file).is_none());
    }
}
