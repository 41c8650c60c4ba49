//! Capture mode `syscall`: one program at the exit of all system calls.
//!
//! Arguments are still in the saved registers when a call returns, so nothing is kept between entry and exit.
//! What it costs falls on every call of every process: an unrelated one is passed by after two comparisons.

use aya_ebpf::bindings::pt_regs;
use aya_ebpf::helpers::generated::{bpf_get_current_pid_tgid, bpf_get_current_task};
use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use observer_common::control::BlindSpotKind;
use observer_common::loss::LossCause;

use crate::emit;
use crate::iov::{Bytes, CountedMessage};
use crate::moved::{self, Direction, Moved};
use crate::process;
use crate::settings::*;
use crate::spares;
use crate::streams::{NotAStream, Object};
use crate::user_copy::{kernel, user_into};

/// For kernels with `bpf_loop` (5.17).
#[btf_tracepoint(function = "sys_exit")]
pub fn sys_exit_loop(context: BtfTracePointContext) -> i32 {
    exit::<true, 0>(&context);
    0
}

/// The same for calls that find the program above busy, see [`spares`](crate::spares).
#[btf_tracepoint(function = "sys_exit")]
pub fn sys_exit_spare_1(context: BtfTracePointContext) -> i32 {
    exit::<true, 1>(&context);
    0
}

#[btf_tracepoint(function = "sys_exit")]
pub fn sys_exit_spare_2(context: BtfTracePointContext) -> i32 {
    exit::<true, 2>(&context);
    0
}

/// For kernels without `bpf_loop`.
#[btf_tracepoint(function = "sys_exit")]
pub fn sys_exit_flat(context: BtfTracePointContext) -> i32 {
    exit::<false, 0>(&context);
    0
}

/// A system call's arguments, as far as any is used here.
struct Arguments {
    fd: u64,
    second: u64,
    third: u64,
    fourth: u64,
}

/// How a system call names its bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Buffer,
    Vector,
    Message,
    Messages,
}

/// The numbers of the system calls that are looked at.
#[cfg(bpf_target_arch = "x86_64")]
mod number {
    pub const READ: u64 = 0;
    pub const WRITE: u64 = 1;
    pub const MMAP: u64 = 9;
    pub const READV: u64 = 19;
    pub const WRITEV: u64 = 20;
    pub const SENDTO: u64 = 44;
    pub const RECVFROM: u64 = 45;
    pub const SENDMSG: u64 = 46;
    pub const RECVMSG: u64 = 47;
    pub const RECVMMSG: u64 = 299;
    pub const SENDMMSG: u64 = 307;
    pub const PREADV2: u64 = 327;
    pub const PWRITEV2: u64 = 328;
    pub const IO_URING_SETUP: u64 = 425;
}

/// Flags of receiving calls whose bytes stay in the stream, were thrown away, or are not of the stream.
const MSG_OOB: u64 = 0x1;
const MSG_PEEK: u64 = 0x2;
const MSG_TRUNC: u64 = 0x20;
const MSG_ERRQUEUE: u64 = 0x2000;
const NOT_TAKEN: u64 = MSG_OOB | MSG_PEEK | MSG_TRUNC | MSG_ERRQUEUE;

const ECONNRESET: i64 = 104;
const PROT_EXEC: u64 = 0x4;
const MAP_ANONYMOUS: u64 = 0x20;
/// In `thread_info.status`: the call came by the 32-bit entry, and its number means something else.
const TS_COMPAT: u32 = 0x2;

#[inline(always)]
fn exit<const LOOP: bool, const COPY: u32>(context: &BtfTracePointContext) {
    if !spares::takes::<COPY>() {
        return;
    }
    let registers: *const pt_regs = context.arg(0);
    let result: i64 = context.arg(1);
    // SAFETY: the verifier knows the type of this argument.
    let call = unsafe { (*registers).orig_rax };
    let (direction, shape) = match call {
        number::READ | number::RECVFROM => (Direction::Received, Shape::Buffer),
        number::WRITE | number::SENDTO => (Direction::Sent, Shape::Buffer),
        number::READV | number::PREADV2 => (Direction::Received, Shape::Vector),
        number::WRITEV | number::PWRITEV2 => (Direction::Sent, Shape::Vector),
        number::RECVMSG => (Direction::Received, Shape::Message),
        number::SENDMSG => (Direction::Sent, Shape::Message),
        number::RECVMMSG => (Direction::Received, Shape::Messages),
        number::SENDMMSG => (Direction::Sent, Shape::Messages),
        number::MMAP | number::IO_URING_SETUP => return other_call(registers, call, result),
        _ => return,
    };
    if result < 0 && !(result == -ECONNRESET && direction == Direction::Received) {
        return;
    }
    // SAFETY: as above.
    let arguments = unsafe {
        Arguments {
            fd: (*registers).rdi,
            second: (*registers).rsi,
            third: (*registers).rdx,
            fourth: (*registers).r10,
        }
    };
    // A connection that was reset has ended, as one that was closed.
    let result = if result < 0 { 0 } else { result as u64 };
    spares::enter::<COPY>();
    moved::<LOOP>(call, &arguments, result, direction, shape);
    spares::leave::<COPY>();
}

#[inline(always)]
fn moved<const LOOP: bool>(
    call: u64,
    arguments: &Arguments,
    result: u64,
    direction: Direction,
    shape: Shape,
) {
    if is_not_of_the_stream(call, arguments) {
        return;
    }
    let object = match Object::of_descriptor(arguments.fd) {
        Ok(object) => object,
        Err(NotAStream::Other) => return,
        Err(NotAStream::Gone) => return emit::lost(LossCause::DescriptorGone, 1, result),
    };
    if is_compat() {
        return process::blind_spot(BlindSpotKind::CompatCalls);
    }
    // SAFETY: no conditions.
    if (unsafe { bpf_get_current_pid_tgid() } >> 32) as u32 == SELF_PID.load() {
        if direction == Direction::Sent {
            moved::never_look(&object);
        }
        return;
    }
    let Some(bytes) = bytes_of(arguments, shape) else {
        return emit::lost(LossCause::UserMemoryFault, 1, result);
    };
    if result == 0 {
        if direction == Direction::Received && bytes.first.len != 0 {
            moved::end_of_object(&object);
        }
        return;
    }
    let mut moved = Moved { direction, len: result, bytes, messages_at: 0, messages: 0 };
    if shape == Shape::Messages {
        let mut first = CountedMessage::default();
        if !user_into(&raw mut first, arguments.second) {
            return emit::lost(LossCause::UserMemoryFault, 1, 0);
        }
        moved.len = first.moved & 0xffff_ffff;
        moved.messages_at = arguments.second + size_of::<CountedMessage>() as u64;
        moved.messages = result - 1;
    }
    moved::on_object::<LOOP>(&object, &moved);
}

#[inline(always)]
fn bytes_of(arguments: &Arguments, shape: Shape) -> Option<Bytes> {
    match shape {
        Shape::Buffer => Some(Bytes::buffer(arguments.second, arguments.third)),
        Shape::Vector => Bytes::vector(arguments.second, arguments.third),
        // An array of messages begins with a message.
        Shape::Message | Shape::Messages => Bytes::message(arguments.second),
    }
}

/// Whether the call did not take its bytes out of the stream, or is not about a stream at all.
#[inline(always)]
fn is_not_of_the_stream(call: u64, arguments: &Arguments) -> bool {
    match call {
        number::RECVFROM | number::RECVMMSG => arguments.fourth & NOT_TAKEN != 0,
        number::RECVMSG => arguments.third & NOT_TAKEN != 0,
        number::PREADV2 | number::PWRITEV2 => arguments.fourth != u64::MAX,
        _ => false,
    }
}

#[inline(always)]
fn is_compat() -> bool {
    if is_absent(&TASK_STATUS) {
        return false;
    }
    // SAFETY: no conditions.
    let task = unsafe { bpf_get_current_task() };
    kernel::<u32>(member(task, &TASK_STATUS)).unwrap_or(0) & TS_COMPAT != 0
}

/// Calls that move no bytes and yet matter: new code in a process, and a way around all calls.
#[inline(always)]
fn other_call(registers: *const pt_regs, call: u64, result: i64) {
    if result < 0 && result > -4096 {
        return;
    }
    if call == number::IO_URING_SETUP {
        return process::blind_spot(BlindSpotKind::IoUring);
    }
    // SAFETY: the verifier knows the type.
    let (protection, flags, fd) = unsafe { ((*registers).rdx, (*registers).r10, (*registers).r8) };
    if protection & PROT_EXEC != 0 && flags & MAP_ANONYMOUS == 0 {
        process::mapped(fd, result as u64);
    }
}
