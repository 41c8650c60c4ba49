//! One client and one server that talk: what they say is chosen by chance, what must be seen of it is noted.

use std::time::Duration;

use mcp_observer::pipeline::jsonrpc::Id;
use mcp_observer::pipeline::observation::{Outcome, Transport};

use super::channel::{Channel, Stage};
use super::http::Http;
use super::text;
use super::truth::Truth;
use crate::scenario::Process;

/// Calls that one side has open at once.
pub(super) const MOST_OPEN: usize = 8;

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
    pub(super) call: usize,
    pub(super) id: Id,
    pub(super) token: Option<u64>,
    pub(super) connection: usize,
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

/// The side of a client.
pub(super) const CLIENT: usize = 0;
/// The side of a server.
pub(super) const SERVER: usize = 1;

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
    pub(super) fn read_all(&mut self, stage: &mut Stage) {
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
