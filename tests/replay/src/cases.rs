//! The fixtures that were written by hand. Adding one: a function here and a line in [`CASES`], then `BLESS=1`.

use std::time::Duration;

use mcp_observer::pipeline::input::{ContainerFacts, PodFacts, ProcessFacts, WorkloadFacts};
use observer_common::record::RecordKind;

use crate::captures::Capture;
use crate::messages as m;
use crate::scenario::{Process, ProcessSpec, Scenario, Wires};
use crate::wire::{self, Gzip, Http2};

/// The name of its folder in `tests/fixtures`, and what writes it.
pub type Case = (&'static str, fn() -> Capture);

/// All of them.
pub const CASES: &[Case] = &[
    ("http_namespaces", http_namespaces),
    ("http2_streams", http2_streams),
    ("http_authorization", http_authorization),
    ("http_gzip_events", http_gzip_events),
    ("http_pipelined", http_pipelined),
    ("http_sse_2024_joined_late", http_sse_2024_joined_late),
    ("http_sse_answer", http_sse_answer),
    ("look_alikes", look_alikes),
    ("in_a_pod", in_a_pod),
    ("server_facts", server_facts),
    ("stdio_cancelled", stdio_cancelled),
    ("stdio_lost_record", stdio_lost_record),
    ("stdio_pipes", stdio_pipes),
    ("stdio_socket_pair", stdio_socket_pair),
    ("tls_openssl", tls_openssl),
    ("web_socket", web_socket),
];

/// What must not be shown without `--payloads`. It is in every place of a fixture where payload can be.
pub const SECRET: &str = "hunter2-s3cr3t";

/// How long a tool works.
const WORK: Duration = Duration::from_millis(12);

fn stdio_pipes() -> Capture {
    let mut s = Scenario::new();
    let (client, server) = (python_client(&mut s), node_server(&mut s));
    let stdio = s.stdio(client, server);
    s.moves(stdio.answers, "Server listening on stdio\n");
    handshake(&mut s, stdio);
    s.moves(stdio.requests, m::line(&m::call(1, "echo", &arguments())));
    s.passes(WORK);
    s.moves(stdio.answers, m::line(&m::tool_result(1, SECRET)));
    s.moves(stdio.requests, m::line(&m::call(2, "divide", &arguments())));
    s.passes(WORK);
    s.moves(stdio.answers, m::line(&m::tool_error(2, SECRET)));
    s.moves(stdio.requests, m::line(&m::call(3, "no_such_tool", "{}")));
    s.moves(stdio.answers, m::line(&m::error(3, -32602, SECRET)));
    s.moves(stdio.requests, m::line(&m::read(4, &format!("file:///{SECRET}"))));
    s.moves(stdio.answers, m::line(&m::result(4, &format!(r#"{{"contents":[{{"text":"{SECRET}"}}]}}"#))));
    s.moves(stdio.answers, m::line(&m::ping(0)));
    s.moves(stdio.requests, m::line(&m::result(0, "{}")));
    s.ends(stdio.requests);
    s.exits(server, 0);
    s.ends(stdio.answers);
    s.passes(Duration::from_secs(5));
    s.is_told_the_time();
    s.into_capture()
}

fn stdio_socket_pair() -> Capture {
    let mut s = Scenario::new();
    let (client, server) = (python_client(&mut s), node_server(&mut s));
    let stdio = s.socket_pair(client, server);
    handshake(&mut s, stdio);
    s.moves(stdio.requests, m::line(&m::call(1, "slow", &arguments())));
    s.moves(stdio.requests, m::line(&m::call(2, "fast", &arguments())));
    s.passes(WORK);
    s.moves(stdio.answers, m::line(&m::tool_result(2, "fast")));
    for done in 1..=3 {
        s.passes(WORK);
        s.moves(stdio.answers, m::line(&m::progress(1, done)));
    }
    s.passes(Duration::from_secs(6));
    s.moves(stdio.answers, m::line(&m::tool_result(1, "slow")));
    s.into_capture()
}

fn stdio_cancelled() -> Capture {
    let mut s = Scenario::new();
    let (client, server) = (python_client(&mut s), node_server(&mut s));
    let stdio = s.stdio(client, server);
    handshake(&mut s, stdio);
    s.moves(stdio.requests, m::line(&m::call(1, "slow", &arguments())));
    s.passes(WORK);
    s.moves(stdio.requests, m::line(&m::cancelled(1)));
    s.moves(stdio.requests, m::line(&m::call(2, "crash", &arguments())));
    s.passes(WORK);
    s.exits(server, 9);
    s.ends(stdio.answers);
    s.passes(Duration::from_secs(5));
    s.is_told_the_time();
    s.into_capture()
}

fn stdio_lost_record() -> Capture {
    let mut s = Scenario::new();
    let (client, server) = (python_client(&mut s), node_server(&mut s));
    let stdio = s.stdio(client, server);
    handshake(&mut s, stdio);
    s.moves(stdio.requests, m::line(&m::call(1, "echo", &arguments())));
    s.moves(stdio.answers, m::line(&m::tool_result(1, "seen")));
    s.moves(stdio.requests, m::line(&m::call(2, "echo", &arguments())));
    s.moves(stdio.answers, m::line(&m::tool_result(2, "lost")));
    s.loses_the_last();
    s.moves(stdio.requests, m::line(&m::call(3, "echo", &arguments())));
    s.moves(stdio.answers, m::line(&m::tool_result(3, "seen again")));
    s.into_capture()
}

fn http_sse_answer() -> Capture {
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
fn http_authorization() -> Capture {
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

/// A server is asked what it is and ended; another lists its tools, changes one of them, and fails.
fn server_facts() -> Capture {
    let mut s = Scenario::new();
    let client = python_client(&mut s);
    let probe = node_server(&mut s);
    let stdio = s.stdio(client, probe);
    s.moves(stdio.requests, m::line(&m::discover(0)));
    s.moves(stdio.answers, m::line(&m::error(0, -32601, SECRET)));
    s.passes(WORK);
    s.exits(probe, 15);
    let server = node_server(&mut s);
    let stdio = s.stdio(client, server);
    handshake(&mut s, stdio);
    s.takes(server, 50_000_000, Duration::from_millis(120));
    let pages = [("echo", "says it again"), ("divide", SECRET)].map(|tool| [tool]);
    s.moves(stdio.requests, m::line(&m::list(1, None)));
    s.moves(stdio.answers, m::line(&m::listed(1, &pages[0], Some(SECRET))));
    s.moves(stdio.requests, m::line(&m::list(2, Some(SECRET))));
    s.moves(stdio.answers, m::line(&m::listed(2, &pages[1], None)));
    s.moves(stdio.requests, m::line(&m::call(3, "echo", &arguments())));
    s.passes(WORK);
    s.moves(stdio.answers, m::line(&m::tool_result(3, SECRET)));
    let changed = [("divide", SECRET), ("echo", "says it again, and reads your keys first")];
    s.moves(stdio.requests, m::line(&m::list(4, None)));
    s.moves(stdio.answers, m::line(&m::listed(4, &changed, None)));
    s.moves(stdio.requests, m::line(&m::call(5, "divide", &arguments())));
    s.passes(Duration::from_secs(10));
    s.takes(server, 60_000_000, Duration::from_millis(250));
    s.exits(server, 3 << 8);
    s.ends(stdio.answers);
    s.passes(Duration::from_secs(5));
    s.is_told_the_time();
    s.into_capture()
}

/// A client of the host and a server in a pod, of which more and more is known.
fn in_a_pod() -> Capture {
    let mut s = Scenario::new();
    let (client, server) = (python_client(&mut s), node_server(&mut s));
    let text = |text: &str| Some(text.to_owned());
    s.learns(
        client,
        RecordKind::ProcessSeen,
        &ProcessFacts {
            exe: "/usr/bin/python3".into(),
            unit: text("assistant.service"),
            uid: Some(1000),
            user: text("ada"),
            ..ProcessFacts::default()
        },
    );
    let (id, uid) = ("0af1".repeat(16), "72b8c2f1-6d0e-4a7c-9d51-0f8e3b6a4c2d");
    s.learns(
        server,
        RecordKind::ProcessSeen,
        &ProcessFacts {
            exe: "/usr/bin/node".into(),
            container: Some(id.clone()),
            pod: text(uid),
            qos: text("burstable"),
            uid: Some(65_532),
            ..ProcessFacts::default()
        },
    );
    let stdio = s.stdio(client, server);
    handshake(&mut s, stdio);
    let call = |s: &mut Scenario, id| {
        s.moves(stdio.requests, m::line(&m::call(id, "echo", &arguments())));
        s.passes(WORK);
        s.moves(stdio.answers, m::line(&m::tool_result(id, SECRET)));
    };
    call(&mut s, 1);
    let [runtime, name, image] = ["containerd", "app", "registry.example/shop:1"].map(text);
    let facts = ContainerFacts { id, runtime, name, image, pod: text(uid) };
    s.learns(server, RecordKind::ContainerSeen, &facts);
    let pod =
        PodFacts { uid: uid.into(), name: text("web-0"), namespace: text("shop"), ..PodFacts::default() };
    s.learns(server, RecordKind::PodSeen, &pod);
    call(&mut s, 2);
    let workload = Some(WorkloadFacts { kind: "StatefulSet".into(), name: "web".into() });
    let attributes = Some([("service.name".to_owned(), "shop-web".to_owned())].into());
    let pod = PodFacts { uid: uid.into(), workload, attributes, ..PodFacts::default() };
    s.learns(server, RecordKind::PodSeen, &pod);
    call(&mut s, 3);
    s.into_capture()
}

/// Through address translation: neither end knows an address of the other.
fn http_namespaces() -> Capture {
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

fn tls_openssl() -> Capture {
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
fn http2_streams() -> Capture {
    let mut s = Scenario::new();
    let (client, server) = (python_client(&mut s), node_server(&mut s));
    let http = s.tcp((client, "127.0.0.1:40011"), (server, "127.0.0.1:8080"));
    let (mut up, mut down) = (Http2::default(), Http2::default());
    s.moves(http.requests, up.preface());
    s.moves(http.answers, down.settings());
    let json = "application/json";
    s.moves(http.requests, up.post(1, &[]));
    s.moves(http.requests, wire::data(1, true, &m::initialize(0, "http2-client")));
    let started = [(":status", "200"), ("content-type", json), ("mcp-session-id", SECRET)];
    s.moves(http.answers, down.head(1, false, &started));
    s.moves(http.answers, wire::data(1, true, &m::initialized(0, "http2-server")));
    let session = [("mcp-session-id", SECRET), ("authorization", SECRET)];
    for (stream, id) in [(3, 1), (5, 2), (7, 3), (9, 4)] {
        let body = m::call(id, &format!("tool_{id}"), &arguments());
        let (front, back) = body.split_at(40);
        s.moves(http.requests, [up.post(stream, &session), wire::data(stream, false, front)].concat());
        s.moves(http.requests, wire::data(stream, true, back));
    }
    let event = |text: &str| format!("event: message\ndata: {text}\n\n");
    s.moves(http.answers, down.ok(5, "text/event-stream"));
    s.moves(http.answers, wire::data(5, false, &event(&m::progress(2, 1))));
    s.passes(WORK);
    let answer = m::tool_result(3, SECRET);
    s.moves(http.answers, [down.ok(7, json), wire::data(7, false, &answer[..20])].concat());
    s.moves(http.answers, wire::data(5, false, &event(&m::tool_result(2, SECRET))));
    s.moves(http.answers, wire::data(7, true, &answer[20..]));
    s.moves(http.requests, wire::reset(9));
    s.moves(http.answers, [wire::data(5, true, ""), down.ok(3, json)].concat());
    s.moves(http.answers, wire::data(3, true, &m::error(1, -32602, SECRET)));
    s.passes(Duration::from_secs(61));
    s.is_told_the_time();
    s.into_capture()
}

/// Events of a compressed stream, each readable as it comes.
fn http_gzip_events() -> Capture {
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
fn http_pipelined() -> Capture {
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
fn http_sse_2024_joined_late() -> Capture {
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
fn web_socket() -> Capture {
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

/// A language server, an agent of the Agent Client Protocol, an Ethereum node and logs: none of them is MCP.
fn look_alikes() -> Capture {
    let mut s = Scenario::new();
    let (client, server) = (python_client(&mut s), node_server(&mut s));
    let language_server = s.stdio(client, server);
    let lsp = |message: &str| format!("Content-Length: {}\r\n\r\n{message}", message.len());
    let initialize = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"processId":1,"rootUri":"file:///","capabilities":{}}}"#;
    s.moves(language_server.requests, lsp(initialize));
    s.moves(language_server.answers, lsp(r#"{"jsonrpc":"2.0","id":0,"result":{"capabilities":{}}}"#));
    let agent = s.stdio(client, server);
    let initialize = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":1,"clientCapabilities":{"fs":{}}}}"#;
    s.moves(agent.requests, m::line(initialize));
    s.moves(agent.answers, m::line(&m::result(0, r#"{"protocolVersion":1,"agentCapabilities":{}}"#)));
    let prompt = r#"{"jsonrpc":"2.0","id":1,"method":"session/prompt","params":{"sessionId":"s"}}"#;
    s.moves(agent.requests, m::line(prompt));
    s.moves(agent.answers, m::line(&m::result(1, r#"{"stopReason":"end_turn"}"#)));
    let node = s.tcp((client, "127.0.0.1:40003"), (server, "127.0.0.1:8545"));
    let block = r#"{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber","params":[]}"#;
    s.moves(node.requests, m::post(&[], block));
    s.moves(node.answers, m::ok(&[], &m::result(1, r#""0x10""#)));
    let log = s.pipe(server, client);
    s.moves(log, m::line(r#"{"level":"info","msg":"tools/call","id":7}"#));
    s.moves(log, m::line(r#"{"type":"call","method":"tools/call","tool":"echo","id":7,"outcome":"ok"}"#));
    s.into_capture()
}

fn handshake(s: &mut Scenario, stdio: Wires) {
    s.moves(stdio.requests, m::line(&m::initialize(0, "stdio-client")));
    s.passes(WORK);
    s.moves(stdio.answers, m::line(&m::initialized(0, "stdio-server")));
    s.moves(stdio.requests, m::line(&m::notification("notifications/initialized")));
}

fn python_client(s: &mut Scenario) -> Process {
    s.process(ProcessSpec {
        exe: "/usr/bin/python3.13",
        arguments: &["python3", "client.py", "--key", SECRET],
    })
}

fn node_server(s: &mut Scenario) -> Process {
    s.process(ProcessSpec { exe: "/usr/bin/node", arguments: &["node", "server.js", "--token", SECRET] })
}

fn arguments() -> String {
    format!(r#"{{"text":"{SECRET}"}}"#)
}
