//! The whole pipeline under any records: two pipes and a TCP connection whose bytes are read, lost and cut.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| fuzz::records::pipeline(input));
