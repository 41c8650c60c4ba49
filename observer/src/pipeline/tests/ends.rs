//! What ends is forgotten, what is still to come is not, and a table at its limit gives up what is worth least.

use super::*;
use crate::pipeline::limits::Limits;

const KERNEL: u32 = 0;

fn closed(host: &mut Host, pid: u32, stream: u64) {
    host.event(pid, EventBody::StreamClosed { stream: StreamId(stream) });
}

#[test]
fn an_answer_may_be_read_after_its_server_has_closed() {
    for by in [SERVER, KERNEL] {
        let mut host = Host::new();
        connect(&mut host, 1, 2, 4000);
        let (request, answer) = (post(&call(1, "t"), ""), reply(&result(1), "Connection: close\r\n"));
        host.sent(CLIENT, 1, &request);
        host.received(SERVER, 2, &request);
        host.sent(SERVER, 2, &answer);
        closed(&mut host, by, 2);
        host.received(CLIENT, 1, &answer);
        closed(&mut host, CLIENT, 1);
        assert_eq!(host.outcomes(), [("tools/call", Outcome::Ok)]);
    }
}

#[test]
fn a_connection_whose_end_nobody_reads_is_forgotten() {
    let mut host = Host::new();
    connect(&mut host, 1, 2, 4000);
    let request = post(&call(1, "t"), "");
    host.sent(CLIENT, 1, &request);
    host.received(SERVER, 2, &request);
    closed(&mut host, KERNEL, 1);
    host.pass(Duration::from_secs(60));
    assert_eq!(host.outcomes(), [("tools/call", Outcome::Abandoned)]);
    assert!(host.pipeline.connections.is_empty());
}

#[test]
fn a_session_outlives_any_number_of_other_streams() {
    let mut host = Host::new();
    let limits = Limits { streams: 4, ..Limits::default() };
    host.pipeline = Pipeline::new(Settings { limits, ..Settings::default() });
    host.pipe(1);
    host.pipe(2);
    host.tell(1, CLIENT, SERVER, &call(1, "t"));
    host.tell(2, SERVER, CLIENT, &result(1));
    (3..30).for_each(|stream| host.pipe(stream));
    host.tell(1, CLIENT, SERVER, &call(2, "t"));
    host.tell(2, SERVER, CLIENT, &result(2));
    assert_eq!(host.outcomes(), [("tools/call", Outcome::Ok); 2]);
    assert_eq!(host.pipeline.connections.len(), 4);
    assert_eq!(host.pipeline.health().sheds().map(|(.., count)| count).sum::<u64>(), 25);
}
