//! Sessions over stdio.

use std::time::Duration;

use super::{SECRET, WORK, arguments, handshake, node_server, python_client};
use crate::captures::Capture;
use crate::messages as m;
use crate::scenario::Scenario;

pub(super) fn stdio_pipes() -> Capture {
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

pub(super) fn stdio_socket_pair() -> Capture {
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

pub(super) fn stdio_cancelled() -> Capture {
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

pub(super) fn stdio_lost_record() -> Capture {
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
