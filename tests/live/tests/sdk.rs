//! Clients of the official SDKs with servers of the official SDKs.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use live::comparison::Observed;
use live::scene::{STEPS, Scene};
use peers::sdk::{Sdk, Transport};

/// Those whose peers have streams of subscriptions, and tools that ask the client in turn.
const LISTENING: [Sdk; 2] = [Sdk::NodeV2, Sdk::PythonV2];

/// What lasts: two streams, one of them until the end, and tools that need another round or two.
const WAITS: [&str; 4] = [
    r#"{"method":"subscriptions/listen"}"#,
    r#"{"tool":"ask","repeat":2,"concurrency":2}"#,
    r#"{"tool":"ask_twice"}"#,
    r#"{"method":"resources/read"}"#,
];

#[test]
fn over_stdio() -> Result<()> {
    each_pair(Transport::Stdio, "stdio", None)
}

#[test]
fn over_http() -> Result<()> {
    each_pair(Transport::Http, "streamable_http", None)
}

#[test]
fn over_https() -> Result<()> {
    each_pair(Transport::Https, "streamable_http", Some("openssl"))
}

#[test]
fn over_the_two_endpoints_of_2024() -> Result<()> {
    each_pair(Transport::Sse, "http_sse", None)
}

#[test]
fn tasks_of_the_time_of_sessions() -> Result<()> {
    // Each takes its time, so not every SDK over every transport.
    let pairs = [
        (Transport::Stdio, "stdio", Sdk::Python, (3, 0)),
        (Transport::Http, "streamable_http", Sdk::Node, (3, 1)),
    ];
    for (transport, name, sdk, expected) in pairs {
        let mut scene = Scene::start()?;
        scene.tasks(transport, sdk)?;
        let seen = scene.check(name, None)?;
        let count = |what: fn(&&Observed) -> bool| seen.iter().filter(what).count();
        let found = (count(|call| call.outcome == "task"), count(|call| call.method == "elicitation/create"));
        ensure!(found == expected, "expected {expected:?} tasks and questions, not {found:?}: {seen:?}");
    }
    Ok(())
}

fn each_pair(transport: Transport, name: &str, tls: Option<&str>) -> Result<()> {
    let mut scene = Scene::start()?;
    let mut modern = BTreeSet::new();
    for (client, server) in pairs() {
        if !client.asks_over(transport) || !server.serves_over(transport) {
            continue;
        }
        let waits = [client, server].iter().all(|sdk| LISTENING.contains(sdk)) && transport != Transport::Sse;
        let steps = if waits { [&STEPS[..], &WAITS[..]].concat() } else { STEPS.to_vec() };
        let client_pid = scene.talk(transport, server, client, &steps)?;
        if asks_modern(client, transport) && answers_modern(server, transport) {
            modern.insert(client_pid);
        }
    }
    scene.check(name, tls)?.iter().try_for_each(|call| check_revision(call, &modern))
}

/// Each client and server: all pairs of those that open sessions, the others among themselves, and each of these with
/// one of those, both ways.
fn pairs() -> Vec<(Sdk, Sdk)> {
    let with_sessions = Sdk::WITH_SESSIONS.into_iter();
    let mut pairs: Vec<_> = with_sessions
        .flat_map(|client| Sdk::WITH_SESSIONS.into_iter().map(move |server| (client, server)))
        .collect();
    for (modern, other) in Sdk::MODERN.into_iter().zip([Sdk::Node, Sdk::Rust, Sdk::Python]) {
        pairs.extend([(modern, modern), (modern, other), (other, modern)]);
    }
    pairs.extend([(Sdk::NodeV2, Sdk::PythonV2), (Sdk::PythonV2, Sdk::NodeV2)]);
    pairs
}

/// The endpoints of 2024 are of the time of sessions; fastmcp keeps to that, while its SDK does not.
fn asks_modern(sdk: Sdk, transport: Transport) -> bool {
    Sdk::MODERN.contains(&sdk) && (sdk != Sdk::FastMcp || transport != Transport::Sse)
}

/// The Rust SDK's clients begin with `initialize`, its servers know both eras.
fn answers_modern(sdk: Sdk, transport: Transport) -> bool {
    sdk == Sdk::Rust || asks_modern(sdk, transport)
}

/// 2026-07-28 is spoken where both ends can, and by who asks whether the other end can.
fn check_revision(call: &Observed, modern: &BTreeSet<u32>) -> Result<()> {
    let expected =
        call.client.pid.is_some_and(|pid| modern.contains(&pid)) || call.method == "server/discover";
    let is_modern = call.revision.as_deref() == Some("2026-07-28");
    ensure!(is_modern == expected && call.revision.is_some(), "expected 2026-07-28: {expected}: {call:?}");
    Ok(())
}
