//! One HTTP server for streamable HTTP at /mcp, the two endpoints of 2024 at /sse and /message, and anything
//! else that is posted to it.

use std::collections::BTreeMap;
use std::io::{BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use peers::truth::Line;
use serde_json::Value;

use crate::http_wire::{Head, event, write_chunk};
use crate::message::Replies;

/// The event streams that are open, by session.
type Streams = Arc<Mutex<BTreeMap<String, TcpStream>>>;

/// Says where it listens and serves until its standard input ends.
pub fn run() -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Line::Listening { pid: std::process::id(), port: listener.local_addr()?.port() }.print();
    std::thread::spawn(move || {
        let streams = Streams::default();
        for stream in listener.incoming().flatten() {
            let streams = streams.clone();
            // A client that breaks off ends its own connection and nothing else.
            std::thread::spawn(move || connection(&stream, &streams));
        }
    });
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    Ok(())
}

fn connection(stream: &TcpStream, streams: &Streams) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream.try_clone()?;
    while let Some(head) = Head::read(&mut reader)? {
        let body = head.body(&mut reader)?;
        let mut words = head.first.split(' ');
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        match (method, path.split_once("?sessionId=")) {
            ("GET", _) if path == "/sse" => open_stream(&mut writer, streams)?,
            ("POST", Some(("/message", session))) => posted(&mut writer, streams, session, &body)?,
            ("POST", None) if path == "/mcp" => streamable(&mut writer, &serde_json::from_slice(&body)?)?,
            ("POST", None) => ethereum(&mut writer, &serde_json::from_slice(&body)?)?,
            _ => plain(&mut writer, 405, "text/plain", "")?,
        }
    }
    Ok(())
}

fn streamable(writer: &mut TcpStream, message: &Value) -> Result<()> {
    let replies = Replies::to(message);
    let Some(answer) = &replies.answer else { return plain(writer, 202, "text/plain", "") };
    if let Some(status) = replies.shape.status {
        return plain(writer, status, "text/html", "<html>no</html>");
    }
    if !replies.shape.sse {
        replies.wait();
        return plain(writer, 200, "application/json", answer);
    }
    writer.write_all(EVENT_STREAM.as_bytes())?;
    for text in &replies.before {
        write_chunk(writer, event("message", text).as_bytes())?;
    }
    replies.wait();
    let text = event("message", answer);
    let size = if replies.shape.chunk == 0 { text.len() } else { replies.shape.chunk };
    for part in text.as_bytes().chunks(size) {
        write_chunk(writer, part)?;
    }
    write_chunk(writer, b"")
}

fn open_stream(writer: &mut TcpStream, streams: &Streams) -> Result<()> {
    let mut streams = streams.lock().unwrap_or_else(PoisonError::into_inner);
    let session = format!("session-{}", streams.len());
    writer.write_all(EVENT_STREAM.as_bytes())?;
    write_chunk(writer, event("endpoint", &format!("/message?sessionId={session}")).as_bytes())?;
    streams.insert(session, writer.try_clone()?);
    Ok(())
}

fn posted(writer: &mut TcpStream, streams: &Streams, session: &str, body: &[u8]) -> Result<()> {
    plain(writer, 202, "text/plain", "Accepted")?;
    let replies = Replies::to(&serde_json::from_slice(body)?);
    replies.wait();
    let streams = streams.lock().unwrap_or_else(PoisonError::into_inner);
    let mut stream = streams.get(session).context("no such session")?;
    for text in replies.before.iter().chain(&replies.answer) {
        write_chunk(&mut stream, event("message", text).as_bytes())?;
    }
    Ok(())
}

fn ethereum(writer: &mut TcpStream, message: &Value) -> Result<()> {
    let answer = |request: &Value| format!(r#"{{"jsonrpc":"2.0","id":{},"result":"0x1b4"}}"#, request["id"]);
    let text = match message {
        Value::Array(batch) => format!("[{}]", batch.iter().map(answer).collect::<Vec<_>>().join(",")),
        one => answer(one),
    };
    plain(writer, 200, "application/json", &text)
}

fn plain(writer: &mut TcpStream, status: u16, kind: &str, body: &str) -> Result<()> {
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status} Status\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}");
    writer.write_all(head.as_bytes())?;
    Ok(())
}

const EVENT_STREAM: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n\
                            Mcp-Session-Id: raw-session\r\nTransfer-Encoding: chunked\r\n\r\n";
