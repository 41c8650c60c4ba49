//! Compressed bodies under any bytes, in all codings.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mcp_observer::pipeline::limits::Limits;
use mcp_observer::pipeline::transport::http1::Responses;

fuzz_target!(|input: &[u8]| {
    let [coding, cut, body @ ..] = input else { return };
    let coding = ["gzip", "deflate", "br", "zstd"][usize::from(coding % 4)];
    let kind = if cut % 2 == 0 { "application/json" } else { "text/event-stream" };
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-encoding: {coding}\r\n\r\n");
    let stream = [head.as_bytes(), body].concat();
    let limits = Limits { unexpanded_bytes: 64 << 10, expansion: 20, ..Limits::default() };
    let texts = |cuts: &[usize]| {
        let mut responses = Responses::new(&limits);
        laws::texts(&stream, cuts, |piece, log| responses.push(piece, log))
    };
    let whole = texts(&[]);
    let cut = head.len() + usize::from(*cut);
    assert!(whole.is_none() || texts(&[cut]) == whole, "cut at {cut}");
    assert!(whole.is_none() || texts(&(0..stream.len()).collect::<Vec<_>>()) == whole, "byte by byte");
    let all = Limits::default().decoders.free();
    assert_eq!(limits.decoders.free(), all, "memory is given back");
});
