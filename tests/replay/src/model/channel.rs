//! One way of a connection: bytes are written and read in pieces of any size, and the times of texts are noted.

use std::time::Duration;

use super::packed::Packed;
use super::random::Random;
use super::truth::Span;
use crate::scenario::{Scenario, Wire};

/// What everything in a world shares.
#[derive(Debug)]
pub struct Stage {
    /// Writes the records.
    pub scenario: Scenario,
    /// Chance.
    pub random: Random,
    /// Texts so far.
    pub spans: Vec<Span>,
}

/// Bytes between a writer and a reader.
#[derive(Debug)]
pub struct Channel {
    /// The wire that carries them.
    pub wire: Wire,
    unread: Vec<u8>,
    sent: u64,
    texts: Vec<(usize, [u64; 2])>,
    /// What is read in one piece.
    solid: Vec<std::ops::Range<u64>>,
}

impl Channel {
    /// Nothing was written.
    pub const fn new(wire: Wire) -> Self {
        Self { wire, unread: Vec::new(), sent: 0, texts: Vec::new(), solid: Vec::new() }
    }

    /// The writer writes `bytes`, in which `text` stands. Returns the text's span.
    pub fn write(&mut self, stage: &mut Stage, bytes: &[u8], text: &str) -> usize {
        self.write_packed(stage, &Packed::new(bytes.into(), text))
    }

    /// The writer writes a text, however it is packed. Returns its span.
    pub fn write_packed(&mut self, stage: &mut Stage, packed: &Packed) -> usize {
        stage.spans.push(Span::default());
        let span = stage.spans.len() - 1;
        self.texts.push((span, packed.text.map(|place| self.sent + place as u64)));
        let range =
            |range: &std::ops::Range<usize>| self.sent + range.start as u64..self.sent + range.end as u64;
        self.solid.extend(packed.solid.iter().map(range));
        for piece in cut(packed, &mut stage.random) {
            let (from, at) = (self.sent, stage.scenario.now_ns());
            stage.scenario.sends(self.wire, piece);
            self.sent += piece.len() as u64;
            self.note(stage, from..self.sent, |span| (&mut span.first_sent, &mut span.last_sent), at);
        }
        self.unread.extend_from_slice(&packed.bytes);
        span
    }

    /// The reader reads some of what it has not read.
    pub fn read_some(&mut self, stage: &mut Stage) {
        if !self.unread.is_empty() {
            let count = 1 + stage.random.below(self.unread.len());
            self.read(stage, count);
        }
    }

    /// The reader reads all, in pieces.
    pub fn read_all(&mut self, stage: &mut Stage) {
        if !self.unread.is_empty() {
            stage.scenario.passes(Duration::from_micros(15));
        }
        while !self.unread.is_empty() {
            let left = self.unread.len();
            let least = left / 4;
            let count =
                if stage.random.one_in(3) { least + 1 + stage.random.below(left - least) } else { left };
            self.read(stage, count);
        }
    }

    fn read(&mut self, stage: &mut Stage, count: usize) {
        let from = self.sent - self.unread.len() as u64;
        let count = self.up_to_a_cut(from, count);
        let piece: Vec<u8> = self.unread.drain(..count).collect();
        let at = stage.scenario.now_ns();
        stage.scenario.receives(self.wire, &piece);
        let range = from..from + count as u64;
        self.note(stage, range.clone(), |span| (&mut span.first_received, &mut span.last_received), at);
        self.texts.retain(|(_, [_, last])| *last >= range.end);
        self.solid.retain(|solid| solid.end > range.end);
    }

    /// So many of the bytes that are not read, or some more: up to where they may be cut.
    fn up_to_a_cut(&self, from: u64, count: usize) -> usize {
        let mut end = from + count as u64;
        while let Some(solid) = self.solid.iter().find(|solid| solid.start < end && end < solid.end) {
            end = solid.end;
        }
        (end - from) as usize
    }

    fn note(
        &self,
        stage: &mut Stage,
        range: std::ops::Range<u64>,
        times: impl Fn(&mut Span) -> (&mut u64, &mut u64),
        at: u64,
    ) {
        for (span, [first, last]) in &self.texts {
            let (first_at, last_at) = times(&mut stage.spans[*span]);
            if range.contains(first) {
                *first_at = at;
            }
            if range.contains(last) {
                *last_at = at;
            }
        }
    }
}

/// Usually whole, sometimes in up to six pieces.
fn cut<'a>(packed: &'a Packed, random: &mut Random) -> Vec<&'a [u8]> {
    let mut rest = &*packed.bytes;
    let mut pieces = Vec::new();
    while rest.len() > 1 && pieces.len() < 5 && random.one_in(3) {
        let at = 1 + random.below(rest.len() - 1);
        if packed.can_be_cut(packed.bytes.len() - rest.len() + at) {
            let (piece, behind) = rest.split_at(at);
            pieces.push(piece);
            rest = behind;
        }
    }
    if !rest.is_empty() {
        pieces.push(rest);
    }
    pieces
}
