//! Where the bytes are that a finished call moved: one buffer, an array of segments, or several messages.

use crate::moved::Call;
use crate::user_copy;

/// `struct iovec` of user memory.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Segment {
    pub base: u64,
    pub len: u64,
}

/// `struct user_msghdr`, as far as it matters here.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Message {
    pub name: u64,
    pub name_len: u64,
    pub segments: u64,
    pub segments_len: u64,
}

/// `struct mmsghdr`: a message and the bytes that it moved.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct CountedMessage {
    pub message: Message,
    pub control: u64,
    pub control_len: u64,
    pub flags: u64,
    pub moved: u64,
}

/// Segments without room that are passed over to find the first with some.
const EMPTY_MAX: u32 = 8;

/// The bytes of a call: in `segments` from `segments_at` on, which are in user memory. A single buffer is a
/// first segment and no more.
#[derive(Clone, Copy)]
pub struct Bytes {
    pub first: Segment,
    pub segments_at: u64,
    pub segments: u64,
}

impl Bytes {
    /// One buffer.
    #[inline(always)]
    pub fn buffer(base: u64, len: u64) -> Self {
        Self { first: Segment { base, len }, segments_at: 0, segments: 0 }
    }

    /// An array of segments. The first with room is read now: it holds the first bytes, and without one the
    /// call could not have met the end.
    #[inline(always)]
    pub fn vector(at: u64, count: u64) -> Option<Self> {
        let mut first = Segment::default();
        let (mut at, mut left) = (at, count);
        for _ in 0..=EMPTY_MAX {
            if left == 0 || !user_copy::user_into(&raw mut first, at) {
                break;
            }
            at += size_of::<Segment>() as u64;
            left -= 1;
            if first.len != 0 {
                break;
            }
        }
        if left == count { None } else { Some(Self { first, segments_at: at, segments: left }) }
    }

    /// The segments of a message header.
    #[inline(always)]
    pub fn message(at: u64) -> Option<Self> {
        let mut message = Message::default();
        if !user_copy::user_into(&raw mut message, at) {
            return None;
        }
        Self::vector(message.segments, message.segments_len)
    }
}

/// Goes to the next segment, or the next message, of the call. Returns whether there is one.
#[inline(always)]
pub fn advance(call: &mut Call) -> bool {
    if call.segments == 0
        || !user_copy::user_into((&raw mut call.scratch).cast::<Segment>(), call.segments_at)
    {
        return false;
    }
    call.segment = call.scratch[0];
    call.segment_left = call.scratch[1];
    call.segments_at += size_of::<Segment>() as u64;
    call.segments -= 1;
    true
}
