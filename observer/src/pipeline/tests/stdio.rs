//! Lines on pipes and socket pairs: pairing, holes, look-alikes, ends.

use super::*;
use crate::pipeline::health::Stage;
use crate::pipeline::observation::Subject;

#[test]
fn a_stdio_call_has_times_from_both_ends() {
    let mut host = Host::new();
    host.pipe(1);
    host.pipe(2);
    let facts = ProcessFacts {
        exe: "/usr/bin/python3".into(),
        arguments: vec!["python3".into(), "server.py".into(), "--secret".into()].into(),
        ..Default::default()
    };
    host.event(SERVER, EventBody::ProcessSeen(Box::new(facts)));
    host.tell(1, CLIENT, SERVER, &call(1, "echo"));
    host.pass(Duration::from_millis(10));
    host.tell(2, SERVER, CLIENT, &result(1));
    let calls = host.calls();
    let [call] = calls.as_slice() else { unreachable!("{calls:?}") };
    assert_eq!(call.outcome, Outcome::Ok);
    assert_eq!((call.client_duration, call.server_duration), (ms(13), ms(11)));
    assert_eq!(call.at, Timestamp::from_nanos(4_000_000));
    assert_eq!(call.client.process.as_ref().unwrap().id.pid, CLIENT);
    assert_eq!(&*call.server.process.as_ref().unwrap().command, "python3 server.py");
    assert_eq!(call.certainty, Certainty::Whole);
    assert_eq!(call.transport, Transport::Stdio);
    assert_eq!(host.pipeline.next_verdict(), Some((StreamId(1), Verdict::Capture)));
    assert_eq!(host.pipeline.next_verdict(), Some((StreamId(2), Verdict::Capture)));
}

#[test]
fn a_party_that_was_gone_at_once_says_so_and_is_counted() {
    let mut host = Host::new();
    host.pipe(1);
    host.pipe(2);
    let facts = ProcessFacts { uid: Some(7), gone: true, ..Default::default() };
    host.event(CLIENT, EventBody::ProcessSeen(Box::new(facts)));
    host.tell(1, CLIENT, SERVER, &call(1, "echo"));
    host.tell(2, SERVER, CLIENT, &result(1));
    let [call] = host.calls().try_into().unwrap();
    let inherited = [&call.client, &call.server].map(|it| it.process.as_ref().unwrap().home.is_inherited);
    assert_eq!(inherited, [true, false]);
    let sheds: Vec<_> = host.pipeline.health().sheds().collect();
    assert_eq!(sheds, [(Stage::Input, "process_gone", 1)]);
}

#[test]
fn equal_ids_in_parallel_sessions_do_not_mix() {
    let mut host = Host::new();
    for session in 0..8u32 {
        host.pipe(u64::from(session) * 2 + 1);
        host.pipe(u64::from(session) * 2 + 2);
    }
    for id in 1..4 {
        for session in 0..8 {
            host.tell(
                u64::from(session) * 2 + 1,
                CLIENT,
                SERVER + session,
                &call(id, &format!("t{session}")),
            );
        }
        for session in (0..8).rev() {
            host.tell(u64::from(session) * 2 + 2, SERVER + session, CLIENT, &result(id));
        }
    }
    assert_eq!(host.calls().len(), 24);
    for call in host.calls() {
        let session = call.server.process.as_ref().unwrap().id.pid - SERVER;
        assert_eq!(call.subject.as_ref().unwrap(), &Subject::Tool(format!("t{session}").into()));
    }
}

#[test]
fn the_senders_report_may_come_after_the_receivers() {
    let mut host = Host::new();
    host.pipe(1);
    host.pipe(2);
    host.received(SERVER, 1, &call(1, "echo"));
    host.sent(CLIENT, 1, &call(1, "echo"));
    host.received(CLIENT, 2, &result(1));
    assert_eq!(host.calls().len(), 0, "nobody knows yet who answered");
    host.sent(SERVER, 2, &result(1));
    assert_eq!(host.outcomes(), [("tools/call", Outcome::Ok)]);
    assert_eq!(host.calls()[0].client_duration, ms(2), "sent no later than received");
}

#[test]
fn writer_and_reader_may_both_tell_of_a_new_pipe() {
    let mut host = Host::new();
    host.pipe(1);
    host.received(SERVER, 1, &call(1, "echo"));
    host.pipe(1);
    host.sent(CLIENT, 1, &call(1, "echo"));
    host.pipe(2);
    host.tell(2, SERVER, CLIENT, &result(1));
    assert_eq!(host.outcomes(), [("tools/call", Outcome::Ok)]);
}

#[test]
fn node_style_socket_pairs_and_requests_of_the_server() {
    let mut host = Host::new();
    // Two pairs, each used one way.
    host.open(CLIENT, 1, Identity::Unix { inode: 100, peer_inode: 101 });
    host.open(SERVER, 2, Identity::Unix { inode: 101, peer_inode: 100 });
    host.open(SERVER, 3, Identity::Unix { inode: 201, peer_inode: 200 });
    host.open(CLIENT, 4, Identity::Unix { inode: 200, peer_inode: 201 });
    host.sent(CLIENT, 1, &call(0, "ask"));
    host.received(SERVER, 2, &call(0, "ask"));
    let sampling = "{\"method\":\"sampling/createMessage\",\"params\":{},\"jsonrpc\":\"2.0\",\"id\":0}\n";
    host.sent(SERVER, 3, sampling);
    host.received(CLIENT, 4, sampling);
    host.sent(CLIENT, 1, &result(0));
    host.received(SERVER, 2, &result(0));
    host.sent(SERVER, 3, &result(0));
    host.received(CLIENT, 4, &result(0));
    let calls = host.calls();
    assert_eq!(host.outcomes(), [("sampling/createMessage", Outcome::Ok), ("tools/call", Outcome::Ok)]);
    assert_eq!(calls[0].direction, CallDirection::ServerToClient);
    for call in calls {
        assert_eq!(call.client.process.as_ref().unwrap().id.pid, CLIENT);
        assert_eq!(call.server.process.as_ref().unwrap().id.pid, SERVER);
    }
}

#[test]
fn a_message_cut_at_any_byte_is_the_same_call() {
    let (request, answer) = (call(7, "echo"), result(7));
    let mut expected: Option<Vec<(String, Outcome)>> = None;
    for cut in 0..request.len() {
        let mut host = Host::new();
        host.pipe(1);
        host.pipe(2);
        for part in [&request[..cut], &request[cut..]] {
            if !part.is_empty() {
                host.tell(1, CLIENT, SERVER, part);
            }
        }
        for part in answer.as_bytes().chunks(cut.max(1)) {
            host.tell(2, SERVER, CLIENT, std::str::from_utf8(part).unwrap());
        }
        let seen: Vec<_> =
            host.outcomes().iter().map(|(method, outcome)| ((*method).to_owned(), *outcome)).collect();
        assert_eq!(
            &seen,
            expected.get_or_insert(vec![("tools/call".to_owned(), Outcome::Ok)]),
            "cut at {cut}"
        );
    }
}

#[test]
fn a_hole_in_an_answer_leaves_its_times() {
    let mut host = Host::new();
    host.pipe(1);
    host.pipe(2);
    host.tell(1, CLIENT, SERVER, &call(1, "big"));
    let answer = result(1);
    let (head, rest) = answer.split_at(15);
    host.tell(2, SERVER, CLIENT, head);
    host.lost(2, Direction::Sent, 5);
    host.lost(2, Direction::Received, 5);
    host.tell(2, SERVER, CLIENT, &rest[5..]);
    assert_eq!(host.outcomes(), [("tools/call", Outcome::Ok)]);
    assert_eq!(host.calls()[0].certainty, Certainty::Inferred);
}

#[test]
fn a_hole_never_pairs_an_answer_with_the_wrong_call() {
    let mut host = Host::new();
    host.pipe(1);
    host.pipe(2);
    host.tell(1, CLIENT, SERVER, &call(1, "one"));
    host.tell(1, CLIENT, SERVER, &call(2, "two"));
    // The hole swallows the end of the first answer and the beginning of the second.
    let both = format!("{}{}", result(1), result(2));
    host.tell(2, SERVER, CLIENT, &both[..20]);
    let tail = both.len() - 12;
    let missing = (tail - 20) as u64;
    host.lost(2, Direction::Sent, missing);
    host.lost(2, Direction::Received, missing);
    host.tell(2, SERVER, CLIENT, &both[tail..]);
    assert_eq!(host.outcomes(), []);
}

#[test]
fn look_alikes_and_logs_are_not_calls() {
    for text in [
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":{\"protocolVersion\":1,\"clientInfo\":{}}}\n",
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"eth_blockNumber\",\"params\":[]}\n",
        "{\"level\":\"info\",\"msg\":\"tools/call\"}\n",
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n",
    ] {
        let mut host = Host::new();
        host.pipe(1);
        host.pipe(2);
        host.tell(1, CLIENT, SERVER, text);
        host.tell(2, SERVER, CLIENT, &result(1));
        host.pipeline.finish(Timestamp::from_nanos(u64::MAX / 2));
        host.drain();
        assert_eq!(host.seen, [], "{text}");
    }
}

#[test]
fn what_came_before_the_proof_is_shown_with_it() {
    let mut host = Host::new();
    host.pipe(1);
    host.pipe(2);
    host.tell(1, CLIENT, SERVER, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n");
    host.tell(2, SERVER, CLIENT, &result(1));
    assert_eq!(host.outcomes(), []);
    host.tell(1, CLIENT, SERVER, &call(2, "echo"));
    assert_eq!(host.outcomes(), [("ping", Outcome::Ok)]);
}

#[test]
fn a_call_ends_with_its_cancellation_its_client_or_its_wire() {
    let mut host = Host::new();
    host.pipe(1);
    host.pipe(2);
    host.tell(1, CLIENT, SERVER, &call(1, "echo"));
    host.tell(2, SERVER, CLIENT, &result(1));
    host.tell(1, CLIENT, SERVER, &call(2, "slow"));
    let cancel =
        "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":2}}\n";
    host.tell(1, CLIENT, SERVER, cancel);
    host.pass(Duration::from_secs(5));
    host.tell(1, CLIENT, SERVER, &call(3, "slow"));
    host.event(CLIENT, EventBody::StreamClosed { stream: StreamId(2) });
    host.tell(1, CLIENT, SERVER, &call(4, "slow"));
    host.event(CLIENT, EventBody::ProcessExited { status: 9 });
    let ends: Vec<_> = host.calls().iter().map(|call| call.outcome).collect();
    assert_eq!(ends, [Outcome::Ok, Outcome::Cancelled, Outcome::Abandoned, Outcome::Abandoned]);
}

#[test]
fn nothing_is_said_of_calls_that_outlast_the_observer() {
    let mut host = Host::new();
    host.pipe(1);
    host.tell(1, CLIENT, SERVER, &call(1, "slow"));
    let end = Timestamp::from_nanos(host.now_ms * 1_000_000);
    assert_eq!(host.pipeline.finish(end), 1);
    host.drain();
    assert_eq!(host.outcomes(), []);
}

#[test]
fn a_line_like_another_protocols_head_is_only_a_line() {
    let mut host = Host::new();
    host.pipe(1);
    host.pipe(2);
    host.tell(1, CLIENT, SERVER, &call(1, "t"));
    host.tell(2, SERVER, CLIENT, &result(1));
    host.tell(1, CLIENT, SERVER, &call(2, "t"));
    host.tell(2, SERVER, CLIENT, "Content-Length: 12\r\n");
    host.tell(2, SERVER, CLIENT, &result(2));
    assert_eq!(host.outcomes(), [("tools/call", Outcome::Ok); 2]);
}

#[test]
fn an_answer_may_be_read_after_the_end_of_its_server() {
    let mut host = Host::new();
    host.pipe(1);
    host.pipe(2);
    host.tell(1, CLIENT, SERVER, &call(1, "once"));
    host.sent(SERVER, 2, &result(1));
    host.event(SERVER, EventBody::ProcessExited { status: 0 });
    host.pass(Duration::from_secs(1));
    host.received(CLIENT, 2, &result(1));
    assert_eq!(host.outcomes(), [("tools/call", Outcome::Ok)]);
}
#[test]
fn a_reused_id_abandons_the_call_before() {
    let mut host = Host::new();
    host.pipe(1);
    host.pipe(2);
    host.tell(1, CLIENT, SERVER, &call(1, "one"));
    host.tell(1, CLIENT, SERVER, &call(1, "two"));
    host.tell(2, SERVER, CLIENT, &result(1));
    assert_eq!(host.outcomes(), [("tools/call", Outcome::Abandoned), ("tools/call", Outcome::Ok)]);
    assert_eq!(host.calls()[1].subject.as_ref().unwrap(), &Subject::Tool("two".into()));
}

#[test]
fn names_and_revision_come_from_both_parties() {
    let mut host = Host::new();
    host.pipe(1);
    host.pipe(2);
    host.tell(
        1,
        CLIENT,
        SERVER,
        "{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"initialize\",\"params\":{\"protocolVersion\":\"2026-07-28\",\"clientInfo\":{\"name\":\"rmcp\",\"version\":\"3\"}}}\n",
    );
    host.tell(
        2,
        SERVER,
        CLIENT,
        "{\"result\":{\"protocolVersion\":\"2025-11-25\",\"serverInfo\":{\"name\":\"py\",\"version\":\"\"}},\"jsonrpc\":\"2.0\",\"id\":0}\n",
    );
    host.tell(1, CLIENT, SERVER, &call(1, "echo"));
    host.tell(2, SERVER, CLIENT, &result(1));
    for call in host.calls() {
        assert_eq!(call.revision.as_deref(), Some("2025-11-25"), "what the server said");
        assert_eq!(call.client.name.as_deref(), Some("rmcp"));
        assert_eq!(call.server.name.as_deref(), Some("py"));
        assert_eq!(call.server.version, None);
    }
    let started = host.seen.iter().any(|seen| matches!(seen, Observation::SessionStarted(_)));
    assert!(started && host.seen.iter().any(|seen| matches!(seen, Observation::ServerStarted(_))));
}
