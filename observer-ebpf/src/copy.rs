//! Copies what a call moved into records: segment after segment, message after message, as the ring has room.

use aya_ebpf::helpers::generated::bpf_loop;
use observer_common::loss::LossCause;
use observer_common::record::RecordKind;

use crate::call::Call;
use crate::emit;
use crate::iov::{self, CountedMessage};
use crate::maps::STREAMS;
use crate::moved::{self, Direction};
use crate::pressure::{self, Pressure};
use crate::user_copy::user_into;

/// Turns of a loop that `bpf_loop` makes: segments and chunks of one call.
const TURNS: u32 = 2048;
/// The same where the verifier has to walk through each turn.
const FLAT_TURNS: u32 = 128;

/// Copies all that the call moved.
#[inline(always)]
pub fn run<const LOOP: bool>(call: &mut Call) {
    if LOOP {
        let mut context: *mut Call = call;
        let context = (&raw mut context).cast();
        // SAFETY: the callback takes what is given to it here.
        unsafe { bpf_loop(TURNS, turn::<LOOP> as *mut _, context, 0) };
    } else {
        for _ in 0..FLAT_TURNS {
            if step::<LOOP>(call) != 0 {
                break;
            }
        }
    }
    if call.left != 0 {
        emit::lost(LossCause::ChunkLimit, 1, call.left);
    }
}

/// The callback of `bpf_loop`.
#[inline(never)]
extern "C" fn turn<const LOOP: bool>(_: u32, context: *mut *mut Call) -> i64 {
    // SAFETY: `run` passes this.
    step::<LOOP>(unsafe { &mut **context })
}

/// Deals with the next part of the call. Returns not zero when nothing is left.
#[inline(never)]
fn step<const LOOP: bool>(call: &mut Call) -> i64 {
    if call.left == 0 {
        if call.may_end != 0 {
            return look_for_room(call);
        }
        return !next_message::<LOOP>(call) as i64;
    }
    if call.with_bytes == 0 {
        return count_rest(call);
    }
    if call.gap != 0 {
        emit::lost_by_number(call.gap as u32 - 1, 1, call.left);
        return count_rest(call);
    }
    let limit = match pressure::now() {
        Pressure::None => u64::MAX,
        Pressure::Headers if call.copied < pressure::HEADER_BYTES => pressure::HEADER_BYTES - call.copied,
        Pressure::Headers => {
            emit::lost(LossCause::ShedToHeaders, 1, call.left);
            return count_rest(call);
        }
        Pressure::Counters => {
            emit::lost(LossCause::ShedToCounters, 1, call.left);
            return count_rest(call);
        }
    };
    if call.segment_left == 0 {
        if !iov::advance(call) {
            emit::lost(LossCause::UserMemoryFault, 1, call.left);
            return count_rest(call);
        }
        return 0;
    }
    let done = emit::chunk(call, limit);
    call.copied += done;
    call.segment += done;
    call.segment_left -= done;
    call.left -= done;
    call.header.position += done;
    0
}

/// Records that the rest of the message moved, without its bytes.
#[inline(always)]
fn count_rest(call: &mut Call) -> i64 {
    emit::count(call, call.left);
    call.header.position += call.left;
    call.left = 0;
    0
}

/// Goes to the next message of `sendmmsg` or `recvmmsg`. Returns whether there is one.
#[inline(always)]
fn next_message<const LOOP: bool>(call: &mut Call) -> bool {
    if call.messages == 0 {
        return false;
    }
    call.messages -= 1;
    if !user_into((&raw mut call.scratch).cast::<CountedMessage>(), call.messages_at) {
        return false;
    }
    call.messages_at += size_of::<CountedMessage>() as u64;
    call.segment_left = 0;
    call.copied = 0;
    call.segments_at = call.scratch[2];
    call.segments = call.scratch[3];
    call.left = call.scratch[7] & 0xffff_ffff;
    let Some(state) = STREAMS.get_ptr_mut(&call.header.stream) else { return false };
    let direction =
        if call.header.kind == RecordKind::Sent as u16 { Direction::Sent } else { Direction::Received };
    call.may_end = (call.left == 0 && direction == Direction::Received) as u64;
    // SAFETY: a live map value.
    call.header.position = moved::advance::<LOOP>(unsafe { &mut *state }, direction, call.left);
    true
}

/// Looks at one more segment of a message that received nothing: with room in it, the stream has ended.
/// Returns not zero then, since nothing can follow.
#[inline(always)]
fn look_for_room(call: &mut Call) -> i64 {
    if call.segment_left == 0 {
        call.may_end = iov::advance(call) as u64;
        return 0;
    }
    let Some(state) = STREAMS.get_ptr_mut(&call.header.stream) else { return 1 };
    // SAFETY: a live map value.
    let state = unsafe { &mut *state };
    if state.opened != 0 && state.ended == 0 {
        state.ended = 1;
        call.header.kind = RecordKind::StreamEnded as u16;
        call.header.position = state.received;
        emit::count(call, 0);
    }
    1
}
