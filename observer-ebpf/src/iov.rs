//! Where the bytes are that a finished call moved: one buffer, an array of segments, or several messages.

use aya_ebpf::helpers::generated::{bpf_get_current_pid_tgid, bpf_loop};

use observer_common::loss::LossCause;

use crate::call::{self, Call};
use crate::settings::*;
use crate::user_copy::{self, kernel, kernel_into};

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

/// The bytes of a call: in `segments` from `segments_at` on. A single buffer is a first segment and no more.
#[derive(Clone, Copy)]
pub struct Bytes {
    pub first: Segment,
    pub segments_at: u64,
    pub segments: u64,
    /// The array of segments is in kernel memory, not in that of the process.
    pub kernel_segments: bool,
    /// Not zero: the bytes cannot be read; one more than the number of the cause.
    pub gap: u32,
}

impl Bytes {
    /// One buffer.
    #[inline(always)]
    pub fn buffer(base: u64, len: u64) -> Self {
        Self { first: Segment { base, len }, segments_at: 0, segments: 0, kernel_segments: false, gap: 0 }
    }

    /// Bytes that cannot be read.
    #[inline(always)]
    pub fn gap(cause: LossCause) -> Self {
        Self { gap: cause as u32 + 1, ..Self::buffer(0, 0) }
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
        if left == count {
            return None;
        }
        Some(Self { first, segments_at: at, segments: left, ..Self::buffer(0, 0) })
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

    /// The bytes that a `struct iov_iter` was advanced over, `moved` of them. None if it cannot be read.
    ///
    /// The kernel advances an iterator by exactly what it moved, so that its end is known when the function returns,
    /// and the beginning follows from that. Kernel memory and pages count as spliced.
    #[inline(always)]
    pub fn behind<const LOOP: bool>(iterator: u64, moved: u64) -> Option<Self> {
        let kind = u32::from(kernel::<u8>(member(iterator, &ITERATOR_KIND))?) & KIND_MASK.load();
        let offset: u64 = kernel(member(iterator, &ITERATOR_OFFSET))?;
        if !is_absent(&ITERATOR_BUFFER) && kind == KIND_BUFFER.load() {
            let buffer: u64 = kernel(member(iterator, &ITERATOR_BUFFER))?;
            return Some(Self::buffer(buffer + offset - moved, moved));
        }
        if kind != KIND_SEGMENTS.load() {
            return Some(Self::gap(LossCause::Spliced));
        }
        let at: u64 = kernel(member(iterator, &ITERATOR_SEGMENTS))?;
        if moved <= offset {
            let base: u64 = kernel(at)?;
            return Some(Self::buffer(base + offset - moved, moved));
        }
        let mut back = Back { at, missing: moved - offset, segment: Segment::default() };
        let Segment { base, len } = if back.walk::<LOOP>() { back.segment } else { Segment::default() };
        if back.missing > len {
            return Some(Self::gap(LossCause::ChunkLimit));
        }
        let first = Segment { base: base + len - back.missing, len: back.missing };
        let segments_at = back.at + size_of::<Segment>() as u64;
        Some(Self {
            first,
            segments_at,
            segments: (at - back.at) / size_of::<Segment>() as u64,
            kernel_segments: true,
            gap: 0,
        })
    }
}

/// Whether the iterator had room for more: a read that moved nothing then met the end.
#[inline(always)]
pub fn has_room(iterator: u64) -> bool {
    kernel::<u64>(member(iterator, &ITERATOR_COUNT)).unwrap_or(0) != 0
}

/// The way back through an array of segments to where the bytes begin.
#[repr(C)]
#[derive(Clone, Copy)]
struct Back {
    /// The segment that was read last.
    at: u64,
    /// Bytes that begin in this segment or before it.
    missing: u64,
    segment: Segment,
}

impl Back {
    /// Goes back until the segment holds all that is missing. Returns whether there is one.
    #[inline(always)]
    fn walk<const LOOP: bool>(&mut self) -> bool {
        let steps = if LOOP { NEAR_STEPS } else { FLAT_STEPS };
        for _ in 0..steps {
            if self.step() != 0 {
                return true;
            }
        }
        LOOP && self.walk_far()
    }

    /// Goes on in the memory of a map. Kernels before 6.7 take what a callback leaves on the stack for what it is
    /// after the first turn.
    #[inline(never)]
    fn walk_far(&mut self) -> bool {
        // SAFETY: no conditions.
        let key = unsafe { bpf_get_current_pid_tgid() };
        let Some(call) = call::new_call(&key, self.missing) else { return false };
        let far = (&raw mut call.scratch).cast::<Self>();
        // SAFETY: the scratch is larger than this.
        unsafe { far.write(*self) };
        let mut context = far;
        // SAFETY: the callback takes what is given to it here.
        unsafe { bpf_loop(SEGMENTS_MAX, step_back as *mut _, (&raw mut context).cast(), 0) };
        // SAFETY: as above.
        *self = unsafe { far.read_volatile() };
        call::end();
        true
    }

    #[inline(always)]
    fn step(&mut self) -> i64 {
        self.missing -= self.segment.len;
        self.at -= size_of::<Segment>() as u64;
        if !kernel_into(&raw mut self.segment, self.at) {
            self.segment.len = 0;
            return 1;
        }
        (self.segment.len >= self.missing) as i64
    }
}

/// The callback of `bpf_loop`.
#[inline(never)]
extern "C" fn step_back(_: u32, context: *mut *mut Back) -> i64 {
    // SAFETY: `walk_far` passes this.
    unsafe { (**context).step() }
}

/// Most segments that a call may have (`UIO_MAXIOV`).
const SEGMENTS_MAX: u32 = 1024;
/// Steps that are made before it is worth a loop.
const NEAR_STEPS: u32 = 4;
/// All steps where there is no loop and the verifier has to walk through each.
const FLAT_STEPS: u32 = 32;

/// Goes to the next segment of the message. Returns whether there is one.
#[inline(always)]
pub fn advance(call: &mut Call) -> bool {
    if call.segments == 0 || !read_segment(call) {
        return false;
    }
    call.segment = call.scratch[0];
    call.segment_left = call.scratch[1];
    call.segments_at += size_of::<Segment>() as u64;
    call.segments -= 1;
    true
}

#[inline(always)]
fn read_segment(call: &mut Call) -> bool {
    let into = (&raw mut call.scratch).cast::<Segment>();
    if call.kernel_segments != 0 {
        kernel_into(into, call.segments_at)
    } else {
        user_copy::user_into(into, call.segments_at)
    }
}
