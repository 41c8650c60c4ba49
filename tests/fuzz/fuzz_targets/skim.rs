//! The skimmer under any bytes: the same wherever they are cut, and every object that is JSON is read as whole.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| fuzz::targets::skim(input));
