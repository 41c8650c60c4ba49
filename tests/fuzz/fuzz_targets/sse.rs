//! An event stream in an HTTP response under any bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| fuzz::targets::sse(input));
