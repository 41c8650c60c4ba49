//! Writes records by hand, as the kernel would: positions are counted, times pass, and tests read like "the client
//! sends this, the server receives that, this record is lost".
//!
//! ```
//! use replay::{messages, scenario::{ProcessSpec, Scenario}};
//!
//! let mut s = Scenario::new();
//! let client = s.process(ProcessSpec { exe: "/usr/bin/client", arguments: &["client"] });
//! let server = s.process(ProcessSpec { exe: "/usr/bin/server", arguments: &["server"] });
//! let stdio = s.stdio(client, server);
//! s.moves(stdio.requests, messages::line(&messages::ping(1)));
//! s.moves(stdio.answers, messages::line(&messages::result(1, "{}")));
//! assert_eq!(s.into_capture().records.len(), 8);
//! ```

mod identity;

use std::collections::BTreeMap;
use std::time::Duration;

use mcp_observer::capture::file::{Head, HostFacts};
use mcp_observer::pipeline::input::{BlindSpotFacts, ProcessFacts};
use mcp_observer::pipeline::time::WallClock;
use observer_common::loss::LossCause;
use observer_common::process::{ProcessKey, ProcessUsage};
use observer_common::record::{LAYOUT, RecordHeader, RecordKind};
use observer_common::stream::{StreamIdentity, StreamKind, TlsLibrary};

use crate::captures::{Capture, OwnedRecord};
use crate::messages::{initialize, initialized, line};
use identity::{fresh, identity_bytes, tcp};

/// The beginning of every scenario, after boot; 2026-11-21T10:00:00 on its wall clock.
const START_NS: u64 = 1_000_000_000;
const UNIX_NS_AT_BOOT: i64 = 1_795_255_200_000_000_000 - START_NS as i64;

/// From a write to the read that takes its bytes.
const WAY: Duration = Duration::from_micros(20);

/// Records that were written by hand.
#[derive(Debug)]
pub struct Scenario {
    now_ns: u64,
    records: Vec<OwnedRecord>,
    positions: BTreeMap<(u64, u16), u64>,
    next: u64,
}

/// What is told of a process.
#[derive(Clone, Copy, Debug)]
pub struct ProcessSpec<'a> {
    /// Path of its executable.
    pub exe: &'a str,
    /// Its command line.
    pub arguments: &'a [&'a str],
}

/// A process of a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process(ProcessKey);

impl Process {
    /// Its id.
    pub const fn pid(self) -> u32 {
        self.0.pid
    }
}

/// One way for bytes: who writes into which stream, and who reads out of which. An end that is on another host has
/// no process and makes no records.
#[derive(Clone, Copy, Debug)]
pub struct Wire {
    writer: Option<Process>,
    into: u64,
    reader: Option<Process>,
    out_of: u64,
    /// Whether the writing end's bytes are recorded too, and not only their number.
    writer_is_read: bool,
}

impl Wire {
    /// The kernel's streams at both of its ends.
    pub const fn streams(self) -> [u64; 2] {
        [self.into, self.out_of]
    }
}

/// Two ways, between a client and its server.
#[derive(Clone, Copy, Debug)]
pub struct Wires {
    /// From the client to the server.
    pub requests: Wire,
    /// From the server to the client.
    pub answers: Wire,
}

impl Default for Scenario {
    fn default() -> Self {
        Self::new()
    }
}

impl Scenario {
    /// Nothing has happened.
    pub fn new() -> Self {
        Self { now_ns: START_NS, records: Vec::new(), positions: BTreeMap::new(), next: 1 }
    }

    /// A process is seen.
    pub fn process(&mut self, spec: ProcessSpec<'_>) -> Process {
        let number = self.number();
        let key = ProcessKey { pid: 4000 + number as u32, tid: 0, started_ns: number * 10_000_000 };
        let arguments: Vec<String> = spec.arguments.iter().map(|&argument| argument.to_owned()).collect();
        let facts = ProcessFacts {
            parent: 1,
            exe: spec.exe.into(),
            arguments: arguments.into(),
            ..ProcessFacts::default()
        };
        let payload = serde_json::to_vec(&facts).expect("facts are JSON");
        self.push(RecordKind::ProcessSeen, key, 0, 0, 0, payload);
        Process(key)
    }

    /// Something is found out of a process, or of where it runs.
    pub fn learns(&mut self, process: Process, kind: RecordKind, facts: &impl serde::Serialize) {
        let of_process = kind == RecordKind::ProcessSeen;
        let key = if of_process { process.0 } else { ProcessKey::default() };
        self.push(kind, key, 0, 0, 0, serde_json::to_vec(facts).expect("facts are JSON"));
    }

    /// A process ends with this wait status.
    pub fn exits(&mut self, process: Process, status: i32) {
        self.push(RecordKind::ProcessExited, process.0, 0, 0, 0, status.to_ne_bytes().to_vec());
    }

    /// Two pipes, as most clients start their servers.
    pub fn stdio(&mut self, client: Process, server: Process) -> Wires {
        Wires { requests: self.pipe(client, server), answers: self.pipe(server, client) }
    }

    /// A client and a server that have greeted each other over stdio.
    pub fn greeted(&mut self) -> Wires {
        let client = self.process(ProcessSpec { exe: "/usr/bin/client", arguments: &["client"] });
        let server = self.process(ProcessSpec { exe: "/usr/bin/server", arguments: &["server"] });
        let stdio = self.stdio(client, server);
        self.moves(stdio.requests, line(&initialize(0, "client")));
        self.moves(stdio.answers, line(&initialized(0, "server")));
        stdio
    }

    /// A pipe.
    pub fn pipe(&mut self, writer: Process, reader: Process) -> Wire {
        let stream = self.stream(writer, StreamIdentity { kind: StreamKind::Pipe as u32, ..fresh() });
        self.wire((Some(writer), stream), (Some(reader), stream))
    }

    /// A pair of connected Unix sockets, as Node starts its servers.
    pub fn socket_pair(&mut self, client: Process, server: Process) -> Wires {
        let [a, b] = [self.number(), self.number()].map(|number| 700_000 + number);
        let identity = |inode, peer_inode| StreamIdentity {
            kind: StreamKind::Unix as u32,
            inode,
            peer_inode,
            ..fresh()
        };
        let a_stream = self.stream(client, identity(a, b));
        let b_stream = self.stream(server, identity(b, a));
        self.wires((Some(client), a_stream), (Some(server), b_stream))
    }

    /// A TCP connection within this host.
    pub fn tcp(&mut self, client: (Process, &str), server: (Process, &str)) -> Wires {
        let client_stream = self.stream(client.0, tcp(client.1, server.1));
        let server_stream = self.stream(server.0, tcp(server.1, client.1));
        self.wires((Some(client.0), client_stream), (Some(server.0), server_stream))
    }

    /// A TCP connection to a server on another host.
    pub fn tcp_to_elsewhere(&mut self, client: (Process, &str), server: &str) -> Wires {
        let stream = self.stream(client.0, tcp(client.1, server));
        let mut wires = self.wires((Some(client.0), stream), (None, 0));
        wires.requests.writer_is_read = true;
        wires
    }

    /// A TCP connection between two network namespaces of this host. Each end has its own view of both addresses, as
    /// with address translation between them; both record what they send.
    pub fn tcp_between_namespaces(
        &mut self,
        (client, client_view): (Process, [&str; 2]),
        (server, server_view): (Process, [&str; 2]),
    ) -> Wires {
        let [client_syn, server_syn] = [self.number() as u32 * 1_000, self.number() as u32 * 1_000];
        let [client_end, server_end] = [client_view, server_view].map(|[local, peer]| tcp(local, peer));
        let client_stream = self.stream(
            client,
            StreamIdentity { sent_from: client_syn, received_from: server_syn + 1, ..client_end },
        );
        let server_stream = self.stream(
            server,
            StreamIdentity {
                network_namespace: client_end.network_namespace + 1,
                sent_from: server_syn + 1,
                received_from: client_syn + 1,
                ..server_end
            },
        );
        let mut wires = self.wires((Some(client), client_stream), (Some(server), server_stream));
        wires.requests.writer_is_read = true;
        wires.answers.writer_is_read = true;
        wires
    }

    /// TLS objects of OpenSSL at both ends of a TCP connection. What their sockets carry is not recorded.
    pub fn tls(&mut self, client: (Process, &str), server: (Process, &str)) -> Wires {
        let sockets = self.tcp(client, server);
        let identity =
            StreamIdentity { kind: StreamKind::Tls as u32, device: TlsLibrary::OpenSsl as u32, ..fresh() };
        let [a, b] = [(client.0, sockets.requests.into), (server.0, sockets.requests.out_of)].map(
            |(process, socket)| {
                let stream = self.stream(process, identity);
                self.push(RecordKind::TlsBound, process.0, stream, 0, 0, socket.to_ne_bytes().to_vec());
                stream
            },
        );
        let mut wires = self.wires((Some(client.0), a), (Some(server.0), b));
        wires.requests.writer_is_read = true;
        wires.answers.writer_is_read = true;
        wires
    }

    /// The writer of the wire sends bytes.
    pub fn sends(&mut self, wire: Wire, bytes: impl AsRef<[u8]>) {
        let Some(writer) = wire.writer else { return };
        let bytes = bytes.as_ref();
        let recorded = if wire.writer_is_read { bytes.to_vec() } else { Vec::new() };
        self.moved(RecordKind::Sent, writer, wire.into, bytes.len(), recorded);
    }

    /// The reader of the wire receives bytes.
    pub fn receives(&mut self, wire: Wire, bytes: impl AsRef<[u8]>) {
        let Some(reader) = wire.reader else { return };
        let bytes = bytes.as_ref();
        self.moved(RecordKind::Received, reader, wire.out_of, bytes.len(), bytes.to_vec());
    }

    /// Bytes are sent and, a moment later, received.
    pub fn moves(&mut self, wire: Wire, bytes: impl AsRef<[u8]>) {
        self.sends(wire, &bytes);
        self.passes(WAY);
        self.receives(wire, bytes);
    }

    /// The reader of the wire meets its end.
    pub fn ends(&mut self, wire: Wire) {
        let Some(reader) = wire.reader else { return };
        self.push(RecordKind::StreamEnded, reader.0, wire.out_of, 0, 0, Vec::new());
    }

    /// What a process takes is looked at.
    pub fn takes(&mut self, process: Process, resident_bytes: u64, cpu: Duration) {
        let cpu_ns = u64::try_from(cpu.as_nanos()).expect("a scenario is short");
        let usage = ProcessUsage { uptime_ns: 5_000_000_000, resident_bytes, cpu_ns };
        self.push(RecordKind::ProcessUsage, process.0, 0, 0, 0, usage.to_bytes().to_vec());
    }

    /// The time of the next record.
    pub const fn now_ns(&self) -> u64 {
        self.now_ns
    }

    /// Time passes.
    pub fn passes(&mut self, time: Duration) {
        self.now_ns += u64::try_from(time.as_nanos()).expect("a scenario is short");
    }

    /// The pipeline is told the time, as the agent does where one of its deadlines is due.
    pub fn is_told_the_time(&mut self) {
        self.push(RecordKind::Time, ProcessKey::default(), 0, 0, 0, Vec::new());
    }

    /// The last record is lost for want of room, and the kernel says so.
    pub fn loses_the_last(&mut self) {
        let Some(lost) = self.records.pop() else { return };
        let mut payload = (LossCause::RingFull as u32).to_ne_bytes().to_vec();
        payload.extend([0; 4]);
        payload.extend(1u64.to_ne_bytes());
        payload.extend(u64::from(lost.header.moved_len).to_ne_bytes());
        self.push(RecordKind::Lost, ProcessKey::default(), 0, 0, 0, payload);
    }

    /// Something in a process cannot be seen.
    pub fn is_blind(&mut self, process: Process, kind: &str, reason: &str) {
        let facts = BlindSpotFacts { kind: kind.into(), exe: String::new(), reason: reason.into() };
        let payload = serde_json::to_vec(&facts).expect("facts are JSON");
        self.push(RecordKind::BlindSpot, process.0, 0, 0, 0, payload);
    }

    /// The records since the last time, for scenarios that are too long to be kept.
    pub fn take_records(&mut self) -> Vec<OwnedRecord> {
        std::mem::take(&mut self.records)
    }

    /// All of it, as a recording.
    pub fn into_capture(self) -> Capture {
        let facts = HostFacts { observer: "scenario".into(), ..HostFacts::default() };
        let head = Head { clock: WallClock { unix_ns_at_boot: UNIX_NS_AT_BOOT }, facts };
        Capture { head, records: self.records }
    }

    fn stream(&mut self, process: Process, identity: StreamIdentity) -> u64 {
        let generation = self.number();
        let stream = 0x5eed_0000 + generation;
        let identity = StreamIdentity { generation, ..identity };
        self.push(RecordKind::StreamOpened, process.0, stream, 0, 0, identity_bytes(&identity));
        stream
    }

    fn wires(&self, client: (Option<Process>, u64), server: (Option<Process>, u64)) -> Wires {
        Wires { requests: self.wire(client, server), answers: self.wire(server, client) }
    }

    fn wire(&self, (writer, into): (Option<Process>, u64), (reader, out_of): (Option<Process>, u64)) -> Wire {
        Wire { writer, into, reader, out_of, writer_is_read: false }
    }

    fn moved(&mut self, kind: RecordKind, process: Process, stream: u64, count: usize, recorded: Vec<u8>) {
        let moved = u32::try_from(count).expect("a call moves less than 4 GiB");
        let position = self.positions.entry((stream, kind as u16)).or_default();
        let at = *position;
        *position += u64::from(moved);
        self.push(kind, process.0, stream, at, moved, recorded);
    }

    fn push(
        &mut self,
        kind: RecordKind,
        process: ProcessKey,
        stream: u64,
        position: u64,
        moved_len: u32,
        payload: Vec<u8>,
    ) {
        let header = RecordHeader {
            layout: LAYOUT,
            kind: kind as u16,
            payload_len: u32::try_from(payload.len()).expect("a payload is small"),
            moved_len,
            cpu: 0,
            at_ns: self.now_ns,
            position,
            process,
            stream,
        };
        self.records.push(OwnedRecord { header, payload });
        self.now_ns += 1_000;
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }
}
