//! One call seen from both ends is one observation.
//!
//! The plaintext of a TLS connection is read at each end that runs on this host, so such a call ends twice: once
//! with the client's times and once with the server's. The first waits here for the second, for a short time.

use std::cmp::Reverse;
use std::collections::VecDeque;

use super::completion::Ended;
use super::jsonrpc::Id;
use super::limits::Table;
use super::mcp::ties::AnswerTies;
use super::observation::{Call, CallDirection, Certainty, Links, Outcome, Peer};
use super::pairing::expiry::Due;
use super::reassembly::twin::{ConnectionId, End};
use super::time::Timestamp;

/// A finished call that waits for its twin.
#[derive(Debug)]
struct Waiting {
    ended: Ended,
    /// Position of the request's first byte: the same at both ends, if both saw the connection from the same
    /// byte on.
    position: u64,
    number: u64,
    until: Timestamp,
}

/// One end of a socket connection.
type SocketEnd = (ConnectionId, End);

/// Finished calls that wait, by the end of the socket at which their plaintext was read.
#[derive(Debug)]
pub struct Settling {
    waiting: Table<SocketEnd, VecDeque<Waiting>>,
    due: Due<(u64, SocketEnd)>,
    /// Halves that were shown alone, the latest ones: where their requests began, and their ids.
    alone: Table<(SocketEnd, u64), Id>,
    /// How many bytes more of requests end A has counted than end B: none, unless one was seen later.
    shifts: Table<(ConnectionId, CallDirection), u64>,
    next: u64,
    limit: usize,
}

impl Settling {
    /// For at most so many calls.
    pub fn new(limit: usize) -> Self {
        // One call more for a moment, until [`Settling::pop_excess`].
        let waiting = Table::new(limit.saturating_add(1));
        let (alone, shifts) = (Table::new(limit), Table::new(limit));
        Self { waiting, due: Due::default(), alone, shifts, next: 0, limit }
    }

    /// A call has ended whose plaintext was read at `end` of `socket`. If the other half is here, gives the whole
    /// call, else keeps this half until then. A half whose other was shown alone, because this one ends so much later
    /// (its answer was lost), is dropped: no call is shown twice.
    pub fn settle(
        &mut self,
        socket: ConnectionId,
        end: End,
        position: u64,
        ended: Ended,
        until: Timestamp,
    ) -> Option<Ended> {
        if let Some(other) = self.take_twin((socket, end.other()), position, &ended.call) {
            return Some(merge_ended(ended, other));
        }
        let shift = self.shifts.value(&(socket, ended.call.direction)).copied().unwrap_or(0);
        let twin = ((socket, end.other()), shifted(end, position, shift));
        if self.alone.value(&twin) == Some(&ended.call.id) {
            self.alone.remove(&twin);
            return None;
        }
        let (number, own) = (self.next, (socket, end));
        self.next += 1;
        self.due.set((number, own), until);
        let waiting = Waiting { ended, position, number, until };
        match self.waiting.value_mut(&own) {
            Some(queue) => queue.push_back(waiting),
            // There is room: fewer calls wait than there may be socket ends.
            None => drop(self.waiting.insert(own, VecDeque::from([waiting]))),
        }
        None
    }

    /// Takes out the call that has waited longest, if too many wait.
    pub fn pop_excess(&mut self) -> Option<Ended> {
        if self.due.count() > self.limit { self.pop_due(Timestamp::from_nanos(u64::MAX)) } else { None }
    }

    fn take_twin(&mut self, twin: SocketEnd, position: u64, call: &Call) -> Option<Ended> {
        let (queue, own) = (self.waiting.value_mut(&twin)?, twin.1.other());
        let connection = (twin.0, call.direction);
        let shift = self.shifts.value(&connection).copied();
        let same = |other: &Waiting| other.ended.call.id == call.id && other.ended.call.method == call.method;
        let at = |place: u64| move |other: &Waiting| other.position == place;
        let find = |is_it: &dyn Fn(&Waiting) -> bool| queue.iter().position(|it| same(it) && is_it(it));
        let by_shift = shift.and_then(|shift| find(&at(shifted(own, position, shift))));
        let by_text = || find(&|it| shift.is_none() && may_be_one(&it.ended.call, call));
        let index = by_shift.or_else(|| find(&at(position))).or_else(by_text)?;
        let other = queue.remove(index)?;
        let (a, b) = if own == End::A { (position, other.position) } else { (other.position, position) };
        let _ = self.shifts.insert(connection, a.wrapping_sub(b));
        if queue.is_empty() {
            self.waiting.remove(&twin);
        }
        self.due.clear((other.number, twin), other.until);
        Some(other.ended)
    }

    /// When the next call has waited long enough.
    pub fn deadline(&self) -> Option<Timestamp> {
        self.due.first()
    }

    /// Takes out a call that has waited long enough.
    pub fn pop_due(&mut self, now: Timestamp) -> Option<Ended> {
        let (number, end) = self.due.pop(now)?;
        let queue = self.waiting.value_mut(&end)?;
        let index = queue.iter().position(|waiting| waiting.number == number)?;
        let waiting = queue.remove(index)?;
        if queue.is_empty() {
            self.waiting.remove(&end);
        }
        let _ = self.alone.insert((end, waiting.position), waiting.ended.call.id.clone());
        Some(waiting.ended)
    }
}

/// The place at the other end of what is at `position` of this one.
const fn shifted(own: End, position: u64, shift: u64) -> u64 {
    match own {
        End::A => position.wrapping_sub(shift),
        End::B => position.wrapping_add(shift),
    }
}

/// Whether two halves can be of one call where nothing is known of the places of their requests.
fn may_be_one(one: &Call, other: &Call) -> bool {
    let subjects = [&one.subject, &other.subject];
    let is_about_the_same = subjects[0] == subjects[1] || subjects.iter().any(|subject| subject.is_none());
    one.request_bytes == other.request_bytes && is_about_the_same && overlap(one, other)
}

/// Whether one call began before the other was over. An id that is used again is another call's, later.
fn overlap(one: &Call, other: &Call) -> bool {
    let (first, second) = if one.at <= other.at { (one, other) } else { (other, one) };
    first.duration().is_none_or(|lasted| second.at <= first.at.after(lasted))
}

fn merge_ended(one: Ended, other: Ended) -> Ended {
    let (request, answer) = if one.answer == AnswerTies::default() {
        (one.request, other.answer)
    } else {
        (other.request, one.answer)
    };
    Ended {
        call: Box::new(merge(*one.call, *other.call)),
        request,
        answer,
        passes_on: one.passes_on.or(other.passes_on),
    }
}

/// Puts the two halves of one call together. What only one knows is taken from that one.
fn merge(one: Call, other: Call) -> Call {
    // The client's half began first; it has the client's time.
    let (first, second) = if one.client_duration.is_some() { (one, other) } else { (other, one) };
    let surer = if rank(&second) > rank(&first) { &second } else { &first };
    let (outcome, error_code) = (surer.outcome, surer.error_code);
    let is_concluded = |half: &Call| {
        half.certainty == Certainty::Inferred
            && (half.client_duration.is_some() || half.server_duration.is_some())
    };
    let has_concluded_times = is_concluded(&first) || is_concluded(&second);
    let certainty = if has_concluded_times { Certainty::Inferred } else { surer.certainty };
    Call {
        at: first.at.min(second.at),
        outcome,
        error_code,
        server_duration: first.server_duration.or(second.server_duration),
        client_duration: first.client_duration.or(second.client_duration),
        first_answer: first.first_answer.or(second.first_answer),
        client: merge_peer(first.client, second.client),
        server: merge_peer(second.server, first.server),
        revision: first.revision.or(second.revision),
        session: first.session.or(second.session),
        subject: first.subject.or(second.subject),
        trace: first.trace.or(second.trace),
        progress: first.progress.max(second.progress),
        certainty,
        response_bytes: first.response_bytes.max(second.response_bytes),
        span: first.span.merge(second.span),
        headers: if first.headers.reveal().0.is_empty() { second.headers } else { first.headers },
        links: merge_links(first.links, second.links),
        arguments: first.arguments.or(second.arguments),
        result: first.result.or(second.result),
        ..first
    }
}

fn merge_links(first: Links, second: Links) -> Links {
    Links {
        rounds: first.rounds.or(second.rounds),
        notifications: first.notifications.max(second.notifications),
        relay: first.relay.or(second.relay),
        hops: if first.hops.len() < second.hops.len() { second.hops } else { first.hops },
    }
}

/// How much a half knows of the call's end. Of two answers the one counts that was read whole: a hole in the other may
/// have hidden how it ended. That it was taken back is more than what is only concluded.
fn rank(half: &Call) -> (u8, Reverse<Certainty>) {
    let rank = match (half.outcome, half.certainty) {
        (Outcome::Abandoned | Outcome::Expired, _) => 0,
        (Outcome::Cancelled, Certainty::Inferred) => 1,
        (Outcome::Cancelled, _) => 3,
        (_, Certainty::Inferred) => 2,
        _ => 4,
    };
    (rank, Reverse(half.certainty))
}

fn merge_peer(near: Peer, far: Peer) -> Peer {
    Peer {
        name: near.name.or(far.name),
        version: near.version.or(far.version),
        process: near.process.or(far.process),
        address: near.address.or(far.address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::testing::call;

    #[test]
    fn an_end_that_was_read_counts_more_than_one_that_was_concluded() {
        let taken_back = Call { outcome: Outcome::Cancelled, client_duration: None, ..call() };
        let duration = Some(std::time::Duration::from_millis(1));
        let concluded = Call {
            certainty: Certainty::Inferred,
            client_duration: None,
            server_duration: duration,
            ..call()
        };
        let answered = Call { client_duration: duration, ..call() };
        for (one, other, outcome) in [
            (&taken_back, &concluded, Outcome::Cancelled),
            (&concluded, &taken_back, Outcome::Cancelled),
            (&taken_back, &answered, Outcome::Ok),
            (&concluded, &answered, Outcome::Ok),
        ] {
            let merged = merge(one.clone(), other.clone());
            assert_eq!(merged.outcome, outcome);
            let is_concluded = [one, other].iter().any(|half| half.certainty == Certainty::Inferred);
            assert_eq!(merged.certainty == Certainty::Inferred, is_concluded);
        }
    }

    #[test]
    fn a_whole_request_makes_no_answer_whole() {
        let unanswered = Call { outcome: Outcome::Abandoned, client_duration: None, ..call() };
        for certainty in [Certainty::TimesOnly, Certainty::Inferred] {
            let torn = Call { certainty, client_duration: None, server_duration: None, ..call() };
            assert_eq!(merge(unanswered.clone(), torn.clone()).certainty, certainty);
            assert_eq!(merge(torn, unanswered.clone()).certainty, certainty);
        }
    }

    #[test]
    fn no_more_calls_wait_than_may() {
        let mut settling = Settling::new(3);
        let mut excess = 0;
        for second in 0..10 {
            let until = Timestamp::from_nanos(second);
            assert!(settling.settle(ConnectionId(1), End::A, second, call().into(), until).is_none());
            while settling.pop_excess().is_some() {
                excess += 1;
            }
        }
        assert_eq!((excess, settling.due.count()), (7, 3));
        let whole = settling.settle(ConnectionId(1), End::B, 9, call().into(), Timestamp::from_nanos(20));
        assert!(whole.is_some(), "the newest still wait");
        assert_eq!(settling.due.count(), 2);
    }
}
