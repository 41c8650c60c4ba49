//! MCP over HTTP as both sides do it: exchanges on several connections, event streams, resumption, the transport of
//! 2024.

use std::time::Duration;

use super::channel::{Channel, Stage};
use crate::messages as m;
use crate::scenario::{Process, Wires};

/// Which rules hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Streamable HTTP, with or without a session id.
    Streamable,
    /// HTTP+SSE of 2024: all answers come on one event stream.
    Of2024,
}

/// One client of one server.
#[derive(Debug)]
pub struct Http {
    client: Process,
    server: (Process, String),
    tls: bool,
    style: Style,
    /// Path and query to post to.
    target: String,
    /// The id of the session, once the server has given it.
    pub session: Option<String>,
    connections: Vec<Connection>,
    /// The connection of the event stream for what the server says unasked.
    pub stream: Option<usize>,
}

#[derive(Debug)]
struct Connection {
    up: Channel,
    down: Channel,
    state: State,
}

/// What the newest exchange of a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Free,
    Asked,
    Streaming,
    Closed,
}

impl Http {
    /// Nothing was connected.
    pub fn new(client: Process, server: (Process, String), tls: bool, style: Style, number: usize) -> Self {
        let target = if style == Style::Of2024 { format!("/message?s={number}") } else { "/mcp".into() };
        Self { client, server, tls, style, target, session: None, connections: Vec::new(), stream: None }
    }

    /// Opens the event stream for what the server says unasked; with the transport of 2024 everything is that.
    pub fn listen(&mut self, stage: &mut Stage, ports: &mut u16) {
        let connection = self.free(stage, ports);
        self.get(stage, connection, "/sse", "");
        if self.style == Style::Of2024 {
            let event = format!("event: endpoint\ndata: {}\n\n", self.target);
            let chunk = format!("{:x}\r\n{event}\r\n", event.len());
            self.connections[connection].down.write(stage, chunk.as_bytes(), &event);
            self.connections[connection].down.read_all(stage);
        }
        self.stream = Some(connection);
    }

    /// The client posts; the answer is to come. Returns the connection and the text's span.
    pub fn post(&mut self, stage: &mut Stage, ports: &mut u16, headers: &str, text: &str) -> (usize, usize) {
        let index = self.free(stage, ports);
        let session = self.session.as_ref().map_or(String::new(), |id| format!("mcp-session-id: {id}\r\n"));
        let head = format!(
            "POST {} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\n{session}{headers}content-length: {}\r\n\r\n",
            self.target,
            self.server.1,
            text.len()
        );
        let connection = &mut self.connections[index];
        let span = connection.up.write(stage, format!("{head}{text}").as_bytes(), text);
        connection.state = State::Asked;
        if self.style == Style::Of2024 {
            self.accept(stage, index);
            return (self.stream.unwrap_or(index), span);
        }
        (index, span)
    }

    /// The client posts something that no answer is wanted for.
    pub fn post_only(&mut self, stage: &mut Stage, ports: &mut u16, headers: &str, text: &str) -> usize {
        let (connection, span) = self.post(stage, ports, headers, text);
        if self.style == Style::Streamable {
            self.accept(stage, connection);
        }
        span
    }

    /// Whether answers come as events.
    pub fn must_stream(&self, connection: usize) -> bool {
        self.connections[connection].state == State::Streaming
    }

    /// The server says something on an event stream.
    pub fn event(&mut self, stage: &mut Stage, connection: usize, text: &str) -> usize {
        let connection = &mut self.connections[connection];
        connection.up.read_all(stage);
        if connection.state == State::Asked {
            let head = m::event_stream();
            connection.down.write(stage, &head, "HTTP/1.1 200 OK");
            connection.state = State::Streaming;
        }
        connection.down.write(stage, &m::event(text), text)
    }

    /// The event stream of an exchange is over.
    pub fn end_events(&mut self, stage: &mut Stage, connection: usize) {
        if Some(connection) == self.stream {
            return;
        }
        let connection = &mut self.connections[connection];
        if connection.state == State::Asked {
            connection.up.read_all(stage);
            connection.down.write(stage, &m::event_stream(), "HTTP/1.1 200 OK");
        }
        connection.down.write(stage, &m::last_chunk(), "0\r\n\r\n");
        connection.down.read_all(stage);
        connection.state = State::Free;
    }

    /// The server answers with one body. `headers` are lines.
    pub fn body(&mut self, stage: &mut Stage, connection: usize, headers: &[&str], text: &str) -> usize {
        let response = m::ok(headers, text);
        self.respond(stage, connection, &response, text)
    }

    /// The server answers with a status alone.
    pub fn status(&mut self, stage: &mut Stage, connection: usize, status: &str) -> usize {
        let response = m::status(status);
        let text = String::from_utf8_lossy(&response).into_owned();
        self.respond(stage, connection, &response, &text)
    }

    /// The connection breaks; the client gets the rest of the exchange's events on another one.
    pub fn resume(&mut self, stage: &mut Stage, ports: &mut u16, broken: usize) -> usize {
        self.close(stage, broken);
        let connection = self.free(stage, ports);
        self.get(stage, connection, "/mcp", "last-event-id: 7\r\n");
        connection
    }

    /// The client closes a connection.
    pub fn close(&mut self, stage: &mut Stage, connection: usize) {
        let connection = &mut self.connections[connection];
        connection.up.read_all(stage);
        connection.down.read_all(stage);
        stage.scenario.ends(connection.up.wire);
        stage.scenario.ends(connection.down.wire);
        connection.state = State::Closed;
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
    pub fn read_down(&mut self, stage: &mut Stage, connection: usize) {
        self.connections[connection].down.read_all(stage);
    }

    fn get(&mut self, stage: &mut Stage, index: usize, target: &str, headers: &str) {
        let session = self.session.as_ref().map_or(String::new(), |id| format!("mcp-session-id: {id}\r\n"));
        let head = format!(
            "GET {target} HTTP/1.1\r\nhost: {}\r\naccept: text/event-stream\r\n{session}{headers}\r\n",
            self.server.1
        );
        let connection = &mut self.connections[index];
        connection.up.write(stage, head.as_bytes(), &head);
        connection.up.read_all(stage);
        connection.down.write(stage, &m::event_stream(), "HTTP/1.1 200 OK");
        connection.down.read_all(stage);
        connection.state = State::Streaming;
    }

    fn respond(&mut self, stage: &mut Stage, connection: usize, response: &[u8], text: &str) -> usize {
        let connection = &mut self.connections[connection];
        connection.up.read_all(stage);
        stage.scenario.passes(Duration::from_micros(40));
        let span = connection.down.write(stage, response, text);
        connection.down.read_all(stage);
        connection.state = State::Free;
        span
    }

    fn accept(&mut self, stage: &mut Stage, connection: usize) {
        self.status(stage, connection, "202 Accepted");
    }

    /// A connection without an open exchange.
    fn free(&mut self, stage: &mut Stage, ports: &mut u16) -> usize {
        let free = self.connections.iter().position(|connection| connection.state == State::Free);
        free.unwrap_or_else(|| {
            *ports += 1;
            let (client, server) = ((self.client, format!("127.0.0.1:{ports}")), &self.server);
            let ends = ((client.0, client.1.as_str()), (server.0, server.1.as_str()));
            let Wires { requests, answers } = match self.tls {
                true => stage.scenario.tls(ends.0, ends.1),
                false => stage.scenario.tcp(ends.0, ends.1),
            };
            let (up, down) = (Channel::new(requests), Channel::new(answers));
            self.connections.push(Connection { up, down, state: State::Free });
            self.connections.len() - 1
        })
    }

    /// The kernel's streams of all connections.
    pub fn streams(&self) -> impl Iterator<Item = u64> + '_ {
        self.connections.iter().flat_map(|connection| connection.up.wire.streams())
    }
}
