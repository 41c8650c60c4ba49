//! WebSocket under any bytes: after an agreement, compressed or not, and joined in the middle.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mcp_observer::pipeline::limits::Limits;
use mcp_observer::pipeline::transport::http1::Responses;
use mcp_observer::pipeline::transport::websocket::Messages;

const AGREED: &[u8] = b"HTTP/1.1 101 OK\r\nupgrade: websocket\r\n\r\n";
const COMPRESSED: &[u8] =
    b"HTTP/1.1 101 OK\r\nupgrade: websocket\r\nsec-websocket-extensions: permessage-deflate\r\n\r\n";

fuzz_target!(|input: &[u8]| {
    let Some((cuts, frames)) = input.split_at_checked(2) else { return };
    let limits = Limits::default();
    let stream = [cuts, AGREED, frames].concat();
    laws::check(&stream, || Responses::new(&limits), |responses, piece, log| responses.push(piece, log));
    laws::check(input, || Messages::joined(&limits), |joined, piece, log| joined.push(piece, log));
    let compressed = [COMPRESSED, frames].concat();
    let texts = |cuts: &[usize]| {
        let mut responses = Responses::new(&limits);
        laws::texts(&compressed, cuts, |piece, log| responses.push(piece, log))
    };
    let whole = texts(&[]);
    assert!(whole.is_none() || texts(&(0..compressed.len()).collect::<Vec<_>>()) == whole);
});
