//! Whether who asks uses its ids once: then an answer belongs to the request with its id, whatever else is lost.
//!
//! JSON-RPC lets an id be used again once it was answered. Nearly every client counts instead, one by one from 0 or 1,
//! and where it was seen to count, a request that was lost cannot have had the id of one that is open. Where it was
//! not, a lost request may have had any id, and an answer that comes after the loss proves nothing.

use super::scope::hash;
use crate::pipeline::jsonrpc::Id;
use crate::pipeline::reassembly::Mark;
use crate::pipeline::time::Timestamp;

/// The ids that one side has used, and when messages of it may have been lost.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ids {
    torn: Option<Mark>,
    torn_before: Option<Mark>,
    numbers: Option<Count>,
    texts: Option<(u64, Count)>,
    /// Requests may have been lost since the last id that was seen.
    may_skip: bool,
    does_not_count: bool,
}

/// Numbers that rise one by one.
#[derive(Clone, Copy, Debug)]
struct Count {
    last: u64,
    /// How often they rose, as far as it matters.
    steps: u8,
}

impl Count {
    const fn begin(first: u64) -> Self {
        Self { last: first, steps: if first <= 1 { ENOUGH_STEPS } else { 0 } }
    }

    /// With the next number; `None` if it is not the next.
    fn next(self, number: u64, may_skip: bool) -> Option<Self> {
        let is_next = Some(number) == self.last.checked_add(1) || may_skip && number > self.last;
        is_next.then_some(Self { last: number, steps: self.steps.saturating_add(1) })
    }
}

impl Ids {
    /// A request with this id was seen.
    pub fn note(&mut self, id: &Id) {
        let may_skip = std::mem::take(&mut self.may_skip);
        let goes_on = |before: Option<Count>, number: u64| match before {
            Some(before) => before.next(number, may_skip),
            None => Some(Count::begin(number)),
        };
        let counts = match id {
            Id::Number(number) => {
                let next = number.parse().ok().and_then(|number| goes_on(self.numbers, number));
                self.numbers = next.or(self.numbers);
                next.is_some()
            }
            Id::String(text) => {
                let next = counted(text).and_then(|(prefix, number)| {
                    let before = self
                        .texts
                        .map_or(Some(None), |(known, count)| (known == prefix).then_some(Some(count)));
                    Some((prefix, goes_on(before?, number)?))
                });
                self.texts = next.or(self.texts);
                next.is_some()
            }
        };
        self.does_not_count |= !counts;
    }

    /// Bytes were found missing in which messages may have been.
    pub const fn tear(&mut self, end: Mark) {
        (self.torn_before, self.torn) = (self.torn, Some(end));
        self.may_skip = true;
    }

    /// Whether an id may be used again.
    pub fn may_repeat(&self) -> bool {
        let counts = [self.numbers, self.texts.map(|(_, count)| count)];
        self.does_not_count || counts.into_iter().flatten().any(|count| count.steps < ENOUGH_STEPS)
    }

    /// Whether no request can have been lost.
    pub const fn are_all(&self) -> bool {
        self.torn.is_none()
    }

    /// Whether a request behind this place of the flow may have been lost that had the id of the one there.
    pub fn may_have_repeated_behind(&self, position: u64) -> bool {
        self.may_repeat() && self.are_torn_behind(position)
    }

    /// Whether a message may have been lost behind this place of the flow.
    pub fn are_torn_behind(&self, position: u64) -> bool {
        self.torn.is_some_and(|end| end.position > position)
    }

    /// Whether a message may have been lost since then, on any of several flows.
    pub fn are_torn_since(&self, at: Timestamp) -> bool {
        self.torn.is_some_and(|end| end.at >= at)
    }

    /// Whether one may have been lost since then, and before this place of the flow.
    pub fn are_torn_between(&self, since: Timestamp, position: u64) -> bool {
        let lost = |end: Mark| end.at >= since && end.position <= position;
        [self.torn, self.torn_before].into_iter().flatten().any(lost)
    }
}

/// Who counted from somewhere, so often, counts.
const ENOUGH_STEPS: u8 = 2;

/// The number at the end of a string, and a hash of what stands before it.
fn counted(text: &str) -> Option<(u64, u64)> {
    let prefix = text.trim_end_matches(|c: char| c.is_ascii_digit());
    Some((hash(&prefix), text.strip_prefix(prefix)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repeats(ids: &[&str]) -> bool {
        let mut seen = Ids::default();
        for id in ids {
            let text = id.trim_matches('"');
            let is_text = text.len() < id.len();
            seen.note(&if is_text { Id::String(text.into()) } else { Id::Number(text.into()) });
        }
        assert!(!seen.may_have_repeated_behind(0), "nothing was lost");
        seen.tear(Mark { at: Timestamp::default(), position: 9 });
        assert!(!seen.may_have_repeated_behind(9), "nothing was lost since");
        seen.may_have_repeated_behind(8)
    }

    #[test]
    fn who_counts_repeats_nothing() {
        for ids in [
            &["0", "1", "2", "3"][..],
            &["\"a-1\"", "1", "\"a-2\"", "2"],
            &["\"probe-1\"", "0"],
            &["7", "8", "9"],
        ] {
            assert!(!repeats(ids), "{ids:?}");
        }
    }

    #[test]
    fn who_was_not_seen_to_count_may_repeat() {
        for ids in [
            &["1", "1"][..],
            &["2", "1"],
            &["1", "3"],
            &["7", "8"],
            &["\"a\""],
            &["\"a-1\"", "\"b-2\""],
            &["1.5"],
            &["-1"],
        ] {
            assert!(repeats(ids), "{ids:?}");
        }
    }

    #[test]
    fn what_is_lost_was_counted_too() {
        let mut ids = Ids::default();
        ids.note(&Id::Number("1".into()));
        ids.tear(Mark { at: Timestamp::default(), position: 9 });
        ids.note(&Id::Number("5".into()));
        assert!(!ids.may_repeat());
        ids.note(&Id::Number("7".into()));
        assert!(ids.may_repeat());
    }
}
