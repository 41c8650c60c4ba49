//! Which framing a flow has, by its first bytes. Adding a framing: a guess here, and its type in the reader.

use super::{attached, http2, resync, websocket};

/// What the first bytes of a flow show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guess {
    /// Too few bytes.
    TooShort,
    /// No framing.
    Foreign,
    /// Newline-delimited JSON.
    Lines,
    /// HTTP requests.
    Requests,
    /// HTTP/1 responses.
    Responses,
    /// The first frame of a server.
    Http2Server,
    /// Frames, of whichever side.
    Http2,
    /// A frame of WebSocket.
    WebSocket,
    /// A frame of a container's output.
    Attached,
}

/// Bytes after which a start is recognised or foreign, but for blanks.
pub const LONGEST_START: usize = 16;

/// What `data` begins. `lines`: its flow is read as lines when it begins with something else than JSON.
pub fn recognise(data: &[u8], lines: bool) -> Guess {
    const METHODS: [&[u8]; 10] = [
        b"POST ",
        b"GET ",
        b"DELETE ",
        b"PUT ",
        b"HEAD ",
        b"OPTIONS ",
        b"PATCH ",
        b"CONNECT ",
        b"TRACE ",
        b"PRI * HTTP/2",
    ];
    const STATUS: &[u8] = b"HTTP/1.";
    let text = data.strip_prefix(b"\xef\xbb\xbf").unwrap_or(data).trim_ascii_start();
    if matches!(text.first(), Some(b'{' | b'[')) {
        return Guess::Lines;
    }
    if data.starts_with(STATUS) {
        return Guess::Responses;
    }
    if METHODS.iter().any(|method| data.starts_with(method)) {
        return Guess::Requests;
    }
    match attached::begins_with_frame(data) {
        Some(true) => return Guess::Attached,
        None if !data.is_empty() => return Guess::TooShort,
        Some(false) | None => {}
    }
    match http2::begins_with_frame(data) {
        Some(true) if http2::begins_with_settings(data) => return Guess::Http2Server,
        Some(true) => return Guess::Http2,
        None if !data.is_empty() => return Guess::TooShort,
        Some(false) | None => {}
    }
    match websocket::begins_with_text(data) {
        Some(true) => return Guess::WebSocket,
        None if !data.is_empty() => return Guess::TooShort,
        Some(false) | None => {}
    }
    if !lines {
        // An event stream may stay open for the whole session: one that is joined late is read on.
        match begins_with_event(data) {
            Some(true) => return Guess::Responses,
            None if data.len() < LONGEST_START => return Guess::TooShort,
            Some(false) | None => {}
        }
    }
    let blank = text.is_empty() && data.len() < LONGEST_START;
    if blank || STATUS.starts_with(data) || METHODS.iter().any(|method| method.starts_with(data)) {
        return Guess::TooShort;
    }
    if lines { Guess::Lines } else { Guess::Foreign }
}

/// Whether a chunk of an event stream begins here; `None`: too few bytes to tell.
fn begins_with_event(bytes: &[u8]) -> Option<bool> {
    match resync::event_chunk(bytes) {
        Ok(_) => Some(true),
        Err(resync::Stop::Mismatch) => Some(false),
        Err(resync::Stop::More) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_framing_is_known_by_its_first_bytes() {
        assert_eq!(recognise(b"{\"id\":1}", false), Guess::Lines);
        assert_eq!(recognise(b"\xef\xbb\xbf\n [", false), Guess::Lines);
        assert_eq!(recognise(b"POST /mcp HTTP/1.1\r\n", false), Guess::Requests);
        assert_eq!(recognise(b"HTTP/1.1 200 OK\r\n", true), Guess::Responses);
        assert_eq!(recognise(b"starting server", true), Guess::Lines);
        assert_eq!(recognise(b"starting server", false), Guess::Foreign);
        assert_eq!(recognise(b"1a4\r\ndata: {", false), Guess::Responses, "in an event stream");
        assert_eq!(recognise(b"1a4\r\nda", false), Guess::TooShort);
        assert_eq!(recognise(b"1a4\r\n{", false), Guess::Foreign);
        assert_eq!(recognise(b"PO", true), Guess::TooShort);
        assert_eq!(recognise(b"HTTP", false), Guess::TooShort);
        assert_eq!(recognise(b"PRI * HTTP/2.0\r\n\r\nSM", true), Guess::Requests);
        assert_eq!(recognise(b"\0\0\x06\x04\0\0\0\0\0", true), Guess::Http2Server);
        assert_eq!(recognise(b"\0\0\x10\x01\x04\0\0\0\x03", false), Guess::Http2);
        assert_eq!(recognise(b"\0\0\x10\x01\x04\0\0\0\x02", false), Guess::Foreign, "no client's stream");
        assert_eq!(recognise(b"\0\0\x10", false), Guess::TooShort);
        assert_eq!(recognise(b"\x01\0\0\0\0\0\0\x03{}\n", false), Guess::Attached);
        assert_eq!(recognise(b"\x81\x04{}", false), Guess::WebSocket);
        assert_eq!(recognise(b"\x81\x84abcd\x1a", false), Guess::WebSocket, "masked");
        assert_eq!(recognise(b"\x81\x04ab", false), Guess::Foreign);
    }
}
