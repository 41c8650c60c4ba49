//! What ends: streams, connections, processes, and with them what they were in the middle of.

use super::Pipeline;
use super::connection::Connection;
use super::input::{ProcessId, StreamId};
use super::observation::Outcome;
use super::pairing::CallId;
use super::reader::Kind;
use super::reassembly::Piece;
use super::reassembly::twin::{ConnectionId, End, Medium, Place};
use super::time::Timestamp;

impl Pipeline {
    pub(super) fn close_stream(&mut self, process: ProcessId, stream: StreamId, at: Timestamp) {
        let Some(Place { connection: id, end }) = self.twins.place(stream) else { return };
        let to = end.unwrap_or(End::B);
        self.settle_early(id, false);
        let Some(connection) = self.connections.value_mut(&id) else { return };
        // The kernel itself, as process 0, tells of an end that nobody will read.
        let known = process.pid == 0 || connection.process(to).is_none_or(|reader| reader == process);
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
        let upgraded = self.connections.value(&id).is_some_and(|connection| connection.upgraded.is_some());
        match kind {
            Kind::Requests | Kind::Responses if !upgraded => self.end_http(id, to, at),
            Kind::Requests | Kind::Responses => self.end_wire(id, to),
            Kind::Lines | Kind::Unknown => self.end_wire(id, to),
        }
        self.closing.set(id, at.after(self.settings.limits.gone_for));
    }

    /// One way of a connection has ended some time ago. The other way may still be in use: a client that has
    /// sent all its requests waits for the answers, and a named pipe takes a new writer.
    pub(super) fn forget_connection(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.value(&id) else { return };
        if !connection.calls.is_empty() {
            self.closing.set(id, self.now.after(self.settings.limits.gone_for));
        } else if !matches!(connection.medium, Medium::Pipe { named: true }) {
            self.close_connection(id);
        }
    }

    pub(super) fn end_process(&mut self, process: ProcessId, at: Timestamp, status: i32) {
        let connections: Vec<_> = self.wires.of_process(process).collect();
        for id in connections {
            self.settle_early(id, false);
            self.doom_calls(id, process, at);
        }
        self.stop_server(process, at, status);
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

    pub(super) fn forget_process(&mut self, process: ProcessId) {
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
        self.span_senders.remove(&process);
    }

    pub(super) fn close_connection(&mut self, id: ConnectionId) {
        self.settle_early(id, false);
        if let Some(connection) = self.connections.remove(&id) {
            self.end_connection(id, connection);
        }
    }

    /// What is left to do for a connection that is no longer in the table.
    pub(super) fn end_connection(&mut self, id: ConnectionId, connection: Connection) {
        for stream in &connection.streams {
            if self.twins.place(*stream).is_some_and(|place| place.connection == id) {
                self.twins.close(*stream);
            }
        }
        self.wires.close(id, connection.ends);
        self.forget_early(id, &connection);
        self.torn.remove(&id);
        self.tell_hole(&connection, self.now);
        for call in &connection.calls {
            // The connection's own facts are gone: the call ends with what it knows itself.
            if let Some(open) = self.calls.close(*call) {
                self.end_without_connection(&connection, open);
            }
        }
        self.end_session_of(connection);
    }

    pub(super) fn forget_call(&mut self, connection: ConnectionId, call: CallId) {
        self.note_in_flight();
        if let Some(connection) = self.connections.value_mut(&connection) {
            connection.calls.remove(&call);
        }
    }
}
