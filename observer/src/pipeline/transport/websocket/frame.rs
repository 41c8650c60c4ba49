//! The heads of WebSocket frames.

/// The head of a frame (§5.2).
pub(super) struct Head {
    pub(super) last: bool,
    pub(super) compressed: bool,
    reserved: bool,
    pub(super) opcode: u8,
    pub(super) mask: Option<[u8; 4]>,
    pub(super) len: u64,
    /// The length is written in the shortest way.
    shortest: bool,
    bytes: usize,
}

impl Head {
    /// `None`: these are too few bytes.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (&first, rest) = bytes.split_first()?;
        let (&second, mut rest) = rest.split_first()?;
        let len = match second & 0x7F {
            126 => {
                let (len, behind) = rest.split_first_chunk::<2>()?;
                rest = behind;
                u64::from(u16::from_be_bytes(*len))
            }
            127 => {
                let (len, behind) = rest.split_first_chunk::<8>()?;
                rest = behind;
                u64::from_be_bytes(*len)
            }
            len => u64::from(len),
        };
        let mask = if second & 0x80 == 0 {
            None
        } else {
            let (mask, behind) = rest.split_first_chunk::<4>()?;
            rest = behind;
            Some(*mask)
        };
        Some(Self {
            last: first & 0x80 != 0,
            compressed: first & 0x40 != 0,
            reserved: first & 0x30 != 0,
            opcode: first & 0x0F,
            mask,
            len,
            shortest: match second & 0x7F {
                126 => len > 125,
                127 => len > 0xFFFF,
                _ => true,
            },
            bytes: bytes.len() - rest.len(),
        })
    }

    /// Whether it can be one, where one is expected.
    pub(super) fn is_possible(&self, may_be_compressed: bool) -> bool {
        let control = self.opcode >= 8;
        matches!(self.opcode, 0..=2 | 8..=10)
            && !self.reserved
            && (!self.compressed || may_be_compressed && matches!(self.opcode, 1 | 2))
            && (!control || self.last && self.len < 126)
            && self.len >> 63 == 0
    }
}

/// Whether these bytes begin with a frame that is, or begins, a JSON text. `None`: too few of them.
pub fn begins_with_text(bytes: &[u8]) -> Option<bool> {
    match bytes.first() {
        Some(0x81 | 0x01) | None => {}
        Some(_) => return Some(false),
    }
    let head = Head::read(bytes)?;
    if !head.shortest || head.len < 2 || head.len >> 63 != 0 {
        return Some(false);
    }
    let first = bytes.get(head.bytes)? ^ head.mask.map_or(0, |[key, ..]| key);
    Some(matches!(first, b'{' | b'['))
}
