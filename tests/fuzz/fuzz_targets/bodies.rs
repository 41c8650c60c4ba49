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
    let single: Vec<usize> = (0..stream.len()).collect();
    for (other, how) in [(texts(&[cut]), "cut"), (texts(&single), "byte by byte")] {
        // At a fault more or less may have come out before it. The decoder of `br` keeps back some of what comes
        // out of a stream that is not finished.
        let (Some(whole), Some(other)) = (&whole, &other) else { continue };
        let (whole, other) = (whole.concat(), other.concat());
        let begins_alike = whole.starts_with(&other) || other.starts_with(&whole);
        assert!(whole == other || coding == "br" && begins_alike, "{how} at {cut}");
    }
    let all = Limits::default().decoders.free();
    assert_eq!(limits.decoders.free(), all, "memory is given back");
});
