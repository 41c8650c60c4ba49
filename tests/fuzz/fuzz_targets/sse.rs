//! An event stream in an HTTP response under any bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mcp_observer::pipeline::limits::Limits;
use mcp_observer::pipeline::transport::http1::Responses;

const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";

fuzz_target!(|input: &[u8]| {
    let Some((cuts, body)) = input.split_at_checked(2) else { return };
    let stream = [cuts, HEAD, body].concat();
    laws::check(
        &stream,
        || Responses::new(&Limits::default()),
        |responses, piece, log| responses.push(piece, log),
    );
});
