//! One record at a time: streams open and close, bytes move, processes come and go, time passes.

use observer_common::stream::Verdict;

use super::Pipeline;
use super::connection::{Connection, Label};
use super::health::Stage;
use super::input::{Direction, Event, EventBody, Identity, Input, ProcessId, StreamId};
use super::observation::{self, Observation, Outcome, Peer};
use super::pairing::CallId;
use super::reader::{Found, Kind};
use super::reassembly::Piece;
use super::reassembly::stream::Moved;
use super::reassembly::twin::{ConnectionId, End, Medium, Place};
use super::time::Timestamp;

impl Pipeline {
    /// Takes one record.
    pub fn feed(&mut self, input: Input<'_>) {
        match input {
            Input::Time(at) => self.pass(at),
            Input::Seen(event) => {
                self.pass(event.at);
                self.see(event);
            }
        }
    }

    /// No more will come: what is open is shown as far as it is known.
    pub fn finish(&mut self, at: Timestamp) {
        self.pass(at);
        while let Some((id, call)) = self.calls.pop_oldest() {
            self.forget_call(call.connection, id);
            self.end_unanswered(call, Outcome::Abandoned);
        }
        while let Some(call) = self.settling.pop_due(Timestamp::from_nanos(u64::MAX)) {
            self.show(call);
        }
    }

    fn see(&mut self, event: Event<'_>) {
        let Event { at, process, body } = event;
        match body {
            EventBody::StreamOpened { stream, identity } => self.open_stream(process, stream, &identity),
            EventBody::Bytes { stream, direction, position, moved, data } => {
                let moved = Moved { at, direction, position, count: moved, data };
                self.move_bytes(process, stream, moved);
            }
            EventBody::StreamClosed { stream } => self.close_stream(process, stream, at),
            EventBody::TlsBound { stream, socket } => self.bind_tls(stream, socket),
            EventBody::ProcessSeen(facts) => self.processes.see(process, *facts),
            EventBody::ProcessExited { status } => self.end_process(process, at, status),
            EventBody::LibraryFound(_) => {}
            EventBody::Lost { cause, records, bytes } => {
                let loss = observation::Loss { at, cause, records, bytes, stream: None };
                self.observations.push_back(Observation::Loss(loss));
            }
            EventBody::BlindSpot(facts) => {
                let blind_spot = observation::BlindSpot { at, process, facts: *facts };
                self.observations.push_back(Observation::BlindSpot(Box::new(blind_spot)));
            }
        }
    }

    /// Lets time pass until `at`: what was due until then happens.
    fn pass(&mut self, at: Timestamp) {
        self.now = self.now.max(at);
        while let Some((id, call)) = self.calls.pop_due(self.now) {
            self.forget_call(call.connection, id);
            let outcome = call.doom.1;
            self.end_unanswered(call, outcome);
        }
        while let Some(call) = self.settling.pop_due(self.now) {
            self.show(call);
        }
        while let Some((connection, to)) = self.held.pop(self.now) {
            self.release_held(connection, to);
        }
        while let Some(id) = self.closing.pop(self.now) {
            self.forget_connection(id);
        }
        while let Some(process) = self.gone.pop(self.now) {
            self.forget_process(process);
        }
    }

    fn open_stream(&mut self, process: ProcessId, stream: StreamId, identity: &Identity) {
        let joined = self.twins.open(stream, identity);
        if let Some((_, place)) = joined.forgotten {
            if self.twins.place(stream).map(|new| new.connection) != Some(place.connection) {
                self.close_connection(place.connection);
            }
            self.health.shed(Stage::Reassembly, "streams");
        }
        if let Some(replaced) = joined.replaced {
            self.close_connection(replaced);
        }
        let id = joined.place.connection;
        if let Some(medium) = joined.opened
            && let Some((old, connection)) = self.connections.insert(id, Connection::new(medium))
        {
            self.health.shed(Stage::Reassembly, "connections");
            self.end_connection(old, connection);
        }
        if let Some(connection) = self.connections.value_mut(&id) {
            connection.streams.push(stream);
            if let Some(slot) = joined.place.end.and_then(|end| connection.ends.get_mut(end.index())) {
                // A socket that carries TLS moves no bytes that would tell.
                *slot = Some(process);
                self.wires.attach(process, id);
            }
            if let Some(verdict) = connection.verdict {
                self.verdicts.push_back((stream, verdict));
            }
        }
    }

    fn move_bytes(&mut self, process: ProcessId, stream: StreamId, moved: Moved<'_>) {
        let Some(Place { connection: id, end }) = self.twins.place(stream) else {
            return self.health.fault(Stage::Reassembly, "unknown_stream");
        };
        let Some(connection) = self.connections.value_mut(&id) else { return };
        let (actor, to) = match (end, moved.direction) {
            (Some(end), Direction::Received) => (end, end),
            (Some(end), Direction::Sent) => (end, end.other()),
            (None, Direction::Received) => (End::B, End::B),
            (None, Direction::Sent) => (End::A, End::B),
        };
        let before = connection.process(actor);
        if before != Some(process) {
            if let Some(slot) = connection.ends.get_mut(actor.index()) {
                *slot = Some(process);
            }
            if let Some(before) = before {
                self.wires.detach(before, id);
            }
            self.wires.attach(process, id);
            if !connection.way(actor.other()).held.is_empty() {
                self.release_held(id, actor.other());
            }
        }
        self.read(id, to, moved);
    }

    fn read(&mut self, id: ConnectionId, to: End, moved: Moved<'_>) {
        let Some(connection) = self.connections.value_mut(&id) else { return };
        let mut found = std::mem::take(&mut self.found);
        let limits = &self.settings.limits;
        let payloads = self.settings.payloads;
        let lines = connection.may_begin_with_a_banner();
        let captured = connection.verdict == Some(Verdict::Capture);
        let (mut restarted, mut holes) = (false, 0);
        let way = connection.way_mut(to);
        let (flow, reader, unread, may_skip) =
            (&mut way.flow, &mut way.reader, &mut way.unread, &mut way.may_skip);
        flow.push(moved, limits.send_marks, &mut |piece| {
            let reader = reader.get_or_insert_with(|| Box::new(super::reader::Reader::new(limits, payloads)));
            if let Piece::Data { data, .. } = piece {
                *unread += data.len() as u64;
            }
            if *may_skip && matches!(piece, Piece::Gap { .. }) {
                // The kernel skipped bytes as it was told to, and found something that it wants looked at.
                reader.restart();
                restarted = true;
                *may_skip = !captured;
            } else {
                holes += u64::from(matches!(piece, Piece::Gap { .. }));
                reader.push(piece, limits, lines, &mut found);
            }
        });
        if self.label(id) == Label::Mcp {
            (0..holes).for_each(|_| self.health.fault(Stage::Reassembly, "hole"));
        }
        if restarted {
            self.restart_exchanges(id, to);
        }
        let kind = self.connections.value(&id).map_or(Kind::Unknown, |connection| connection.way(to).kind());
        for found in found.drain(..) {
            self.take_found(id, to, kind, found);
        }
        self.found = found;
        self.judge(id, to);
    }

    fn take_found(&mut self, id: ConnectionId, to: End, kind: Kind, found: Found) {
        match found {
            Found::Request(head) => self.take_request_head(id, to, head),
            Found::Response(head) => self.take_response_head(id, head),
            Found::Endpoint(text) => self.take_endpoint(id, &text),
            Found::BodyEnd { last_byte, whole } if kind == Kind::Responses => {
                self.end_exchange(id, to, last_byte, whole);
            }
            Found::BodyEnd { .. } => {}
            Found::Foreign => self.ignore(id),
            Found::Fault(cause) => {
                if self.label(id) == Label::Mcp {
                    self.health.fault(Stage::Transport, cause);
                }
                if cause == "resync" && kind == Kind::Responses {
                    // Whole responses may be lost: what comes next answers the newest request.
                    self.restart_exchanges(id, to);
                }
                if matches!(cause, "lsp_framing" | "upgraded") {
                    self.set_label(id, Label::Other);
                }
            }
            Found::Text(envelope, messages) => {
                for message in messages {
                    match kind {
                        Kind::Lines => self.take_line(id, to, &envelope, message),
                        Kind::Requests => self.take_posted(id, to, &envelope, message),
                        Kind::Responses => self.take_replied(id, to, &envelope, message),
                        Kind::Unknown => {}
                    }
                }
            }
        }
    }

    /// Decides whether a connection without MCP is worth reading on.
    fn judge(&mut self, id: ConnectionId, to: End) {
        let limits = &self.settings.limits;
        let Some(connection) = self.connections.value_mut(&id) else { return };
        let way = connection.way_mut(to);
        let in_text = way.reader.as_ref().is_some_and(|reader| reader.in_text());
        let limit = if in_text { limits.unread_message_bytes } else { limits.unread_bytes };
        if way.unread > limit {
            way.unread = 0;
            if connection.label != Label::Mcp {
                self.ignore(id);
            }
        }
    }

    /// What is known of whether a connection carries MCP.
    pub(super) fn label(&self, id: ConnectionId) -> Label {
        self.connections.value(&id).map_or(Label::Unknown, |connection| connection.label)
    }

    /// It is now known whether a connection carries MCP.
    pub(super) fn set_label(&mut self, id: ConnectionId, label: Label) {
        let Some(connection) = self.connections.value_mut(&id) else { return };
        if connection.label == label {
            return;
        }
        connection.label = label;
        let unproven = std::mem::take(&mut connection.unproven);
        match label {
            Label::Mcp => {
                self.give_verdict(id, Verdict::Capture);
                for call in unproven {
                    self.show(call);
                }
            }
            Label::Other => {
                let calls = std::mem::take(&mut connection.calls);
                for call in calls {
                    self.calls.close(call);
                }
                self.give_verdict(id, Verdict::Ignore);
            }
            Label::Unknown => {}
        }
    }

    /// Nothing of interest is on this connection, as far as it was read.
    pub(super) fn ignore(&mut self, id: ConnectionId) {
        if self.label(id) != Label::Mcp {
            self.give_verdict(id, Verdict::Ignore);
        }
    }

    fn give_verdict(&mut self, id: ConnectionId, verdict: Verdict) {
        if let Some(connection) = self.connections.value_mut(&id) {
            connection.verdict = Some(verdict);
            if verdict == Verdict::Ignore {
                connection.ways.iter_mut().for_each(|way| way.may_skip = true);
            }
            self.verdicts.extend(connection.streams.iter().map(|stream| (*stream, verdict)));
        }
    }

    fn bind_tls(&mut self, stream: StreamId, socket: StreamId) {
        let (Some(tls), Some(socket)) = (self.twins.place(stream), self.twins.place(socket)) else { return };
        if let Some(connection) = self.connections.value_mut(&tls.connection) {
            connection.socket = Some(socket);
        }
        if let Some(end) = socket.end
            && let Some(connection) = self.connections.value_mut(&socket.connection)
            && let Some(is_read) = connection.is_read_inside_tls.get_mut(end.index())
        {
            *is_read = true;
        }
    }

    fn close_stream(&mut self, process: ProcessId, stream: StreamId, at: Timestamp) {
        let Some(Place { connection: id, end }) = self.twins.place(stream) else { return };
        let to = end.unwrap_or(End::B);
        let Some(connection) = self.connections.value_mut(&id) else { return };
        let known = connection.process(to).is_none_or(|reader| reader == process);
        if !known {
            return; // another process that shares the descriptor
        }
        let mut found = std::mem::take(&mut self.found);
        let limits = &self.settings.limits;
        let lines = connection.may_begin_with_a_banner();
        let way = connection.way_mut(to);
        let kind = way.kind();
        if let Some(reader) = &mut way.reader {
            reader.push(Piece::End { at }, limits, lines, &mut found);
        }
        for found in found.drain(..) {
            self.take_found(id, to, kind, found);
        }
        self.found = found;
        match kind {
            Kind::Requests | Kind::Responses => self.end_http(id, to, at),
            Kind::Lines | Kind::Unknown => self.end_wire(id, to),
        }
        self.closing.set(id, at.after(self.settings.limits.gone_for));
    }

    /// One way of a connection has ended some time ago. The other way may still be in use: a client that has
    /// sent all its requests waits for the answers, and a named pipe takes a new writer.
    fn forget_connection(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.value(&id) else { return };
        if !connection.calls.is_empty() {
            self.closing.set(id, self.now.after(self.settings.limits.gone_for));
        } else if !matches!(connection.medium, Medium::Pipe { named: true }) {
            self.close_connection(id);
        }
    }

    fn end_process(&mut self, process: ProcessId, at: Timestamp, status: i32) {
        let connections: Vec<_> = self.wires.of_process(process).collect();
        for id in connections {
            self.doom_calls(id, process, at);
        }
        if let Some(declared) = self.servers.remove(&process) {
            let server = Peer {
                name: declared.name,
                version: declared.version,
                process: Some(self.processes.process(process)),
                address: None,
            };
            let stopped = observation::Server { at, server, status: Some(status) };
            self.observations.push_back(Observation::ServerStopped(Box::new(stopped)));
        }
        self.gone.set(process, at.after(self.settings.limits.gone_for));
    }

    /// A process of the connection has ended: nobody waits for an answer to what it asked; what it was asked may
    /// have been answered before, and the answer not been read yet.
    fn doom_calls(&mut self, id: ConnectionId, process: ProcessId, at: Timestamp) {
        let Some(connection) = self.connections.value(&id) else { return };
        let end = connection.end_of(process);
        let calls: Vec<CallId> = connection.calls.iter().copied().collect();
        for call in calls {
            let Some(asker) = self.calls.call(call).map(|open| open.asker) else { continue };
            let until = if Some(asker) == end { at } else { at.after(self.settings.limits.gone_for) };
            self.calls.doom(call, until, Outcome::Abandoned);
        }
        self.pass(at);
    }

    fn forget_process(&mut self, process: ProcessId) {
        let connections: Vec<_> = self.wires.of_process(process).collect();
        for id in connections {
            let Some(connection) = self.connections.value(&id) else { continue };
            let others = connection.ends.iter().flatten().filter(|end| **end != process);
            if others.count() == 0 {
                self.close_connection(id);
                continue;
            }
            self.wires.detach(process, id);
            if let Some(connection) = self.connections.value_mut(&id) {
                connection.ends.iter_mut().filter(|end| **end == Some(process)).for_each(|end| *end = None);
            }
        }
        self.processes.forget(process);
    }

    pub(super) fn close_connection(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.remove(&id) {
            self.end_connection(id, connection);
        }
    }

    /// What is left to do for a connection that is no longer in the table.
    fn end_connection(&mut self, id: ConnectionId, connection: Connection) {
        for stream in &connection.streams {
            if self.twins.place(*stream).is_some_and(|place| place.connection == id) {
                self.twins.close(*stream);
            }
        }
        self.wires.close(id, connection.ends);
        self.end_session_of(&connection);
        for call in &connection.calls {
            // The connection's own facts are gone: the call ends with what it knows itself.
            if let Some(open) = self.calls.close(*call) {
                self.end_without_connection(&connection, open);
            }
        }
    }

    pub(super) fn forget_call(&mut self, connection: ConnectionId, call: CallId) {
        if let Some(connection) = self.connections.value_mut(&connection) {
            connection.calls.remove(&call);
        }
    }
}
