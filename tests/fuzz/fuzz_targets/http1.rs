//! HTTP/1 under any bytes, in both directions.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| fuzz::targets::http1(input));
