//! Records under any bytes: as they lie in a ring, and as a capture file that may be damaged.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| fuzz::records::record(input));
