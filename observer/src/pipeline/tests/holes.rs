//! Holes are told of with whose messages they are in.

use super::*;
use crate::pipeline::observation::Loss;

fn holes(host: &Host) -> Vec<&Loss> {
    let losses = host.seen.iter().filter_map(|observation| match observation {
        Observation::Loss(loss) if loss.stream.is_some() => Some(loss),
        _ => None,
    });
    losses.collect()
}

/// A session on pipes 1 and 2 whose third answer was lost.
fn with_a_hole() -> Host {
    let mut host = Host::new();
    host.pipe(1);
    host.pipe(2);
    for id in 1..=4 {
        host.tell(1, CLIENT, SERVER, &call(id, "echo"));
        if id == 3 {
            host.sent(SERVER, 2, &result(id));
            host.lost(2, Direction::Received, result(id).len() as u64);
        } else {
            host.tell(2, SERVER, CLIENT, &result(id));
        }
    }
    host
}

#[test]
fn it_is_told_whose_messages_a_hole_is_in() {
    let mut host = with_a_hole();
    assert!(holes(&host).is_empty());
    host.pass(Duration::from_secs(1));
    host.pass(Duration::from_secs(1));
    let told = holes(&host);
    assert_eq!(told.len(), 1, "each hole once");
    assert_eq!((told[0].cause, told[0].records, told[0].bytes), (Loss::HOLE, 1, result(3).len() as u64));
    let hole = told[0].stream.as_ref().unwrap();
    let pids = [&hole.client, &hole.server].map(|peer| peer.process.as_ref().map(|process| process.id.pid));
    assert_eq!((hole.stream, pids), (2, [Some(CLIENT), Some(SERVER)]));
}

#[test]
fn nothing_is_left_untold_at_the_end() {
    let mut host = with_a_hole();
    host.pipeline.finish(Timestamp::from_nanos(host.now_ms * 1_000_000));
    host.drain();
    assert_eq!(holes(&host).len(), 1);
    let mut host = with_a_hole();
    host.event(CLIENT, EventBody::StreamClosed { stream: StreamId(2) });
    host.pass(Duration::from_secs(60));
    assert_eq!(holes(&host).len(), 1, "or with the connection");
}

#[test]
fn what_is_not_mcp_has_no_holes() {
    let mut host = Host::new();
    host.pipe(1);
    host.tell(1, SERVER, CLIENT, "one line of a log\n");
    host.lost(1, Direction::Received, 100);
    host.tell(1, SERVER, CLIENT, "another\n");
    host.pass(Duration::from_secs(1));
    assert!(holes(&host).is_empty());
}
