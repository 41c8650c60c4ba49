//! The fuzz targets for framings and texts as functions: under the fuzzer any bytes, in every ordinary run of the tests the corpus.

use mcp_observer::pipeline::jsonrpc::skim::Skim;
use mcp_observer::pipeline::limits::Limits;
use mcp_observer::pipeline::transport::http1::{Requests, Responses};
use mcp_observer::pipeline::transport::http2::Http2;
use mcp_observer::pipeline::transport::stdio::Lines;
use mcp_observer::pipeline::transport::websocket::Messages;
use serde_json::Value;

use super::laws;

/// Compressed bodies under any bytes, in all codings.
pub fn bodies(input: &[u8]) {
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
}

/// HTTP/1 under any bytes, in both directions.
pub fn http1(input: &[u8]) {
    // Small, so that inputs reach it.
    let limits = Limits { http_head_bytes: 256, ..Limits::default() };
    laws::check(input, || Requests::new(&limits), |requests, piece, log| requests.push(piece, log));
    laws::check(input, || Responses::new(&limits), |responses, piece, log| responses.push(piece, log));
}

/// HTTP/2 under any bytes: of a client behind its preface, of a server, and joined in the middle.
pub fn http2(input: &[u8]) {
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let Some((cuts, frames)) = input.split_at_checked(2) else { return };
    // Small, so that inputs reach them.
    let limits =
        Limits { http_head_bytes: 256, http2_streams: 3, hpack_table_bytes: 200, ..Limits::default() };
    let stream = [cuts, PREFACE, frames].concat();
    laws::check(&stream, || Requests::new(&limits), |requests, piece, log| requests.push(piece, log));
    laws::check(input, || Http2::responses(&limits), |responses, piece, log| responses.push(piece, log));
    laws::check(input, || Http2::joined(&limits), |joined, piece, log| joined.push(piece, log));
}

/// The skimmer under any bytes: the same wherever they are cut, and every object that is JSON is read as whole.
pub fn skim(input: &[u8]) {
    let [cut, text @ ..] = input else { return };
    let (head, tail) = text.split_at(usize::from(*cut).min(text.len()));
    let mut skim = Skim::new(&Limits::default(), true);
    skim.push(text);
    let whole = skim.finish();
    skim.push(head);
    skim.push(tail);
    assert_eq!(skim.finish(), whole, "cut at {}", head.len());
    text.chunks(1).for_each(|byte| skim.push(byte));
    assert_eq!(skim.finish(), whole, "byte by byte");
    if let Ok(Value::Object(object)) = serde_json::from_slice(text) {
        let message = &whole.messages[0];
        assert!(message.whole);
        assert_eq!(message.method.is_some(), object.get("method").is_some_and(Value::is_string));
        assert_eq!(message.has_result, object.contains_key("result"));
        assert_eq!(message.has_error, object.get("error").is_some_and(Value::is_object));
    }
    skim.push(head);
    skim.gap(1);
    skim.push(tail);
    assert!(!skim.finish().messages.last().is_some_and(|message| message.whole && !whole.batch));
}

/// An event stream in an HTTP response under any bytes.
pub fn sse(input: &[u8]) {
    const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
    let Some((cuts, body)) = input.split_at_checked(2) else { return };
    let stream = [cuts, HEAD, body].concat();
    laws::check(
        &stream,
        || Responses::new(&Limits::default()),
        |responses, piece, log| responses.push(piece, log),
    );
}

/// Newline framing under any bytes.
pub fn stdio(input: &[u8]) {
    laws::check(input, || Lines::new(&Limits::default()), |lines, piece, log| lines.push(piece, log));
}

/// WebSocket under any bytes: after an agreement, compressed or not, and joined in the middle.
pub fn websocket(input: &[u8]) {
    const AGREED: &[u8] = b"HTTP/1.1 101 OK\r\nupgrade: websocket\r\n\r\n";
    const COMPRESSED: &[u8] =
        b"HTTP/1.1 101 OK\r\nupgrade: websocket\r\nsec-websocket-extensions: permessage-deflate\r\n\r\n";
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
}
