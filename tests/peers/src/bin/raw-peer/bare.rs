//! Client and server that do next to nothing beside their system calls, for measurements: texts are made by hand and
//! looked at as far as the id.
//!
//! The server is one thread that reads and answers; what comes together is answered together, as over a pipe.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use memchr::{memchr, memmem};
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::wire::{Kind, Wire, myself};

/// What joins client and server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Carrier {
    /// Lines over two pipes.
    Pipe,
    /// Lines over two pairs of Unix sockets.
    Socketpair,
    /// Streamable HTTP over one connection.
    Http,
}

impl Carrier {
    fn name(self) -> &'static str {
        match self {
            Self::Pipe => "pipe",
            Self::Socketpair => "socketpair",
            Self::Http => "http",
        }
    }
}

/// How the server is to answer.
#[derive(Args)]
pub struct Settings {
    #[arg(long, value_enum, default_value = "pipe")]
    carrier: Carrier,
    /// Run on this processor alone.
    #[arg(long)]
    cpu: Option<usize>,
    /// Bytes of text in each result.
    #[arg(long, default_value_t = 100)]
    bytes: usize,
}

/// Serves until the client closes.
pub fn serve(settings: &Settings) -> Result<()> {
    stay_on(settings.cpu)?;
    let text = "x".repeat(settings.bytes);
    if settings.carrier == Carrier::Http {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        println!("{}", listener.local_addr()?.port());
        let (stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        let stream = OwnedFd::from(stream);
        return answer_all(stream.try_clone()?.into(), stream.into(), &text, true);
    }
    let (reader, writer) = Wire::standard(false)?.split();
    answer_all(reader.into_inner(), writer, &text, false)
}

fn answer_all(reader: File, mut writer: File, text: &str, http: bool) -> Result<()> {
    let mut messages = Messages::new(reader, http);
    let mut answers = Vec::new();
    while messages.wait()? {
        while let Some(message) = messages.next() {
            answer(message, text, http, &mut answers)?;
        }
        writer.write_all(&answers)?;
        answers.clear();
    }
    Ok(())
}

fn answer(message: &[u8], text: &str, http: bool, answers: &mut Vec<u8>) -> Result<()> {
    let Some(id) = id_of(message) else {
        // A notification: HTTP answers it, without a body.
        if http {
            answers.extend(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n");
        }
        return Ok(());
    };
    let result = match find(message, br#""initialize""#).is_some() {
        true => INITIALIZED_RESULT.to_owned(),
        false => format!(r#"{{"content":[{{"type":"text","text":"{text}"}}],"isError":false}}"#),
    };
    let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#);
    if http {
        write!(
            answers,
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
    } else {
        writeln!(answers, "{body}")?;
    }
    Ok(())
}

/// The text of a call.
pub fn call(id: u64) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"bench_echo","arguments":{{"message":"hello"}}}}}}"#
    )
}

/// The client's end of a session.
pub struct Session {
    server: Child,
    /// What comes back.
    pub messages: Messages,
    writer: File,
    http: bool,
}

impl Session {
    /// Starts a server and opens a session with it.
    pub fn open(carrier: Carrier, cpu: Option<usize>, bytes: usize) -> Result<Self> {
        let (bytes, cpu) = (bytes.to_string(), cpu.map(|cpu| cpu.to_string()));
        let mut arguments = vec!["serve-bare", "--carrier", carrier.name(), "--bytes", &bytes];
        arguments.extend(cpu.iter().flat_map(|cpu| ["--cpu", cpu]));
        let mut command = myself(&arguments)?;
        let http = carrier == Carrier::Http;
        let (server, reader, writer) = match carrier {
            Carrier::Http => connect(&mut command)?,
            Carrier::Pipe | Carrier::Socketpair => {
                let kind = if carrier == Carrier::Pipe { Kind::Pipe } else { Kind::Socketpair };
                let (server, wire) = Wire::spawn(&mut command, kind, false)?;
                let (reader, writer) = wire.split();
                (server, reader.into_inner(), writer)
            }
        };
        let mut session = Self { server, messages: Messages::new(reader, http), writer, http };
        session.send(INITIALIZE)?;
        session.answered()?;
        session.send(INITIALIZED)?;
        if http {
            session.answered()?;
        }
        Ok(session)
    }

    /// Sends one message.
    pub fn send(&mut self, text: &str) -> Result<()> {
        self.send_bytes(&self.framed(text))
    }

    /// A message as it goes over the wire.
    pub fn framed(&self, text: &str) -> Vec<u8> {
        framed(text, self.http)
    }

    /// Sends a message that is framed already.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.writer.write_all(bytes)?)
    }

    /// Waits for what answers the last message.
    pub fn answered(&mut self) -> Result<()> {
        while self.messages.next().is_none() {
            if !self.messages.wait()? {
                bail!("the server went away");
            }
        }
        Ok(())
    }

    /// Closes and waits for the server's end.
    pub fn close(mut self) -> Result<()> {
        drop((self.messages, self.writer));
        self.server.wait()?;
        Ok(())
    }

    /// The two directions apart, for two threads, and the server.
    pub fn split(self) -> (Messages, File, Child) {
        (self.messages, self.writer, self.server)
    }
}

fn connect(server: &mut Command) -> Result<(Child, File, File)> {
    let mut server = server.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let mut line = String::new();
    BufReader::new(server.stdout.take().context("no output")?).read_line(&mut line)?;
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, line.trim().parse()?))?;
    stream.set_nodelay(true)?;
    let stream = OwnedFd::from(stream);
    Ok((server, stream.try_clone()?.into(), stream.into()))
}

/// A message as it goes to the server.
pub fn framed(text: &str, http: bool) -> Vec<u8> {
    if !http {
        return format!("{text}\n").into_bytes();
    }
    format!(
        "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\nContent-Length: {}\r\n\r\n{text}",
        text.len()
    )
    .into_bytes()
}

/// Messages as they come: lines, or HTTP messages whose length is told.
pub struct Messages {
    reader: File,
    http: bool,
    /// What was read and not yet taken is from `at` to `end`.
    buffer: Vec<u8>,
    at: usize,
    end: usize,
    /// There is no line's end before this.
    searched: usize,
}

impl Messages {
    fn new(reader: File, http: bool) -> Self {
        Self { reader, http, buffer: vec![0; READ_BYTES], at: 0, end: 0, searched: 0 }
    }

    /// Reads once. Returns false at the end.
    pub fn wait(&mut self) -> Result<bool> {
        if self.at > 0 {
            self.buffer.copy_within(self.at..self.end, 0);
            self.end -= self.at;
            self.searched = self.searched.saturating_sub(self.at);
            self.at = 0;
        }
        if self.buffer.len() - self.end < READ_BYTES / 2 {
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
        let read = self.reader.read(&mut self.buffer[self.end..])?;
        self.end += read;
        Ok(read > 0)
    }

    /// The next message that is there whole.
    pub fn next(&mut self) -> Option<&[u8]> {
        let rest = &self.buffer[self.at..self.end];
        let len = if self.http {
            http_len(rest)?
        } else {
            let searched = self.searched.saturating_sub(self.at);
            self.searched = self.end;
            let len = searched + memchr(b'\n', &rest[searched..])? + 1;
            self.searched = self.at + len;
            len
        };
        let message = rest.get(..len)?;
        self.at += len;
        Some(message)
    }
}

fn http_len(bytes: &[u8]) -> Option<usize> {
    let head = find(bytes, b"\r\n\r\n")?;
    let length = &bytes[find(&bytes[..head], LENGTH)? + LENGTH.len()..head];
    Some(head + 4 + digits(length).parse::<usize>().ok()?)
}

/// The id of a message, none for a notification.
fn id_of(message: &[u8]) -> Option<&str> {
    let at = find(message, ID)? + ID.len();
    Some(digits(&message[at..]))
}

fn digits(text: &[u8]) -> &str {
    let len = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&text[..len]).unwrap_or_default()
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    memmem::find(bytes, what)
}

/// Keeps this process on one processor.
pub fn stay_on(cpu: Option<usize>) -> Result<()> {
    let Some(cpu) = cpu else { return Ok(()) };
    let mut only = CpuSet::new();
    only.set(cpu);
    sched_setaffinity(None, &only).context("cannot choose the processor")
}

const READ_BYTES: usize = 65_536;
const LENGTH: &[u8] = b"Content-Length: ";
const ID: &[u8] = br#""id":"#;
const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"bare-peer","version":"1"}}}"#;
const INITIALIZED: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
const INITIALIZED_RESULT: &str = r#"{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"bare-server","version":"1"}}"#;

#[cfg(test)]
mod tests {
    use super::{call, framed, http_len, id_of};

    #[test]
    fn a_call_has_its_id_and_its_length() {
        let text = call(42);
        assert_eq!(id_of(text.as_bytes()), Some("42"));
        assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
        let request = framed(&text, true);
        assert_eq!(http_len(&request), Some(request.len()));
        assert_eq!(http_len(&request[..40]), None);
    }
}
