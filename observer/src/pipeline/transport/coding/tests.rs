//! Bodies as encoders write them, cut anywhere; and such as no peer would send.

use miniz_oxide::deflate::{compress_to_vec, compress_to_vec_zlib};

use super::{Coding, Codings, Decoder};
use crate::pipeline::limits::Limits;
use crate::pipeline::transport::http1::Responses;
use crate::pipeline::transport::tests::{Random, Recorder, read, read_cut, read_lossy};

fn hex(text: &str) -> Vec<u8> {
    let digit = |byte: u8| u8::try_from(char::from(byte).to_digit(16).unwrap()).unwrap();
    text.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

fn message() -> String {
    let text = "abc ".repeat(40);
    format!(r#"{{"jsonrpc":"2.0","id":7,"result":{{"content":[{{"type":"text","text":"{text}"}}]}}}}"#)
}

/// As Node.js 20 writes it.
const BROTLI: &str = "1be800c01d076eacc5429d826f7a04794bd52e9b99a205098a66ea57575fb1e880434ec05b942707e38428f090ed51c92846e14dcb7f5bad54dc63cf0235d838c23451d9e8ace6da0934";
/// As zstd 1.5 writes it, with a checksum.
const ZSTD: &str = "28b52ffd045855020072840f16903b635cb9c9b59d63857c4b7337f6fa7f342133a207ef196f0021c789afa37baeebd95d916fd24d0aedf2659aa66c24f244191782e11c2d96545b76010200991d2daca1400188d6277e";
/// 64 MiB of blanks.
const BROTLI_BOMB: &str = "cbffff3f002440e2b14072effff8ffff078004401c1680eefd1fffffff00900088c302d0bdffe3ffff1f001200715800baf77ffcffff034002200e0b40f7fe8fffff7f004800c46101e8defff1ffff0f000980382c00ddfbbffcffff032001108705a07bff07";
/// Two events, each flushed.
const BROTLI_EVENTS: [&str; 2] = [
    "8b3900481c07b939ea9a74d014cac2d3523ce48e277f7ceb879906d20a6f973a2c0a01a29303e6ef767fd4d676083df3f464f521fe3701cda482596fa58248877bdf3d586dd8f4417dfdded9b6fb920c5f9a18330092aa3200",
    "300280ca71183b4f9ab45114693e1c7d8a206fa95ffe19a2544da268a67eea28f4050838e4c0e1960712340f88cb958c09e601282352efe7bf8d5eaa700f2dc025ed7866ae2f03",
];

fn gzip(text: &[u8]) -> Vec<u8> {
    let head = [0x1F, 0x8B, 8, 0x1C, 0, 0, 0, 0, 0, 3, 2, 0, b'x', b'y', b'a', 0, b'b', 0];
    [&head[..], &compress_to_vec(text, 6), &[0; 8]].concat()
}

/// Each coding with a body in it that says [`message`].
fn bodies() -> Vec<(&'static str, Vec<u8>)> {
    let text = message();
    let (first, second) = text.as_bytes().split_at(50);
    vec![
        ("gzip", gzip(text.as_bytes())),
        ("x-gzip", [gzip(first), gzip(second)].concat()),
        ("gzip", [gzip(text.as_bytes()), b"padding".to_vec(), gzip(b"not a member")].concat()),
        ("deflate", compress_to_vec_zlib(text.as_bytes(), 6)),
        ("deflate", compress_to_vec(text.as_bytes(), 6)),
        ("br", hex(BROTLI)),
        ("zstd", hex(ZSTD)),
        ("zstd", [&[0x50, 0x2A, 0x4D, 0x18, 2, 0, 0, 0, 1, 2], &hex(ZSTD)[..]].concat()),
    ]
}

fn response(coding: &str, kind: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-encoding: {coding}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

fn json(coding: &str, body: &[u8]) -> Vec<u8> {
    response(coding, "application/json", body)
}

fn responses() -> Responses {
    Responses::new(&Limits::default())
}

fn texts(recorder: &Recorder) -> Vec<&String> {
    recorder.log.iter().filter(|line| line.starts_with("text ") || line.starts_with("fault")).collect()
}

#[test]
fn every_coding_is_read_wherever_it_is_cut() {
    for (coding, body) in bodies() {
        let stream = json(coding, &body);
        let whole = read(responses, &stream);
        assert_eq!(texts(&whole), [&format!("text {}", message().escape_default())], "{coding}");
        assert_eq!(whole.whole_messages().len(), 1, "{coding}: {:#?}", whole.log);
        assert!(whole.log.last().unwrap().ends_with("true"), "{coding}: {:#?}", whole.log);
        for cut in 0..stream.len() {
            assert_eq!(texts(&read_cut(responses, &stream, &[cut])), texts(&whole), "{coding} cut at {cut}");
        }
        let single: Vec<usize> = (0..stream.len()).collect();
        assert_eq!(texts(&read_cut(responses, &stream, &single)), texts(&whole), "{coding} byte by byte");
    }
}

#[test]
fn a_transfer_coding_is_one_too() {
    let body = gzip(message().as_bytes());
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n";
    let stream =
        [head.as_bytes(), format!("{:x}\r\n", body.len()).as_bytes(), &body, b"\r\n0\r\n\r\n"].concat();
    assert_eq!(read(responses, &stream).whole_messages().len(), 1);
}

#[test]
fn an_event_has_the_time_of_the_bytes_that_complete_it() {
    let parts = BROTLI_EVENTS.map(hex);
    let stream = response("br", "text/event-stream", &parts.concat());
    let border = stream.len() - parts[1].len();
    let log = read_cut(responses, &stream, &[border]).log;
    let ends: Vec<u64> =
        log.iter().filter_map(|line| line.strip_prefix("end ")?.split(' ').next()?.parse().ok()).collect();
    assert_eq!(ends, [border as u64 - 1, stream.len() as u64 - 1], "{log:#?}");
}

#[test]
fn what_cannot_be_decoded_is_told_and_ends_with_its_body() {
    let gzipped = gzip(message().as_bytes());
    let mut broken = gzipped.clone();
    broken[25..40].fill(0xFF);
    for (coding, body, fault) in [
        ("compress", &gzipped, "content_encoding"),
        ("gzip, br", &gzipped, "content_encoding"),
        ("gzip", &message().into_bytes(), "content_encoding"),
        ("gzip", &broken, "content_encoding"),
        ("br", &vec![0x11, 0, 0], "decoder_limit"),
        ("zstd", &vec![0x28, 0xB5, 0x2F, 0xFD, 0, 20 << 3, 0, 0, 0, 0], "decoder_limit"),
    ] {
        let log = read(responses, &json(coding, body)).log;
        assert!(log.contains(&format!("fault {fault}")), "{coding}: {log:#?}");
        assert!(log.last().unwrap().starts_with("body end") && log.last().unwrap().ends_with("false"));
    }
}

#[test]
fn a_hole_in_a_compressed_body_spoils_the_rest_of_it() {
    let stream = json("gzip", &gzip(message().as_bytes()));
    let log = read_lossy(responses, &stream, stream.len() - 30..stream.len() - 25).log;
    assert_eq!(log.iter().filter(|line| line.starts_with("end")).count(), 1, "{log:#?}");
    assert!(log.last().unwrap().ends_with("false"), "{log:#?}");
}

/// The bound is on what comes out, and what comes out is never held.
#[test]
fn bombs_are_cut_off() {
    let large = vec![b' '; 64 << 20];
    let zeros = [gzip(&large), compress_to_vec_zlib(&large, 6), hex(BROTLI_BOMB)];
    let limits = Limits { expansion: 100, ..Limits::default() };
    for (coding, bomb) in [Coding::Gzip, Coding::Deflate, Coding::Brotli].into_iter().zip(zeros) {
        let (mut decoder, mut decoded, mut largest) = (Decoder::new(coding, &limits), 0, 0);
        let result = decoder.push(&bomb, &mut |bytes| {
            decoded += bytes.len() as u64;
            largest = largest.max(bytes.len());
        });
        assert_eq!(result, Err("expansion_limit"), "{coding:?}");
        assert!(
            decoded <= limits.unexpanded_bytes.max(100 * (bomb.len() as u64 + 1024)),
            "{coding:?}: {decoded}"
        );
        assert!(largest <= super::PORTION);
    }
    // Blocks of one byte repeated, in a window of 1 MiB.
    let mut bomb = vec![0x28, 0xB5, 0x2F, 0xFD, 0, 10 << 3];
    let [a, b, c, _] = ((128u32 << 10) << 3 | 1 << 1).to_le_bytes();
    (0..512).for_each(|_| bomb.extend([a, b, c, b' ']));
    let mut decoded = 0u64;
    let result = Decoder::new(Coding::Zstd, &limits).push(&bomb, &mut |bytes| decoded += bytes.len() as u64);
    assert_eq!(result, Err("expansion_limit"));
    assert!(decoded <= 2 * limits.unexpanded_bytes);
}

#[test]
fn decoders_share_their_memory_and_give_it_back() {
    let limits = Limits::default();
    let all = limits.decoders.free();
    let mut decoders: Vec<Decoder> = (0..4000).map(|_| Decoder::new(Coding::Gzip, &limits)).collect();
    let body = gzip(b"{}");
    let refused = decoders.iter_mut().filter_map(|decoder| decoder.push(&body, &mut |_| {}).err()).count();
    let room = usize::try_from(all / (96 << 10)).unwrap();
    assert_eq!(refused, 4000 - room);
    drop(decoders);
    assert_eq!(limits.decoders.free(), all);
}

#[test]
fn any_bytes_are_survived() {
    for (coding, body) in bodies() {
        let mut random = Random(body.len() as u64);
        for _ in 0..2000 {
            let mut spoilt = body.clone();
            for _ in 0..=random.below(4) {
                let place = random.below(spoilt.len());
                spoilt[place] = u8::try_from(random.below(256)).unwrap();
            }
            spoilt.truncate(random.below(spoilt.len()) + 1);
            read(responses, &json(coding, &spoilt));
        }
    }
}

#[test]
fn lists_of_codings() {
    for (value, codings) in [
        ("", Codings::None),
        ("identity, chunked", Codings::None),
        ("GZip , chunked", Codings::One(Coding::Gzip)),
        ("gzip, gzip", Codings::Unknown),
        ("dcb", Codings::Unknown),
    ] {
        let mut all = Codings::None;
        all.add(value);
        assert_eq!(all, codings, "{value:?}");
    }
}
