//! Newline framing under any bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mcp_observer::pipeline::limits::Limits;
use mcp_observer::pipeline::transport::stdio::Lines;

fuzz_target!(|input: &[u8]| {
    laws::check(input, || Lines::new(&Limits::default()), |lines, piece, log| lines.push(piece, log));
});
