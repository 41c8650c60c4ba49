//! Whether who asks uses its ids once: then an answer belongs to the request with its id, whatever else is lost.
//!
//! JSON-RPC lets an id be used again once it was answered. Nearly every client counts instead, and where it was seen
//! to count, a request that was lost cannot have had the id of one that is open. Where it was not, a lost request may
//! have had any id, and an answer that comes after the loss proves nothing.

use super::scope::hash;
use crate::pipeline::jsonrpc::Id;
use crate::pipeline::time::Timestamp;

/// The ids that one side has used, and when requests of it may have been lost.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ids {
    torn_at: Option<Timestamp>,
    number: Option<u64>,
    text: Option<(u64, u64)>,
    may_repeat: bool,
}

impl Ids {
    /// A request with this id was seen.
    pub fn note(&mut self, id: &Id) {
        self.may_repeat |= match id {
            Id::Number(number) => {
                let before = self.number;
                self.number = number.parse().ok();
                self.number.is_none() || before >= self.number
            }
            Id::String(text) => {
                let before = self.text;
                self.text = counted(text);
                let goes_on = |(prefix, count): (u64, u64)| {
                    before.is_none_or(|(known, last)| known == prefix && last < count)
                };
                !self.text.is_some_and(goes_on)
            }
        };
    }

    /// Bytes were found missing in which requests may have been.
    pub const fn tear(&mut self, at: Timestamp) {
        self.torn_at = Some(at);
    }

    /// Whether no request can have been lost.
    pub const fn are_all(&self) -> bool {
        self.torn_at.is_none()
    }

    /// Whether a request that came `since` may have been lost that had the id of an earlier one.
    pub fn may_have_repeated(&self, since: Timestamp) -> bool {
        self.may_repeat && self.torn_at >= Some(since)
    }
}

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
        let never_torn = seen.may_have_repeated(Timestamp::default());
        seen.tear(Timestamp::default());
        assert!(!never_torn, "nothing was lost");
        seen.may_have_repeated(Timestamp::default())
    }

    #[test]
    fn who_counts_repeats_nothing() {
        for ids in
            [&["0", "1", "2", "9"][..], &["\"a-1\"", "1", "\"a-2\"", "2"], &["\"probe-1\"", "0"], &["7"]]
        {
            assert!(!repeats(ids), "{ids:?}");
        }
    }

    #[test]
    fn who_does_not_count_may_repeat() {
        for ids in [&["1", "1"][..], &["2", "1"], &["\"a\""], &["\"a-1\"", "\"b-2\""], &["1.5"], &["-1"]] {
            assert!(repeats(ids), "{ids:?}");
        }
    }
}
