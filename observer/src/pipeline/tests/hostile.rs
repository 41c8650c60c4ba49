//! Bytes that are meant to hurt stay within the limits, and their connection is read on.

use miniz_oxide::deflate::compress_to_vec_zlib;

use super::*;

#[test]
fn a_compression_bomb_ends_its_call_and_nothing_else() {
    let mut host = Host::new();
    connect(&mut host, 1, 2, 4000);
    let bomb = format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{{\"x\":\"{}\"}}}}", " ".repeat(8 << 20));
    let bomb = compress_to_vec_zlib(bomb.as_bytes(), 9);
    host.ask(post(&call(1, "t"), ""));
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: deflate\r\ncontent-length: {}\r\n\r\n",
        bomb.len()
    );
    host.answer([head.as_bytes(), &bomb].concat());
    assert_eq!(host.outcomes(), [("tools/call", Outcome::Ok)]);
    assert_eq!(host.calls()[0].certainty, Certainty::TimesOnly);
    assert_eq!(host.calls()[0].client_duration, ms(3), "its times are right");
    assert!(host.faults().contains(&"expansion_limit"), "{:?}", host.faults());
    let all = super::super::limits::Limits::default().decoders.free();
    assert_eq!(host.pipeline.settings.limits.decoders.free(), all, "the decoder is gone with its body");
    host.ask(post(&call(2, "t"), ""));
    host.answer(reply(&result(2), ""));
    assert_eq!(host.outcomes(), [("tools/call", Outcome::Ok); 2]);
}

#[test]
fn a_body_that_cannot_be_decoded_still_ends_its_call() {
    let mut host = Host::new();
    connect(&mut host, 1, 2, 4000);
    for kind in ["application/json", "text/event-stream"] {
        host.ask(post(&call(1, "t"), ""));
        let text = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-encoding: dcb\r\ncontent-length: 4\r\n\r\nabcd"
        );
        host.answer(text);
        let calls = host.calls();
        let last = calls.last().unwrap();
        assert_eq!((last.outcome, last.certainty), (Outcome::Ok, Certainty::Inferred), "{kind}");
        assert_eq!(last.client_duration, ms(3));
    }
    assert_eq!(host.calls().len(), 2);
}

fn gzip(text: &str) -> Vec<u8> {
    let head = [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3];
    [&head[..], &miniz_oxide::deflate::compress_to_vec(text.as_bytes(), 6), &[0; 8]].concat()
}

#[test]
fn requests_and_answers_may_be_compressed() {
    let mut host = Host::new();
    connect(&mut host, 1, 2, 4000);
    let body = gzip(call(1, "t").trim_end());
    let head = format!(
        "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    host.ask([head.as_bytes(), &body].concat());
    let body = gzip(result(1).trim_end());
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    host.answer([head.as_bytes(), &body].concat());
    assert_eq!(host.outcomes(), [("tools/call", Outcome::Ok)]);
    assert_eq!(host.calls()[0].certainty, Certainty::Whole);
    assert_eq!(host.calls()[0].response_bytes, result(1).trim_end().len() as u64, "the text counts");
}
