//! What the order and the answers of requests tell of a server: how long its sessions take from step to step, and
//! which tools it lists.
//!
//! A conversation is a session where it has an id; what goes on a connection of lines; and in the stateless era all that
//! one client process asks of one server.

use super::Pipeline;
use super::completion::Answer;
use super::connection::Label;
use super::health::Stage;
use super::jsonrpc::{Kept, Member, Message};
use super::mcp::inventory::Page;
use super::mcp::step::{self, Progress};
use super::observation::{
    CallDirection, Observation, Peer, ProtocolStep, ToolChanged, ToolsListed, Transport,
};
use super::pairing::OpenCall;
use super::pairing::scope::hash;
use super::reassembly::twin::{ConnectionId, End};

impl Pipeline {
    /// A request is asked: steps may end with it.
    pub(super) fn note_asked(&mut self, call: &OpenCall) {
        if !step::is_step(&call.method) || !self.is_observed(call) {
            return;
        }
        let (at, conversation) = (call.sent_at.unwrap_or(call.first_byte.at), self.conversation(call));
        let is_stateless = call.revision.as_deref().is_some_and(|revision| revision >= "2026-07-28");
        let begins = is_stateless && call.method.starts_with("tools/");
        if begins && self.progress.value(&conversation).is_none() {
            // It need not be asked what it is: a client may know that from an earlier process.
            self.begin_conversation(conversation, Progress::default());
        }
        let Some(progress) = self.progress.value_mut(&conversation) else { return };
        let ended: Vec<_> = progress.ask(&call.method, at).collect();
        if ended.is_empty() {
            return;
        }
        let (client, server) = self.parties_of(call);
        for (step, duration) in ended {
            let (client, server, transport) = (client.clone(), server.clone(), call.transport);
            let step = ProtocolStep { at, step, duration, transport, client, server };
            self.observations.push_back(Observation::ProtocolStep(Box::new(step)));
        }
    }

    /// A request was answered with a result.
    pub(super) fn note_answered(&mut self, call: &OpenCall, answer: &Answer<'_>) {
        if !answer.message.has_result || !step::is_step(&call.method) || !self.is_observed(call) {
            return;
        }
        let conversation = self.conversation(call);
        if let Some(progress) = Progress::begin(&call.method, call.sent_at.unwrap_or(call.first_byte.at)) {
            let again = &*call.method == "server/discover" && self.progress.value(&conversation).is_some();
            if !again {
                self.begin_conversation(conversation, progress);
            }
        }
        if &*call.method == "tools/list" {
            self.take_tools(call, conversation, answer);
        }
    }

    fn begin_conversation(&mut self, conversation: u64, progress: Progress) {
        let before = self.progress.insert(conversation, progress);
        if before.is_some_and(|(oldest, _)| oldest != conversation) {
            self.health.shed(Stage::Mcp, "conversations");
        }
    }

    /// The answer to `tools/list`, or a page of it.
    fn take_tools(&mut self, call: &OpenCall, conversation: u64, answer: &Answer<'_>) {
        let (client, server) = self.parties_of(call);
        let process = server.process.as_deref();
        let answerer = hash(&(process.map(|process| process.id), server.address));
        let place = process.map(|process| &*process.command);
        let known_by = (&server.name, place, server.address.filter(|_| place.is_none()));
        let news = self.inventory.take(&Page {
            server: hash(&known_by),
            conversation,
            answerer,
            goes_on: call.goes_on,
            has_more: has_more(answer.message),
            whole: answer.message.whole,
            tools: &answer.message.tools,
        });
        news.shed.iter().for_each(|cause| self.health.shed(Stage::Mcp, cause));
        let (at, transport) = (answer.envelope.last_byte.at, call.transport);
        for changed in news.changed {
            let (client, server) = (client.clone(), server.clone());
            let changed = ToolChanged { at, changed, transport, client, server };
            self.observations.push_back(Observation::ToolChanged(Box::new(changed)));
        }
        if let Some(tools) = news.listed {
            let listed = ToolsListed { at, tools, transport, client, server };
            self.observations.push_back(Observation::ToolsListed(Box::new(listed)));
        }
    }

    /// Whether what is known by this call is told: of TLS that is read at both ends, at the server's.
    fn is_observed(&self, call: &OpenCall) -> bool {
        let connection = self.connections.value(&call.connection);
        call.direction == CallDirection::ClientToServer
            && connection.is_some_and(|it| it.label == Label::Mcp && !self.is_shown_by_the_server(it))
    }

    fn conversation(&self, call: &OpenCall) -> u64 {
        if let Some(session) = call.session {
            return hash(&(Kind::Session, session));
        }
        let lines = matches!(call.transport, Transport::Stdio | Transport::WebSocket);
        let client = self.connections.value(&call.connection).and_then(|it| it.process(call.asker));
        match client.filter(|_| !lines) {
            Some(client) => {
                let server = self.peer(call.connection, call.asker.other());
                let process = server.process.map(|process| process.id);
                hash(&(Kind::Parties, client, process, server.address))
            }
            None => hash(&(Kind::Connection, call.connection)),
        }
    }

    /// Client and server of a call that the client asks.
    fn parties_of(&self, call: &OpenCall) -> (Peer, Peer) {
        let at = |id: ConnectionId, end: End| self.peer(id, end);
        (at(call.connection, call.asker), at(call.connection, call.asker.other()))
    }
}

/// What a conversation is known by.
#[derive(Hash)]
enum Kind {
    Session,
    Connection,
    Parties,
}

/// Whether there is another page.
fn has_more(message: &Message) -> bool {
    match message.member(Member::NextCursor) {
        Some(Kept::String(cursor)) => !cursor.is_empty(),
        Some(Kept::Null) | None => false,
        Some(_) => true,
    }
}
