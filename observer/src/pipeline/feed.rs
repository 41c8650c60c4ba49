//! One record at a time: streams open and close, bytes move, processes come and go, time passes.

use observer_common::stream::Verdict;

use super::Pipeline;
use super::connection::{Connection, Label};
use super::health::Stage;
use super::input::{Direction, Event, EventBody, Identity, Input, ProcessId, StreamId};
use super::observation::{self, Observation, Outcome};
use super::reader::{Envelope, Found, Kind};
use super::reassembly::stream::Moved;
use super::reassembly::twin::{ConnectionId, End, Place};
use super::reassembly::{Mark, Piece};
use super::time::Timestamp;
use super::transport::{Carrier, Transport};

/// Streams with MCP that are passed over in one search for one without.
const MOST_PASSED_OVER: usize = 64;

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

    /// No more will come: what has ended is shown as far as it is known. Returns how many calls are still in flight;
    /// nothing is said of how they end.
    pub fn finish(&mut self, at: Timestamp) -> u64 {
        self.pass(at);
        while let Some(id) = self.early.pop(Timestamp::from_nanos(u64::MAX)) {
            self.settle_early(id, false);
        }
        while let Some((connection, to)) = self.held.pop(Timestamp::from_nanos(u64::MAX)) {
            self.release_held(connection, to);
        }
        self.tell_in_flight();
        let mut in_flight = 0;
        while let Some((id, call)) = self.calls.pop_oldest() {
            self.forget_call(call.connection, id);
            match call.doom.1 {
                Outcome::Expired => in_flight += u64::from(self.is_counted_in_flight(call.connection)),
                // Taken back, or its process or connection has ended: an answer might have come late.
                outcome => self.end_unanswered(call, outcome),
            }
        }
        while let Some(call) = self.settling.pop_due(Timestamp::from_nanos(u64::MAX)) {
            self.show(call);
        }
        while let Some(parting) = self.parting.pop(Timestamp::from_nanos(u64::MAX)) {
            self.part(parting, true);
        }
        self.tell_holes(at);
        in_flight
    }

    /// Whether calls of this connection count: those of TLS that is read at both ends do at the server's.
    fn is_counted_in_flight(&self, id: ConnectionId) -> bool {
        let connection = self.connections.value(&id);
        connection.is_some_and(|it| it.label == Label::Mcp && !self.is_shown_by_the_server(it))
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
            EventBody::ProcessSeen(facts) => {
                self.relays.see(process, &facts);
                self.processes.see(process, *facts);
            }
            EventBody::ProcessExited { status } => self.end_process(process, at, status),
            EventBody::LibraryFound(_) => {}
            EventBody::Lost { cause, records, bytes } => {
                let loss = observation::Loss { at, cause, records, bytes, stream: None };
                self.observations.push_back(Observation::Loss(loss));
            }
            EventBody::ContainerSeen(facts) => self.processes.see_container(*facts),
            EventBody::PodSeen(facts) => self.processes.see_pod(*facts),
            EventBody::ProcessUsage(usage) => self.take_usage(process, at, usage),
            EventBody::BlindSpot(facts) => {
                let blind_spot = observation::BlindSpot { at, process, facts: *facts };
                self.observations.push_back(Observation::BlindSpot(Box::new(blind_spot)));
            }
        }
    }

    /// Lets time pass until `at`: what was due until then happens.
    pub(super) fn pass(&mut self, at: Timestamp) {
        self.now = self.now.max(at);
        self.began.get_or_insert(at);
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
        while let Some(id) = self.early.pop(self.now) {
            self.settle_early(id, false);
        }
        if self.holes_due().is_some_and(|due| due <= self.now) {
            self.tell_holes(self.now);
        }
        while let Some(parting) = self.parting.pop(self.now) {
            self.part(parting, false);
        }
        while let Some(id) = self.closing.pop(self.now) {
            self.forget_connection(id);
        }
        while let Some(process) = self.gone.pop(self.now) {
            self.forget_process(process);
        }
        self.pass_servers();
    }

    fn open_stream(&mut self, process: ProcessId, stream: StreamId, identity: &Identity) {
        let told = self.opened.value(&stream).copied();
        let told_twice = told.is_some_and(|at| self.now.since(at) < self.settings.limits.same_stream_for);
        if told_twice && self.twins.place(stream).is_some() {
            return;
        }
        let _ = self.opened.insert(stream, self.now);
        self.make_room();
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
            if let (Identity::Tcp { local, .. }, Some(end)) = (identity, joined.place.end) {
                connection.meet_address(end, *local);
            }
            if let Some(verdict) = connection.verdict {
                self.verdicts.push_back((stream, verdict));
            }
        }
        if joined.opened.is_none() {
            self.settle_early(id, true);
        }
    }

    /// Where there are as many streams as there may be, the oldest connection that is not known to carry MCP goes.
    fn make_room(&mut self) {
        for _ in 0..MOST_PASSED_OVER {
            let Some((stream, place)) = self.twins.next_to_go() else { return };
            if self.label(place.connection) != Label::Mcp {
                self.close_connection(place.connection);
                return self.health.shed(Stage::Reassembly, "streams");
            }
            self.twins.renew(stream);
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
        let is_early = connection.is_early();
        let before = connection.process(actor);
        if before != Some(process) {
            if let Some(slot) = connection.ends.get_mut(actor.index()) {
                *slot = Some(process);
            }
            if let Some(before) = before {
                self.wires.detach(before, id);
            }
            self.wires.attach(process, id);
            if before.is_none() && self.held.count() > 0 {
                self.release_answers_of(id, actor.other());
            }
            let Some(connection) = self.connections.value_mut(&id) else { return };
            if !connection.way(actor.other()).held.is_empty() {
                self.release_held(id, actor.other());
            }
        }
        if is_early && self.waits_for_twin(id, to, &moved) {
            return;
        }
        self.read(id, to, moved);
    }

    pub(super) fn read(&mut self, id: ConnectionId, to: End, moved: Moved<'_>) {
        let Some(connection) = self.connections.value_mut(&id) else { return };
        let mut found = std::mem::take(&mut self.found);
        let moved = connection.read_copy(to, moved);
        let limits = &self.settings.limits;
        let payloads = self.settings.payloads;
        let lines = connection.may_begin_with_a_banner();
        let captured = connection.verdict == Some(Verdict::Capture);
        let (mut restarted, mut holes, mut torn) = (false, (0, 0), Vec::new());
        let way = connection.way_mut(to);
        let (flow, reader, unread) = (&mut way.flow, &mut way.reader, &mut way.unread);
        let may_skip = &mut way.may_skip;
        flow.push(moved, limits.send_marks, &mut |piece| {
            let reader = reader.get_or_insert_with(|| Box::new(super::reader::Reader::new(limits, payloads)));
            if let Piece::Data { data, .. } = piece {
                *unread += data.len() as u64;
            }
            if let Piece::Gap { at, position, missing } = piece {
                torn.push(Mark { at, position: position.saturating_add(missing) });
            }
            if *may_skip && matches!(piece, Piece::Gap { .. }) {
                // The kernel skipped bytes as it was told to, and found something that it wants looked at.
                reader.restart();
                restarted = true;
                *may_skip = !captured;
            } else {
                if let Piece::Gap { missing, .. } = piece {
                    holes = (holes.0 + 1, holes.1 + missing);
                }
                reader.push(piece, limits, lines, &mut found);
            }
        });
        let (kind, is_long_unread) =
            (way.kind(), way.unread > limits.unread_bytes.min(limits.unread_message_bytes));
        // What was passed over on purpose is no hole, but there may have been messages in it.
        torn.into_iter().for_each(|found| self.tear(id, to, found));
        self.note_holes(id, holes);
        if restarted {
            self.restart_exchanges(id, to);
        }
        for found in found.drain(..) {
            self.take_found(id, to, kind, found);
        }
        self.found = found;
        if is_long_unread {
            self.judge(id, to);
        }
    }

    pub(super) fn take_found(&mut self, id: ConnectionId, to: End, kind: Kind, found: Found) {
        match found {
            Found::Stream(stream) => {
                if let Some(connection) = self.connections.value_mut(&id) {
                    connection.exchanges.select(stream);
                }
            }
            Found::Reset => self.reset_exchange(id, to),
            Found::Upgraded(protocol) => self.upgrade(id, to, protocol),
            Found::Request(head) => self.take_request_head(id, to, head),
            Found::Response(head) => self.take_response_head(id, to, head),
            Found::Endpoint(text) => self.take_endpoint(id, &text),
            Found::BodyEnd { last_byte, whole, is_read } if kind == Kind::Responses => {
                self.end_exchange(id, to, last_byte, (whole, is_read));
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
                    self.misalign(id);
                }
                match cause {
                    // A line like a head of another protocol, on what is known to carry MCP: only a line.
                    "lsp_framing" if self.label(id) == Label::Mcp => self.restart_way(id, to),
                    "lsp_framing" | "upgraded" => self.set_label(id, Label::Other),
                    _ => {}
                }
            }
            Found::Text(envelope, messages) => {
                let kind = match envelope.carrier {
                    Carrier::WebSocketMessage => {
                        self.upgrade_to(id, Transport::WebSocket);
                        Kind::Lines
                    }
                    Carrier::StdioLine => Kind::Lines,
                    Carrier::HttpBody | Carrier::SseEvent { .. } => kind,
                };
                for message in messages {
                    match kind {
                        Kind::Lines => self.take_line(id, to, &envelope, message),
                        Kind::Requests => self.take_posted(id, to, &envelope, message),
                        Kind::Responses => self.take_replied(id, to, &envelope, message),
                        Kind::Unknown => {}
                    }
                }
                self.forget_times(id, to, kind, &envelope);
            }
        }
    }

    /// All messages of a text have been taken: the times of its bytes are needed no more. A body of a response ends
    /// with its exchange.
    fn forget_times(&mut self, id: ConnectionId, to: End, kind: Kind, text: &Envelope) {
        if kind == Kind::Responses && text.carrier == Carrier::HttpBody {
            return;
        }
        if let Some(connection) = self.connections.value_mut(&id) {
            let way = connection.way_mut(to);
            let held = way.held.front().map(|held| held.envelope.first_byte.position);
            way.flow.forget_until(held.unwrap_or(text.last_byte.position));
        }
    }

    fn restart_way(&mut self, id: ConnectionId, to: End) {
        if let Some(connection) = self.connections.value_mut(&id) {
            connection.way_mut(to).restart();
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
}
