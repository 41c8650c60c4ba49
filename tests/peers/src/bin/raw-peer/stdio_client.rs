//! Stdio sessions, several at once, each with a server process of its own and ids from 1.

use std::process::Child;

use anyhow::{Context, Result, bail};
use clap::Args;
use peers::truth::{Direction, Ledger, Line};
use peers::witness::print;
use serde_json::Value;

use crate::message::{INITIALIZED, Shape};
use crate::wire::{Kind, Wire, myself};

/// What the sessions look like.
#[derive(Args)]
pub struct Settings {
    #[command(flatten)]
    shape: Shape,
    /// Sessions at once.
    #[arg(long, default_value_t = 1)]
    sessions: usize,
    /// Calls in each session.
    #[arg(long, default_value_t = 3)]
    calls: u64,
    /// Send so many calls in one JSON array.
    #[arg(long, default_value_t = 1)]
    batch: u64,
    /// The tool's name.
    #[arg(long, default_value = "echo")]
    tool: String,
    /// What joins client and server.
    #[arg(long, value_enum, default_value = "pipe")]
    wire: Kind,
    /// Both ends on high descriptors.
    #[arg(long)]
    high: bool,
    /// The server prints lines that are no messages.
    #[arg(long)]
    junk: bool,
    /// The server exits by itself after the last call.
    #[arg(long)]
    short_lived: bool,
}

/// Runs the sessions to their end.
pub fn run(settings: &Settings) -> Result<()> {
    std::thread::scope(|scope| {
        let sessions: Vec<_> =
            (0..settings.sessions).map(|_| scope.spawn(|| Session::start(settings)?.run(settings))).collect();
        for session in sessions {
            session.join().map_err(|_| anyhow::anyhow!("a session panicked"))??;
        }
        Ok(())
    })
}

/// One session from the client's side.
pub struct Session {
    /// The server.
    pub server: Child,
    /// The way to it.
    pub wire: Wire,
    /// What was asked and answered.
    pub ledger: Ledger,
}

impl Session {
    fn start(settings: &Settings) -> Result<Self> {
        let mut arguments = vec!["serve-stdio"];
        let calls = settings.calls.to_string();
        if settings.high {
            arguments.push("--high");
        }
        if settings.junk {
            arguments.push("--junk");
        }
        if settings.short_lived {
            arguments.extend(["--calls", &calls]);
        }
        Self::with_server(&arguments, settings.wire, settings.high)
    }

    /// Starts a server with this command line.
    pub fn with_server(arguments: &[&str], kind: Kind, high: bool) -> Result<Self> {
        let (server, wire) = Wire::spawn(&mut myself(arguments)?, kind, high)?;
        let server_pid = Some(server.id());
        Line::Peer { client_pid: std::process::id(), server_pid }.print();
        Ok(Self { server, wire, ledger: Ledger::new(server_pid) })
    }

    fn run(mut self, settings: &Settings) -> Result<()> {
        let shape = &settings.shape;
        let mut ids = 1..;
        let mut id = || ids.next().unwrap_or_default();
        self.ask(&shape.initialize(id(), "2025-03-26"), shape.chunk)?;
        self.wire.write_line(INITIALIZED, shape.chunk)?;
        let mut left = settings.calls;
        while left > 0 {
            let size = settings.batch.clamp(1, left);
            let calls: Vec<_> = (0..size).map(|_| shape.call(&settings.tool, id())).collect();
            let text = if settings.batch > 1 { format!("[{}]", calls.join(",")) } else { calls.concat() };
            self.ask(&text, shape.chunk)?;
            left -= size;
        }
        self.finish()
    }

    /// Sends a request, or a batch of them, and reads until all of it is answered.
    pub fn ask(&mut self, text: &str, chunk: usize) -> Result<()> {
        let message: Value = serde_json::from_str(text)?;
        let mut open = message.as_array().map_or(1, Vec::len);
        self.ledger.passed(Direction::ClientToServer, &message);
        self.wire.write_line(text, chunk)?;
        while open > 0 {
            let Some(line) = self.wire.read_line()? else { bail!("the server went away") };
            let Ok(message) = serde_json::from_str::<Value>(&line) else { continue };
            let ended = self.ledger.passed(Direction::ServerToClient, &message);
            open = open.saturating_sub(ended.len());
            print(ended);
        }
        Ok(())
    }

    /// Closes the wire and waits for the server's end.
    pub fn finish(self) -> Result<()> {
        let Self { mut server, wire, ledger } = self;
        drop(wire);
        print(ledger.close());
        let status = server.wait().context("cannot wait for the server")?;
        if !status.success() {
            bail!("the server ended with {status}");
        }
        Ok(())
    }
}
