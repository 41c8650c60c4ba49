//! HTTP/2 under any bytes: of a client behind its preface, of a server, and joined in the middle.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| fuzz::targets::http2(input));
