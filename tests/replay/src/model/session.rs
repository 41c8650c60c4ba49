//! One client and one server that talk: what they say is chosen by chance, what must be seen of it is noted.

use std::time::Duration;

use mcp_observer::pipeline::jsonrpc::Id;
use mcp_observer::pipeline::observation::{CallDirection, Outcome, Transport};

use super::channel::{Channel, Stage};
use super::http::Http;
use super::text::{self, Request};
use super::truth::{Truth, code};
use crate::scenario::Process;

/// Calls that one side has open at once.
const MOST_OPEN: usize = 8;
const TOOLS: &[&str] = &["echo", "search", "run", "tools/call"];
const ASKED_OF_SERVERS: &[&str] = &["tools/list", "resources/read", "prompts/list", "vendor/thing"];
const ASKED_OF_CLIENTS: &[&str] = &["sampling/createMessage", "roots/list", "elicitation/create", "ping"];

/// How they are connected.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a world has eight")]
pub enum Link {
    /// Lines: from the client, and from the server.
    Lines([Channel; 2]),
    /// HTTP.
    Http(Box<Http>),
}

/// A client and its server.
#[derive(Debug)]
pub struct Session {
    /// Its number.
    pub number: usize,
    /// Client and server.
    pub parties: [Process; 2],
    /// How they are connected.
    pub link: Link,
    /// Whether they speak the stateless revision.
    pub modern: bool,
    /// How it is to be shown.
    pub transport: Transport,
    /// What the client and what the server asked and has no answer to.
    pub open: [Vec<Open>; 2],
    /// Ids of calls whose answers may not have been read yet: these are not used again before they were.
    pub answered: [Vec<Id>; 2],
    /// Progress tokens so far.
    pub tokens: u64,
}

/// A call in flight.
#[derive(Clone, Debug)]
pub struct Open {
    call: usize,
    id: Id,
    token: Option<u64>,
    connection: usize,
}

/// What a session adds to.
#[derive(Debug)]
pub struct Script {
    /// Records, chance and texts.
    pub stage: Stage,
    /// All calls so far.
    pub calls: Vec<Truth>,
    /// Ports of clients in use.
    pub ports: u16,
}

const CLIENT: usize = 0;
const SERVER: usize = 1;

impl Session {
    /// The beginning, as its revision and transport have it.
    pub fn begin(&mut self, script: &mut Script) {
        if self.transport == Transport::HttpSse
            && let Link::Http(http) = &mut self.link
        {
            http.listen(&mut script.stage, &mut script.ports);
        }
        if self.modern {
            return;
        }
        self.ask(script, CLIENT, Some("initialize"), 1);
        let keeps_a_session = self.transport == Transport::StreamableHttp && !script.stage.random.one_in(4);
        let open = self.open[CLIENT].remove(0);
        let answer = text::initialized(open.call, &open.id, &mut script.stage.random);
        let stage = &mut script.stage;
        let span = match &mut self.link {
            Link::Lines([up, down]) => {
                up.read_all(stage);
                let span = down.write(stage, format!("{answer}\n").as_bytes(), &answer);
                down.read_all(stage);
                span
            }
            Link::Http(http) if self.transport == Transport::HttpSse => {
                let span = http.event(stage, open.connection, &answer);
                http.read_all(stage);
                span
            }
            Link::Http(http) if keeps_a_session => {
                let id = format!("session-{}", self.number);
                let span = http.body(stage, open.connection, &[("mcp-session-id", &id)], &answer);
                http.session = Some(id);
                if stage.random.one_in(2) {
                    http.listen(stage, &mut script.ports);
                }
                span
            }
            Link::Http(http) => http.body(stage, open.connection, &[], &answer),
        };
        self.end(script, &open, Outcome::Ok, None, Some(span));
        self.tell(script, CLIENT, "notifications/initialized", "");
    }

    /// Something happens.
    pub fn step(&mut self, script: &mut Script) {
        let pause = script.stage.random.below(900) as u64;
        script.stage.scenario.passes(Duration::from_micros(pause));
        let can_ask_back = !self.modern
            && match &self.link {
                Link::Lines(_) => true,
                Link::Http(http) => http.stream.is_some(),
            };
        match script.stage.random.below(12) {
            0..4 if self.open[CLIENT].len() < MOST_OPEN => {
                let batch = !self.modern && script.stage.random.one_in(12);
                let count = if batch { 2 + script.stage.random.below(3) } else { 1 };
                self.ask(script, CLIENT, None, count);
            }
            4..8 => self.answer_some(script, CLIENT),
            8 if can_ask_back && self.open[SERVER].len() < 3 => self.ask(script, SERVER, None, 1),
            8 | 9 => self.answer_some(script, SERVER),
            10 if script.stage.random.one_in(3) => self.cancel(script),
            10 => self.progress(script),
            _ => self.read_some(script),
        }
    }

    /// `side` asks; several requests go as one batch.
    fn ask(&mut self, script: &mut Script, side: usize, method: Option<&'static str>, count: usize) {
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
    fn unused_id(&self, side: usize, random: &mut super::random::Random) -> Id {
        loop {
            let text = random.below(MOST_OPEN * 2).to_string().into_boxed_str();
            let id = if random.one_in(3) { Id::String(text) } else { Id::Number(text) };
            if self.open[side].iter().all(|open| open.id != id) {
                return id;
            }
        }
    }

    /// Who was asked by `side` answers one call, or a whole batch.
    fn answer_some(&mut self, script: &mut Script, side: usize) {
        if self.open[side].is_empty() {
            return;
        }
        let index = script.stage.random.below(self.open[side].len());
        let open = self.open[side].remove(index);
        let random = &mut script.stage.random;
        let (text, outcome, code) = answer(&script.calls[open.call], &open, self.modern, random);
        let stage = &mut script.stage;
        let others = self.open[side].iter().any(|other| other.connection == open.connection);
        self.answered[side].push(open.id.clone());
        let span = match &mut self.link {
            Link::Lines(channels) => {
                channels[side].read_all(stage);
                channels[1 - side].write(stage, format!("{text}\n").as_bytes(), &text)
            }
            Link::Http(http) if side == SERVER => {
                http.read_down(stage, open.connection);
                http.post_only(stage, &mut script.ports, &text)
            }
            Link::Http(http) if Some(open.connection) == http.stream => {
                http.event(stage, open.connection, &text)
            }
            Link::Http(http) if others || http.must_stream(open.connection) || stage.random.one_in(2) => {
                let moved = if http.session.is_some() && !others && stage.random.one_in(8) {
                    http.resume(stage, &mut script.ports, open.connection)
                } else {
                    open.connection
                };
                let span = http.event(stage, moved, &text);
                if !others {
                    http.end_events(stage, moved);
                }
                span
            }
            Link::Http(http) if stage.random.one_in(10) => {
                let (line, status) =
                    *stage.random.pick(&[("503 Service Unavailable", 503), ("401 Unauthorized", 401)]);
                let span = http.status(stage, open.connection, line);
                return self.end(script, &open, Outcome::HttpError, Some(status), Some(span));
            }
            Link::Http(http) => http.body(stage, open.connection, &[], &text),
        };
        self.end(script, &open, outcome, code, Some(span));
    }

    fn end(
        &mut self,
        script: &mut Script,
        open: &Open,
        how: Outcome,
        code: Option<i64>,
        answer: Option<usize>,
    ) {
        let truth = &mut script.calls[open.call];
        (truth.outcome, truth.code, truth.answer) = (Some(how), code, answer);
    }

    /// Who was asked tells how far it is.
    fn progress(&mut self, script: &mut Script) {
        let with_token = |open: &&Open| open.token.is_some();
        let Some(open) = self.open[CLIENT].iter().find(with_token).cloned() else { return };
        let params = format!(r#""progressToken":{},"progress":1"#, open.token.unwrap_or_default());
        let stage = &mut script.stage;
        let text = text::notification("notifications/progress", &params, &mut stage.random);
        let span = match &mut self.link {
            Link::Lines([up, down]) => {
                up.read_all(stage);
                down.write(stage, format!("{text}\n").as_bytes(), &text)
            }
            Link::Http(http) => http.event(stage, open.connection, &text),
        };
        let truth = &mut script.calls[open.call];
        truth.progress += 1;
        truth.first_progress = truth.first_progress.or(Some(span));
    }

    /// The client takes a call back, in the way of its revision and transport. No answer comes.
    fn cancel(&mut self, script: &mut Script) {
        if self.open[CLIENT].is_empty() {
            return;
        }
        let index = script.stage.random.below(self.open[CLIENT].len());
        let open = self.open[CLIENT][index].clone();
        let alone = self.open[CLIENT].iter().filter(|other| other.connection == open.connection).count() == 1;
        let params = format!(r#""requestId":{}"#, text::id(&open.id));
        self.read_all(&mut script.stage); // progress that was told before is heard before
        match &mut self.link {
            Link::Http(http) if self.modern => {
                http.close(&mut script.stage, open.connection);
            }
            Link::Http(http) if self.transport == Transport::StreamableHttp => {
                if http.session.is_none() || !alone {
                    return;
                }
                self.tell(script, CLIENT, "notifications/cancelled", &params);
                if let Link::Http(http) = &mut self.link {
                    http.end_events(&mut script.stage, open.connection);
                }
            }
            _ => self.tell(script, CLIENT, "notifications/cancelled", &params),
        }
        self.open[CLIENT].remove(index);
        self.end(script, &open, Outcome::Cancelled, None, None);
    }

    /// `side` tells something.
    fn tell(&mut self, script: &mut Script, side: usize, method: &str, params: &str) {
        let stage = &mut script.stage;
        let text = text::notification(method, params, &mut stage.random);
        match &mut self.link {
            Link::Lines(channels) => {
                channels[side].write(stage, format!("{text}\n").as_bytes(), &text);
                channels[side].read_all(stage);
            }
            Link::Http(http) => {
                http.post_only(stage, &mut script.ports, &text);
            }
        }
    }

    fn read_some(&mut self, script: &mut Script) {
        match &mut self.link {
            Link::Lines(channels) => {
                let side = script.stage.random.below(2);
                channels[side].read_some(&mut script.stage);
            }
            Link::Http(http) => http.read_some(&mut script.stage),
        }
    }

    /// All that was written is read.
    fn read_all(&mut self, stage: &mut Stage) {
        match &mut self.link {
            Link::Lines(channels) => channels.iter_mut().for_each(|channel| channel.read_all(stage)),
            Link::Http(http) => http.read_all(stage),
        }
        self.answered = Default::default();
    }

    /// The end: all that was written is read; a server on lines may end with calls in flight.
    pub fn finish(&mut self, script: &mut Script) {
        let stage = &mut script.stage;
        self.read_all(stage);
        if let Link::Lines([_, answers]) = &self.link
            && stage.random.one_in(2)
        {
            stage.scenario.exits(self.parties[SERVER], 9);
            stage.scenario.ends(answers.wire);
            let open: Vec<Open> = self.open.iter_mut().flat_map(std::mem::take).collect();
            for open in open {
                self.end(script, &open, Outcome::Abandoned, None, None);
            }
        }
    }

    /// The kernel's streams that it used.
    pub fn streams(&self) -> Vec<u64> {
        match &self.link {
            Link::Lines(channels) => channels.iter().flat_map(|channel| channel.wire.streams()).collect(),
            Link::Http(http) => http.streams().collect(),
        }
    }
}

/// An answer by chance, and what it means.
fn answer(
    truth: &Truth,
    open: &Open,
    modern: bool,
    random: &mut super::random::Random,
) -> (String, Outcome, Option<i64>) {
    let of_tool = truth.method == "tools/call";
    let mut result = |failed, kind: Option<&str>| text::result(open.call, &open.id, failed, kind, random);
    match open.call % 11 {
        0 => (text::error(open.call, &open.id, random), Outcome::RpcError, Some(code(open.call))),
        1 if of_tool => (result(true, None), Outcome::ToolError, None),
        2 if of_tool && modern => (result(false, Some("input_required")), Outcome::InputRequired, None),
        3 if of_tool && modern => (result(false, Some("task")), Outcome::Task, None),
        _ if modern => (result(false, Some("complete")), Outcome::Ok, None),
        _ => (result(false, None), Outcome::Ok, None),
    }
}
