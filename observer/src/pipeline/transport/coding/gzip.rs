//! `gzip` and `deflate`: two wrappings of the same compression.

use miniz_oxide::inflate::stream::{InflateState, inflate};
use miniz_oxide::{DataFormat, MZFlush, MZStatus};

use super::{BROKEN, Fault, Out, PORTION};

/// `gzip`: members, one after the other.
pub(super) struct Gzip {
    state: Member,
    inflate: Inflate,
}

enum Member {
    /// Its head so far.
    Head(Vec<u8>),
    Data,
    /// So many bytes of checksum and length are to come.
    Tail(usize),
    /// Behind one: perhaps another comes.
    Over,
    /// In what is no member.
    Padding,
}

impl Gzip {
    pub(super) fn new() -> Self {
        Self { state: Member::Head(Vec::new()), inflate: Inflate::new(DataFormat::Raw) }
    }

    pub(super) fn push(&mut self, mut coded: &[u8], out: &mut Out<'_>) -> Result<(), Fault> {
        while !coded.is_empty() {
            match &mut self.state {
                Member::Head(head) => {
                    let before = head.len();
                    head.extend_from_slice(coded.get(..LONGEST_HEAD).unwrap_or(coded));
                    match head_len(head)? {
                        Some(len) => {
                            coded = coded.get(len.saturating_sub(before)..).unwrap_or_default();
                            self.inflate.restart();
                            self.state = Member::Data;
                        }
                        None if head.len() > LONGEST_HEAD => return Err(BROKEN),
                        None => return Ok(()),
                    }
                }
                Member::Data => {
                    if self.inflate.push(&mut coded, out)? {
                        self.state = Member::Tail(8);
                    }
                }
                Member::Tail(left) => {
                    let taken = (*left).min(coded.len());
                    *left -= taken;
                    coded = coded.get(taken..).unwrap_or_default();
                    if *left == 0 {
                        self.state = Member::Over;
                    }
                }
                Member::Over if coded.first() == Some(&0x1F) => self.state = Member::Head(Vec::new()),
                Member::Over => self.state = Member::Padding,
                Member::Padding => return Ok(()),
            }
        }
        Ok(())
    }
}

/// The length of a member's head (RFC 1952, §2.3), once it is complete.
fn head_len(head: &[u8]) -> Result<Option<usize>, Fault> {
    let magic = [0x1F, 0x8B, 8];
    if head.iter().zip(magic).any(|(byte, right)| *byte != right) {
        return Err(BROKEN);
    }
    Ok(complete_head_len(head))
}

fn complete_head_len(head: &[u8]) -> Option<usize> {
    let flags = *head.get(3)?;
    let mut len = 10;
    if flags & 4 != 0 {
        let extra = head.get(len..len + 2)?;
        len += 2 + usize::from(*extra.first()?) + (usize::from(*extra.get(1)?) << 8);
    }
    for text in [8, 16] {
        if flags & text != 0 {
            len += memchr::memchr(0, head.get(len..)?)? + 1;
        }
    }
    len += if flags & 2 != 0 { 2 } else { 0 };
    (head.len() >= len).then_some(len)
}

/// `deflate`.
pub(super) struct Deflate {
    /// The first bytes, until they have shown which of the two it is.
    start: Option<Vec<u8>>,
    inflate: Inflate,
    over: bool,
}

impl Deflate {
    pub(super) fn new() -> Self {
        Self { start: Some(Vec::new()), inflate: Inflate::new(DataFormat::Raw), over: false }
    }

    /// Without a wrapping for certain.
    pub(super) fn raw() -> Self {
        Self { start: None, ..Self::new() }
    }

    pub(super) fn push(&mut self, mut coded: &[u8], out: &mut Out<'_>) -> Result<(), Fault> {
        if let Some(start) = &mut self.start {
            while start.len() < 2 {
                let Some((&byte, rest)) = coded.split_first() else { return Ok(()) };
                start.push(byte);
                coded = rest;
            }
            let start = self.start.take().unwrap_or_default();
            if is_wrapped(&start) {
                self.inflate = Inflate::new(DataFormat::ZLibIgnoreChecksum);
            }
            self.read(&mut start.as_slice(), out)?;
        }
        self.read(&mut coded, out)
    }

    fn read(&mut self, coded: &mut &[u8], out: &mut Out<'_>) -> Result<(), Fault> {
        if !self.over {
            self.over = self.inflate.push(coded, out)?;
        }
        Ok(())
    }
}

/// Whether these are the first two bytes of RFC 1950, §2.2.
fn is_wrapped(start: &[u8]) -> bool {
    match start {
        [method, flags, ..] => {
            method & 0x0F == 8 && method >> 4 <= 7 && (u16::from(*method) << 8 | u16::from(*flags)) % 31 == 0
        }
        _ => false,
    }
}

/// The compression itself.
struct Inflate {
    format: DataFormat,
    state: Box<InflateState>,
    portion: Vec<u8>,
}

impl Inflate {
    fn new(format: DataFormat) -> Self {
        Self { format, state: InflateState::new_boxed(format), portion: vec![0; PORTION] }
    }

    fn restart(&mut self) {
        self.state.reset(self.format);
    }

    /// Returns whether the end of the data was reached.
    fn push(&mut self, coded: &mut &[u8], out: &mut Out<'_>) -> Result<bool, Fault> {
        loop {
            let result = inflate(&mut self.state, coded, &mut self.portion, MZFlush::None);
            *coded = coded.get(result.bytes_consumed..).unwrap_or_default();
            let decoded = self.portion.get(..result.bytes_written).unwrap_or_default();
            if !decoded.is_empty() {
                out(decoded)?;
            }
            let moved = result.bytes_consumed + result.bytes_written > 0;
            match result.status {
                Ok(MZStatus::StreamEnd) => return Ok(true),
                Ok(_) if moved => {}
                Ok(_) | Err(miniz_oxide::MZError::Buf) => return Ok(false),
                Err(_) => return Err(BROKEN),
            }
        }
    }
}

/// Names of files in it are short.
const LONGEST_HEAD: usize = 4 << 10;
