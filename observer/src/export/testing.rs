//! A call and a server to test exporters with.

use std::sync::Arc;
use std::time::Duration;

use crate::pipeline::input::ProcessId;
use crate::pipeline::jsonrpc::Id;
use crate::pipeline::observation::{
    Call, CallDirection, Certainty, Home, Outcome, Peer, Process, Server, Subject, Transport,
};
use crate::pipeline::private::Private;
use crate::pipeline::time::{Timestamp, WallClock};

/// The wall clock of the tests: the calls below are of 2026-11-21T10:00:00.
pub const CLOCK: WallClock = WallClock { unix_ns_at_boot: 1_795_255_200_000_000_000 };

/// What must be nowhere unless it was asked for.
pub const SECRET: &str = "s3cr3t";

/// The call of the contract's example.
pub fn call() -> Call {
    Call {
        at: Timestamp::from_nanos(123_456_789),
        method: "tools/call".into(),
        subject: Some(Subject::Tool("echo".into())),
        id: Id::Number("3".into()),
        direction: CallDirection::ClientToServer,
        transport: Transport::Stdio,
        tls: None,
        revision: Some("2025-11-25".into()),
        outcome: Outcome::Ok,
        error_code: None,
        client_duration: Some(Duration::from_micros(12_345)),
        server_duration: Some(Duration::from_micros(12_101)),
        first_answer: Some(Duration::from_micros(12_300)),
        request_bytes: 118,
        response_bytes: 20_140,
        progress: 0,
        session: None,
        trace: None,
        client: peer("mcp", "0.1.0", 4242, "/usr/bin/python3", "client.py"),
        server: peer("everything", "1.0", 4243, "/usr/bin/node", "server.js"),
        certainty: Certainty::Whole,
        attributes: Vec::new(),
        headers: Private::new(Default::default()),
        links: Default::default(),
        arguments: None,
        result: None,
    }
}

/// A server that began at the very beginning and has this wait status, if it has ended.
pub fn ended(at: Timestamp, status: Option<i32>) -> Server {
    Server {
        at,
        server: call().server,
        status,
        transport: Transport::Stdio,
        is_probe: false,
        was_running: false,
    }
}

fn peer(name: &str, version: &str, pid: u32, exe: &str, script: &str) -> Peer {
    let program = exe.rsplit('/').next().unwrap_or_default();
    let arguments = [program, script, "--token", SECRET].map(str::to_owned).to_vec();
    let process = Process {
        id: ProcessId { pid, started_ns: 1 },
        exe: exe.into(),
        command: format!("{program} {script}").into(),
        short_name: script.into(),
        arguments: Private::new(arguments),
        container: None,
        home: Home::default(),
    };
    Peer {
        name: Some(name.into()),
        version: Some(version.into()),
        process: Some(Arc::new(process)),
        address: None,
    }
}
