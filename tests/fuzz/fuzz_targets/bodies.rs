//! Compressed bodies under any bytes, in all codings.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| fuzz::targets::bodies(input));
