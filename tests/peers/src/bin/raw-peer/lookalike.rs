//! Traffic that shares framing, methods or members with MCP and is not MCP. Nothing of it is a call.

use std::io::{BufRead, Read};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use peers::truth::Line;
use serde_json::{Value, json};

use crate::http_client::{Client, Server};
use crate::http_wire::Head;
use crate::wire::{Kind, Wire, myself};

/// Which kind and how much.
#[derive(Args)]
pub struct Settings {
    /// The protocol.
    #[arg(value_enum)]
    protocol: Protocol,
    /// Requests.
    #[arg(long, default_value_t = 20)]
    calls: u64,
}

#[derive(Clone, Copy, ValueEnum)]
enum Protocol {
    /// Language Server Protocol: JSON-RPC with `Content-Length` heads, and an `initialize` of its own.
    Lsp,
    /// Agent Client Protocol: the framing of MCP, `initialize` with `clientInfo`, an integer version.
    Acp,
    /// JSON-RPC of an Ethereum node over HTTP POST, single and in batches.
    Ethereum,
    /// JSON log lines that tell of MCP messages.
    Log,
}

/// The asking end.
pub fn client(settings: &Settings) -> Result<()> {
    if let Protocol::Ethereum = settings.protocol {
        return ethereum(settings.calls);
    }
    let protocol = settings.protocol.to_possible_value().context("a protocol without a name")?;
    let calls = settings.calls.to_string();
    let arguments = ["serve-lookalike", protocol.get_name(), "--calls", &calls];
    let (mut server, mut wire) = Wire::spawn(&mut myself(&arguments)?, Kind::Pipe, false)?;
    Line::Peer { client_pid: std::process::id(), server_pid: Some(server.id()) }.print();
    match settings.protocol {
        Protocol::Lsp => ask_all(&mut wire, &lsp(settings.calls), true)?,
        Protocol::Acp => ask_all(&mut wire, &acp(settings.calls), false)?,
        Protocol::Log | Protocol::Ethereum => while wire.read_line()?.is_some() {},
    }
    drop(wire);
    server.wait()?;
    Ok(())
}

/// The answering end.
pub fn server(settings: &Settings) -> Result<()> {
    let mut wire = Wire::standard(false)?;
    match settings.protocol {
        Protocol::Lsp => answer_all(&mut wire, true),
        Protocol::Acp => answer_all(&mut wire, false),
        Protocol::Log | Protocol::Ethereum => {
            (0..settings.calls).try_for_each(|n| log(n).iter().try_for_each(|text| wire.write_line(text, 0)))
        }
    }
}

fn ask_all(wire: &mut Wire, requests: &[Value], heads: bool) -> Result<()> {
    for request in requests {
        put(wire, request, heads)?;
        while request.get("id").is_some() {
            let answer = take(wire, heads)?.context("the other end went away")?;
            if answer.get("method").is_none() && answer["id"] == request["id"] {
                break;
            }
            if answer.get("id").is_some() {
                put(wire, &json!({"jsonrpc": "2.0", "id": answer["id"], "result": {}}), heads)?;
            }
        }
    }
    Ok(())
}

fn answer_all(wire: &mut Wire, heads: bool) -> Result<()> {
    while let Some(request) = take(wire, heads)? {
        let Some(id) = request.get("id").filter(|_| request.get("method").is_some()) else { continue };
        if request["method"] == "session/prompt" {
            put(wire, &json!({"jsonrpc":"2.0","method":"session/update","params":{"sessionId":"s"}}), heads)?;
            let read = json!({"jsonrpc":"2.0","id":id,"method":"fs/read_text_file","params":{"path":"a"}});
            put(wire, &read, heads)?;
        }
        let result = match request["method"].as_str() {
            Some("initialize") if heads => json!({"capabilities": {}, "serverInfo": {"name": "lsp"}}),
            Some("initialize") => json!({"protocolVersion": 1, "agentCapabilities": {}, "authMethods": []}),
            _ => json!({"stopReason": "end_turn", "sessionId": "s"}),
        };
        put(wire, &json!({"jsonrpc": "2.0", "id": id, "result": result}), heads)?;
    }
    Ok(())
}

fn put(wire: &mut Wire, message: &Value, heads: bool) -> Result<()> {
    let text = message.to_string();
    match heads {
        true => wire.write(format!("Content-Length: {}\r\n\r\n{text}", text.len()).as_bytes(), 0),
        false => wire.write_line(&text, 0),
    }
}

fn take(wire: &mut Wire, heads: bool) -> Result<Option<Value>> {
    if !heads {
        return wire.read_line()?.map(|line| Ok(serde_json::from_str(&line)?)).transpose();
    }
    let reader = wire.reader();
    if reader.fill_buf()?.is_empty() {
        return Ok(None);
    }
    // A language server's head has no first line: its first header takes that place.
    let length = Head::read(reader)?.context("no head")?.first;
    let length = length.rsplit(' ').next().unwrap_or_default().parse()?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Some(serde_json::from_slice(&body)?))
}

fn lsp(calls: u64) -> Vec<Value> {
    let at = json!({"textDocument": {"uri": "file:///a"}, "position": {"line": 0, "character": 0}});
    let mut all = vec![
        json!({"jsonrpc":"2.0","id":0,"method":"initialize",
            "params":{"processId":1,"rootUri":null,"capabilities":{},"clientInfo":{"name":"editor"}}}),
        json!({"jsonrpc":"2.0","method":"initialized","params":{}}),
    ];
    all.extend(
        (1..=calls).map(|id| json!({"jsonrpc":"2.0","id":id,"method":"textDocument/hover","params":at})),
    );
    all.push(json!({"jsonrpc":"2.0","id":calls + 1,"method":"shutdown"}));
    all.push(json!({"jsonrpc":"2.0","method":"exit"}));
    all
}

fn acp(calls: u64) -> Vec<Value> {
    let client = json!({"name": "editor", "version": "1"});
    let prompt = json!({"sessionId": "s", "prompt": [{"type": "text", "text": "call the tool echo"}]});
    let mut all = vec![
        json!({"jsonrpc":"2.0","id":0,"method":"initialize",
            "params":{"protocolVersion":1,"clientCapabilities":{},"clientInfo":client}}),
        json!({"jsonrpc":"2.0","id":1,"method":"session/new","params":{"cwd":"/","mcpServers":[]}}),
    ];
    all.extend(
        (2..calls + 2).map(|id| json!({"jsonrpc":"2.0","id":id,"method":"session/prompt","params":prompt})),
    );
    all
}

fn log(n: u64) -> [String; 4] {
    let message = format!(r#"{{"jsonrpc":"2.0","id":{n},"method":"tools/call","params":{{"name":"echo"}}}}"#);
    [
        json!({"level":"info","id":n,"method":"POST","path":"/mcp","result":200}).to_string(),
        json!({"level":"info","id":n,"method":"tools/call","params":{"name":"echo"}}).to_string(),
        json!({"level":"debug","msg":message}).to_string(),
        format!("DEBUG --> {message}"),
    ]
}

fn ethereum(calls: u64) -> Result<()> {
    let server = Server::start()?;
    let mut client = Client::new(&server, "/", false);
    let request =
        |id: u64, method: &str| json!({"jsonrpc":"2.0","id":id,"method":method,"params":["latest"]});
    for id in 0..calls {
        client.exchange(&request(id, "eth_getBalance").to_string(), 0)?;
        let batch = json!([request(id, "eth_call"), request(id + 1, "net_version")]);
        client.exchange(&batch.to_string(), 0)?;
    }
    server.stop()
}
