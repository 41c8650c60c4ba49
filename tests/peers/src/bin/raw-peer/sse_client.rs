//! The transport of 2024-11-05: an event stream for everything that the server says, POST for the rest.

use std::io::{BufReader, Write};
use std::net::TcpStream;

use anyhow::{Context, Result};
use clap::Args;
use peers::truth::Direction;
use peers::witness::print;

use crate::http_client::{Client, Server};
use crate::http_wire::{Head, chunk, event_data};
use crate::message::{INITIALIZED, Shape};

/// What the session looks like.
#[derive(Args)]
pub struct Settings {
    #[command(flatten)]
    shape: Shape,
    /// Number of calls.
    #[arg(long, default_value_t = 3)]
    calls: u64,
}

/// Runs one session to its end.
pub fn run(settings: &Settings) -> Result<()> {
    let server = Server::start()?;
    let mut events = Events::open(server.port)?;
    let endpoint = events.next()?;
    let mut client = Client::new(&server, &endpoint, false);
    ask(&mut client, &mut events, &settings.shape.initialize(0, "2024-11-05"), 0)?;
    client.exchange(INITIALIZED, 0)?;
    for id in 1..=settings.calls {
        ask(&mut client, &mut events, &settings.shape.call("echo", id), settings.shape.chunk)?;
    }
    print(client.ledger.close());
    server.stop()
}

fn ask(client: &mut Client, events: &mut Events, text: &str, chunk: usize) -> Result<()> {
    client.ledger.passed(Direction::ClientToServer, &serde_json::from_str(text)?);
    client.exchange(text, chunk)?;
    loop {
        let message = serde_json::from_str(&events.next()?)?;
        let ended = client.ledger.passed(Direction::ServerToClient, &message);
        if !ended.is_empty() {
            print(ended);
            return Ok(());
        }
    }
}

/// The open event stream; the server sends one event a chunk.
struct Events {
    stream: BufReader<TcpStream>,
}

impl Events {
    fn open(port: u16) -> Result<Self> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        let request =
            format!("GET /sse HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept: text/event-stream\r\n\r\n");
        stream.write_all(request.as_bytes())?;
        let mut stream = BufReader::new(stream);
        Head::read(&mut stream)?.context("no event stream")?;
        Ok(Self { stream })
    }

    fn next(&mut self) -> Result<String> {
        let event = String::from_utf8(chunk(&mut self.stream)?.context("the event stream ended")?)?;
        Ok(event_data(&event).next().context("an event without data")?.to_owned())
    }
}
