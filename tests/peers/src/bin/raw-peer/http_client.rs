//! A streamable HTTP client, with one connection for all calls or a new one for each.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdin, Stdio};

use anyhow::{Context, Result, bail};
use clap::Args;
use peers::truth::{Direction, Ledger, Line};
use peers::witness::print;
use serde_json::Value;

use crate::http_wire::{Head, event_data};
use crate::message::{INITIALIZED, Shape};
use crate::wire::myself;

/// What the exchanges look like.
#[derive(Args)]
pub struct Settings {
    #[command(flatten)]
    shape: Shape,
    /// Number of calls.
    #[arg(long, default_value_t = 3)]
    calls: u64,
    /// Send so many calls in one JSON array.
    #[arg(long, default_value_t = 1)]
    batch: u64,
    /// A connection of its own for each request.
    #[arg(long)]
    fresh: bool,
    /// The tool's name.
    #[arg(long, default_value = "echo")]
    tool: String,
}

/// Runs one session to its end.
pub fn run(settings: &Settings) -> Result<()> {
    let server = Server::start()?;
    let mut client = Client::new(&server, "/mcp", settings.fresh);
    let shape = &settings.shape;
    let opening = Shape::default().initialize(0, "2025-03-26");
    client.post(&opening, 0)?;
    client.post(INITIALIZED, 0)?;
    let mut id = 0;
    while id < settings.calls {
        let size = settings.batch.clamp(1, settings.calls - id);
        let calls: Vec<_> = (id + 1..=id + size).map(|id| shape.call(&settings.tool, id)).collect();
        let text = if settings.batch > 1 { format!("[{}]", calls.join(",")) } else { calls.concat() };
        client.post(&text, shape.chunk)?;
        id += size;
    }
    print(client.ledger.close());
    server.stop()
}

/// The server process, which lives as long as its standard input is open.
pub struct Server {
    child: Child,
    input: Option<ChildStdin>,
    /// Where it listens.
    pub port: u16,
}

impl Server {
    /// Starts it and waits until it listens.
    pub fn start() -> Result<Self> {
        let mut child = myself(&["serve-http"])?.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("no output")?).read_line(&mut line)?;
        let Line::Listening { pid, port } = serde_json::from_str(&line)? else { bail!("unexpected line") };
        Line::Peer { client_pid: std::process::id(), server_pid: Some(pid) }.print();
        Ok(Self { input: child.stdin.take(), child, port })
    }

    /// Ends it.
    pub fn stop(mut self) -> Result<()> {
        drop(self.input.take());
        self.child.wait()?;
        Ok(())
    }
}

/// Posts messages to one path.
pub struct Client {
    port: u16,
    path: String,
    fresh: bool,
    kept: Option<BufReader<TcpStream>>,
    /// What was asked and answered.
    pub ledger: Ledger,
}

impl Client {
    /// A client that has no connection yet.
    pub fn new(server: &Server, path: &str, fresh: bool) -> Self {
        let ledger = Ledger::new(Some(server.child.id()));
        Self { port: server.port, path: path.to_owned(), fresh, kept: None, ledger }
    }

    /// Posts a message and prints the calls that its response answers.
    pub fn post(&mut self, text: &str, chunk: usize) -> Result<()> {
        let message: Value = serde_json::from_str(text)?;
        self.ledger.passed(Direction::ClientToServer, &message);
        let (status, body) = self.exchange(text, chunk)?;
        if status >= 400 {
            print(self.ledger.failed(Direction::ClientToServer, &message["id"], "http_error"));
        } else if body.starts_with("event:") {
            event_data(&body).for_each(|data| self.answered(data));
        } else {
            self.answered(&body);
        }
        Ok(())
    }

    /// One HTTP exchange.
    pub fn exchange(&mut self, text: &str, chunk: usize) -> Result<(u16, String)> {
        let mut connection = match self.kept.take() {
            Some(connection) => connection,
            None => BufReader::new(TcpStream::connect(("127.0.0.1", self.port))?),
        };
        connection.get_ref().set_nodelay(true)?;
        let request = format!(
            "POST {} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Type: application/json\r\n\
             Accept: application/json, text/event-stream\r\nContent-Length: {}\r\n\r\n{text}",
            self.path,
            self.port,
            text.len(),
        );
        let chunk = if chunk == 0 { request.len() } else { chunk };
        for part in request.as_bytes().chunks(chunk) {
            connection.get_mut().write_all(part)?;
        }
        let head = Head::read(&mut connection)?.context("the server closed the connection")?;
        let body = String::from_utf8(head.body(&mut connection)?)?;
        if !self.fresh {
            self.kept = Some(connection);
        }
        Ok((head.status().context("no status")?, body))
    }

    fn answered(&self, text: &str) {
        if let Ok(message) = serde_json::from_str(text) {
            print(self.ledger.passed(Direction::ServerToClient, &message));
        }
    }
}
