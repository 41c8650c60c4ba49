//! HTTP/2 under any bytes: of a client behind its preface, of a server, and joined in the middle.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mcp_observer::pipeline::limits::Limits;
use mcp_observer::pipeline::transport::http1::Requests;
use mcp_observer::pipeline::transport::http2::Http2;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

fuzz_target!(|input: &[u8]| {
    let Some((cuts, frames)) = input.split_at_checked(2) else { return };
    // Small, so that inputs reach them.
    let limits = Limits { http_head_bytes: 256, http2_streams: 3, hpack_table_bytes: 200, ..Limits::default() };
    let stream = [cuts, PREFACE, frames].concat();
    laws::check(&stream, || Requests::new(&limits), |requests, piece, log| requests.push(piece, log));
    laws::check(input, || Http2::responses(&limits), |responses, piece, log| responses.push(piece, log));
    laws::check(input, || Http2::joined(&limits), |joined, piece, log| joined.push(piece, log));
});
