//! Sends on a TCP connection whose other end has not been seen: it may be on this host, or on another.
//!
//! Where both ends are seen, the receiver's copy is read and the sender's gives times. A send is often told of
//! before its receiver is, and read at once it would be read in place of the receiver's copy for good. So the first
//! sends wait: until the other end is seen, until an answer shows that it will not be, or for a short time.

use super::Pipeline;
use super::connection::Connection;
use super::input::Direction;
use super::reassembly::stream::Moved;
use super::reassembly::twin::{ConnectionId, End, Medium};
use super::time::Timestamp;

/// The first sends of a connection.
///
/// ```text
/// Unknown --a send--> Waiting --the other end, an answer, the time--> Settled
///    \---------------------------the other end-----------------------> Settled
/// ```
#[derive(Debug, Default)]
pub enum Early {
    /// Nothing was sent yet.
    #[default]
    Unknown,
    /// They wait.
    Waiting {
        /// At the longest so long.
        until: Timestamp,
        /// In their order.
        sends: Vec<Send>,
        /// The memory that they take.
        bytes: usize,
    },
    /// It is known where the other end is.
    Settled,
}

/// A send that waits.
#[derive(Debug)]
pub struct Send {
    to: End,
    at: Timestamp,
    position: u64,
    count: u64,
    data: Box<[u8]>,
}

impl Early {
    fn bytes(&self) -> usize {
        match self {
            Self::Waiting { bytes, .. } => *bytes,
            Self::Unknown | Self::Settled => 0,
        }
    }
}

impl Connection {
    /// Whether it is not known yet where the other end is.
    pub(super) fn is_early(&self) -> bool {
        matches!(self.medium, Medium::Tcp(_)) && !matches!(self.early, Early::Settled)
    }

    /// What is read of bytes towards `to`: nothing of a send whose receiver's copy comes too.
    pub(super) fn read_copy<'a>(&self, to: End, moved: Moved<'a>) -> Moved<'a> {
        let received_too = matches!(self.medium, Medium::Tcp(_)) && self.streams.len() == 2;
        match moved.direction {
            Direction::Sent if received_too && !self.way(to).flow.reads_sends() => {
                Moved { data: &[], ..moved }
            }
            _ => moved,
        }
    }
}

impl Pipeline {
    /// Whether bytes wait that moved on a connection of which it is not known yet where the other end is.
    pub(super) fn waits_for_twin(&mut self, id: ConnectionId, to: End, moved: &Moved<'_>) -> bool {
        let limits = &self.settings.limits;
        let Some(connection) = self.connections.value_mut(&id) else { return false };
        if moved.direction == Direction::Received || moved.data.is_empty() {
            // Who answers has received, and would have been seen by it.
            self.settle_early(id, false);
            return false;
        }
        let bytes = moved.data.len() + size_of::<Send>();
        let (own, all) = (connection.early.bytes() + bytes, self.early_bytes + bytes);
        if own > limits.early_bytes_each || all > limits.early_bytes {
            self.settle_early(id, false);
            return false;
        }
        if matches!(connection.early, Early::Unknown) {
            // Who sends first asks, and is answered by whoever is there; an answer is waited for by nobody here.
            let asks = connection.way(to.other()).flow.is_new();
            let until = moved.at.after(if asks { limits.server_for } else { limits.client_for });
            connection.early = Early::Waiting { until, sends: Vec::new(), bytes: 0 };
            self.early.set(id, until);
        }
        if let Early::Waiting { sends, bytes, .. } = &mut connection.early {
            *bytes = own;
            let Moved { at, position, count, data, .. } = *moved;
            sends.push(Send { to, at, position, count, data: data.into() });
        }
        self.early_bytes = all;
        true
    }

    /// The sends of a connection wait no longer. `twin_is_here`: its other end was seen, and its copy will be read.
    pub(super) fn settle_early(&mut self, id: ConnectionId, twin_is_here: bool) {
        let Some(connection) = self.connections.value_mut(&id) else { return };
        if matches!(connection.early, Early::Unknown) && !twin_is_here {
            return;
        }
        let before = std::mem::replace(&mut connection.early, Early::Settled);
        self.early_bytes = self.early_bytes.saturating_sub(before.bytes());
        let Early::Waiting { until, sends, .. } = before else { return };
        self.early.clear(id, until);
        for Send { to, at, position, count, data } in sends {
            let data = if twin_is_here { &[] } else { &*data };
            self.read(id, to, Moved { at, direction: Direction::Sent, position, count, data });
        }
    }

    /// A connection is gone with what was waiting on it.
    pub(super) fn forget_early(&mut self, id: ConnectionId, connection: &Connection) {
        self.early_bytes = self.early_bytes.saturating_sub(connection.early.bytes());
        if let Early::Waiting { until, .. } = connection.early {
            self.early.clear(id, until);
        }
    }
}
