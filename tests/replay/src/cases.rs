//! The fixtures that were written by hand. Adding one: a function in a file below and a line in
//! [`CASES`], then `BLESS=1`.

mod http;
mod parties;
mod stdio;

use std::time::Duration;

use crate::captures::Capture;
use crate::messages as m;
use crate::scenario::{Process, ProcessSpec, Scenario, Wires};

/// The name of its folder in `tests/fixtures`, and what writes it.
pub type Case = (&'static str, fn() -> Capture);

/// All of them.
pub const CASES: &[Case] = &[
    ("http_namespaces", http::http_namespaces),
    ("http2_streams", http::http2_streams),
    ("http_authorization", http::http_authorization),
    ("http_gzip_events", http::http_gzip_events),
    ("http_pipelined", http::http_pipelined),
    ("http_sse_2024_joined_late", http::http_sse_2024_joined_late),
    ("http_sse_answer", http::http_sse_answer),
    ("look_alikes", parties::look_alikes),
    ("in_a_pod", parties::in_a_pod),
    ("server_facts", parties::server_facts),
    ("stdio_cancelled", stdio::stdio_cancelled),
    ("stdio_lost_record", stdio::stdio_lost_record),
    ("stdio_pipes", stdio::stdio_pipes),
    ("stdio_socket_pair", stdio::stdio_socket_pair),
    ("tls_openssl", http::tls_openssl),
    ("web_socket", http::web_socket),
];

/// What must not be shown without `--payloads`. It is in every place of a fixture where payload can be.
pub const SECRET: &str = "hunter2-s3cr3t";

/// How long a tool works.
const WORK: Duration = Duration::from_millis(12);

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
