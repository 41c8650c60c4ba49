//! How a session asks: requests by chance, alone and in batches.

use mcp_observer::pipeline::jsonrpc::Id;
use mcp_observer::pipeline::observation::CallDirection;

use super::random::Random;
use super::session::{CLIENT, Link, MOST_OPEN, Open, Script, Session};
use super::text::{self, Request};
use super::truth::Truth;

const TOOLS: &[&str] = &["echo", "search", "run", "tools/call"];
const ASKED_OF_SERVERS: &[&str] = &["tools/list", "resources/read", "prompts/list", "vendor/thing"];
const ASKED_OF_CLIENTS: &[&str] = &["sampling/createMessage", "roots/list", "elicitation/create", "ping"];

impl Session {
    /// `side` asks; several requests go as one batch.
    pub(super) fn ask(
        &mut self,
        script: &mut Script,
        side: usize,
        method: Option<&'static str>,
        count: usize,
    ) {
        let first = script.calls.len();
        let mut texts = Vec::new();
        for _ in 0..count {
            texts.push(self.request(script, side, method));
        }
        let is_used_again = |open: &Open| open.call >= first && self.answered[side].contains(&open.id);
        if self.open[side].iter().any(is_used_again) {
            self.read_all(&mut script.stage);
        }
        let text = if count == 1 { texts.remove(0) } else { format!("[{}]", texts.join(",")) };
        let truth = &script.calls[first];
        let fields: &[(&str, &str)] = match (self.modern, truth.method) {
            (true, method) => &[("mcp-protocol-version", "2026-07-28"), ("mcp-method", method)],
            (false, "initialize") => &[],
            (false, _) => &[("mcp-protocol-version", "2025-11-25")],
        };
        let stage = &mut script.stage;
        let (connection, span) = match &mut self.link {
            Link::Lines(channels) => (0, channels[side].write(stage, format!("{text}\n").as_bytes(), &text)),
            Link::Http(http) if side == CLIENT => http.post(stage, &mut script.ports, fields, &text),
            Link::Http(http) => {
                let connection = http.stream.expect("asked only where there is a stream");
                (connection, http.event(stage, connection, &text))
            }
        };
        script.calls[first..].iter_mut().for_each(|truth| truth.request = span);
        self.open[side]
            .iter_mut()
            .filter(|open| open.call >= first)
            .for_each(|open| open.connection = connection);
    }

    fn request(&mut self, script: &mut Script, side: usize, method: Option<&'static str>) -> String {
        let random = &mut script.stage.random;
        let is_tool = method.is_none() && side == CLIENT && !random.one_in(3);
        let others = if side == CLIENT { ASKED_OF_SERVERS } else { ASKED_OF_CLIENTS };
        let method = method.unwrap_or_else(|| if is_tool { "tools/call" } else { random.pick(others) });
        let tool = is_tool.then(|| *random.pick(TOOLS));
        let id = self.unused_id(side, random);
        let token = (is_tool && random.one_in(2)).then_some(self.tokens);
        self.tokens += u64::from(token.is_some());
        let call = script.calls.len();
        let request = Request { call, method, tool, id: &id, token, modern: self.modern };
        let text = text::request(&request, random);
        let direction = [CallDirection::ClientToServer, CallDirection::ServerToClient][side];
        script.calls.push(Truth {
            session: self.number,
            asker: self.parties[side].pid(),
            asked: self.parties[1 - side].pid(),
            method,
            tool,
            id: id.clone(),
            direction,
            transport: self.transport,
            revision: if self.modern { "2026-07-28" } else { "2025-11-25" },
            outcome: None,
            code: None,
            progress: 0,
            request: 0,
            answer: None,
            first_progress: None,
        });
        self.open[side].push(Open { call, id, token, connection: 0 });
        text
    }

    /// Small numbers and the same as strings, used again as soon as they are free.
    fn unused_id(&self, side: usize, random: &mut Random) -> Id {
        loop {
            let text = random.below(MOST_OPEN * 2).to_string().into_boxed_str();
            let id = if random.one_in(3) { Id::String(text) } else { Id::Number(text) };
            if self.open[side].iter().all(|open| open.id != id) {
                return id;
            }
        }
    }
}
