//! `zstd`.

use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::{BROKEN, Fault, NO_ROOM, Out};

pub(super) struct Zstd {
    decoder: FrameDecoder,
    /// The beginning of a frame's head or of a block.
    held: Vec<u8>,
    state: State,
}

enum State {
    /// In the head of a frame.
    Head,
    /// In the blocks of a frame, which ends with a checksum or not.
    Blocks { checksum: bool },
    /// In a frame to be left out, of which so many bytes are to come.
    Skipped(u64),
}

impl Zstd {
    pub(super) fn new() -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(super::ZSTD_WINDOW_BYTES);
        Self { decoder, held: Vec::new(), state: State::Head }
    }

    pub(super) fn push(&mut self, coded: &[u8], out: &mut Out<'_>) -> Result<(), Fault> {
        let mut rest = coded;
        while !rest.is_empty() {
            if let State::Skipped(left) = &mut self.state {
                let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                *left -= taken as u64;
                rest = rest.get(taken..).unwrap_or_default();
                if *left == 0 {
                    self.state = State::Head;
                }
                continue;
            }
            let wanted = self.wanted();
            let taken = wanted.saturating_sub(self.held.len()).min(rest.len());
            let (part, behind) = rest.split_at_checked(taken).unwrap_or((rest, &[]));
            self.held.extend_from_slice(part);
            rest = behind;
            if self.held.len() >= self.wanted() {
                self.take(out)?;
            }
        }
        Ok(())
    }

    /// How many bytes are needed to go on, as far as those that are held tell.
    fn wanted(&self) -> usize {
        match self.state {
            State::Head => match self.held.get(4) {
                None => 5,
                Some(_) if is_skippable(&self.held) => 8,
                Some(&descriptor) => {
                    let (single, content) = (descriptor & 0x20 != 0, descriptor >> 6);
                    let dictionary = [0, 1, 2, 4].get(usize::from(descriptor & 3)).copied().unwrap_or(0);
                    let content = match content {
                        0 => usize::from(single),
                        more => 1 << more,
                    };
                    5 + usize::from(!single) + dictionary + content
                }
            },
            State::Blocks { checksum } => match self.held.first_chunk::<3>() {
                None => 3,
                Some(&[a, b, c]) => {
                    let header = u32::from_le_bytes([a, b, c, 0]);
                    let (last, kind, size) = (header & 1 != 0, header >> 1 & 3, (header >> 3) as usize);
                    let content = if kind == 1 { 1 } else { size.min(LARGEST_BLOCK) };
                    3 + content + if last && checksum { 4 } else { 0 }
                }
            },
            State::Skipped(_) => 0,
        }
    }

    /// What is held is complete.
    fn take(&mut self, out: &mut Out<'_>) -> Result<(), Fault> {
        let held = std::mem::take(&mut self.held);
        if let State::Blocks { .. } = self.state {
            let over = self.decoder.decode_blocks(held.as_slice(), BlockDecodingStrategy::UptoBlocks(1));
            let over = over.map_err(|_| BROKEN)?;
            if let Some(decoded) = self.decoder.collect().filter(|decoded| !decoded.is_empty()) {
                out(&decoded)?;
            }
            if over {
                self.state = State::Head;
            }
        } else if is_skippable(&held) {
            let left = held.get(4..).and_then(|len| len.first_chunk::<4>()).copied().unwrap_or_default();
            self.state = match u32::from_le_bytes(left) {
                0 => State::Head,
                left => State::Skipped(u64::from(left)),
            };
        } else {
            use ruzstd::decoding::errors::FrameDecoderError::WindowSizeTooBig;
            self.decoder.reset(held.as_slice()).map_err(|error| match error {
                WindowSizeTooBig { .. } => NO_ROOM,
                _ => BROKEN,
            })?;
            self.state =
                State::Blocks { checksum: held.get(4).is_some_and(|descriptor| descriptor & 4 != 0) };
        }
        Ok(())
    }
}

/// Whether a frame is for others (RFC 8878, §3.1.2).
fn is_skippable(head: &[u8]) -> bool {
    matches!(head, [first, 0x2A, 0x4D, 0x18, ..] if first & 0xF0 == 0x50)
}

/// Larger ones are refused by the decoder.
const LARGEST_BLOCK: usize = 128 << 10;
