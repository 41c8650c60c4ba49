//! WebSocket under any bytes: after an agreement, compressed or not, and joined in the middle.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| fuzz::targets::websocket(input));
