//! One flow: the bytes that go one way, put in order, and the times at which the other end moved them.
//!
//! In: `Bytes` events of one flow, from either end or both. Out: [`Piece`]s from one of the two copies, and the
//! other copy's times by position.
//!
//! The receiving end is canonical: it sees bytes in the order in which the receiver acts on them. A sender's copy
//! is taken only where no receiver's comes (the receiver is on another host, or cannot be read).

use std::collections::VecDeque;

use super::{Mark, Piece};
use crate::pipeline::input::Direction;
use crate::pipeline::time::Timestamp;

/// One record's worth of moved bytes.
#[derive(Clone, Copy, Debug)]
pub struct Moved<'a> {
    /// When.
    pub at: Timestamp,
    /// By which end.
    pub direction: Direction,
    /// Position of the first byte.
    pub position: u64,
    /// How many bytes.
    pub count: u64,
    /// The first of them, as far as recorded.
    pub data: &'a [u8],
}

/// The state of one flow.
#[derive(Debug, Default)]
pub struct Flow {
    /// The end whose copy is read.
    source: Option<Direction>,
    /// Position after the last byte handed on. Positions are counted from where a stream was first seen, so what
    /// comes first and is not at 0 has lost what was before it.
    expected: u64,
    /// Where the other end's calls ended, and when.
    marks: VecDeque<Mark>,
}

impl Flow {
    /// Takes one record; hands on what it adds to the flow. Keeps at most so many `marks`: of a message longer
    /// than these, the times of its first and last bytes stay.
    pub fn push<'a>(&mut self, moved: Moved<'a>, marks: usize, out: &mut impl FnMut(Piece<'a>)) {
        if self.source.is_none() && !moved.data.is_empty() {
            self.source = Some(moved.direction);
        }
        if self.source == Some(moved.direction) {
            return self.advance(moved, out);
        }
        let mark = Mark { at: moved.at, position: moved.position.saturating_add(moved.count) };
        match self.marks.back_mut() {
            // The parts of one call, however many records they are.
            Some(last) if last.at == mark.at => *last = mark,
            _ => self.marks.push_back(mark),
        }
        if self.marks.len() > marks {
            self.marks.remove(marks / 2);
        }
    }

    fn advance<'a>(&mut self, moved: Moved<'a>, out: &mut impl FnMut(Piece<'a>)) {
        let expected = self.expected;
        let end = moved.position.saturating_add(moved.count);
        if end <= expected {
            return; // seen already
        }
        let at = moved.at;
        if moved.position > expected {
            out(Piece::Gap { at, position: expected, missing: moved.position - expected });
        }
        let known = usize::try_from(expected.saturating_sub(moved.position)).unwrap_or(usize::MAX);
        let position = moved.position.max(expected);
        if let Some(data) = moved.data.get(known..).filter(|data| !data.is_empty()) {
            out(Piece::Data { at, position, data });
        }
        let recorded = moved.position.saturating_add(moved.data.len() as u64).max(position);
        if end > recorded {
            out(Piece::Gap { at, position: recorded, missing: end - recorded });
        }
        self.expected = end;
    }

    /// Whether nothing was seen of it.
    pub fn is_new(&self) -> bool {
        self.source.is_none() && self.marks.is_empty()
    }

    /// Whether more was sent than was received, as far as is known.
    pub fn has_unread(&self) -> bool {
        self.source == Some(Direction::Received)
            && self.marks.back().is_some_and(|sent| sent.position > self.expected)
    }

    /// Whether the sender's copy is the one that is read.
    pub fn reads_sends(&self) -> bool {
        self.source == Some(Direction::Sent)
    }

    /// When the byte at `mark` was sent, if the sender was seen. A send that is not yet reported cannot have
    /// returned later than the byte's arrival by more than the report's delay: the arrival bounds it.
    pub fn sent_at(&self, mark: Mark) -> Option<Timestamp> {
        match self.source {
            Some(Direction::Sent) => Some(mark.at),
            _ => self.other_end_at(mark.position).map(|at| at.min(mark.at)),
        }
    }

    /// When the byte at `mark` was received, if the receiver was seen.
    pub fn received_at(&self, mark: Mark) -> Option<Timestamp> {
        match self.source {
            Some(Direction::Sent) => self.other_end_at(mark.position),
            _ => Some(mark.at),
        }
    }

    fn other_end_at(&self, position: u64) -> Option<Timestamp> {
        let index = self.marks.partition_point(|mark| mark.position <= position);
        self.marks.get(index).map(|mark| mark.at)
    }

    /// Forgets the other end's times up to `position`.
    pub fn forget_until(&mut self, position: u64) {
        while self.marks.front().is_some_and(|mark| mark.position <= position) {
            self.marks.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ns: u64) -> Timestamp {
        Timestamp::from_nanos(ns)
    }

    fn received(position: u64, count: u64, data: &[u8]) -> Moved<'_> {
        Moved { at: at(position + 1), direction: Direction::Received, position, count, data }
    }

    fn pieces<'a>(flow: &mut Flow, moved: Moved<'a>) -> Vec<Piece<'a>> {
        let mut all = Vec::new();
        flow.push(moved, 4, &mut |piece| all.push(piece));
        all
    }

    #[test]
    fn what_was_lost_before_all_that_is_seen_is_a_gap() {
        let mut flow = Flow::default();
        let seen = pieces(&mut flow, received(100, 2, b"ab"));
        assert_eq!(
            seen,
            [
                Piece::Gap { at: at(101), position: 0, missing: 100 },
                Piece::Data { at: at(101), position: 100, data: b"ab" }
            ]
        );
    }

    #[test]
    fn a_lost_record_is_a_gap_of_its_size() {
        let mut flow = Flow::default();
        pieces(&mut flow, received(0, 2, b"ab"));
        let seen = pieces(&mut flow, received(5, 1, b"f"));
        assert_eq!(
            seen,
            [
                Piece::Gap { at: at(6), position: 2, missing: 3 },
                Piece::Data { at: at(6), position: 5, data: b"f" }
            ]
        );
    }

    #[test]
    fn bytes_that_were_counted_only_are_a_gap() {
        let mut flow = Flow::default();
        let seen = pieces(&mut flow, received(0, 5, b"ab"));
        assert_eq!(
            seen,
            [
                Piece::Data { at: at(1), position: 0, data: b"ab" },
                Piece::Gap { at: at(1), position: 2, missing: 3 }
            ]
        );
    }

    #[test]
    fn bytes_seen_twice_count_once() {
        let mut flow = Flow::default();
        pieces(&mut flow, received(0, 4, b"abcd"));
        assert_eq!(pieces(&mut flow, received(0, 4, b"abcd")), []);
        let seen = pieces(&mut flow, received(2, 4, b"cdef"));
        assert_eq!(seen, [Piece::Data { at: at(3), position: 4, data: b"ef" }]);
    }

    #[test]
    fn positions_at_the_end_of_all_numbers_are_survived() {
        let mut flow = Flow::default();
        let seen = |position, count, data| Moved {
            at: at(1),
            direction: Direction::Received,
            position,
            count,
            data,
        };
        pieces(&mut flow, seen(u64::MAX - 1, 9, b"ab"));
        assert_eq!(pieces(&mut flow, seen(u64::MAX, 9, b"ab")), []);
    }

    #[test]
    fn the_senders_time_belongs_to_the_bytes_that_it_sent() {
        let mut flow = Flow::default();
        let sent = |ns, position, count| Moved {
            at: at(ns),
            direction: Direction::Sent,
            position,
            count,
            data: &[],
        };
        pieces(&mut flow, sent(10, 0, 4));
        pieces(&mut flow, sent(20, 4, 4));
        pieces(&mut flow, received(0, 8, b"abcdefgh"));
        let mark = |ns, position| Mark { at: at(ns), position };
        assert_eq!(flow.sent_at(mark(30, 3)), Some(at(10)));
        assert_eq!(flow.sent_at(mark(30, 4)), Some(at(20)));
        assert_eq!(flow.sent_at(mark(15, 4)), Some(at(15)), "sent no later than received");
        assert_eq!(flow.sent_at(mark(30, 8)), None, "not reported yet");
        flow.forget_until(4);
        assert_eq!(flow.sent_at(mark(30, 0)), Some(at(20)), "only the later call is left");
    }

    #[test]
    fn a_senders_copy_is_read_where_no_other_comes() {
        let mut flow = Flow::default();
        let sent = Moved { at: at(1), direction: Direction::Sent, position: 0, count: 2, data: b"ab" };
        assert_eq!(pieces(&mut flow, sent), [Piece::Data { at: at(1), position: 0, data: b"ab" }]);
        assert_eq!(pieces(&mut flow, received(0, 2, b"ab")), [], "the other copy gives times only");
        assert_eq!(flow.received_at(Mark { at: at(1), position: 1 }), Some(at(1)));
    }
}
