//! A reference model: sessions that are made up by chance and of which every call is known, to be compared with
//! what the pipeline says of their recording.

mod answering;
mod asking;
mod channel;
mod coding;
mod framing;
mod http;
pub mod judge;
mod packed;
pub mod random;
mod session;
mod text;
pub mod truth;

use std::collections::BTreeMap;

use mcp_observer::pipeline::observation::Transport;

use crate::scenario::{Process, ProcessSpec, Scenario};
use channel::{Channel, Stage};
use http::{Below, Http, Style};
use random::Random;
use session::{Link, Script, Session};
use truth::World;

/// Sessions side by side.
const SESSIONS: usize = 8;

/// What sessions may be carried by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mix {
    /// Lines, and HTTP/1.1 with and without TLS.
    Plain,
    /// HTTP/2 and compressed bodies too.
    Full,
}

/// Makes up sessions until there are so many calls.
pub fn world(mix: Mix, seed: u64, calls: usize) -> World {
    let stage = Stage { scenario: Scenario::new(), random: Random::new(seed), spans: Vec::new() };
    let mut script = Script { stage, calls: Vec::new(), ports: 20_000 };
    let shared_client = process(&mut script.stage.scenario, "client");
    let shared_server = process(&mut script.stage.scenario, "server");
    let shared = [shared_client, shared_server];
    let mut sessions: Vec<Session> =
        (0..SESSIONS).map(|number| session(number, shared, mix, &mut script)).collect();
    sessions.iter_mut().for_each(|session| session.begin(&mut script));
    while script.calls.len() < calls {
        let index = script.stage.random.below(SESSIONS);
        sessions[index].step(&mut script);
    }
    sessions.iter_mut().for_each(|session| session.finish(&mut script));
    let mut owners = BTreeMap::new();
    for session in &sessions {
        owners.extend(session.streams().into_iter().map(|stream| (stream, session.number)));
    }
    let Script { stage, calls, .. } = script;
    World { capture: stage.scenario.into_capture(), calls, spans: stage.spans, sessions: owners }
}

/// A client and a server, connected in some way. Clients of several servers and servers of several clients are
/// among them.
fn session(number: usize, shared: [Process; 2], mix: Mix, script: &mut Script) -> Session {
    let scenario = &mut script.stage.scenario;
    let random = &mut script.stage.random;
    let client = if random.one_in(2) { shared[0] } else { process(scenario, "client") };
    let modern = random.one_in(2);
    let form = random.below(6);
    let (server, port) = match form {
        3.. if random.one_in(2) => (shared[1], 8000),
        _ => (process(scenario, "server"), 8001 + number),
    };
    let address = format!("127.0.0.1:{port}");
    let http2 = mix == Mix::Full && random.one_in(2);
    let below = |tls| Below { tls, http2, compresses: mix == Mix::Full };
    let http = |tls, style| {
        Link::Http(Box::new(Http::new(client, (server, address.clone()), below(tls), style, number)))
    };
    let lines = |wires: crate::scenario::Wires| {
        Link::Lines([Channel::new(wires.requests), Channel::new(wires.answers)])
    };
    let (link, transport) = match form {
        0 | 1 => (lines(scenario.stdio(client, server)), Transport::Stdio),
        2 => (lines(scenario.socket_pair(client, server)), Transport::Stdio),
        3 => (http(false, Style::Of2024), Transport::HttpSse),
        4 => (http(true, Style::Streamable), Transport::StreamableHttp),
        _ => (http(false, Style::Streamable), Transport::StreamableHttp),
    };
    let modern = modern && transport != Transport::HttpSse;
    Session {
        number,
        parties: [client, server],
        link,
        modern,
        transport,
        open: Default::default(),
        answered: Default::default(),
        tokens: 0,
    }
}

fn process(scenario: &mut Scenario, name: &str) -> Process {
    scenario.process(ProcessSpec { exe: &format!("/usr/bin/{name}"), arguments: &[name] })
}
