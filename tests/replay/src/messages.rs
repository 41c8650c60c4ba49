//! Texts of messages, in the layouts that real peers write.

/// `initialize`, as the TypeScript SDK writes it: `id` last.
pub fn initialize(id: u64, client: &str) -> String {
    format!(
        r#"{{"method":"initialize","params":{{"protocolVersion":"2025-11-25","capabilities":{{}},"clientInfo":{{"name":"{client}","version":"0.1"}}}},"jsonrpc":"2.0","id":{id}}}"#
    )
}

/// The answer to `initialize`, as the Python SDK writes it: `id` first.
pub fn initialized(id: u64, server: &str) -> String {
    result(
        id,
        &format!(
            r#"{{"protocolVersion":"2025-11-25","capabilities":{{"tools":{{}}}},"serverInfo":{{"name":"{server}","version":"1.0"}}}}"#
        ),
    )
}

/// A notification without parameters.
pub fn notification(method: &str) -> String {
    format!(r#"{{"method":"{method}","jsonrpc":"2.0"}}"#)
}

/// `notifications/progress`.
pub fn progress(token: u64, done: u64) -> String {
    format!(
        r#"{{"method":"notifications/progress","params":{{"progressToken":{token},"progress":{done}}},"jsonrpc":"2.0"}}"#
    )
}

/// `notifications/cancelled`.
pub fn cancelled(id: u64) -> String {
    format!(r#"{{"method":"notifications/cancelled","params":{{"requestId":{id}}},"jsonrpc":"2.0"}}"#)
}

/// `ping`.
pub fn ping(id: u64) -> String {
    format!(r#"{{"method":"ping","jsonrpc":"2.0","id":{id}}}"#)
}

/// `tools/call`; `arguments` is JSON.
pub fn call(id: u64, tool: &str, arguments: &str) -> String {
    format!(
        r#"{{"method":"tools/call","params":{{"name":"{tool}","arguments":{arguments},"_meta":{{"progressToken":{id}}}}},"jsonrpc":"2.0","id":{id}}}"#
    )
}

/// `tools/list`; with `cursor`, its next page.
pub fn list(id: u64, cursor: Option<&str>) -> String {
    let params = cursor.map_or_else(String::new, |cursor| format!(r#""params":{{"cursor":"{cursor}"}},"#));
    format!(r#"{{"method":"tools/list",{params}"jsonrpc":"2.0","id":{id}}}"#)
}

/// A list of tools, each with its description; with `next`, there is another page.
pub fn listed(id: u64, tools: &[(&str, &str)], next: Option<&str>) -> String {
    let tool = |(name, description): &(&str, &str)| {
        format!(
            r#"{{"name":"{name}","description":"{description}","inputSchema":{{"type":"object","properties":{{}}}}}}"#
        )
    };
    let tools = tools.iter().map(tool).collect::<Vec<_>>().join(",");
    let next = next.map_or_else(String::new, |next| format!(r#","nextCursor":"{next}""#));
    result(id, &format!(r#"{{"tools":[{tools}]{next}}}"#))
}

/// `server/discover`, as a client asks that speaks both eras.
pub fn discover(id: u64) -> String {
    let version = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}"#;
    format!(r#"{{"method":"server/discover","params":{{{version}}},"jsonrpc":"2.0","id":{id}}}"#)
}

/// `resources/read`.
pub fn read(id: u64, uri: &str) -> String {
    format!(r#"{{"method":"resources/read","params":{{"uri":"{uri}"}},"jsonrpc":"2.0","id":{id}}}"#)
}

/// A result; `result` is JSON.
pub fn result(id: u64, result: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#)
}

/// The result of a tool, `id` last as the TypeScript SDK writes it.
pub fn tool_result(id: u64, text: &str) -> String {
    format!(r#"{{"result":{{"content":[{{"type":"text","text":"{text}"}}]}},"jsonrpc":"2.0","id":{id}}}"#)
}

/// The result of a tool that failed.
pub fn tool_error(id: u64, text: &str) -> String {
    result(id, &format!(r#"{{"content":[{{"type":"text","text":"{text}"}}],"isError":true}}"#))
}

/// An error.
pub fn error(id: u64, code: i64, message: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{code},"message":"{message}"}}}}"#)
}

/// A message as a line of stdio.
pub fn line(message: &str) -> Vec<u8> {
    format!("{message}\n").into_bytes()
}

/// A message as the body of an HTTP request, with further header lines.
pub fn post(headers: &[&str], message: &str) -> Vec<u8> {
    let headers = headers.iter().map(|header| format!("{header}\r\n")).collect::<String>();
    format!(
        "POST /mcp HTTP/1.1\r\nhost: 127.0.0.1:8080\r\ncontent-type: application/json\r\n\
         accept: application/json, text/event-stream\r\n{headers}content-length: {}\r\n\r\n{message}",
        message.len()
    )
    .into_bytes()
}

/// A message as the body of an HTTP response, with further header lines.
pub fn ok(headers: &[&str], message: &str) -> Vec<u8> {
    let headers = headers.iter().map(|header| format!("{header}\r\n")).collect::<String>();
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{headers}content-length: {}\r\n\r\n{message}",
        message.len()
    )
    .into_bytes()
}

/// A response without a message.
pub fn status(status: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").into_bytes()
}

/// The head of a response whose events follow in chunks.
pub fn event_stream() -> Vec<u8> {
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n".to_vec()
}

/// A message as an event in a chunk.
pub fn event(message: &str) -> Vec<u8> {
    let event = format!("event: message\ndata: {message}\n\n");
    format!("{:x}\r\n{event}\r\n", event.len()).into_bytes()
}

/// The end of a chunked body.
pub fn last_chunk() -> Vec<u8> {
    b"0\r\n\r\n".to_vec()
}
