//! Whether a connection carries MCP, and what the kernel is told of that.

use observer_common::stream::Verdict;

use super::Pipeline;
use super::connection::Label;
use super::health::Stage;
use super::reassembly::twin::{ConnectionId, End};

impl Pipeline {
    /// Decides whether a connection without MCP is worth reading on.
    pub(super) fn judge(&mut self, id: ConnectionId, to: End) {
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
        let orphans = std::mem::take(&mut connection.orphans);
        match label {
            Label::Mcp => {
                (0..orphans).for_each(|_| self.health.fault(Stage::Pairing, "answer_without_request"));
                self.count_early_holes(id);
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
}
