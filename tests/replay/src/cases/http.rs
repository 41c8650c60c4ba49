//! Sessions over HTTP in all its forms.

use std::time::Duration;

use super::{SECRET, WORK, arguments, node_server, python_client};
use crate::captures::Capture;
use crate::messages as m;
use crate::scenario::Scenario;
use crate::wire::{self, Gzip, Http2};

pub(super) fn http_sse_answer() -> Capture {
    let mut s = Scenario::new();
    let (client, server) = (python_client(&mut s), node_server(&mut s));
    let http = s.tcp((client, "127.0.0.1:40001"), (server, "127.0.0.1:8080"));
    let session = format!("mcp-session-id: {SECRET}");
    let authorization = format!("authorization: Bearer {SECRET}");
    let headers = [session.as_str(), &authorization, "mcp-protocol-version: 2025-11-25"];
    s.moves(http.requests, m::post(&[&authorization], &m::initialize(0, "http-client")));
    s.moves(http.answers, m::ok(&[&session], &m::initialized(0, "http-server")));
    s.moves(http.requests, m::post(&headers, &m::notification("notifications/initialized")));
    s.moves(http.answers, m::status("202 Accepted"));
    s.moves(http.requests, m::post(&headers, &m::call(1, "report", &arguments())));
    s.moves(http.answers, m::event_stream());
    for done in 1..=3 {
        s.passes(WORK);
        s.moves(http.answers, m::event(&m::progress(1, done)));
    }
    s.passes(WORK);
    s.moves(http.answers, m::event(&m::tool_result(1, SECRET)));
    s.moves(http.answers, m::last_chunk());
    s.moves(http.requests, m::post(&headers, &m::call(2, "report", &arguments())));
    s.moves(http.answers, m::status("503 Service Unavailable"));
    s.into_capture()
}

/// A client is refused, asks how to be let in, and comes back with a token; another may not.
pub(super) fn http_authorization() -> Capture {
    let mut s = Scenario::new();
    let (client, server) = (python_client(&mut s), node_server(&mut s));
    let http = s.tcp((client, "127.0.0.1:40021"), (server, "127.0.0.1:8080"));
    s.moves(http.requests, m::post(&[], &m::initialize(0, "http-client")));
    s.moves(http.answers, m::status("401 Unauthorized"));
    let metadata = "GET /.well-known/oauth-protected-resource HTTP/1.1\r\nhost: 127.0.0.1:8080\r\n\
                    mcp-protocol-version: 2025-11-25\r\n\r\n";
    s.moves(http.requests, metadata);
    s.moves(http.answers, m::ok(&[], "{}"));
    let name = "authorization: Basic dXNlcjpodW50ZXIy";
    s.moves(http.requests, m::post(&[name], &format!(r#"{{"grant_type":"{SECRET}"}}"#)));
    s.moves(http.answers, m::ok(&[], &format!(r#"{{"access_token":"{SECRET}"}}"#)));
    let token = format!("authorization: Bearer eyJhbGciOiJIUzI1NiJ9.{SECRET}.{SECRET}");
    s.moves(http.requests, m::post(&[&token], &m::initialize(0, "http-client")));
    s.moves(http.answers, m::ok(&[], &m::initialized(0, "http-server")));
    let opaque = format!("authorization: Bearer {SECRET}");
    s.moves(http.requests, m::post(&[&opaque], &m::call(1, "report", &arguments())));
    s.moves(http.answers, m::status("403 Forbidden"));
    s.moves(http.requests, m::post(&[name], &m::call(2, "report", &arguments())));
    s.moves(http.answers, m::ok(&[], &m::tool_result(2, SECRET)));
    s.into_capture()
}

/// Through address translation: neither end knows an address of the other.
pub(super) fn http_namespaces() -> Capture {
    let mut s = Scenario::new();
    let (client, server) = (python_client(&mut s), node_server(&mut s));
    let http = s.tcp_between_namespaces(
        (client, ["192.0.2.2:40001", "203.0.113.1:80"]),
        (server, ["198.51.100.2:8080", "198.51.100.1:55001"]),
    );
    s.moves(http.requests, m::post(&[], &m::initialize(0, "http-client")));
    s.moves(http.answers, m::ok(&[], &m::initialized(0, "http-server")));
    for id in 1..=3 {
        s.moves(http.requests, m::post(&[], &m::call(id, "report", &arguments())));
        s.passes(WORK);
        s.moves(http.answers, m::ok(&[], &m::tool_result(id, SECRET)));
    }
    s.into_capture()
}

pub(super) fn tls_openssl() -> Capture {
    let mut s = Scenario::new();
    let (client, server) = (python_client(&mut s), node_server(&mut s));
    let https = s.tls((client, "127.0.0.1:40002"), (server, "127.0.0.1:8443"));
    s.moves(https.requests, m::post(&[], &m::initialize(0, "https-client")));
    s.moves(https.answers, m::ok(&[], &m::initialized(0, "https-server")));
    s.moves(https.requests, m::post(&[], &m::call(1, "echo", &arguments())));
    s.passes(WORK);
    s.moves(https.answers, m::ok(&[], &m::tool_result(1, SECRET)));
    s.is_blind(server, "library_without_symbols", "another TLS library in it has no symbols");
    s.into_capture()
}

/// Three calls at once, answered in another order, one of them in events; a fourth is given up.
pub(super) fn http2_streams() -> Capture {
    let mut s = Scenario::new();
    let (client, server) = (python_client(&mut s), node_server(&mut s));
    let http = s.tcp((client, "127.0.0.1:40011"), (server, "127.0.0.1:8080"));
    let (mut up, mut down) = (Http2::default(), Http2::default());
    s.moves(http.requests, up.preface());
    s.moves(http.answers, down.settings());
    let json = "application/json";
    s.moves(http.requests, up.post(1, &[]));
    s.moves(http.requests, wire::data(1, true, m::initialize(0, "http2-client")));
    let started = [(":status", "200"), ("content-type", json), ("mcp-session-id", SECRET)];
    s.moves(http.answers, down.head(1, false, &started));
    s.moves(http.answers, wire::data(1, true, m::initialized(0, "http2-server")));
    let session = [("mcp-session-id", SECRET), ("authorization", SECRET)];
    for (stream, id) in [(3, 1), (5, 2), (7, 3), (9, 4)] {
        let body = m::call(id, &format!("tool_{id}"), &arguments());
        let (front, back) = body.split_at(40);
        s.moves(http.requests, [up.post(stream, &session), wire::data(stream, false, front)].concat());
        s.moves(http.requests, wire::data(stream, true, back));
    }
    let event = |text: &str| format!("event: message\ndata: {text}\n\n");
    s.moves(http.answers, down.ok(5, "text/event-stream"));
    s.moves(http.answers, wire::data(5, false, event(&m::progress(2, 1))));
    s.passes(WORK);
    let answer = m::tool_result(3, SECRET);
    s.moves(http.answers, [down.ok(7, json), wire::data(7, false, &answer[..20])].concat());
    s.moves(http.answers, wire::data(5, false, event(&m::tool_result(2, SECRET))));
    s.moves(http.answers, wire::data(7, true, &answer[20..]));
    s.moves(http.requests, wire::reset(9));
    s.moves(http.answers, [wire::data(5, true, ""), down.ok(3, json)].concat());
    s.moves(http.answers, wire::data(3, true, m::error(1, -32602, SECRET)));
    s.passes(Duration::from_secs(61));
    s.is_told_the_time();
    s.into_capture()
}

/// Events of a compressed stream, each readable as it comes.
pub(super) fn http_gzip_events() -> Capture {
    let mut s = Scenario::new();
    let (client, server) = (python_client(&mut s), node_server(&mut s));
    let http = s.tcp((client, "127.0.0.1:40012"), (server, "127.0.0.1:8080"));
    s.moves(http.requests, m::post(&[], &m::initialize(0, "gzip-client")));
    s.moves(http.answers, m::ok(&[], &m::initialized(0, "gzip-server")));
    s.moves(http.requests, m::post(&[], &m::call(1, "report", &arguments())));
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-encoding: gzip\r\n\
                transfer-encoding: chunked\r\n\r\n";
    s.moves(http.answers, head);
    let (mut gzip, magic) = Gzip::new();
    let event = |text: &str| format!("event: message\ndata: {text}\n\n");
    s.passes(WORK);
    s.moves(http.answers, gzip.chunk(&magic, &event(&m::progress(1, 1))));
    s.passes(WORK);
    s.moves(http.answers, gzip.chunk(&[], &event(&m::tool_result(1, SECRET))));
    s.moves(http.answers, m::last_chunk());
    s.into_capture()
}

/// Requests that do not wait for the answers to those before.
pub(super) fn http_pipelined() -> Capture {
    let mut s = Scenario::new();
    let (client, server) = (python_client(&mut s), node_server(&mut s));
    let http = s.tcp((client, "127.0.0.1:40013"), (server, "127.0.0.1:8080"));
    let calls = [1, 2, 3].map(|id| m::post(&[], &m::call(id, "echo", &arguments())));
    s.moves(http.requests, calls.concat());
    s.passes(WORK);
    s.moves(http.answers, [m::ok(&[], &m::tool_result(1, SECRET)), m::status("503 Busy")].concat());
    s.moves(http.answers, m::ok(&[], &m::tool_error(3, SECRET)));
    s.into_capture()
}

/// The event stream was open before: neither its head nor the address in its first event is known.
pub(super) fn http_sse_2024_joined_late() -> Capture {
    let mut s = Scenario::new();
    let (client, server) = (python_client(&mut s), node_server(&mut s));
    let events = s.tcp((client, "127.0.0.1:40014"), (server, "127.0.0.1:8080"));
    let posts = s.tcp((client, "127.0.0.1:40015"), (server, "127.0.0.1:8080"));
    for id in 1..=3 {
        let post = String::from_utf8(m::post(&[], &m::call(id, "echo", &arguments()))).expect("text");
        s.moves(posts.requests, post.replacen("/mcp", &format!("/messages/?session_id={SECRET}"), 1));
        s.moves(posts.answers, "HTTP/1.1 202 Accepted\r\ncontent-length: 8\r\n\r\nAccepted");
        s.passes(WORK);
        s.moves(events.answers, m::event(&m::tool_result(id, SECRET)));
    }
    s.into_capture()
}

/// Both sides ask on an upgraded connection.
pub(super) fn web_socket() -> Capture {
    let mut s = Scenario::new();
    let (client, server) = (python_client(&mut s), node_server(&mut s));
    let http = s.tcp((client, "127.0.0.1:40016"), (server, "127.0.0.1:8080"));
    let upgrade = "connection: Upgrade\r\nupgrade: websocket\r\n";
    s.moves(http.requests, format!("GET /ws HTTP/1.1\r\nhost: 127.0.0.1:8080\r\n{upgrade}\r\n"));
    s.moves(http.answers, format!("HTTP/1.1 101 Switching Protocols\r\n{upgrade}\r\n"));
    let asks = |s: &mut Scenario, text: &str| s.moves(http.requests, wire::web_socket(true, text));
    let answers = |s: &mut Scenario, text: &str| s.moves(http.answers, wire::web_socket(false, text));
    asks(&mut s, &m::initialize(0, "web-socket-client"));
    answers(&mut s, &m::initialized(0, "web-socket-server"));
    asks(&mut s, &m::notification("notifications/initialized"));
    asks(&mut s, &m::call(1, "report", &arguments()));
    answers(&mut s, &m::progress(1, 1));
    answers(&mut s, &m::ping(0));
    asks(&mut s, &m::result(0, "{}"));
    s.passes(WORK);
    answers(&mut s, &m::tool_result(1, SECRET));
    s.ends(http.requests);
    s.into_capture()
}
