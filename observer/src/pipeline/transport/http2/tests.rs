//! HTTP/2 as real peers write it, as hostile ones do, and with losses.

use super::Http2;
use crate::pipeline::limits::Limits;
use crate::pipeline::transport::http1::{Requests, Responses};
use crate::pipeline::transport::tests::{
    Recorder, assert_any_bytes_are_survived, assert_cuts_do_not_matter, assert_losses_are_holes, read,
    read_lossy,
};

/// Writes one direction, with a table of headers as an encoder keeps it.
#[derive(Default)]
pub(crate) struct Peer {
    table: Vec<(String, String)>,
    pub(crate) bytes: Vec<u8>,
}

impl Peer {
    pub(crate) fn client() -> Self {
        let mut peer = Self { bytes: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), ..Self::default() };
        peer.frame(4, 0, 0, &[0, 3, 0, 0, 0, 100]);
        peer
    }

    pub(crate) fn server() -> Self {
        let mut peer = Self::default();
        peer.frame(4, 0, 0, &[]);
        peer.frame(4, 1, 0, &[]);
        peer
    }

    pub(crate) fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let len = u32::try_from(payload.len()).unwrap().to_be_bytes();
        self.bytes.extend([len[1], len[2], len[3], kind, flags]);
        self.bytes.extend(stream.to_be_bytes());
        self.bytes.extend(payload);
    }

    fn block(&mut self, fields: &[(&str, &str)]) -> Vec<u8> {
        let mut block = Vec::new();
        for &(name, value) in fields {
            let index = match (name, value) {
                (":method", "POST") => Some(3),
                (":status", "200") => Some(8),
                _ => {
                    let same = |(n, v): &(String, String)| n == name && v == value;
                    self.table.iter().rev().position(same).map(|index| 62 + index)
                }
            };
            match index {
                Some(index) => block.push(0x80 | u8::try_from(index).unwrap()),
                None => {
                    block.extend([0x40, u8::try_from(name.len()).unwrap()]);
                    block.extend(name.as_bytes());
                    block.push(u8::try_from(value.len()).unwrap());
                    block.extend(value.as_bytes());
                    self.table.push((name.to_owned(), value.to_owned()));
                }
            }
        }
        block
    }

    pub(crate) fn head(&mut self, stream: u32, flags: u8, fields: &[(&str, &str)]) {
        let block = self.block(fields);
        self.frame(1, 4 | flags, stream, &block);
    }

    /// What was written since the last time.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }

    pub(crate) fn post(&mut self, stream: u32, body: &str) {
        self.head(stream, 0, &POST);
        self.frame(0, 1, stream, body.as_bytes());
    }
}

pub(crate) const POST: [(&str, &str); 5] = [
    (":method", "POST"),
    (":path", "/mcp"),
    (":authority", "localhost:1"),
    ("content-type", "application/json"),
    ("mcp-session-id", "s1"),
];
pub(crate) const OK: [(&str, &str); 2] = [(":status", "200"), ("content-type", "application/json")];
pub(crate) const EVENTS: [(&str, &str); 2] = [(":status", "200"), ("content-type", "text/event-stream")];

fn call(id: u32) -> String {
    format!(r#"{{"method":"tools/call","params":{{"name":"t{id}"}},"jsonrpc":"2.0","id":{id}}}"#)
}

fn result(id: u32) -> String {
    format!(r#"{{"result":{{"content":[]}},"jsonrpc":"2.0","id":{id}}}"#)
}

/// Three calls at once, the heads of one in several frames, padding and priorities.
fn requests_of_a_session() -> Vec<u8> {
    let mut peer = Peer::client();
    peer.frame(8, 0, 0, &[0, 0, 255, 255]);
    peer.post(1, &call(1));
    let block = peer.block(&POST);
    peer.frame(1, 0x20, 3, &[&[0, 0, 0, 0, 16], &block[..2]].concat());
    peer.frame(9, 0, 3, &block[2..3]);
    peer.frame(9, 4, 3, &block[3..]);
    peer.head(5, 0, &POST);
    let (three, five) = (call(3), call(5));
    peer.frame(0, 0, 3, &three.as_bytes()[..20]);
    peer.frame(0, 8, 5, &[&[3], &five.as_bytes()[..30], &[0; 3]].concat());
    peer.frame(6, 0, 0, &[0; 8]);
    peer.frame(0, 1, 3, &three.as_bytes()[20..]);
    peer.frame(0x10, 0, 0, b"u=1");
    peer.frame(0, 9, 5, &[&[2], &five.as_bytes()[30..], &[0; 2]].concat());
    peer.head(7, 1, &[(":method", "GET"), (":path", "/mcp"), ("accept", "text/event-stream")]);
    peer.frame(3, 0, 7, &[0, 0, 0, 8]);
    peer.frame(7, 0, 0, &[0; 8]);
    peer.bytes
}

/// The answers in another order, two of them as event streams whose frames alternate.
fn answers_of_a_session() -> Vec<u8> {
    let mut peer = Peer::server();
    peer.head(3, 0, &EVENTS);
    peer.head(5, 0, &[(":status", "103")]);
    peer.head(5, 0, &EVENTS);
    let events = [3, 5].map(|id| format!("event: message\ndata: {}\n\n", result(id)));
    peer.frame(0, 0, 3, &events[0].as_bytes()[..30]);
    peer.frame(0, 0, 5, &events[1].as_bytes()[..40]);
    peer.head(1, 0, &OK);
    peer.frame(0, 0, 3, &events[0].as_bytes()[30..]);
    peer.frame(0, 0, 1, result(1).as_bytes());
    peer.frame(0, 0, 5, &events[1].as_bytes()[40..]);
    peer.frame(0, 1, 3, &[]);
    peer.head(1, 1, &[("grpc-status", "0")]);
    peer.frame(0, 1, 5, &[]);
    peer.head(7, 1, &[(":status", "405")]);
    peer.bytes
}

fn client() -> Requests {
    Requests::new(&Limits::default())
}

fn server() -> Http2 {
    Http2::responses(&Limits::default())
}

fn ids(recorder: &Recorder) -> Vec<String> {
    recorder.whole_messages().iter().map(|message| format!("{:?}", message.id)).collect()
}

fn heads<'a>(recorder: &'a Recorder, kind: &str) -> Vec<&'a String> {
    recorder.log.iter().filter(|line| line.starts_with(kind)).collect()
}

#[test]
fn streams_are_told_apart() {
    let requests = read(client, &requests_of_a_session());
    assert_eq!(requests.whole_messages().len(), 3, "{:#?}", requests.log);
    let heads = heads(&requests, "request ");
    assert_eq!(heads.len(), 4, "{:#?}", requests.log);
    for head in &heads[..3] {
        assert!(head.starts_with("request POST /mcp") && head.contains("(SessionId, \"s1\")"), "{head}");
    }
    assert_eq!(requests.log.iter().filter(|line| *line == "reset").count(), 1);
    assert!(!requests.log.iter().any(|line| line.starts_with("fault")), "{:#?}", requests.log);
    let answers = read(server, &answers_of_a_session());
    let number = |id| format!("Id(Number({id:?}))");
    assert_eq!(ids(&answers), ["3", "5", "1"].map(number), "{:#?}", answers.log);
    let ends: Vec<_> = answers.log.iter().filter(|line| line.starts_with("body end")).collect();
    assert_eq!(ends.len(), 4);
    assert!(ends.iter().all(|line| line.ends_with("true")), "{:#?}", answers.log);
}

#[test]
fn cuts_do_not_matter() {
    assert_cuts_do_not_matter(client, &requests_of_a_session());
    assert_cuts_do_not_matter(server, &answers_of_a_session());
    assert_cuts_do_not_matter(|| Http2::joined(&Limits::default()), &requests_of_a_session()[70..]);
}

#[test]
fn losses_are_holes() {
    assert_losses_are_holes(client, &requests_of_a_session());
    assert_losses_are_holes(server, &answers_of_a_session());
}

#[test]
fn any_bytes_are_survived() {
    assert_any_bytes_are_survived(client, &requests_of_a_session());
    assert_any_bytes_are_survived(server, &answers_of_a_session());
    assert_any_bytes_are_survived(|| Http2::joined(&Limits::default()), &answers_of_a_session());
}

#[test]
fn after_an_upgrade_the_answer_is_on_the_first_stream() {
    let switch = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";
    let mut peer = Peer::server();
    peer.head(1, 0, &OK);
    peer.frame(0, 1, 1, result(1).as_bytes());
    let stream = [&switch[..], &peer.bytes].concat();
    let responses = || Responses::new(&Limits::default());
    let read = read(responses, &stream);
    assert_eq!(ids(&read).len(), 1, "{:#?}", read.log);
    assert_cuts_do_not_matter(responses, &stream);
}

/// Rule: headers unknown, bodies still read.
#[test]
fn a_connection_joined_late_is_read_from_the_next_frame_on() {
    let mut peer = Peer::client();
    peer.post(1, &call(1));
    let before = peer.bytes.len();
    peer.post(3, &call(3));
    peer.post(5, &call(5));
    let joined = || Http2::joined(&Limits::default());
    for late in [before, before - 40] {
        let read = read(joined, &peer.bytes[late..]);
        assert_eq!(read.whole_messages().len(), 2, "{:#?}", read.log);
        let heads = heads(&read, "request POST");
        assert_eq!(heads.len(), 2, "{:#?}", read.log);
        assert!(!heads[0].contains("SessionId"), "what was not seen is not known: {}", heads[0]);
    }
}

#[test]
fn a_hole_in_a_body_leaves_the_others_alone() {
    let bytes = answers_of_a_session();
    let inside = bytes.windows(9).position(|part| part == b"\"content\"").unwrap();
    let read = read_lossy(server, &bytes, inside..inside + 5);
    assert_eq!(ids(&read).len(), 2, "{:#?}", read.log);
    assert!(!read.log.iter().any(|line| line.starts_with("fault")), "{:#?}", read.log);
    assert_eq!(heads(&read, "gap 5").len(), 1);
}

#[test]
fn a_hole_across_frames_ends_at_the_next_frame() {
    let mut peer = Peer::server();
    peer.head(1, 0, &OK);
    peer.frame(0, 1, 1, result(1).as_bytes());
    let lost = peer.bytes.len();
    peer.head(3, 0, &OK);
    peer.frame(0, 1, 3, result(3).as_bytes());
    peer.head(5, 0, &OK);
    peer.frame(0, 1, 5, result(5).as_bytes());
    let read = read_lossy(server, &peer.bytes, lost - 10..lost + 5);
    assert_eq!(read.log.iter().filter(|line| *line == "fault http2_resync").count(), 1);
    assert_eq!(ids(&read).len(), 2, "{:#?}", read.log);
}

#[test]
fn hostile_streams_and_heads_stay_within_limits() {
    let limits = Limits { http2_streams: 4, http_head_bytes: 1000, ..Limits::default() };
    let new = || Requests::new(&limits);
    let mut peer = Peer::client();
    for stream in 0..100 {
        peer.head(stream * 2 + 1, 0, &POST);
        peer.frame(0, 0, stream * 2 + 1, b"{");
    }
    let flooded = read(new, &peer.bytes);
    let shed = flooded.log.iter().filter(|line| *line == "fault stream_limit").count();
    assert_eq!(shed, 96);
    let mut peer = Peer::client();
    let block = peer.block(&POST);
    peer.frame(1, 0, 1, &block);
    for _ in 0..100 {
        peer.frame(9, 0, 1, &[0; 100]);
    }
    peer.frame(9, 4, 1, &[]);
    peer.post(3, &call(3));
    let endless = read(new, &peer.bytes);
    assert_eq!(endless.log.iter().filter(|line| *line == "fault hpack").count(), 1);
    assert_eq!(endless.whole_messages().len(), 1, "{:#?}", endless.log);
}

/// What Node.js 20 wrote as client and server: five calls, three of them at once, two answered in events.
#[test]
fn a_recorded_connection_is_read() {
    let (up, down) =
        (include_bytes!("recorded/node20.requests"), include_bytes!("recorded/node20.responses"));
    let requests = read(client, up);
    assert_eq!(requests.whole_messages().len(), 5, "{:#?}", requests.log);
    let heads = heads(&requests, "request POST /mcp ");
    let kept = |head: &&String| {
        head.contains("(SessionId, \"5f2c8e1a-real\")") && head.contains("(ProtocolVersion, \"2025-11-25\")")
    };
    assert_eq!(heads.iter().filter(|head| kept(head)).count(), 5, "{heads:#?}");
    let answers = read(server, down);
    assert_eq!(answers.whole_messages().len(), 7, "{:#?}", answers.log);
    for log in [&requests.log, &answers.log] {
        assert!(!log.iter().any(|line| line.starts_with("fault")), "{log:#?}");
    }
    assert_cuts_do_not_matter(client, up);
    assert_losses_are_holes(server, down);
}
