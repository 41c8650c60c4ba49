//! Calls in several rounds (2026-07-28): a server that needs more input answers with `input_required`, and the client
//! sends the request again, with the input and under a new id. Each round stays a call of its own; the last one tells
//! what they are together.
//!
//! Source: 2026-07-28 `basic/patterns/mrtr` (SEP-2322): the repeated request is the same method about the same
//! subject; it brings back `requestState`, or the answers to what was asked, by their names.

use std::collections::VecDeque;
use std::time::Duration;

use super::Pipeline;
use super::completion::Ended;
use super::health::Stage;
use super::limits::Table;
use super::mcp::ties::Token;
use super::observation::{Call, Outcome, Rounds, Subject};
use super::pairing::scope::hash;
use super::parties::whereabouts;
use super::time::Timestamp;

/// Calls that were asked for more input, by what the next round will bring: several at once may be asked for the same.
#[derive(Debug)]
pub(super) struct OpenRounds {
    waiting: Table<u64, VecDeque<Earlier>>,
    each: usize,
}

/// The rounds of one call so far.
#[derive(Clone, Copy, Debug)]
struct Earlier {
    since: Timestamp,
    asked_for_input_at: Timestamp,
    count: u32,
    working: Duration,
}

impl OpenRounds {
    /// For at most so many calls, and so many that are asked for the same.
    pub(super) fn new(limit: usize, each: usize) -> Self {
        Self { waiting: Table::new(limit), each }
    }

    /// The first of those that this may be.
    fn first(&self, key: u64) -> Option<Earlier> {
        self.waiting.value(&key)?.front().copied()
    }

    fn take_first(&mut self, key: u64) {
        let Some(waiting) = self.waiting.value_mut(&key) else { return };
        waiting.pop_front();
        if waiting.is_empty() {
            self.waiting.remove(&key);
        }
    }

    /// Returns whether another one had to go.
    fn keep(&mut self, key: u64, so_far: Earlier) -> bool {
        let Some(waiting) = self.waiting.value_mut(&key) else {
            return self.waiting.insert(key, VecDeque::from([so_far])).is_some();
        };
        let is_full = waiting.len() >= self.each;
        if is_full {
            waiting.pop_front();
        }
        waiting.push_back(so_far);
        is_full
    }

    fn oldest(&self) -> Option<(u64, Earlier)> {
        let (key, waiting) = self.waiting.oldest()?;
        Some((*key, *waiting.front()?))
    }
}

impl Pipeline {
    /// Ties a round to those before it and makes it known to those after it.
    pub(super) fn link_rounds(&mut self, ended: &mut Ended) {
        let interim = ended.call.outcome == Outcome::InputRequired;
        if !interim && ended.request.continues.is_none() {
            return;
        }
        let earlier = ended.request.continues.and_then(|token| self.earlier_rounds(&ended.call, token));
        let call = &ended.call;
        let taken = call.duration().unwrap_or_default();
        let since = earlier.map_or(call.at, |earlier| earlier.since);
        let count = earlier.map_or(0, |earlier| earlier.count).saturating_add(1);
        let working = earlier.map_or(Duration::ZERO, |earlier| earlier.working).saturating_add(taken);
        let end = call.at.after(taken);
        if interim {
            let so_far = Earlier { since, asked_for_input_at: end, count, working };
            if let Some(token) = ended.answer.continued_by {
                self.keep_round(key(call, token), so_far);
            }
        } else if earlier.is_some() {
            ended.call.links.rounds = Some(Rounds { count, logical: end.since(since), working });
        }
    }

    /// The rounds that `call` continues.
    fn earlier_rounds(&mut self, call: &Call, token: Token) -> Option<Earlier> {
        let key = key(call, token);
        let earlier = self.rounds.first(key);
        let answered = !matches!(call.outcome, Outcome::HttpError | Outcome::Cancelled | Outcome::Abandoned);
        match earlier {
            // One that failed on its way may come again.
            Some(_) if answered => self.rounds.take_first(key),
            Some(_) => {}
            None => self.health.fault(Stage::Mcp, "round_without_first"),
        }
        earlier
    }

    fn keep_round(&mut self, key: u64, so_far: Earlier) {
        let age = self.settings.limits.call_age;
        while let Some((old, oldest)) = self.rounds.oldest()
            && self.now.since(oldest.asked_for_input_at) > age
        {
            self.rounds.take_first(old);
            self.health.fault(Stage::Mcp, "round_without_last");
        }
        if self.rounds.keep(key, so_far) {
            self.health.shed(Stage::Mcp, "rounds");
        }
    }
}

/// What two rounds of one call have in common. An opaque state is the server's, whoever brings it back.
fn key(call: &Call, token: Token) -> u64 {
    let subject = match &call.subject {
        Some(Subject::Tool(name) | Subject::Prompt(name)) => hash(name),
        Some(Subject::Resource(uri)) => hash(uri.reveal()),
        None => 0,
    };
    let client = match token {
        Token::State(_) => 0,
        Token::Names(_) => whereabouts(&call.client, false),
    };
    hash(&(token, &call.method, subject, whereabouts(&call.server, true), client))
}
