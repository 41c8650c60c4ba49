//! Finds the functions of TLS libraries in a program or shared library.
//!
//! In: an open file. Out: where the functions are, as offsets in the file. The file is read in parts, since some
//! programs have a hundred megabytes; nothing of it is ever executed or loaded.

use std::fs::File;

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

/// Larger tables of symbols are not read: only programs with full debug information have them, and they would
/// take the agent's memory.
const TABLE_MAX: u64 = 256 << 20;

/// The libraries that are in a file. None if it is no ELF file of this host's word size.
pub fn find(file: &File) -> Option<Vec<Found>> {
    let cache = ReadCache::new(file);
    let header = FileHeader64::<Endianness>::parse(&cache).ok()?;
    let endian = header.endian().ok()?;
    let sections = header.section_headers(endian, &cache).ok()?;
    let segments = header.program_headers(endian, &cache).ok()?;
    let mut found = Vec::new();
    for section in sections {
        if !matches!(section.sh_type(endian), elf::SHT_DYNSYM | elf::SHT_SYMTAB)
            || section.sh_size(endian) > TABLE_MAX
        {
            continue;
        }
        let strings = sections.get(section.sh_link(endian) as usize)?;
        if strings.sh_size(endian) > TABLE_MAX {
            continue;
        }
        let symbols: &[elf::Sym64<Endianness>] = section.data_as_array(endian, &cache).ok()?;
        let names = strings.data(endian, &cache).ok()?;
        search(symbols, names, endian, &mut found);
    }
    for (_, place) in &mut found {
        place.offset = in_file(place.offset, segments, endian).unwrap_or(0);
    }
    found.retain(|(_, place)| place.offset != 0);
    Some(LIBRARIES.iter().filter_map(|library| of_library(library, &found)).collect())
}

/// Adds the functions that are defined in a table of symbols, with their addresses for offsets.
fn search(
    symbols: &[elf::Sym64<Endianness>],
    names: &[u8],
    endian: Endianness,
    found: &mut Vec<(TlsLibrary, Place)>,
) {
    for symbol in symbols {
        let Some(name) = names.get(symbol.st_name(endian) as usize..) else { continue };
        // Most names end here: there are tens of thousands, and five are wanted.
        if !LIBRARIES.iter().any(|library| library.functions.iter().any(|(wanted, _)| is_named(name, wanted)))
        {
            continue;
        }
        if symbol.is_undefined(endian) || symbol.st_type() != elf::STT_FUNC || symbol.st_value(endian) == 0 {
            continue;
        }
        for library in LIBRARIES {
            for &(wanted, function) in library.functions {
                let place = Place { name: wanted, function, offset: symbol.st_value(endian) };
                if is_named(name, wanted) && !found.contains(&(library.library, place)) {
                    found.push((library.library, place));
                }
            }
        }
    }
}

fn is_named(name: &[u8], wanted: &str) -> bool {
    name.get(..wanted.len()) == Some(wanted.as_bytes()) && name.get(wanted.len()) == Some(&0)
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
