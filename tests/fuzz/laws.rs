//! What must hold for a framing whatever bytes it is given.

use std::collections::BTreeSet;

use mcp_observer::pipeline::reassembly::Piece;
use mcp_observer::pipeline::time::Timestamp;
use mcp_observer::pipeline::transport::{Frame, Frames};

/// Writes down frames; adjacent parts of a text are one.
#[derive(Debug, Default)]
pub struct Log {
    frames: Vec<String>,
    part: Vec<u8>,
    /// Streams with an open text.
    open: BTreeSet<u32>,
    stream: u32,
}

impl Log {
    fn flush(&mut self) {
        if !self.part.is_empty() {
            self.frames.push(format!("text {}", self.part.escape_ascii()));
            self.part.clear();
        }
    }
}

impl Frames for Log {
    fn frame(&mut self, frame: Frame<'_>) {
        let open = self.open.contains(&self.stream);
        match frame {
            Frame::Text(part) => {
                assert!(open);
                return self.part.extend_from_slice(part);
            }
            Frame::Stream(stream) if stream == self.stream => return,
            Frame::Stream(stream) => self.stream = stream,
            Frame::Begin { .. } => assert!(self.open.insert(self.stream)),
            Frame::End { .. } | Frame::Abort => assert!(self.open.remove(&self.stream)),
            Frame::Gap(_) => assert!(open),
            Frame::Request(_) | Frame::Response(_) | Frame::BodyEnd { .. } => assert!(!open),
            Frame::Fault(_) | Frame::Reset | Frame::Upgraded(_) => {}
        }
        self.flush();
        self.frames.push(format!("{frame:?}"));
    }
}

/// Gives `bytes` to `push` in pieces that end at `cuts`, all seen at one time. Bytes from `lost.0` up to `lost.1`
/// are withheld.
pub fn log(
    bytes: &[u8],
    cuts: &[usize],
    lost: (usize, usize),
    mut push: impl FnMut(Piece<'_>, &mut Log),
) -> Log {
    let (at, mut log) = (Timestamp::from_nanos(1), Log::default());
    let mut ends = vec![lost.0, lost.1, bytes.len()];
    ends.extend_from_slice(cuts);
    ends.sort_unstable();
    let mut from = 0;
    for end in ends {
        let end = end.min(bytes.len());
        let Some(data) = bytes.get(from..end).filter(|data| !data.is_empty()) else { continue };
        let position = from as u64;
        let piece = if lost.0 <= from && end <= lost.1 {
            Piece::Gap { at, position, missing: data.len() as u64 }
        } else {
            Piece::Data { at, position, data }
        };
        push(piece, &mut log);
        from = end;
    }
    push(Piece::End { at }, &mut log);
    log.flush();
    assert!(log.open.is_empty(), "a text is left open");
    log
}

/// The first two bytes say where the others are cut: the frames must be the same. Then a part is withheld.
pub fn check<F>(input: &[u8], new: impl Fn() -> F, push: impl Fn(&mut F, Piece<'_>, &mut Log)) {
    let [first, second, bytes @ ..] = input else { return };
    let place = |byte: u8| usize::from(byte) * (bytes.len() + 1) / 256;
    let (first, second) = (place(*first), place(*second));
    let read = |cuts: &[usize], lost| {
        let mut framing = new();
        log(bytes, cuts, lost, |piece, log| push(&mut framing, piece, log)).frames
    };
    let nothing = (usize::MAX, usize::MAX);
    let whole = read(&[], nothing);
    let single: Vec<usize> = (0..bytes.len()).collect();
    for (cuts, how) in [(&[first, second][..], "cut in two places"), (&single, "byte by byte")] {
        let other = read(cuts, nothing);
        // What comes out of a compressed body has its place where the decoder had read enough: that depends on the
        // cuts. The target `bodies` compares the texts.
        let is_compressed = whole.iter().chain(&other).any(|frame| frame.contains("(ContentEncoding, "));
        assert!(is_compressed || other == whole, "{how} ({first}, {second}):\n{whole:#?}\nnot\n{other:#?}");
    }
    read(&[], (first.min(second), first.max(second)));
}

/// The texts in `bytes`, without their places; `None` if there was a fault on the way.
pub fn texts(bytes: &[u8], cuts: &[usize], push: impl FnMut(Piece<'_>, &mut Log)) -> Option<Vec<String>> {
    let log = log(bytes, cuts, (usize::MAX, usize::MAX), push);
    let has_fault = log.frames.iter().any(|frame| frame.starts_with("Fault"));
    let texts = log.frames.into_iter().filter(|frame| frame.starts_with("text ")).collect();
    (!has_fault).then_some(texts)
}
