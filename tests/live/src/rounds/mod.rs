//! Rounds of traffic in which there is something of everything that dashboards and alerts are about: several tools,
//! errors of each kind, a call that takes its time, a tool that is described anew, a crash, sessions, and credentials
//! that are refused.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

/// A server over HTTP, which ends with this; in each round one on standard input and output is started too.
#[derive(Debug)]
pub struct Rounds {
    folder: PathBuf,
    server: Child,
    client: BufReader<TcpStream>,
    requests: u32,
}

impl Rounds {
    /// Starts the server.
    pub fn start() -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("mcp-observer-rounds-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        for (name, text) in
            [("shelf", include_str!("stdio_server.py")), ("door", include_str!("http_server.py"))]
        {
            std::fs::write(folder.join(name).with_extension("py"), text)?;
        }
        let mut server = python(&folder, "door").spawn().context("cannot start python3")?;
        let mut port = String::new();
        BufReader::new(server.stdout.take().context("no output")?).read_line(&mut port)?;
        let client = BufReader::new(TcpStream::connect(("127.0.0.1", port.trim().parse()?))?);
        Ok(Self { folder, server, client, requests: 0 })
    }

    /// One round; it takes more than a second.
    pub fn round(&mut self) -> Result<()> {
        self.shelf().context("the server on standard input and output")?;
        self.door().context("the server over HTTP")
    }

    fn shelf(&mut self) -> Result<()> {
        let mut server = python(&self.folder, "shelf").spawn()?;
        let mut input = server.stdin.take().context("no input")?;
        let mut output = BufReader::new(server.stdout.take().context("no output")?);
        self.ask(&mut input, &mut output, "initialize", initialize())?;
        writeln!(input, "{}", json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))?;
        for _ in 0..3 {
            self.ask(&mut input, &mut output, "tools/list", json!({}))?;
        }
        for tool in ["echo", "echo", "add", "slow", "fail", "absent"] {
            self.ask(&mut input, &mut output, "tools/call", json!({"name": tool, "arguments": {}}))?;
        }
        writeln!(input, "{}", self.request("tools/call", json!({"name": "crash"})))?;
        let status = server.wait()?;
        ensure!(status.code() == Some(3), "it ended with {status}");
        Ok(())
    }

    fn ask(
        &mut self,
        input: &mut impl Write,
        output: &mut BufReader<ChildStdout>,
        method: &str,
        params: Value,
    ) -> Result<()> {
        writeln!(input, "{}", self.request(method, params))?;
        let mut line = String::new();
        output.read_line(&mut line)?;
        ensure!(!line.is_empty(), "{method}: no answer");
        Ok(())
    }

    fn request(&mut self, method: &str, params: Value) -> Value {
        self.requests += 1;
        json!({"jsonrpc": "2.0", "id": self.requests, "method": method, "params": params})
    }

    fn door(&mut self) -> Result<()> {
        const TOKEN: &str = "authorization: Bearer eyJhbGciOi.c2VjcmV0.c2ln\r\n";
        let hello = self.request("initialize", initialize());
        self.exchange("POST", "", &hello, 401)?;
        for _ in 0..8 {
            let call = self.request("tools/call", json!({"name": "echo"}));
            self.exchange("POST", "authorization: Bearer nobody\r\n", &call, 403)?;
        }
        let session = self.exchange("POST", TOKEN, &hello, 200)?.context("no session")?;
        let headers = format!("{TOKEN}mcp-session-id: {session}\r\nmcp-protocol-version: 2025-11-25\r\n");
        let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        self.exchange("POST", &headers, &ready, 202)?;
        for (method, params) in [("tools/list", json!({})), ("tools/call", json!({"name": "echo"}))] {
            let request = self.request(method, params);
            self.exchange("POST", &headers, &request, 200)?;
        }
        self.exchange("DELETE", &headers, &Value::Null, 204).map(drop)
    }

    /// Sends a request and reads the whole answer, which must have this status. Returns the session that it begins.
    fn exchange(
        &mut self,
        verb: &str,
        headers: &str,
        message: &Value,
        status: u16,
    ) -> Result<Option<String>> {
        let body = if message.is_null() { String::new() } else { message.to_string() };
        let length = body.len();
        let head = format!("{verb} /mcp HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n");
        let text = format!("{head}{headers}content-length: {length}\r\n\r\n{body}");
        self.client.get_mut().write_all(text.as_bytes())?;
        let (mut line, mut length, mut session) = (String::new(), 0, None);
        self.client.read_line(&mut line)?;
        ensure!(line.contains(&format!(" {status} ")), "{verb}: {line}");
        loop {
            line.clear();
            self.client.read_line(&mut line)?;
            match line.trim().split_once(": ") {
                Some(("content-length", value)) => length = value.parse()?,
                Some(("mcp-session-id", value)) => session = Some(value.to_owned()),
                Some(_) => {}
                None => break,
            }
        }
        self.client.read_exact(&mut vec![0; length]).context("the body")?;
        Ok(session)
    }
}

impl Drop for Rounds {
    fn drop(&mut self) {
        // An error here means that it is gone already, which is what is wanted.
        let _ = self.server.kill();
        let _ = self.server.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// The server of this name, which is that of its script too: so it is called even before it names itself.
fn python(folder: &std::path::Path, name: &str) -> Command {
    let mut command = Command::new("python3");
    command.arg(folder.join(name).with_extension("py")).arg(name);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

fn initialize() -> Value {
    json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "rounds", "version": "1"}})
}
