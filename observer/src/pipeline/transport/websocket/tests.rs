//! Messages of WebSocket as real peers write them, as hostile ones do, and with losses.

use miniz_oxide::deflate::core::{
    CompressorOxide, TDEFLFlush, compress_to_output, create_comp_flags_from_zip_params,
};

use super::{Compression, Messages};
use crate::pipeline::limits::Limits;
use crate::pipeline::transport::http1::Responses;
use crate::pipeline::transport::tests::{
    Recorder, assert_any_bytes_are_survived, assert_cuts_do_not_matter, assert_losses_are_holes, read,
    read_cut, read_lossy,
};

pub(crate) fn frame(first: u8, masked: bool, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    let mask = if masked { 0x80 } else { 0 };
    match payload.len() {
        len @ 0..=125 => bytes.push(mask | u8::try_from(len).unwrap()),
        len => {
            bytes.push(mask | 126);
            bytes.extend(u16::try_from(len).unwrap().to_be_bytes());
        }
    }
    if !masked {
        return [bytes, payload.to_vec()].concat();
    }
    let key = [0x37, 0xFA, 0x21, 0x3D];
    bytes.extend(key);
    bytes.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    bytes
}

fn call(id: u32) -> String {
    let text = "x".repeat(140);
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"t","arguments":{{"a":"{text}"}}}}}}"#
    )
}

const RESULT: &str = r#"{"jsonrpc":"2.0","id":1,"result":{"content":[]}}"#;

/// A call in one frame, one in fragments with a ping between them, a binary message, a close.
fn of_client() -> Vec<u8> {
    let second = call(2);
    let (front, back) = second.as_bytes().split_at(31);
    [
        frame(0x81, true, format!(" \n{}", call(1)).as_bytes()),
        frame(0x01, true, front),
        frame(0x89, true, b"beat"),
        frame(0x00, true, b""),
        frame(0x80, true, back),
        frame(0x82, true, &[1, 2, 3]),
        frame(0x81, true, b"{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"ping\"}"),
        frame(0x88, true, &[3, 0xE8]),
    ]
    .concat()
}

fn client() -> Messages {
    Messages::of_client(None, &Limits::default())
}

fn ids(recorder: &Recorder) -> Vec<String> {
    recorder.whole_messages().iter().map(|message| format!("{:?}", message.id)).collect()
}

#[test]
fn messages_are_unmasked_and_put_together() {
    let read = read(client, &of_client());
    assert_eq!(ids(&read), ["1", "2", "3"].map(|id| format!("Id(Number({id:?}))")), "{:#?}", read.log);
    assert!(!read.log.iter().any(|line| line.starts_with("fault")), "{:#?}", read.log);
    assert!(read.log.iter().any(|line| line.ends_with("WebSocketMessage")));
    assert_cuts_do_not_matter(client, &of_client());
}

#[test]
fn losses_are_holes() {
    assert_losses_are_holes(client, &of_client());
}

#[test]
fn any_bytes_are_survived() {
    assert_any_bytes_are_survived(client, &of_client());
    assert_any_bytes_are_survived(|| Messages::joined(&Limits::default()), &of_client());
}

#[test]
fn after_a_hole_the_next_message_is_read() {
    let stream = of_client();
    let whole = read_lossy(client, &stream, 20..25);
    assert_eq!(ids(&whole).len(), 2, "{:#?}", whole.log);
    assert!(whole.log.contains(&"gap 5".to_owned()), "{:#?}", whole.log);
    let across = read_lossy(client, &stream, 100..frame(0x81, true, call(1).as_bytes()).len() + 3);
    assert_eq!(ids(&across).len(), 1, "{:#?}", across.log);
    let joined = || Messages::joined(&Limits::default());
    assert_eq!(ids(&read(joined, &stream[40..])).len(), 2);
    assert_cuts_do_not_matter(joined, &stream[40..]);
}

#[test]
fn the_server_speaks_right_behind_its_head() {
    let head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
    let stream = [&head[..], &frame(0x81, false, RESULT.as_bytes())].concat();
    let responses = || Responses::new(&Limits::default());
    let read = read(responses, &stream);
    assert_eq!(ids(&read).len(), 1, "{:#?}", read.log);
    assert_cuts_do_not_matter(responses, &stream);
}

/// Several messages of one compressor that remembers them.
fn compressed(texts: &[&str]) -> Vec<Vec<u8>> {
    let flags = create_comp_flags_from_zip_params(6, -15, 0);
    let mut compressor = CompressorOxide::new(flags);
    let message = |text: &&str| {
        let mut out = Vec::new();
        compress_to_output(&mut compressor, text.as_bytes(), TDEFLFlush::Sync, |part: &[u8]| {
            out.extend_from_slice(part);
            true
        });
        assert!(out.ends_with(&[0, 0, 0xFF, 0xFF]));
        out.truncate(out.len() - 4);
        out
    };
    texts.iter().map(message).collect()
}

#[test]
fn compressed_messages_may_need_those_before() {
    let (first, second) = (call(1), call(2));
    let parts = compressed(&[&first, &second, RESULT]);
    assert!(parts[1].len() < 30, "it refers to the first");
    let stream: Vec<u8> = parts.iter().flat_map(|part| frame(0xC1, false, part)).collect();
    let new = |server_forgets| {
        let compression = Compression { client_forgets: false, server_forgets };
        Messages::of_server(Some(compression), &Limits::default())
    };
    let whole = read(|| new(false), &stream);
    assert_eq!(ids(&whole).len(), 3, "{:#?}", whole.log);
    let texts =
        |log: &[String]| log.iter().filter(|line| line.starts_with("text")).cloned().collect::<Vec<_>>();
    for cut in 0..stream.len() {
        assert_eq!(texts(&read_cut(|| new(false), &stream, &[cut]).log), texts(&whole.log), "cut at {cut}");
    }
    let single = frame(0xC1, false, &compressed(&[RESULT])[0]);
    let forgetful = read(|| new(true), &[&single[..], &single].concat());
    assert_eq!(ids(&forgetful).len(), 2, "{:#?}", forgetful.log);
    let lossy = read_lossy(|| new(false), &stream, 10..12);
    assert_eq!(ids(&lossy).len(), 0, "{:#?}", lossy.log);
    assert_eq!(lossy.log.iter().filter(|line| *line == "fault content_encoding").count(), 3);
}
