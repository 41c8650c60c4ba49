//! The fixtures that were written by hand. Adding one: a function here and a line in [`CASES`], then `BLESS=1`.

use std::time::Duration;

use crate::captures::Capture;
use crate::messages as m;
use crate::scenario::{Process, ProcessSpec, Scenario, Wires};

/// The name of its folder in `tests/fixtures`, and what writes it.
pub type Case = (&'static str, fn() -> Capture);

/// All of them.
pub const CASES: &[Case] = &[
    ("http_namespaces", http_namespaces),
    ("http_sse_answer", http_sse_answer),
    ("look_alikes", look_alikes),
    ("stdio_cancelled", stdio_cancelled),
    ("stdio_lost_record", stdio_lost_record),
    ("stdio_pipes", stdio_pipes),
    ("stdio_socket_pair", stdio_socket_pair),
    ("tls_openssl", tls_openssl),
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
