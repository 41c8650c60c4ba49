//! HTTP/1 under any bytes, in both directions.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mcp_observer::pipeline::limits::Limits;
use mcp_observer::pipeline::transport::http1::{Requests, Responses};

fuzz_target!(|input: &[u8]| {
    // Small, so that inputs reach it.
    let limits = Limits { http_head_bytes: 256, ..Limits::default() };
    laws::check(input, || Requests::new(&limits), |requests, piece, log| requests.push(piece, log));
    laws::check(input, || Responses::new(&limits), |responses, piece, log| responses.push(piece, log));
});
