//! Texts of messages in every order of members, with and without blanks.

use mcp_observer::pipeline::jsonrpc::Id;

use super::random::Random;
use super::truth::{code, mark};

/// An object with these members, in any order.
fn object(mut members: Vec<String>, random: &mut Random) -> String {
    for index in (1..members.len()).rev() {
        members.swap(index, random.below(index + 1));
    }
    let comma = *random.pick(&[",", ", ", ",", " ,\t"]);
    format!("{{{}}}", members.join(comma))
}

/// An id as JSON.
pub fn id(id: &Id) -> String {
    match id {
        Id::Number(number) => number.to_string(),
        Id::String(string) => format!("\"{string}\""),
    }
}

fn message(mut members: Vec<String>, random: &mut Random) -> String {
    members.push(r#""jsonrpc":"2.0""#.into());
    object(members, random)
}

/// What a request says.
#[derive(Debug)]
pub struct Request<'a> {
    /// Number of the call.
    pub call: usize,
    /// Its method.
    pub method: &'a str,
    /// Its tool.
    pub tool: Option<&'a str>,
    /// Its id.
    pub id: &'a Id,
    /// Its progress token.
    pub token: Option<u64>,
    /// Whether it states its revision itself (2026-07-28).
    pub modern: bool,
}

/// A request.
pub fn request(request: &Request<'_>, random: &mut Random) -> String {
    let mut meta = vec![format!(r#""note":"{}""#, noise(random))];
    if request.modern {
        meta.push(r#""io.modelcontextprotocol/protocolVersion":"2026-07-28""#.into());
        meta.push(r#""io.modelcontextprotocol/clientCapabilities":{}"#.into());
    }
    meta.extend(request.token.map(|token| format!(r#""progressToken":{token}"#)));
    let mut params = vec![format!(r#""_meta":{}"#, object(meta, random))];
    if let Some(tool) = request.tool {
        params.push(format!(r#""name":"{tool}""#));
        params.push(format!(r#""arguments":{{"mark":"{}","text":"{}"}}"#, mark(request.call), noise(random)));
    }
    match request.method {
        "initialize" => {
            params.push(r#""protocolVersion":"2025-11-25","clientInfo":{"name":"c","version":"1"}"#.into());
        }
        "resources/read" => params.push(format!(r#""uri":"file:///{}""#, request.call)),
        _ => {}
    }
    let members = vec![
        format!(r#""method":"{}""#, request.method),
        format!(r#""id":{}"#, id(request.id)),
        format!(r#""params":{}"#, object(params, random)),
    ];
    message(members, random)
}

/// A result of this call.
pub fn result(call: usize, of: &Id, tool_failed: bool, kind: Option<&str>, random: &mut Random) -> String {
    let mut members = vec![
        format!(r#""content":[{{"type":"text","text":"{}"}}]"#, noise(random)),
        format!(r#""_meta":{{"mark":"{}"}}"#, mark(call)),
    ];
    if tool_failed {
        members.push(r#""isError":true"#.into());
    }
    members.extend(kind.map(|kind| format!(r#""resultType":"{kind}""#)));
    let result = object(members, random);
    message(vec![format!(r#""result":{result}"#), format!(r#""id":{}"#, id(of))], random)
}

/// The answer to `initialize`.
pub fn initialized(call: usize, of: &Id, random: &mut Random) -> String {
    let info = format!(
        r#"{{"protocolVersion":"2025-11-25","capabilities":{{}},"serverInfo":{{"name":"s","version":"1"}},"_meta":{{"mark":"{}"}}}}"#,
        mark(call)
    );
    message(vec![format!(r#""result":{info}"#), format!(r#""id":{}"#, id(of))], random)
}

/// The error that only this call is answered with.
pub fn error(call: usize, of: &Id, random: &mut Random) -> String {
    let error = format!(r#""error":{{"code":{},"message":"{}"}}"#, code(call), noise(random));
    message(vec![error, format!(r#""id":{}"#, id(of))], random)
}

/// A notification; `params` are members.
pub fn notification(method: &str, params: &str, random: &mut Random) -> String {
    let members = vec![format!(r#""method":"{method}""#), format!(r#""params":{{{params}}}"#)];
    message(members, random)
}

/// Content that looks like messages; at times long.
fn noise(random: &mut Random) -> String {
    let part = *random.pick(&[
        r#"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}"#,
        r"\n\ndata: {\n",
        r"a\u00e9 \\",
        "HTTP/1.1 200 OK",
        "x",
    ]);
    let times = if random.one_in(200) { 900 } else { random.below(4) };
    part.repeat(times)
}
