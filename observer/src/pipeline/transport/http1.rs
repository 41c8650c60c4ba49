//! HTTP/1.0 and HTTP/1.1, each direction of a connection by itself.
//!
//! Heads are kept only while they are incomplete, bodies never. After lost bytes inside a body whose framing is still
//! known, reading goes on; otherwise, and on connections joined in the middle, the next plausible head is searched.
//! An event stream in chunks is also joined again at a chunk that begins with a field, for it may stay open for the
//! whole session: its events come without a [`Frame::Response`] if its head was never seen.

use std::collections::VecDeque;

use super::body::{Body, Content, Framing, Progress};
use super::chunked::Chunks;
use super::cursor::Cursor;
use super::head::{self, Delimiters};
use super::resync::{self, Head, Side, Window};
use super::upgrade::{Other, protocol};
use super::{Field, Fields, Frame, Frames, Protocol};
use crate::pipeline::limits::{Limits, Share};
use crate::pipeline::reassembly::{Mark, Piece};
use crate::pipeline::time::Timestamp;

/// The direction from the client to the server.
#[derive(Debug)]
pub struct Requests(Flow);

impl Requests {
    /// At the start of a flow.
    pub fn new(limits: &Limits) -> Self {
        Self(Flow::new(Side::Requests, limits))
    }

    /// Takes the next piece of the flow.
    pub fn push(&mut self, piece: Piece<'_>, out: &mut impl Frames) {
        self.0.push(piece, out);
    }

    /// The server has answered before it has read the body: the client may keep it.
    pub fn refuse_body(&mut self) {
        self.0.refuse_body();
    }

    /// The server has agreed to go on in another protocol.
    pub fn upgrade(&mut self, protocol: Protocol) {
        self.0.upgrade(protocol);
    }

    /// The server has ended this stream of HTTP/2.
    pub fn forget_stream(&mut self, stream: u32) {
        self.0.forget_stream(stream);
    }
}

/// The direction from the server to the client.
#[derive(Debug)]
pub struct Responses(Flow);

impl Responses {
    /// At the start of a flow.
    pub fn new(limits: &Limits) -> Self {
        Self(Flow::new(Side::Responses, limits))
    }

    /// A request with `method` was seen, whose response comes after those of the requests before. Responses without
    /// such an expectation are read as those to a `GET`.
    pub fn expect_response(&mut self, method: &str) {
        self.0.await_response(method);
    }

    /// Takes the next piece of the flow.
    pub fn push(&mut self, piece: Piece<'_>, out: &mut impl Frames) {
        self.0.push(piece, out);
    }

    /// The client has ended this stream of HTTP/2.
    pub fn forget_stream(&mut self, stream: u32) {
        self.0.forget_stream(stream);
    }
}

/// Either direction.
#[derive(Debug)]
pub(super) struct Flow {
    pub(super) side: Side,
    pub(super) limits: Limits,
    pub(super) state: State,
    /// Beginning of a head, or the end of what was searched.
    pub(super) window: Window,
    expected: VecDeque<Expected>,
    /// More requests waited for responses than are remembered.
    shed: bool,
    /// The client waits for a word of the server before it sends the body that its head announces.
    pub(super) waits: bool,
    /// The room of a head that is longer than usual.
    room: Option<Share>,
}

/// ```text
///        complete head              body over
/// Head ----------------> Body -----------------> Head
///   | no head, gap         | framing lost
///    -------> Search <-----
///               | head: as from Head
///                `- chunk of an event stream: Body
/// ```
/// From `Head`, all others are reached when the connection changes to another protocol.
#[derive(Debug)]
pub(super) enum State {
    Head,
    Search {
        /// An event stream that may be joined again.
        stream: Option<Body>,
        /// A start line was found at the front of the window.
        found: bool,
        /// The window begins directly behind a gap or at the start of the flow.
        aligned: bool,
    },
    Body(Body),
    Other(Other),
    Stopped,
}

/// What matters about the request that a response answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    Connect,
    Head,
    Other,
}

impl Flow {
    fn new(side: Side, limits: &Limits) -> Self {
        let (state, window, expected) = (State::Head, Window::default(), VecDeque::new());
        Self { side, limits: limits.clone(), state, window, expected, shed: false, waits: false, room: None }
    }

    fn await_response(&mut self, method: &str) {
        if self.expected.len() >= self.limits.http_pipeline {
            self.expected.clear();
            self.shed = true;
        }
        self.expected.push_back(match method {
            "CONNECT" => Expected::Connect,
            "HEAD" => Expected::Head,
            _ => Expected::Other,
        });
    }

    fn push(&mut self, piece: Piece<'_>, out: &mut impl Frames) {
        if std::mem::take(&mut self.shed) {
            out.frame(Frame::Fault("pipeline_limit"));
        }
        match &mut self.state {
            State::Other(other) => return other.push(piece, out),
            State::Head | State::Search { .. } | State::Body(_) | State::Stopped => {}
        }
        match piece {
            Piece::Data { at, position, data } => {
                let mut cursor = Cursor::new(at, position, data);
                while !cursor.is_empty() {
                    self.step(&mut cursor, out);
                }
            }
            Piece::Gap { at, position, missing } => self.gap(at, position, missing, out),
            Piece::End { .. } => self.end(out),
        }
    }

    fn step(&mut self, cursor: &mut Cursor<'_>, out: &mut impl Frames) {
        match &mut self.state {
            State::Head => self.head(cursor, out),
            State::Search { .. } => self.search(cursor, out),
            State::Body(body) => match body.push(cursor, out) {
                Progress::Unfinished => self.waits = false,
                Progress::Over => self.state = State::Head,
                Progress::Lost => self.lose("http_body", false, out),
            },
            State::Other(other) => other.read(cursor, out),
            State::Stopped => {
                cursor.take(usize::MAX);
            }
        }
    }

    /// At the start of a message, or in its head.
    fn head(&mut self, cursor: &mut Cursor<'_>, out: &mut impl Frames) {
        if !self.window.bytes().is_empty() {
            return self.split_head(cursor, out);
        }
        cursor.take_while(|byte| matches!(byte, b'\r' | b'\n'));
        let first_byte = cursor.mark();
        let most = self.limits.http_head_bytes;
        let bytes = cursor.rest().get(..most).unwrap_or(cursor.rest());
        match resync::head(self.side, bytes, false, 0) {
            Head::Complete(len) => {
                let bytes = cursor.take(len);
                self.message(bytes, first_byte, cursor.last(), out);
            }
            Head::Incomplete => {
                self.window.add(first_byte, cursor.take(bytes.len()));
                self.check_head_limit(out);
            }
            Head::Http2 => self.begin_http2(0, out),
            Head::WebSocket => self.begin_websocket(0, out),
            Head::No => self.lose("resync", true, out),
        }
    }

    /// Joins a head that came in several pieces.
    fn split_head(&mut self, cursor: &mut Cursor<'_>, out: &mut impl Frames) {
        let searched = self.window.bytes().len();
        let room = self.limits.http_head_bytes.saturating_sub(searched);
        let block = cursor.rest().get(..room).unwrap_or(cursor.rest());
        self.window.add(cursor.mark(), block);
        match resync::head(self.side, self.window.bytes(), false, searched) {
            Head::Complete(len) => {
                cursor.take(len.saturating_sub(searched));
                self.message_in_window(len, cursor.last(), out);
            }
            Head::Incomplete => {
                cursor.take(block.len());
                self.check_head_limit(out);
            }
            Head::Http2 => self.begin_http2(searched, out),
            Head::WebSocket => self.begin_websocket(searched, out),
            Head::No => {
                self.window.truncate(searched);
                self.lose("resync", true, out);
            }
        }
    }

    /// The window holds an incomplete head.
    fn check_head_limit(&mut self, out: &mut impl Frames) {
        let (len, most) = (self.window.bytes().len(), self.limits.http_head_bytes);
        if len > USUAL_HEAD && self.room.is_none() {
            self.room = self.limits.buffers.take(most as u64);
        }
        if len >= most || len > USUAL_HEAD && self.room.is_none() {
            self.room = None;
            self.window = Window::default();
            self.lose("head_limit", false, out);
        }
    }

    /// The window begins with a head of `len` bytes.
    pub(super) fn message_in_window(&mut self, len: usize, last_byte: Mark, out: &mut impl Frames) {
        let window = std::mem::take(&mut self.window);
        self.room = None;
        self.message(window.bytes().get(..len).unwrap_or_default(), window.mark(0), last_byte, out);
    }

    /// A complete head.
    fn message(&mut self, bytes: &[u8], first_byte: Mark, last_byte: Mark, out: &mut impl Frames) {
        let searched = matches!(self.state, State::Search { .. });
        let taken = match self.side {
            Side::Requests => self.request(bytes, first_byte, last_byte, out),
            Side::Responses => self.response(bytes, first_byte, last_byte, out),
        };
        match taken {
            Some(()) => {}
            None if searched => self.search_again(),
            None => self.lose("http_head", false, out),
        }
    }

    fn request(
        &mut self,
        bytes: &[u8],
        first_byte: Mark,
        last_byte: Mark,
        out: &mut impl Frames,
    ) -> Option<()> {
        let (head, delimiters) = head::request(bytes, first_byte, &self.limits)?;
        let framing = match delimiters {
            Delimiters { chunked: true, .. } => Framing::Chunked(Chunks::START),
            Delimiters { coded: true, .. } => return None,
            Delimiters { length, .. } => Framing::Length(length.unwrap_or(0)),
        };
        self.end_lost_stream(out);
        let connect = &*head.method == "CONNECT";
        self.waits = head.fields.value(Field::Expect).is_some();
        let body = Body::new(framing, self.content(&head.fields, delimiters), last_byte);
        out.frame(Frame::Request(Box::new(head)));
        if connect {
            self.change_protocol("upgraded", out);
        } else {
            self.begin_body(body, out);
        }
        Some(())
    }

    fn response(
        &mut self,
        bytes: &[u8],
        first_byte: Mark,
        last_byte: Mark,
        out: &mut impl Frames,
    ) -> Option<()> {
        let (head, delimiters) = head::response(bytes, first_byte, &self.limits)?;
        self.end_lost_stream(out);
        if matches!(head.status, 100 | 102..=199) {
            self.state = State::Head;
            return Some(());
        }
        let expected = self.expected.pop_front().unwrap_or(Expected::Other);
        let protocol = (head.status == 101).then(|| protocol(&head.fields)).flatten();
        let upgraded = head.status == 101 || expected == Expected::Connect && head.status / 100 == 2;
        let framing = match delimiters {
            _ if expected == Expected::Head || matches!(head.status, 204 | 304) => Framing::Length(0),
            Delimiters { chunked: true, .. } => Framing::Chunked(Chunks::START),
            Delimiters { coded: true, .. } | Delimiters { length: None, .. } => Framing::Close,
            Delimiters { length: Some(length), .. } => Framing::Length(length),
        };
        let body = Body::new(framing, self.content(&head.fields, delimiters), last_byte);
        out.frame(Frame::Response(Box::new(head)));
        if let Some(protocol) = protocol {
            out.frame(Frame::Upgraded(protocol));
            self.upgrade(protocol);
        } else if upgraded {
            self.change_protocol("upgraded", out);
        } else {
            self.begin_body(body, out);
        }
        Some(())
    }

    fn content(&self, fields: &Fields, delimiters: Delimiters) -> Content {
        Content::of(fields, delimiters.codings, &self.limits)
    }

    fn begin_body(&mut self, mut body: Body, out: &mut impl Frames) {
        if body.is_empty() {
            body.close(out);
            self.state = State::Head;
            return;
        }
        self.state = State::Body(body);
    }

    fn gap(&mut self, at: Timestamp, position: u64, missing: u64, out: &mut impl Frames) {
        match &mut self.state {
            State::Body(body) => match body.gap(at, position, missing, out) {
                Progress::Unfinished => {}
                Progress::Over => self.state = State::Head,
                Progress::Lost => self.lose("resync", true, out),
            },
            State::Head => {
                self.window.clear();
                self.lose("resync", true, out);
            }
            State::Search { found, aligned, .. } => {
                (*found, *aligned) = (false, true);
                self.window.clear();
            }
            State::Other(_) | State::Stopped => {}
        }
    }

    /// The connection is over; what comes then is another one.
    fn end(&mut self, out: &mut impl Frames) {
        match std::mem::replace(&mut self.state, State::Head) {
            State::Body(mut body) => body.cut(out),
            State::Search { stream: Some(mut body), .. } => body.give_up(out),
            State::Head if !self.window.bytes().is_empty() => out.frame(Frame::Fault("head_cut")),
            State::Head | State::Search { .. } | State::Other(_) | State::Stopped => {}
        }
        self.window.clear();
        self.expected.clear();
    }

    /// It is not known what the next byte is.
    fn lose(&mut self, cause: &'static str, aligned: bool, out: &mut impl Frames) {
        self.room = None;
        let stream = match std::mem::replace(&mut self.state, State::Head) {
            State::Body(mut body) if body.can_be_joined() => {
                body.abort_text(out);
                Some(body)
            }
            State::Body(mut body) => {
                body.give_up(out);
                None
            }
            State::Search { stream, .. } => stream,
            State::Head | State::Other(_) | State::Stopped => None,
        };
        out.frame(Frame::Fault(cause));
        // Which request the next response answers is not known either.
        self.expected.clear();
        self.state = State::Search { stream, found: false, aligned };
    }
}

/// A head of this length needs no room of its own.
const USUAL_HEAD: usize = 4 << 10;

#[cfg(test)]
mod tests {
    use super::{Requests, Responses};
    use crate::pipeline::limits::Limits;
    use crate::pipeline::transport::tests::{
        Recorder, assert_any_bytes_are_survived, assert_cuts_do_not_matter, assert_losses_are_holes, read,
        read_cut, read_lossy,
    };

    fn requests() -> Requests {
        Requests::new(&Limits::default())
    }

    fn responses() -> Responses {
        Responses::new(&Limits::default())
    }

    /// What is found, without positions and texts.
    fn kinds(recorder: &Recorder) -> Vec<String> {
        let words = |line: &String, count| line.split(' ').take(count).collect::<Vec<_>>().join(" ");
        let kind = |line: &String| match line.split(' ').next() {
            Some("begin" | "end" | "text" | "gap") => words(line, 1),
            Some("body") => format!("body {}", line.rsplit(' ').next().unwrap()),
            Some("request" | "response") => words(line, 2),
            _ => line.clone(),
        };
        recorder.log.iter().map(kind).collect()
    }

    fn found(stream: &str) -> Vec<String> {
        kinds(&read(responses, stream.as_bytes()))
    }

    fn found_after(methods: &[&str], stream: &str) -> Vec<String> {
        let expecting = || {
            let mut flow = responses();
            methods.iter().for_each(|method| flow.expect_response(method));
            flow
        };
        kinds(&read(expecting, stream.as_bytes()))
    }

    fn chunks(parts: &[&str]) -> String {
        let body: String = parts.iter().map(|part| format!("{:x}\r\n{part}\r\n", part.len())).collect();
        body + "0\r\n\r\n"
    }

    fn json(body: &str) -> String {
        format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    const EVENTS: &str =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    const PROGRESS: &str = concat!(
        "event: message\ndata: ",
        r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1,"total":2}}"#,
        "\n\n"
    );
    const RESULT: &str = concat!(
        "event: message\r\nid: 7\r\ndata: ",
        r#"{"result":{"content":[{"type":"text","text":"done"}],"resultType":"complete"},"jsonrpc":"2.0","id":1}"#,
        "\r\n\r\n"
    );
    const PING: &str = r#"{"jsonrpc":"2.0","id":5,"method":"ping"}"#;

    /// Requests of an SDK on one connection: a call in one write, one in chunks, without a body, pipelined.
    fn session() -> String {
        let call =
            r#"{"method":"tools/call","params":{"name":"slow","arguments":{}},"jsonrpc":"2.0","id":1}"#;
        let head = concat!(
            "POST /mcp HTTP/1.1\r\nhost: 127.0.0.1:18105\r\nconnection: keep-alive\r\n",
            "mcp-protocol-version: 2026-07-28\r\nmcp-method: tools/call\r\nMcp-Name: slow\r\n",
            "content-type: application/json; charset=utf-8\r\naccept: application/json, Text/Event-Stream\r\n",
            "authorization: Bearer secret\r\naccept-encoding: gzip, deflate\r\n",
        );
        let chunked = chunks(&[&PING[..9], &PING[9..]]);
        format!(
            "{head}content-length: {}\r\n\r\n{call}\
             GET /sse?a=b HTTP/1.1\r\nHost: x\r\nLast-Event-ID: 3\r\n\r\n\
             POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{chunked}\
             DELETE /mcp HTTP/1.1\r\nMCP-Session-Id: abc\r\ncontent-length: 0\r\n\r\n",
            call.len()
        )
    }

    /// Responses of every kind on one connection.
    fn answers() -> String {
        let encoded = "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 3\r\n\r\nxyz";
        let parts = [&PROGRESS[..20], &PROGRESS[20..], ": ping\n\n", RESULT];
        [
            "HTTP/1.1 100 Continue\r\n\r\n",
            EVENTS,
            &chunks(&parts),
            "HTTP/1.1 202 Accepted\r\ntransfer-encoding: chunked\r\n\r\n8;x=y\r\nAccepted\r\n0\r\nt: 1\r\n\r\n",
            "HTTP/1.1 204 No Content\r\n\r\n",
            &json(RESULT[RESULT.find('{').unwrap()..].trim_end()),
            encoded,
            "HTTP/1.0 200 OK\r\n\r\n",
            &PING.replace(":5", ":6"),
        ]
        .concat()
    }

    #[test]
    fn requests_of_a_session() {
        let recorder = read(requests, session().as_bytes());
        assert_eq!(
            kinds(&recorder),
            [
                "request POST",
                "begin",
                "text",
                "end",
                "body true",
                "request GET",
                "body true",
                "request POST",
                "begin",
                "text",
                "end",
                "body true",
                "request DELETE",
                "body true"
            ]
        );
        let fields = concat!(
            r#"Fields([(Host, "127.0.0.1:18105"), (ProtocolVersion, "2026-07-28"), (McpMethod, "tools/call"), "#,
            r#"(McpName, "slow"), (ContentType, "application/json"), (Accept, "application/json, text/event-stream"), "#,
            r#"(AuthorizationScheme, "bearer")])"#
        );
        assert_eq!(recorder.log[0], format!("request POST /mcp {fields}"));
        assert_eq!(recorder.whole_messages().len(), 2);
    }

    #[test]
    fn responses_of_every_kind() {
        let recorder = read(responses, answers().as_bytes());
        assert_eq!(
            kinds(&recorder),
            [
                "response 200",
                "begin",
                "text",
                "end",
                "begin",
                "text",
                "end",
                "body true",
                "response 202",
                "body true",
                "response 204",
                "body true",
                "response 200",
                "begin",
                "text",
                "end",
                "body true",
                "response 200",
                "fault content_encoding",
                "body false",
                "response 200",
                "begin",
                "text",
                "end",
                "body true"
            ]
        );
        assert_eq!(recorder.whole_messages().len(), 4);
    }

    #[test]
    fn positions_are_those_of_the_raw_bytes() {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
        let stream = format!("{head}3\r\n  {{\r\n1\r\n}}\r\n0\r\n\r\n");
        let (len, end) = (head.len(), stream.len() - 1);
        let expected = [
            format!("begin {}", len + 5),
            "text {}".to_owned(),
            format!("end {} HttpBody", len + 11),
            format!("body end {end} true"),
        ];
        assert_eq!(read(responses, stream.as_bytes()).log[1..], expected);
    }

    #[test]
    fn an_expected_method_decides_about_the_body() {
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 40\r\n\r\n";
        let stream = format!("{head}{head}{PING}");
        let with_body = ["response 200", "begin", "text", "end", "body true"];
        let expected = [&["response 200", "body true"], &with_body[..]].concat();
        assert_eq!(found_after(&["HEAD", "GET"], &stream), expected);
        assert_eq!(found_after(&["CONNECT"], &stream), ["response 200", "fault upgraded"]);
        let continued = format!("HTTP/1.1 103 Early Hints\r\n\r\n{head}{head}{PING}");
        assert_eq!(found_after(&["HEAD", "GET"], &continued), expected, "an early head answers nothing");
    }

    #[test]
    fn another_protocol_is_left_alone() {
        let ping = json(PING);
        assert_eq!(
            found(&format!("HTTP/1.1 101 Switching Protocols\r\nUpgrade: ssh\r\n\r\n{ping}")),
            ["response 101", "fault upgraded"]
        );
        let preface = format!("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{}", session());
        assert_eq!(read(requests, preface.as_bytes()).log, ["fault http2_resync"], "not what it announces");
        assert_cuts_do_not_matter(requests, &preface.as_bytes()[..60]);
        let connect = format!("CONNECT a:443 HTTP/1.1\r\n\r\n{}", session());
        assert_eq!(kinds(&read(requests, connect.as_bytes())), ["request CONNECT", "fault upgraded"]);
    }

    #[test]
    fn a_connection_that_ends_early_leaves_no_whole_body() {
        assert_eq!(found(&json(PING)[..90]), ["response 200", "begin", "text", "end", "body false"]);
        let events = format!("{EVENTS}{}", chunks(&[PROGRESS, RESULT]));
        let whole = ["response 200", "begin", "text", "end", "begin", "text", "end"];
        assert_eq!(found(&events[..events.len() - 5]), [&whole[..], &["body false"]].concat());
        let cut = &events[..events.len() - 9];
        assert_eq!(found(cut), [&whole[..6], &["abort", "fault sse_cut", "body false"]].concat());
        assert_eq!(found("HTTP/1.1 20"), ["fault head_cut"]);
    }

    #[test]
    fn bodies_of_other_kinds_give_no_text() {
        for (kind, body) in [("text/html", PING), ("text/plain", "Accepted"), ("application/json", "  ")] {
            let stream = format!("HTTP/1.1 200 OK\ncontent-type: {kind}\n\n{body}");
            assert_eq!(found(&stream), ["response 200", "body true"], "{kind}");
        }
    }

    #[test]
    fn what_is_no_head_is_searched_for_one() {
        let expected = ["response 200", "begin", "text", "end", "body true"];
        let ping = json(PING);
        for junk in
            ["junk", "}\r\n0\r\n\r\n", "HTTP/1.1 2000 OK\r\n", "x HTTP/1.1 200 \"}\r\n\r\n", "\r\n\r\n\u{1}H"]
        {
            assert_eq!(
                found(&format!("{junk}{ping}")),
                [&["fault resync"], &expected[..]].concat(),
                "{junk:?}"
            );
            assert_cuts_do_not_matter(responses, format!("{junk}{ping}").as_bytes());
        }
        let broken = format!("HTTP/1.1 200 OK\r\na b\r\n\r\n{ping}");
        assert_eq!(found(&broken), [&["fault http_head"], &expected[..]].concat());
        let lengths = format!("HTTP/1.1 200 OK\r\ncontent-length: 1, 2\r\n\r\n{ping}");
        assert_eq!(found(&lengths), [&["fault http_head"], &expected[..]].concat());
        let joined = format!("ge\":1}}POST /m{}", session());
        let log = kinds(&read(requests, joined.as_bytes()));
        assert_eq!(log[..2], ["fault resync", "request POST"]);
        assert_cuts_do_not_matter(requests, joined.as_bytes());
    }

    #[test]
    fn an_endless_head_is_given_up() {
        let limits = Limits { http_head_bytes: 100, ..Limits::default() };
        let stream = format!("HTTP/1.1 200 OK\r\na: {}\r\n\r\n{}", "x".repeat(200), json("{}"));
        let single: Vec<usize> = (0..stream.len()).collect();
        let read = read_cut(|| Responses::new(&limits), stream.as_bytes(), &single);
        let expected = ["fault head_limit", "response 200", "begin", "text", "end", "body true"];
        assert_eq!(kinds(&read), expected);
        assert_cuts_do_not_matter(|| Responses::new(&limits), stream.as_bytes());
        let searched = format!("junk{stream}");
        assert_cuts_do_not_matter(|| Responses::new(&limits), searched.as_bytes());
    }

    #[test]
    fn a_hole_in_a_body_is_part_of_the_text() {
        let stream = json(PING) + &json("{}");
        let lost = stream.find("jsonrpc").unwrap();
        assert_eq!(
            kinds(&read_lossy(responses, stream.as_bytes(), lost..lost + 7)),
            [
                "response 200",
                "begin",
                "text",
                "gap",
                "text",
                "end",
                "body false",
                "response 200",
                "begin",
                "text",
                "end",
                "body true"
            ]
        );
        let chunked = format!("{EVENTS}{}", chunks(&[PROGRESS, RESULT]));
        let lost = chunked.find("progressToken").unwrap();
        assert_eq!(
            kinds(&read_lossy(responses, chunked.as_bytes(), lost..lost + 4)),
            ["response 200", "begin", "text", "gap", "text", "end", "begin", "text", "end", "body false"]
        );
    }

    #[test]
    fn a_hole_across_heads_ends_in_the_next_head() {
        let stream = json(PING) + &json("{}") + &json("[]");
        let lost = json(PING).len() - 5;
        assert_eq!(
            kinds(&read_lossy(responses, stream.as_bytes(), lost..lost + 20)),
            [
                "response 200",
                "begin",
                "text",
                "abort",
                "body false",
                "fault resync",
                "response 200",
                "begin",
                "text",
                "end",
                "body true"
            ]
        );
    }

    #[test]
    fn an_event_stream_goes_on_after_a_hole_across_chunks() {
        let stream = format!("{EVENTS}{}{}", chunks(&[PROGRESS, PROGRESS, RESULT]), json("{}"));
        let (first, chunk) = (EVENTS.len(), chunks(&[PROGRESS]).len() - 5);
        for lost in
            [first..first + chunk, first + 30..first + chunk + 40, first + chunk - 2..first + 2 * chunk]
        {
            let read = read_lossy(responses, stream.as_bytes(), lost.clone());
            let events = read.whole_messages();
            assert!(events.iter().any(|message| message.has_result), "{lost:?}: {:#?}", read.log);
            let heads = read.log.iter().filter(|line| line.starts_with("response")).count();
            assert_eq!(heads, 2, "{lost:?}: {:#?}", read.log);
        }
    }

    #[test]
    fn an_event_stream_joined_in_the_middle_is_read() {
        let stream = format!("{EVENTS}{}", chunks(&[PROGRESS, RESULT]));
        let joined = &stream.as_bytes()[EVENTS.len()..];
        assert_eq!(
            kinds(&read(responses, joined)),
            ["fault resync", "begin", "text", "end", "begin", "text", "end", "body false"]
        );
        assert_cuts_do_not_matter(responses, joined);
        let inside = &joined[20..];
        assert_eq!(kinds(&read(responses, inside)), ["fault resync", "begin", "text", "end", "body false"]);
        assert_cuts_do_not_matter(responses, inside);
    }

    #[test]
    fn cuts_do_not_matter() {
        assert_cuts_do_not_matter(requests, session().as_bytes());
        assert_cuts_do_not_matter(responses, answers().as_bytes());
        let odd_ends =
            "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n1\n{\r\r\n01;\r\r\n}\n0\nt: 1\r\r\n\r\r\n\r\n";
        assert_cuts_do_not_matter(responses, odd_ends.as_bytes());
    }

    #[test]
    fn losses_are_holes() {
        assert_losses_are_holes(requests, session().as_bytes());
        assert_losses_are_holes(responses, answers().as_bytes());
    }

    #[test]
    fn any_bytes_are_survived() {
        assert_any_bytes_are_survived(requests, session().as_bytes());
        assert_any_bytes_are_survived(responses, answers().as_bytes());
        assert_any_bytes_are_survived(
            responses,
            format!("{EVENTS}{}", chunks(&[PROGRESS, RESULT])).as_bytes(),
        );
    }
}
