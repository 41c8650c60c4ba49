//! What comes out when known bytes go in: stdio, HTTP and TLS, with losses and look-alikes.

mod attached;
mod ends;
mod facts;
mod holes;
mod hostile;
mod http;
mod http2;
mod http_rules;
mod namespaces;
mod proof;
mod relays;
mod reuse;
mod rounds;
mod rules;
mod sessions;
mod span_facts;
mod stdio;
mod subscriptions;
mod tasks;
mod tls;
mod websocket;

use std::time::Duration;

use observer_common::stream::{TlsLibrary, Verdict};

use super::input::{Direction, Event, EventBody, Identity, Input, ProcessFacts, ProcessId, StreamId};
use super::limits::Limits;
use super::observation::{Call, CallDirection, Certainty, Observation, Outcome, Transport};
use super::{Pipeline, Settings, Timestamp};

const CLIENT: u32 = 10;
const SERVER: u32 = 20;

/// A host with a clock that goes on by a millisecond with every event.
struct Host {
    pipeline: Pipeline,
    now_ms: u64,
    positions: std::collections::BTreeMap<(StreamId, Direction), u64>,
    seen: Vec<Observation>,
}

impl Host {
    fn new() -> Self {
        let pipeline = Pipeline::new(Settings::default());
        Self { pipeline, now_ms: 0, positions: Default::default(), seen: Vec::new() }
    }

    fn keep_headers(&mut self, names: &[&str]) {
        let kept_headers = names.iter().map(|&name| name.into()).collect();
        let limits = Limits { kept_headers, ..Limits::default() };
        self.pipeline = Pipeline::new(Settings { limits, ..Settings::default() });
    }

    fn event(&mut self, pid: u32, body: EventBody<'_>) {
        self.now_ms += 1;
        let at = Timestamp::from_nanos(self.now_ms * 1_000_000);
        let process = ProcessId { pid, started_ns: 1 };
        self.pipeline.feed(Input::Seen(Event { at, process, body }));
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(observation) = self.pipeline.next() {
            self.seen.push(observation);
        }
    }

    fn open(&mut self, pid: u32, stream: u64, identity: Identity) {
        self.event(pid, EventBody::StreamOpened { stream: StreamId(stream), identity });
    }

    fn pipe(&mut self, stream: u64) {
        self.open(0, stream, Identity::Pipe { named: false });
    }

    fn moved(&mut self, pid: u32, stream: u64, direction: Direction, count: usize, data: &[u8]) {
        let stream = StreamId(stream);
        let position = self.positions.entry((stream, direction)).or_default();
        let at = *position;
        *position += count as u64;
        let moved = count as u64;
        self.event(pid, EventBody::Bytes { stream, direction, position: at, moved, data });
    }

    fn sent(&mut self, pid: u32, stream: u64, text: &str) {
        self.moved(pid, stream, Direction::Sent, text.len(), b"");
    }

    fn received(&mut self, pid: u32, stream: u64, text: &str) {
        self.moved(pid, stream, Direction::Received, text.len(), text.as_bytes());
    }

    fn lost(&mut self, stream: u64, direction: Direction, count: u64) {
        *self.positions.entry((StreamId(stream), direction)).or_default() += count;
    }

    /// Bytes sent and received on a loopback connection.
    fn carry(&mut self, (from, to): (u32, u32), (into, out_of): (u64, u64), bytes: &[u8]) {
        self.moved(from, into, Direction::Sent, bytes.len(), b"");
        self.moved(to, out_of, Direction::Received, bytes.len(), bytes);
    }

    /// From the client's end 1 to the server's end 2.
    fn ask(&mut self, bytes: impl AsRef<[u8]>) {
        self.carry((CLIENT, SERVER), (1, 2), bytes.as_ref());
    }

    /// From the server's end 2 to the client's end 1.
    fn answer(&mut self, bytes: impl AsRef<[u8]>) {
        self.carry((SERVER, CLIENT), (2, 1), bytes.as_ref());
    }

    fn faults(&self) -> Vec<&str> {
        self.pipeline.health().faults().map(|(_, cause, _)| cause).collect()
    }

    /// A text sent and received on a pipe.
    fn tell(&mut self, stream: u64, from: u32, to: u32, text: &str) {
        self.sent(from, stream, text);
        self.received(to, stream, text);
    }

    fn pass(&mut self, time: Duration) {
        self.now_ms += u64::try_from(time.as_millis()).unwrap();
        self.pipeline.feed(Input::Time(Timestamp::from_nanos(self.now_ms * 1_000_000)));
        self.drain();
    }

    fn calls(&self) -> Vec<&Call> {
        self.seen
            .iter()
            .filter_map(|observation| match observation {
                Observation::Call(call) => Some(&**call),
                _ => None,
            })
            .collect()
    }

    fn outcomes(&self) -> Vec<(&str, Outcome)> {
        self.calls().iter().map(|call| (&*call.method, call.outcome)).collect()
    }
}

/// A client and a server with a pipe each way: 1 to the server, 2 to the client.
fn stdio() -> Host {
    let mut host = Host::new();
    host.pipe(1);
    host.pipe(2);
    host
}

fn exchange(host: &mut Host, request: &str, answer: &str) {
    host.tell(1, CLIENT, SERVER, request);
    host.tell(2, SERVER, CLIENT, answer);
}

fn call(id: u32, tool: &str) -> String {
    format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"tools/call\",\"params\":{{\"name\":\"{tool}\"}}}}\n"
    )
}

fn result(id: u32) -> String {
    format!("{{\"result\":{{\"content\":[]}},\"jsonrpc\":\"2.0\",\"id\":{id}}}\n")
}

const fn ms(count: u64) -> Option<Duration> {
    Some(Duration::from_millis(count))
}

fn tcp(local: u16, peer: u16) -> Identity {
    let address = |port| std::net::SocketAddr::from(([127, 0, 0, 1], port));
    Identity::Tcp { namespace: 1, local: address(local), peer: address(peer), sequence: None }
}

/// Both ends of a connection inside TLS, whose plaintext is streams 11 of the client and 12 of the server.
fn tls() -> Host {
    let mut host = Host::new();
    connect(&mut host, 1, 2, 4000);
    let tls = Identity::Tls { library: TlsLibrary::OpenSsl };
    host.open(CLIENT, 11, tls.clone());
    host.open(SERVER, 12, tls);
    host.event(CLIENT, EventBody::TlsBound { stream: StreamId(11), socket: StreamId(1) });
    host.event(SERVER, EventBody::TlsBound { stream: StreamId(12), socket: StreamId(2) });
    host
}

/// The headers that the user has asked for, with their places.
fn chosen(call: &Call) -> Vec<(u8, &str)> {
    call.headers.reveal().0.iter().map(|(place, value)| (*place, &**value)).collect()
}

fn post(body: &str, headers: &str) -> String {
    let body = body.trim_end();
    format!(
        "POST /mcp HTTP/1.1\r\nHost: localhost:80\r\nContent-Type: application/json\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn reply(body: &str, headers: &str) -> String {
    let body = body.trim_end();
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// A loopback connection: stream 1 is the client's end, stream 2 the server's.
fn connect(host: &mut Host, client_stream: u64, server_stream: u64, port: u16) {
    host.open(CLIENT, client_stream, tcp(port, 80));
    host.open(SERVER, server_stream, tcp(80, port));
}
