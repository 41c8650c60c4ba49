//! Holes in what was read of MCP: whose figures a loss touches.
//!
//! The kernel tells by cause what it lost on all streams together. The holes show on which: they are gathered for each
//! connection, and told after a short time, when the connection ends, and when all ends.

use super::Pipeline;
use super::connection::{Connection, Label};
use super::health::Stage;
use super::observation::{Hole, Loss, Observation};
use super::reassembly::twin::ConnectionId;
use super::time::Timestamp;

impl Pipeline {
    /// So many holes, of so many bytes, are in a connection. They count if it carries MCP, or once that is known.
    pub(super) fn note_holes(&mut self, id: ConnectionId, (count, bytes): (u64, u64)) {
        if count > 0
            && let Some(connection) = self.connections.value_mut(&id)
        {
            connection.holes = (connection.holes.0 + count, connection.holes.1.saturating_add(bytes));
            if connection.label == Label::Mcp {
                self.count_holes(id, count);
            }
        }
    }

    /// The connection carries MCP: what was missing before that was known is missing from it.
    pub(super) fn count_early_holes(&mut self, id: ConnectionId) {
        let early = self.connections.value(&id).map_or(0, |connection| connection.holes.0);
        if early > 0 {
            self.count_holes(id, early);
        }
    }

    fn count_holes(&mut self, id: ConnectionId, count: u64) {
        (0..count).for_each(|_| self.health.fault(Stage::Reassembly, "hole"));
        if self.torn.is_empty() {
            self.torn_until = self.now.after(self.settings.limits.holes_for);
        }
        self.torn.insert(id);
    }

    /// When the holes are to be told of that were found.
    pub(super) fn holes_due(&self) -> Option<Timestamp> {
        (!self.torn.is_empty()).then_some(self.torn_until)
    }

    /// Tells of all holes that were not told of.
    pub(super) fn tell_holes(&mut self, at: Timestamp) {
        while let Some(id) = self.torn.pop_first() {
            let Some(connection) = self.connections.value(&id) else { continue };
            if let Some(loss) = self.hole(connection, at) {
                self.observations.push_back(Observation::Loss(loss));
            }
            if let Some(connection) = self.connections.value_mut(&id) {
                connection.holes = (0, 0);
            }
        }
    }

    /// The same for a connection that is no longer in the table.
    pub(super) fn tell_hole(&mut self, connection: &Connection, at: Timestamp) {
        if connection.label == Label::Mcp {
            self.observations.extend(self.hole(connection, at).map(Observation::Loss));
        }
    }

    fn hole(&self, connection: &Connection, at: Timestamp) -> Option<Loss> {
        let (records, bytes) = connection.holes;
        let hole = Hole {
            stream: connection.streams.first().map_or(0, |stream| stream.0),
            client: self.party(connection, true),
            server: self.party(connection, false),
        };
        (records != 0).then(|| Loss { at, cause: Loss::HOLE, records, bytes, stream: Some(Box::new(hole)) })
    }
}
