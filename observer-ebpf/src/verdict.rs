//! What is done with the bytes of a stream: the verdict, the agent's decisions, the budgets.
//!
//! ```text
//!              budget used up, first bytes not text,
//!              or the agent says so
//!   Undecided ------------------------------------> Ignore
//!    |  |  ^                                          |
//!    |  |  '------- a chunk begins like JSON or HTTP -'   (rarer each time, see `may_reopen`)
//!    |  '---------- a chunk begins like a TLS record ---> OpaqueTls
//!    '------------- the agent says so ------------------> Capture
//! ```
//!
//! Each chunk is judged by itself. One that is too short to tell, but may be the first piece of an HTTP head
//! ("P", "HT"), gives an undecided stream the budget of HTTP: the rest of the head comes in chunks that look
//! like any text. It does not reopen an ignored one. The beginning of JSON is never too short: it is one byte.

use observer_common::loss::LossCause;
use observer_common::stream::{StreamKind, Verdict};
use observer_common::table::StreamState;

use crate::emit;
use crate::maps::{DECIDED, DECISIONS};

/// Budget of an undecided stream whose chunks look like any text: banners, logs, shells.
const TEXT_ALLOWANCE: u64 = 64 << 10;
/// Budget when a chunk began with an HTTP head, or may be the first piece of one.
const HTTP_ALLOWANCE: u64 = 16 << 20;
/// Budget when a chunk began like JSON: a message may be large, and is wanted from its first byte.
const JSON_ALLOWANCE: u64 = 64 << 20;
/// Budget of a stream that is looked at again. Smaller, since the agent answers within milliseconds.
const REOPEN_ALLOWANCE: u64 = 4 << 20;
/// Times that an ignored stream is looked at again without hesitation.
const EAGER_REOPENS: u32 = 4;
/// Most chunks that are passed over before the next look, as a power of two.
const REOPEN_DOUBLINGS_MAX: u32 = 12;

/// What a chunk begins like.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Looks {
    Text,
    Json,
    Http,
    /// Less than four bytes with which an HTTP head may begin.
    HttpPiece,
    TlsRecord,
    Binary,
}

/// The first bytes of a chunk, in a word: the first byte in the lowest eight bits.
#[derive(Clone, Copy)]
pub struct Head {
    pub bytes: u64,
    pub len: u64,
}

impl Head {
    /// Nothing is known.
    pub const NONE: Self = Self { bytes: 0, len: 0 };

    #[inline(always)]
    pub fn looks(self) -> Looks {
        let bytes = u64::from_le(self.bytes);
        if self.len >= 3 && is_tls_record(bytes) {
            return Looks::TlsRecord;
        }
        let mut first = 0;
        for i in 0..8 {
            let byte = (bytes >> (8 * i)) as u8;
            if i as u64 >= self.len {
                break;
            }
            if !is_text(byte) {
                return Looks::Binary;
            }
            if first == 0 && !is_blank(byte) {
                first = byte;
            }
        }
        match first {
            b'{' | b'[' => Looks::Json,
            _ if self.len >= 4 && is_http(bytes, 4) => Looks::Http,
            _ if matches!(self.len, 1..=3) && is_http(bytes, self.len) => Looks::HttpPiece,
            _ => Looks::Text,
        }
    }
}

#[inline(always)]
fn is_tls_record(bytes: u64) -> bool {
    matches!(bytes as u8, 0x14..=0x17) && (bytes >> 8) as u8 == 3 && (bytes >> 16) as u8 <= 4
}

/// Whether a byte can stand at the beginning of UTF-8 text, colour codes included.
#[inline(always)]
fn is_text(byte: u8) -> bool {
    byte >= 0x20 && byte != 0x7f || matches!(byte, b'\t' | b'\n' | b'\r' | 0x1b)
}

#[inline(always)]
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Methods, status lines and the preface of HTTP/2 by the first `len` of their first four bytes.
#[inline(always)]
fn is_http(bytes: u64, len: u64) -> bool {
    const fn word(text: [u8; 4]) -> u32 {
        u32::from_le_bytes(text)
    }
    const STARTS: [u32; 9] = [
        word(*b"HTTP"),
        word(*b"GET "),
        word(*b"POST"),
        word(*b"PUT "),
        word(*b"DELE"),
        word(*b"HEAD"),
        word(*b"OPTI"),
        word(*b"PATC"),
        word(*b"PRI "),
    ];
    // What is beyond the length is shifted out of both.
    let beyond = 32 - 8 * len as u32;
    let start = (bytes as u32) << beyond;
    STARTS[0] << beyond == start
        || STARTS[1] << beyond == start
        || STARTS[2] << beyond == start
        || STARTS[3] << beyond == start
        || STARTS[4] << beyond == start
        || STARTS[5] << beyond == start
        || STARTS[6] << beyond == start
        || STARTS[7] << beyond == start
        || STARTS[8] << beyond == start
}

/// What is done with the bytes of one call.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Treatment {
    /// They are recorded.
    Record,
    /// Nothing is recorded.
    Skip,
    /// Nothing is recorded but that the stream exists: TLS.
    Opaque,
}

/// Applies what the agent decided since the last call, if anything.
#[inline(always)]
pub fn apply_decision(state: &mut StreamState, stream: &u64) {
    // SAFETY: a word, read once. The agent counts a decision after it is in the table.
    let Some(count) = DECIDED.get(0).map(|count| unsafe { (count as *const u64).read_volatile() }) else {
        return;
    };
    if state.looked_at == count {
        return;
    }
    state.looked_at = count;
    look(state, stream);
}

#[inline(always)]
fn look(state: &mut StreamState, stream: &u64) {
    // SAFETY: a word, read once.
    let Some(decision) = (unsafe { DECISIONS.get(stream) }) else { return };
    let decision = *decision;
    if decision != state.applied {
        state.applied = decision;
        state.verdict = decision as u32;
        if state.verdict == Verdict::Capture as u32 {
            state.reopens = 0;
        }
    }
}

/// Whether the verdict depends on what the chunk begins like.
#[inline(always)]
pub fn wants_head(state: &StreamState) -> bool {
    state.verdict == Verdict::Undecided as u32 || state.verdict == Verdict::Ignore as u32
}

/// Decides what to do with `len` bytes that begin with `head`. `charge`: whether they count for the budget.
#[inline(always)]
pub fn judge(state: &mut StreamState, head: Head, len: u64, charge: bool) -> Treatment {
    const CAPTURE: u32 = Verdict::Capture as u32;
    const OPAQUE: u32 = Verdict::OpaqueTls as u32;
    const NEVER: u32 = Verdict::Never as u32;
    match state.verdict {
        CAPTURE => return Treatment::Record,
        NEVER => return Treatment::Skip,
        OPAQUE => return Treatment::Opaque,
        _ => {}
    }
    let looks = head.looks();
    if looks == Looks::TlsRecord && state.kind != StreamKind::Tls as u32 {
        state.verdict = OPAQUE;
        return Treatment::Opaque;
    }
    if state.verdict == Verdict::Ignore as u32 {
        if !may_reopen(state, looks) {
            return Treatment::Skip;
        }
        state.verdict = Verdict::Undecided as u32;
        state.allowance = state.spent + REOPEN_ALLOWANCE;
    } else if !grant(state, looks) {
        state.verdict = Verdict::Ignore as u32;
        return Treatment::Skip;
    }
    spend(state, len, charge)
}

/// Gives an undecided stream the budget of what its chunk looks like. Returns false if it is not text at all.
#[inline(always)]
fn grant(state: &mut StreamState, looks: Looks) -> bool {
    let allowance = match looks {
        Looks::Json => JSON_ALLOWANCE,
        Looks::Http | Looks::HttpPiece => HTTP_ALLOWANCE,
        Looks::Text => TEXT_ALLOWANCE,
        // In the middle of a stream that began with text: a compressed body, a torn character.
        Looks::Binary | Looks::TlsRecord => return state.allowance != 0,
    };
    // What was granted on reopening is not raised again.
    if state.reopens == 0 && state.allowance < allowance {
        state.allowance = allowance;
    }
    true
}

#[inline(always)]
fn spend(state: &mut StreamState, len: u64, charge: bool) -> Treatment {
    if state.spent + len > state.allowance {
        emit::lost(LossCause::Undecided, 1, len);
        state.verdict = Verdict::Ignore as u32;
        return Treatment::Skip;
    }
    if charge {
        state.spent += len;
    }
    Treatment::Record
}

/// Whether an ignored stream is looked at again: its chunk begins like JSON or HTTP, and it has not been found
/// uninteresting too often. After the first few times, twice as many such chunks are passed over each time.
#[inline(always)]
fn may_reopen(state: &mut StreamState, looks: Looks) -> bool {
    if looks != Looks::Json && looks != Looks::Http {
        return false;
    }
    if state.reopens >= EAGER_REOPENS {
        let doublings = state.reopens - EAGER_REOPENS;
        let doublings = if doublings < REOPEN_DOUBLINGS_MAX { doublings } else { REOPEN_DOUBLINGS_MAX };
        if state.passed_over < 1 << doublings {
            state.passed_over += 1;
            return false;
        }
    }
    state.passed_over = 0;
    state.reopens += 1;
    true
}
