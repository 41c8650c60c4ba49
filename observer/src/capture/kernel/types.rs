//! What the kernel's type information (BTF) tells: where members are, and the types that programs attach to.
//!
//! It has megabytes, of which a few numbers are needed, at the start alone. So nothing of it stays, and the memory
//! for it is asked for in a way that the C library gives back, see [`large`].

use std::fs::File;
use std::io::Read as _;

use aya::Endianness;
use observer_common::settings::{ABSENT, ITERATOR_KINDS, KIND_WITH_DIRECTION, OFFSETS, OPTIONAL};

use super::btf::{Btf, FUNCTION, TYPEDEF};
use super::{hooks, mode, programs};
use crate::error::Error;

const TYPES_AT: &str = "/sys/kernel/btf/vmlinux";

/// What was read of the kernel's types.
pub(super) struct KernelTypes {
    /// All numbers about this kernel that the programs need, by the names of their globals.
    pub offsets: Vec<(&'static str, u32)>,
    /// The types that programs attach to, in the form that the loader takes.
    pub targets: aya::Btf,
}

impl KernelTypes {
    /// Reads those of the running kernel.
    pub fn read() -> Result<Self, Error> {
        let mut bytes = large();
        File::open(TYPES_AT)
            .and_then(|mut file| file.read_to_end(&mut bytes))
            .map_err(|error| unusable(&error.to_string()))?;
        let targets = targets();
        let mut names: Vec<&str> = targets.iter().map(|(name, _)| name.as_str()).collect();
        names.extend(OFFSETS.iter().map(|(_, of, _)| *of));
        names.extend([ITERATOR, KIND_WITH_DIRECTION.0]);
        let types = Btf::parse(&bytes, &names).map_err(|bad| unusable(bad.0))?;
        Ok(Self { offsets: offsets(&types)?, targets: only(&types, &targets)? })
    }
}

/// The enum of [`ITERATOR_KINDS`].
const ITERATOR: &str = "iter_type";

/// The types that programs may attach to: name and kind.
fn targets() -> Vec<(String, u32)> {
    let tracepoints = programs::LIFECYCLE.iter().map(|(_, tracepoint)| *tracepoint).chain([mode::ALL_CALLS]);
    let functions = hooks::MOVING.iter().chain([&hooks::MAPPING]).flat_map(|hook| hook.functions);
    let typedefs = tracepoints.map(|tracepoint| (format!("btf_trace_{tracepoint}"), TYPEDEF));
    typedefs.chain(functions.map(|function| ((*function).to_owned(), FUNCTION))).collect()
}

fn offsets(types: &Btf<'_>) -> Result<Vec<(&'static str, u32)>, Error> {
    let members = OFFSETS.iter().map(|&(name, of, path)| match types.any_offset(of, path) {
        Some(offset) => Ok((name, offset)),
        None if OPTIONAL.contains(&name) => Ok((name, ABSENT)),
        None => Err(unusable(&format!("it does not tell of {path} in struct {of}"))),
    });
    let kinds = ITERATOR_KINDS
        .iter()
        .map(|&(name, kind)| Ok((name, types.constant(ITERATOR, kind).unwrap_or(ABSENT))));
    members.chain(kinds).chain([Ok(("KIND_MASK", kind_mask(types)))]).collect()
}

/// The bits of an iterator's kind that tell the kind.
fn kind_mask(types: &Btf<'_>) -> u32 {
    let (of, member) = KIND_WITH_DIRECTION;
    if types.offset(of, member).is_some() { 0xfe } else { 0xff }
}

/// Type information with nothing but these types, each at its number.
///
/// The loader looks for numbers by name, and takes four times the memory of what it looks through. What stands
/// between the wanted types is the shortest that there is, a forward declaration without a name.
fn only(types: &Btf<'_>, wanted: &[(String, u32)]) -> Result<aya::Btf, Error> {
    const FORWARD: u32 = 7;
    const HEAD_LEN: u32 = 24;
    let mut found: Vec<(u32, &str, u32)> = wanted
        .iter()
        .filter_map(|(name, kind)| Some((types.number(name, *kind)?, name.as_str(), *kind)))
        .collect();
    found.sort_unstable();
    let (mut strings, mut words) = (vec![0], large());
    let mut next = 1;
    for (number, name, kind) in found {
        (next..number).for_each(|_| words.extend([0, FORWARD << 24, 0]));
        words.extend([strings.len() as u32, kind << 24, 0]);
        strings.extend(name.bytes().chain([0]));
        next = number + 1;
    }
    let types_len = words.len() as u32 * 4;
    let mut bytes = large();
    bytes.extend(0xeb9f_u16.to_ne_bytes());
    bytes.extend([1, 0]);
    for word in [HEAD_LEN, 0, types_len, types_len, strings.len() as u32].iter().chain(&words) {
        bytes.extend(word.to_ne_bytes());
    }
    bytes.extend(strings);
    aya::Btf::parse(&bytes, Endianness::default()).map_err(|error| unusable(&error.to_string()))
}

/// A vector for what is large and soon gone.
///
/// The C library keeps for itself what it was once given back in pieces of up to 32 MiB, and a multiple of it. Larger
/// pieces go back to the kernel at once; of these, only the pages that are written to take memory.
pub(super) fn large<T>() -> Vec<T> {
    Vec::with_capacity((33 << 20) / size_of::<T>())
}

fn unusable(reason: &str) -> Error {
    Error::Unable {
        what: format!("{TYPES_AT} (the kernel's type information, BTF) cannot be used: {reason}"),
        mend: "Use a kernel built with CONFIG_DEBUG_INFO_BTF=y; those of all current distributions are."
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_kernel_tells_all_offsets() {
        let types = KernelTypes::read().expect("the tests run on a kernel with BTF");
        assert_eq!(types.offsets.len(), OFFSETS.len() + ITERATOR_KINDS.len() + 1);
    }

    #[test]
    fn targets_have_the_numbers_of_this_kernel() {
        let types = KernelTypes::read().expect("the tests run on a kernel with BTF");
        let all = std::fs::read(TYPES_AT).expect("the tests run on a kernel with BTF");
        let some = types.targets.to_bytes();
        let name = "btf_trace_sys_exit";
        let number = |bytes: &[u8]| Btf::parse(bytes, &[name]).unwrap().number(name, TYPEDEF).unwrap();
        assert_eq!(number(&some), number(&all));
    }
}
