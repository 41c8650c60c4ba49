//! Plaintext of TLS: both ends of a call are one.

use super::*;

#[test]
fn the_plaintext_of_both_ends_is_one_call() {
    let mut host = Host::new();
    connect(&mut host, 1, 2, 4000);
    let tls = Identity::Tls { library: TlsLibrary::OpenSsl };
    host.open(CLIENT, 11, tls.clone());
    host.open(SERVER, 12, tls);
    // The sockets' own bytes are counted only.
    host.moved(CLIENT, 1, Direction::Sent, 100, b"");
    host.moved(SERVER, 2, Direction::Sent, 100, b"");
    for id in 1..3 {
        let (request, answer) = (post(&call(id, "t"), ""), reply(&result(id), ""));
        let both = |host: &mut Host, pid, stream, direction, text: &str| {
            host.moved(pid, stream, direction, text.len(), text.as_bytes());
        };
        both(&mut host, CLIENT, 11, Direction::Sent, &request);
        host.event(CLIENT, EventBody::TlsBound { stream: StreamId(11), socket: StreamId(1) });
        both(&mut host, SERVER, 12, Direction::Received, &request);
        host.event(SERVER, EventBody::TlsBound { stream: StreamId(12), socket: StreamId(2) });
        both(&mut host, SERVER, 12, Direction::Sent, &answer);
        both(&mut host, CLIENT, 11, Direction::Received, &answer);
    }
    assert_eq!(host.outcomes(), [("tools/call", Outcome::Ok); 2]);
    for call in host.calls() {
        assert_eq!((call.client_duration, call.server_duration), (ms(5), ms(2)));
        assert_eq!(call.tls, Some(TlsLibrary::OpenSsl));
        assert_eq!(call.client.process.as_ref().unwrap().id.pid, CLIENT);
        assert_eq!(call.server.process.as_ref().unwrap().id.pid, SERVER);
        assert_eq!(call.server.address, Some(([127, 0, 0, 1], 80).into()));
    }
}

#[test]
fn a_session_inside_tls_is_one_although_both_ends_are_read() {
    let mut host = tls();
    let initialize = "{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"initialize\",\"params\":{\"protocolVersion\":\"2025-11-25\"}}";
    let initialized = "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}";
    let result = "{\"result\":{\"protocolVersion\":\"2025-11-25\",\"serverInfo\":{\"name\":\"py\"}},\"jsonrpc\":\"2.0\",\"id\":0}";
    let session = "Mcp-Session-Id: abc\r\n";
    let accepted = "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n".to_owned();
    for (up, down) in [(post(initialize, ""), reply(result, session)), (post(initialized, session), accepted)]
    {
        host.moved(CLIENT, 11, Direction::Sent, up.len(), up.as_bytes());
        host.moved(SERVER, 12, Direction::Received, up.len(), up.as_bytes());
        host.moved(SERVER, 12, Direction::Sent, down.len(), down.as_bytes());
        host.moved(CLIENT, 11, Direction::Received, down.len(), down.as_bytes());
    }
    let sessions: Vec<_> = host
        .seen
        .iter()
        .filter_map(|seen| match seen {
            Observation::SessionStarted(session) => Some(session),
            _ => None,
        })
        .collect();
    let [session] = sessions.as_slice() else { unreachable!("{sessions:?}") };
    assert_eq!(session.server.name.as_deref(), Some("py"));
    assert_eq!(session.revision.as_deref(), Some("2025-11-25"));
    let [call] = host.calls()[..] else { unreachable!("{:?}", host.outcomes()) };
    assert_eq!(call.session, session.session);
    let notifications = host.seen.iter().filter(|seen| matches!(seen, Observation::Notification(_)));
    assert_eq!(notifications.count(), 1);
}

#[test]
fn plaintext_that_is_read_at_one_end_only_is_shown_at_once() {
    let mut host = Host::new();
    host.open(CLIENT, 11, Identity::Tls { library: TlsLibrary::OpenSsl });
    let (request, answer) = (post(&call(1, "t"), ""), reply(&result(1), ""));
    host.moved(CLIENT, 11, Direction::Sent, request.len(), request.as_bytes());
    host.moved(CLIENT, 11, Direction::Received, answer.len(), answer.as_bytes());
    assert_eq!(host.outcomes(), [("tools/call", Outcome::Ok)]);
    assert_eq!((host.calls()[0].client_duration, host.calls()[0].server_duration), (ms(1), None));
}
