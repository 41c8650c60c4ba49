//! `br`.

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};

use super::{BROKEN, Fault, Out, PORTION};

pub(super) struct Brotli {
    state: Box<BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>>,
    portion: Vec<u8>,
    over: bool,
}

impl Brotli {
    pub(super) fn new() -> Self {
        let alloc = StandardAlloc::default;
        let mut state = Box::new(BrotliState::new(alloc(), alloc(), alloc()));
        state.large_window = false;
        Self { state, portion: vec![0; PORTION], over: false }
    }

    pub(super) fn push(&mut self, coded: &[u8], out: &mut Out<'_>) -> Result<(), Fault> {
        let (mut left, mut from) = (coded.len(), 0);
        while !self.over {
            let (mut room, mut written, mut total) = (self.portion.len(), 0, 0);
            let result = BrotliDecompressStream(
                &mut left,
                &mut from,
                coded,
                &mut room,
                &mut written,
                &mut self.portion,
                &mut total,
                &mut self.state,
            );
            let decoded = self.portion.get(..written).unwrap_or_default();
            if !decoded.is_empty() {
                out(decoded)?;
            }
            match result {
                BrotliResult::ResultSuccess => self.over = true,
                BrotliResult::NeedsMoreInput => return Ok(()),
                BrotliResult::NeedsMoreOutput if written > 0 => {}
                BrotliResult::NeedsMoreOutput | BrotliResult::ResultFailure => return Err(BROKEN),
            }
        }
        Ok(())
    }
}

/// The size of the window (RFC 7932, §9.1), which the first byte tells.
pub(super) const fn window(first: u8) -> u64 {
    let bits = match (first & 1, first >> 1 & 7, first >> 4 & 7) {
        (0, ..) => 16,
        (_, 0, 0) => 17,
        (_, 0, 1) => 62, // reserved
        (_, 0, low) => 8 + low,
        (_, high, _) => 17 + high,
    };
    1 << bits
}
