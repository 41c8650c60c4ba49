//! MCP over HTTP as both sides do it: exchanges on several connections or streams, event streams, resumption, the
//! transport of 2024.

use std::time::Duration;

use super::channel::{Channel, Stage};
use super::coding::{Coder, Coding};
use super::framing::Framing;
use super::packed::Packed;
use crate::scenario::{Process, Wires};
use crate::wire;

/// Which rules hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Streamable HTTP, with or without a session id.
    Streamable,
    /// HTTP+SSE of 2024: all answers come on one event stream.
    Of2024,
}

/// What is below the rules.
#[derive(Clone, Copy, Debug, Default)]
pub struct Below {
    /// TLS whose plaintext is read at both ends.
    pub tls: bool,
    /// HTTP/2 instead of HTTP/1.1.
    pub http2: bool,
    /// Some bodies are compressed.
    pub compresses: bool,
}

/// One client of one server.
#[derive(Debug)]
pub struct Http {
    client: Process,
    server: (Process, String),
    below: Below,
    style: Style,
    /// Path and query to post to.
    target: String,
    /// The id of the session, once the server has given it.
    pub session: Option<String>,
    connections: Vec<Connection>,
    lanes: Vec<Lane>,
    /// The lane of the event stream for what the server says unasked.
    pub stream: Option<usize>,
}

#[derive(Debug)]
struct Connection {
    up: Channel,
    down: Channel,
    asks: Framing,
    answers: Framing,
    /// Streams of HTTP/2 so far.
    streams: u32,
}

/// Where exchanges follow each other: a connection of HTTP/1.1, or streams of HTTP/2.
#[derive(Debug)]
struct Lane {
    connection: usize,
    stream: u32,
    coder: Coder,
    state: State,
}

/// What the newest exchange of a lane is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Free,
    Asked,
    Streaming,
    Closed,
}

impl Http {
    /// Nothing was connected.
    pub fn new(
        client: Process,
        server: (Process, String),
        below: Below,
        style: Style,
        number: usize,
    ) -> Self {
        let target = if style == Style::Of2024 { format!("/message?s={number}") } else { "/mcp".into() };
        let (connections, lanes) = (Vec::new(), Vec::new());
        Self { client, server, below, style, target, session: None, connections, lanes, stream: None }
    }

    /// Opens the event stream for what the server says unasked; with the transport of 2024 everything is that.
    pub fn listen(&mut self, stage: &mut Stage, ports: &mut u16) {
        let lane = self.free(stage, ports);
        self.get(stage, lane, "/sse", None);
        if self.style == Style::Of2024 {
            let target = self.target.clone();
            self.say(stage, lane, &format!("event: endpoint\ndata: {target}\n\n"), &target);
            self.read_down(stage, lane);
        }
        self.stream = Some(lane);
    }

    /// The client posts; the answer is to come. Returns the lane of the answer and the text's span.
    pub fn post(
        &mut self,
        stage: &mut Stage,
        ports: &mut u16,
        fields: &[(&str, &str)],
        text: &str,
    ) -> (usize, usize) {
        let index = self.free(stage, ports);
        let session = self.session.as_deref().map(|id| ("mcp-session-id", id));
        let own = [("host", self.server.1.as_str()), ("content-type", "application/json")];
        let fields: Vec<_> = own.into_iter().chain(session).chain(fields.iter().copied()).collect();
        let lane = &mut self.lanes[index];
        let connection = &mut self.connections[lane.connection];
        let line = ("POST", self.target.as_str());
        let packed = connection.asks.request(lane.stream, line, &fields, Some(text), &mut stage.random);
        let span = connection.up.write_packed(stage, &packed);
        lane.state = State::Asked;
        if self.style == Style::Of2024 {
            self.accept(stage, index);
            return (self.stream.unwrap_or(index), span);
        }
        (index, span)
    }

    /// The client posts something that no answer is wanted for.
    pub fn post_only(&mut self, stage: &mut Stage, ports: &mut u16, text: &str) -> usize {
        let (lane, span) = self.post(stage, ports, &[], text);
        if self.style == Style::Streamable {
            self.accept(stage, lane);
        }
        span
    }

    /// Whether answers come as events.
    pub fn must_stream(&self, lane: usize) -> bool {
        self.lanes[lane].state == State::Streaming
    }

    /// The server says something on an event stream.
    pub fn event(&mut self, stage: &mut Stage, lane: usize, text: &str) -> usize {
        self.connection(lane).up.read_all(stage);
        if self.lanes[lane].state == State::Asked {
            self.begin_events(stage, lane);
        }
        self.say(stage, lane, &format!("event: message\ndata: {text}\n\n"), text)
    }

    /// The event stream of an exchange is over.
    pub fn end_events(&mut self, stage: &mut Stage, index: usize) {
        if Some(index) == self.stream {
            return;
        }
        if self.lanes[index].state == State::Asked {
            self.connection(index).up.read_all(stage);
            self.begin_events(stage, index);
        }
        let lane = &mut self.lanes[index];
        let connection = &mut self.connections[lane.connection];
        let packed = connection.answers.end(lane.stream, &lane.coder.end());
        connection.down.write_packed(stage, &packed);
        connection.down.read_all(stage);
        lane.state = State::Free;
    }

    /// The server answers with one body.
    pub fn body(&mut self, stage: &mut Stage, index: usize, fields: &[(&str, &str)], text: &str) -> usize {
        let coding = self.coding(stage, false);
        let body = Coder::new(coding).body(text);
        let coding = coding.map(|coding| ("content-encoding", coding.name()));
        let kind = ("content-type", "application/json");
        let fields: Vec<_> = [kind].into_iter().chain(coding).chain(fields.iter().copied()).collect();
        let stream = self.lanes[index].stream;
        let packed = self.connection(index).answers.response(stream, &fields, body, &mut stage.random);
        self.respond(stage, index, &packed)
    }

    /// The server answers with a status alone.
    pub fn status(&mut self, stage: &mut Stage, index: usize, status: &str) -> usize {
        let stream = self.lanes[index].stream;
        let packed = self.connection(index).answers.status(stream, status);
        self.respond(stage, index, &packed)
    }

    /// The connection breaks; the client gets the rest of the exchange's events on another one.
    pub fn resume(&mut self, stage: &mut Stage, ports: &mut u16, broken: usize) -> usize {
        self.close(stage, broken);
        let lane = self.free(stage, ports);
        self.get(stage, lane, "/mcp", Some("7"));
        lane
    }

    /// The client closes a connection, or ends a stream before its time.
    pub fn close(&mut self, stage: &mut Stage, index: usize) {
        let lane = &mut self.lanes[index];
        let connection = &mut self.connections[lane.connection];
        connection.up.read_all(stage);
        connection.down.read_all(stage);
        if self.below.http2 {
            connection.up.write_packed(stage, &Packed::whole(wire::reset(lane.stream)));
            connection.up.read_all(stage);
            lane.state = State::Free;
            return;
        }
        stage.scenario.ends(connection.up.wire);
        stage.scenario.ends(connection.down.wire);
        lane.state = State::Closed;
    }

    /// Someone reads on some connection.
    pub fn read_some(&mut self, stage: &mut Stage) {
        if self.connections.is_empty() {
            return;
        }
        let index = stage.random.below(self.connections.len());
        let connection = &mut self.connections[index];
        connection.up.read_some(stage);
        connection.down.read_some(stage);
    }

    /// All that was written is read.
    pub fn read_all(&mut self, stage: &mut Stage) {
        for connection in &mut self.connections {
            connection.up.read_all(stage);
            connection.down.read_all(stage);
        }
    }

    /// The client has read all that came on a connection.
    pub fn read_down(&mut self, stage: &mut Stage, lane: usize) {
        self.connection(lane).down.read_all(stage);
    }

    fn connection(&mut self, lane: usize) -> &mut Connection {
        &mut self.connections[self.lanes[lane].connection]
    }

    fn coding(&self, stage: &mut Stage, is_event_stream: bool) -> Option<Coding> {
        if self.below.compresses { Coding::pick(&mut stage.random, is_event_stream) } else { None }
    }

    fn get(&mut self, stage: &mut Stage, index: usize, target: &str, after: Option<&str>) {
        let own = [("host", self.server.1.as_str()), ("accept", "text/event-stream")];
        let session = self.session.as_deref().map(|id| ("mcp-session-id", id));
        let after = after.map(|id| ("last-event-id", id));
        let fields: Vec<_> = own.into_iter().chain(session).chain(after).collect();
        let stream = self.lanes[index].stream;
        let connection = &mut self.connections[self.lanes[index].connection];
        let packed = connection.asks.request(stream, ("GET", target), &fields, None, &mut stage.random);
        connection.up.write_packed(stage, &packed);
        connection.up.read_all(stage);
        self.begin_events(stage, index);
        self.read_down(stage, index);
    }

    fn begin_events(&mut self, stage: &mut Stage, index: usize) {
        let coding = self.coding(stage, true);
        let fields = coding.map(|coding| ("content-encoding", coding.name()));
        let fields: Vec<_> = [("content-type", "text/event-stream")].into_iter().chain(fields).collect();
        let lane = &mut self.lanes[index];
        let connection = &mut self.connections[lane.connection];
        let head = connection.answers.begin(lane.stream, &fields);
        connection.down.write_packed(stage, &head);
        (lane.coder, lane.state) = (Coder::new(coding), State::Streaming);
    }

    fn say(&mut self, stage: &mut Stage, index: usize, event: &str, text: &str) -> usize {
        let lane = &mut self.lanes[index];
        let connection = &mut self.connections[lane.connection];
        let part = lane.coder.part(event, text);
        let packed = connection.answers.part(lane.stream, part, &mut stage.random);
        connection.down.write_packed(stage, &packed)
    }

    fn respond(&mut self, stage: &mut Stage, index: usize, response: &Packed) -> usize {
        let connection = self.connection(index);
        connection.up.read_all(stage);
        stage.scenario.passes(Duration::from_micros(40));
        let span = connection.down.write_packed(stage, response);
        connection.down.read_all(stage);
        self.lanes[index].state = State::Free;
        span
    }

    fn accept(&mut self, stage: &mut Stage, lane: usize) {
        self.status(stage, lane, "202 Accepted");
    }

    /// A lane without an open exchange.
    fn free(&mut self, stage: &mut Stage, ports: &mut u16) -> usize {
        let free = self.lanes.iter().position(|lane| lane.state == State::Free);
        let index = free.unwrap_or_else(|| {
            if self.connections.is_empty() || !self.below.http2 {
                self.connect(stage, ports);
            }
            let connection = self.connections.len() - 1;
            self.lanes.push(Lane { connection, stream: 0, coder: Coder::default(), state: State::Free });
            self.lanes.len() - 1
        });
        if self.below.http2 {
            let connection = self.connection(index);
            let stream = connection.streams * 2 + 1;
            connection.streams += 1;
            self.lanes[index].stream = stream;
        }
        index
    }

    fn connect(&mut self, stage: &mut Stage, ports: &mut u16) {
        *ports += 1;
        let (client, server) = ((self.client, format!("127.0.0.1:{ports}")), &self.server);
        let ends = ((client.0, client.1.as_str()), (server.0, server.1.as_str()));
        let Wires { requests, answers } = match self.below.tls {
            true => stage.scenario.tls(ends.0, ends.1),
            false => stage.scenario.tcp(ends.0, ends.1),
        };
        let (mut up, mut down) = (Channel::new(requests), Channel::new(answers));
        let (mut asks, mut answers) = (Framing::Http1, Framing::Http1);
        if self.below.http2 {
            let ends = [wire::Http2::default(), wire::Http2::default()];
            up.write_packed(stage, &Packed::whole(ends[0].preface()));
            down.write_packed(stage, &Packed::whole(ends[1].settings()));
            [asks, answers] = ends.map(Framing::Http2);
        }
        self.connections.push(Connection { up, down, asks, answers, streams: 0 });
    }

    /// The kernel's streams of all connections.
    pub fn streams(&self) -> impl Iterator<Item = u64> + '_ {
        self.connections.iter().flat_map(|connection| connection.up.wire.streams())
    }
}
