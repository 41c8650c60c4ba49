//! A call that is to be exported, and the sides from which it was seen.

use crate::export::semconv::Vantage;
use crate::export::trace::Spans;
use crate::pipeline::observation::{Call, CallDirection, Outcome, Peer};
use crate::pipeline::time::{Timestamp, WallClock};

/// A call with its ids.
#[derive(Clone, Debug)]
pub struct Item {
    /// The call.
    pub call: Call,
    /// The ids of its spans.
    pub spans: Spans,
    /// Which of them are exported: the asking side's, the asked side's.
    pub shown: [bool; 2],
    /// Whether other observers export the spans of clients that are elsewhere.
    pub fleet: bool,
    /// Tells what time it was.
    pub clock: WallClock,
}

/// A call as one party saw it.
#[derive(Clone, Copy, Debug)]
pub struct Side<'a> {
    /// The asking or the asked party.
    pub vantage: Vantage,
    /// This party.
    pub own: &'a Peer,
    /// The other one.
    pub other: &'a Peer,
    /// Its span.
    pub span_id: u64,
    /// The parent of its span.
    pub parent: Option<u64>,
    /// When it began, in nanoseconds of Unix time.
    pub start_ns: u64,
    /// When it ended.
    pub end_ns: u64,
}

/// Which spans are left out because the process makes them itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OwnSpans {
    /// Those of processes that send spans to a collector, of requests that carry trace context.
    #[default]
    Auto,
    /// None.
    Keep,
    /// Those of requests that carry trace context.
    LeaveOut,
}

impl OwnSpans {
    /// Whether the spans of the asking and the asked side are left out.
    pub fn left_out(self, call: &Call) -> [bool; 2] {
        let traced = call.trace.is_some();
        let [client, server] = call.span.sends_spans;
        let sends = match call.direction {
            CallDirection::ClientToServer => [client, server],
            CallDirection::ServerToClient => [server, client],
        };
        match self {
            Self::Auto => sends.map(|sends| sends && traced),
            Self::Keep => [false; 2],
            Self::LeaveOut => [traced; 2],
        }
    }
}

/// The asking and the asked party.
fn parties(call: &Call) -> [&Peer; 2] {
    match call.direction {
        CallDirection::ClientToServer => [&call.client, &call.server],
        CallDirection::ServerToClient => [&call.server, &call.client],
    }
}

/// From which sides a call was seen: the asking one, the asked one.
pub fn seen(call: &Call) -> [bool; 2] {
    let [asker, asked] = parties(call).map(|peer| peer.process.is_some());
    let unanswered = matches!(call.outcome, Outcome::Cancelled | Outcome::Abandoned | Outcome::Expired);
    let by_asker = call.client_duration.is_some() || (unanswered && asker);
    let by_asked = call.server_duration.is_some() || (unanswered && asked && call.span.received_at.is_some());
    match (by_asker, by_asked) {
        // Times are missing: it is shown once, where it can be.
        (false, false) => [asker || !asked, !asker && asked],
        both => both.into(),
    }
}

impl Item {
    /// The sides whose spans are exported.
    pub fn sides(&self) -> impl Iterator<Item = Side<'_>> {
        let [asker, asked] = self.shown;
        [asker.then(|| self.asker()), asked.then(|| self.asked())].into_iter().flatten()
    }

    /// How much memory it takes, roughly.
    pub fn bytes(&self) -> usize {
        let payload = |it: &Option<crate::pipeline::private::Private<Box<[u8]>>>| {
            it.as_ref().map_or(0, |payload| payload.reveal().len())
        };
        let events = self.call.span.events.len() * size_of::<crate::pipeline::observation::CallEvent>();
        size_of::<Self>() + TEXTS + events + payload(&self.call.arguments) + payload(&self.call.result)
    }

    /// The call as the asked party saw it.
    pub fn asked(&self) -> Side<'_> {
        let [other, own] = parties(&self.call);
        let start = self.call.span.received_at.unwrap_or(self.call.at);
        // Where the asker's span is not ours, its parent is the nearest one that somebody exports.
        let parent = match (self.shown, self.spans.parent) {
            ([true, _], _) => Some(self.spans.client),
            (_, None) if self.fleet && other.process.is_none() => Some(self.spans.client),
            (_, parent) => parent,
        };
        let end = self.call.server_duration.map(|duration| start.after(duration));
        self.side(Vantage::Server, own, other, (self.spans.server, parent), start, end)
    }

    /// The call as the asking party saw it.
    pub fn asker(&self) -> Side<'_> {
        let [own, other] = parties(&self.call);
        let end = self.call.client_duration.map(|duration| self.call.at.after(duration));
        let ids = (self.spans.client, self.spans.parent);
        self.side(Vantage::Client, own, other, ids, self.call.at, end)
    }

    fn side<'a>(
        &'a self,
        vantage: Vantage,
        own: &'a Peer,
        other: &'a Peer,
        (span_id, parent): (u64, Option<u64>),
        start: Timestamp,
        end: Option<Timestamp>,
    ) -> Side<'a> {
        let end = end.unwrap_or(self.call.span.ended_at).max(start);
        Side {
            vantage,
            own,
            other,
            span_id,
            parent,
            start_ns: self.unix_ns(start),
            end_ns: self.unix_ns(end),
        }
    }

    /// Unix time.
    pub fn unix_ns(&self, at: Timestamp) -> u64 {
        u64::try_from(self.clock.unix_ns(at)).unwrap_or_default()
    }
}

/// Names and ids of a call are at most so long together, usually.
const TEXTS: usize = 256;
