//! For tests: feeds bytes to a framing in any portions, with any losses, and writes down what it finds.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::attached::Output;
use super::http1::{Requests, Responses};
use super::http2::Http2;
use super::stdio::Lines;
use super::websocket::Messages;
use super::{Frame, Frames};
use crate::pipeline::jsonrpc::skim::{Skim, Skimmed};
use crate::pipeline::jsonrpc::{Message, MessageId, Shape};
use crate::pipeline::limits::Limits;
use crate::pipeline::reassembly::{Mark, Piece};
use crate::pipeline::time::Timestamp;

/// Anything that takes pieces.
pub(super) trait Framing {
    fn push(&mut self, piece: Piece<'_>, out: &mut Recorder);
}

impl Framing for Lines {
    fn push(&mut self, piece: Piece<'_>, out: &mut Recorder) {
        self.push(piece, out);
    }
}

impl Framing for Output {
    fn push(&mut self, piece: Piece<'_>, out: &mut Recorder) {
        self.push(piece, out);
    }
}

impl Framing for Messages {
    fn push(&mut self, piece: Piece<'_>, out: &mut Recorder) {
        self.push(piece, out);
    }
}

impl Framing for Http2 {
    fn push(&mut self, piece: Piece<'_>, out: &mut Recorder) {
        self.push(piece, out);
    }
}

impl Framing for Requests {
    fn push(&mut self, piece: Piece<'_>, out: &mut Recorder) {
        self.push(piece, out);
    }
}

impl Framing for Responses {
    fn push(&mut self, piece: Piece<'_>, out: &mut Recorder) {
        self.push(piece, out);
    }
}

/// What a framing found, one line each; adjacent parts of a text are one.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    pub(super) log: Vec<String>,
    /// What the skimmer read in the texts.
    pub(super) skimmed: Vec<Skimmed>,
    /// From which position on bytes were seen at which time.
    times: Vec<(u64, Timestamp)>,
    /// The texts of each stream.
    skims: BTreeMap<u32, Skim>,
    open: BTreeSet<u32>,
    stream: u32,
    part: Vec<u8>,
}

impl Recorder {
    /// The messages of which nothing is missing.
    pub(super) fn whole_messages(&self) -> Vec<&Message> {
        self.skimmed.iter().flat_map(|text| &text.messages).filter(|message| message.whole).collect()
    }

    /// Each mark must have the time of the piece it lies in.
    fn place(&self, mark: Mark) -> u64 {
        let seen = self.times.iter().rfind(|(from, _)| *from <= mark.position).unwrap();
        assert_eq!(mark.at, seen.1, "time of position {}", mark.position);
        mark.position
    }

    fn flush(&mut self) {
        if !self.part.is_empty() {
            let part = std::mem::take(&mut self.part);
            self.log.push(format!("text {}", part.escape_ascii()));
        }
    }

    fn skim(&mut self) -> &mut Skim {
        self.skims.entry(self.stream).or_insert_with(|| Skim::new(&Limits::default(), false))
    }
}

impl Frames for Recorder {
    fn frame(&mut self, frame: Frame<'_>) {
        if let Frame::Text(part) = frame {
            assert!(self.open.contains(&self.stream) && !part.is_empty());
            self.part.extend_from_slice(part);
            self.skim().push(part);
            return;
        }
        if frame == Frame::Stream(self.stream) {
            return;
        }
        self.flush();
        let in_text = matches!(frame, Frame::Gap(_) | Frame::End { .. } | Frame::Abort);
        let anywhere = matches!(frame, Frame::Fault(_) | Frame::Stream(_) | Frame::Reset);
        let open = self.open.contains(&self.stream);
        assert!(anywhere || open == in_text, "{frame:?} while a text is open: {open}");
        match frame {
            Frame::Begin { .. } => drop(self.open.insert(self.stream)),
            Frame::End { .. } | Frame::Abort => drop(self.open.remove(&self.stream)),
            _ => {}
        }
        let line = match frame {
            Frame::Stream(stream) => {
                self.stream = stream;
                format!("stream {stream}")
            }
            Frame::Reset => "reset".to_owned(),
            Frame::Upgraded(protocol) => format!("upgraded {protocol:?}"),
            Frame::Request(head) => {
                self.place(head.first_byte.unwrap());
                format!("request {} {} {:?}", head.method, head.target, head.fields)
            }
            Frame::Response(head) => {
                self.place(head.first_byte.unwrap());
                format!("response {} {:?}", head.status, head.fields)
            }
            Frame::Begin { first_byte } => format!("begin {}", self.place(first_byte)),
            Frame::Text(_) => unreachable!(),
            Frame::Gap(missing) => {
                self.skim().gap(missing);
                format!("gap {missing}")
            }
            Frame::End { last_byte, carrier } => {
                let skimmed = self.skim().finish();
                self.skimmed.push(skimmed);
                format!("end {} {carrier:?}", self.place(last_byte))
            }
            Frame::Abort => {
                self.skim().finish();
                "abort".to_owned()
            }
            Frame::BodyEnd { last_byte, whole, .. } => format!("body end {} {whole}", self.place(last_byte)),
            Frame::Fault(cause) => format!("fault {cause}"),
        };
        self.log.push(line);
    }
}

/// A part of a flow: known bytes or lost ones.
#[derive(Clone, Copy)]
enum Part<'a> {
    Known(&'a [u8]),
    Lost(&'a [u8]),
}

fn feed<F: Framing>(mut framing: F, parts: &[Part<'_>]) -> Recorder {
    let mut recorder = Recorder::default();
    let mut position = 0;
    for (number, part) in parts.iter().enumerate() {
        let at = Timestamp::from_nanos(1000 + number as u64);
        recorder.times.push((position, at));
        let (Part::Known(bytes) | Part::Lost(bytes)) = *part;
        framing.push(
            match part {
                Part::Known(data) => Piece::Data { at, position, data },
                Part::Lost(lost) => Piece::Gap { at, position, missing: lost.len() as u64 },
            },
            &mut recorder,
        );
        position += bytes.len() as u64;
    }
    framing.push(Piece::End { at: Timestamp::from_nanos(9999) }, &mut recorder);
    recorder.flush();
    assert!(recorder.open.is_empty(), "a text is left open");
    recorder
}

/// What is found if `bytes` come in one piece.
pub(super) fn read<F: Framing>(new: impl Fn() -> F, bytes: &[u8]) -> Recorder {
    feed(new(), &[Part::Known(bytes)])
}

/// What is found if `bytes` come in pieces that end at `cuts`.
pub(super) fn read_cut<F: Framing>(new: impl Fn() -> F, bytes: &[u8], cuts: &[usize]) -> Recorder {
    let mut parts = Vec::new();
    let mut from = 0;
    for &cut in cuts.iter().chain([&bytes.len()]) {
        let cut = cut.min(bytes.len());
        if cut > from {
            parts.push(Part::Known(&bytes[from..cut]));
            from = cut;
        }
    }
    feed(new(), &parts)
}

/// What is found if the bytes in `lost` are not known.
pub(super) fn read_lossy<F: Framing>(new: impl Fn() -> F, bytes: &[u8], lost: Range<usize>) -> Recorder {
    read_with_holes(new, bytes, &[lost])
}

/// What is found if the bytes in `holes`, which are in order, are not known.
pub(super) fn read_with_holes<F: Framing>(
    new: impl Fn() -> F,
    bytes: &[u8],
    holes: &[Range<usize>],
) -> Recorder {
    let mut parts = Vec::new();
    let mut from = 0;
    for hole in holes.iter().filter(|hole| !hole.is_empty()) {
        parts.extend([Part::Known(&bytes[from..hole.start]), Part::Lost(&bytes[hole.clone()])]);
        from = hole.end;
    }
    parts.push(Part::Known(&bytes[from..]));
    feed(new(), &parts)
}

/// The first law: the same is found wherever the bytes are cut.
pub(super) fn assert_cuts_do_not_matter<F: Framing>(new: impl Fn() -> F, bytes: &[u8]) {
    let expected = read(&new, bytes).log;
    for cut in 0..=bytes.len() {
        assert_eq!(read_cut(&new, bytes, &[cut]).log, expected, "cut at {cut}");
        assert_eq!(read_cut(&new, bytes, &[cut, cut + 1]).log, expected, "a piece of one byte at {cut}");
    }
    assert_some_cuts_do_not_matter(&new, bytes, 200);
}

fn assert_some_cuts_do_not_matter<F: Framing>(new: impl Fn() -> F, bytes: &[u8], tries: usize) {
    let expected = read(&new, bytes).log;
    let single: Vec<usize> = (0..bytes.len()).collect();
    assert_eq!(read_cut(&new, bytes, &single).log, expected, "byte by byte: {}", bytes.escape_ascii());
    let mut random = Random(bytes.len() as u64 + 1);
    for _ in 0..tries {
        let mut cuts: Vec<usize> = (0..random.below(12)).map(|_| random.below(bytes.len() + 1)).collect();
        cuts.sort_unstable();
        assert_eq!(read_cut(&new, bytes, &cuts).log, expected, "cuts at {cuts:?}: {}", bytes.escape_ascii());
    }
}

/// The first law on bytes that are not what they should be: `bytes` with parts exchanged, doubled and left out.
pub(super) fn assert_any_bytes_are_survived<F: Framing>(new: impl Fn() -> F, bytes: &[u8]) {
    let mut random = Random(1);
    for _ in 0..600 {
        let mut spoilt = bytes.to_vec();
        for _ in 0..=random.below(5) {
            let (from, to) = (random.below(spoilt.len()), random.below(spoilt.len()));
            let part = spoilt[from..(from + random.below(60)).min(spoilt.len())].to_vec();
            match random.below(3) {
                0 => spoilt[to] = [b'\r', b'\n', b' ', b'{', b'H', b'0', b':', 0xEF][random.below(8)],
                1 => drop(spoilt.splice(to..(to + part.len()).min(spoilt.len()), part)),
                _ => drop(spoilt.splice(to..to, part)),
            }
        }
        spoilt.drain(..random.below(spoilt.len()) / 2 * random.below(2));
        assert_some_cuts_do_not_matter(&new, &spoilt, 4);
    }
}

/// The second law: whatever is lost, no message counts as whole that was not sent, and none that is known in part
/// has the id of one and the method of another.
pub(super) fn assert_losses_are_holes<F: Framing>(new: impl Fn() -> F, bytes: &[u8]) {
    let sent = read(&new, bytes);
    let messages = sent.whole_messages();
    let step = bytes.len() / 150 + 1;
    for start in (0..bytes.len()).step_by(step) {
        for end in (start + 1..=bytes.len()).step_by(step) {
            let read = read_lossy(&new, bytes, start..end);
            check(&read, &messages, &format!("lost {start}..{end}"));
        }
        let joined = read_cut(&new, &bytes[start..], &[]);
        check(&joined, &messages, &format!("joined at {start}"));
    }
    let mut random = Random(5);
    for _ in 0..2000 {
        let mut ends = [0; 4].map(|_| random.below(bytes.len()));
        ends.sort_unstable();
        let [a, b, c, d] = ends;
        let read = read_with_holes(&new, bytes, &[a..b, c..d]);
        check(&read, &messages, &format!("lost {a}..{b} and {c}..{d}"));
    }
}

fn check(read: &Recorder, sent: &[&Message], case: &str) {
    for message in read.skimmed.iter().flat_map(|text| &text.messages) {
        if message.shape() == Shape::Unknown {
            continue;
        } else if message.whole {
            assert!(sent.contains(&message), "{case}: {message:?} in {:#?}", read.log);
        } else if let MessageId::Id(_) = message.id {
            let same = |other: &&&Message| {
                other.id == message.id && (message.method.is_none() || message.method == other.method)
            };
            assert!(sent.iter().any(|other| same(&other)), "{case}: {message:?} in {:#?}", read.log);
        }
    }
}

/// Numbers that look random and are always the same.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % limit.max(1)
    }
}
