//! Capture mode `syscall`: one program at the exit of all system calls.
//!
//! Arguments are still in the saved registers when a call returns, so nothing is kept between entry and exit.
//! What it costs falls on every call of every process: an unrelated one is passed by after two comparisons.

use core::mem::MaybeUninit;

use aya_ebpf::EbpfContext as _;
use aya_ebpf::bindings::pt_regs;
use aya_ebpf::helpers::generated::{
    bpf_get_current_pid_tgid, bpf_get_current_task, bpf_get_current_task_btf, bpf_task_pt_regs,
};
use aya_ebpf::macros::{btf_tracepoint, tracepoint};
use aya_ebpf::programs::{BtfTracePointContext, TracePointContext};
use observer_common::control::BlindSpotKind;
use observer_common::loss::LossCause;

use crate::emit;
use crate::iov::{Bytes, CountedMessage};
use crate::moved::{self, Direction, Moved};
use crate::process;
use crate::settings::*;
use crate::streams::{NotAStream, Object};
use crate::user_copy::{kernel, kernel_into, user_into};

/// For kernels with `bpf_loop` (5.17).
#[btf_tracepoint(function = "sys_exit")]
pub fn sys_exit_loop(context: BtfTracePointContext) -> i32 {
    on_raw::<true>(&context);
    0
}

/// For kernels without.
#[btf_tracepoint(function = "sys_exit")]
pub fn sys_exit_flat(context: BtfTracePointContext) -> i32 {
    on_raw::<false>(&context);
    0
}

/// The same tracepoint as perf sees it, for kernels from 7.0 on.
///
/// These may preempt the programs above, and the kernel skips a tracing program that is under way on the CPU.
/// That happens just when it matters: a write wakes its reader, which takes over the CPU and ends its read while
/// the program of the writer is not yet done. Programs of perf are not preempted; they cost a little more.
#[tracepoint(category = "raw_syscalls", name = "sys_exit")]
pub fn sys_exit_perf(context: TracePointContext) -> u32 {
    on_perf(&context);
    0
}

#[inline(always)]
fn on_raw<const LOOP: bool>(context: &BtfTracePointContext) {
    let registers: *const pt_regs = context.arg(0);
    let result: i64 = context.arg(1);
    // SAFETY: the verifier knows the type of the first argument.
    let Some(call) = Call::of(unsafe { (*registers).orig_rax }, result) else { return };
    // SAFETY: as above.
    let arguments = unsafe { Arguments::in_registers(registers) };
    call.finished::<LOOP>(&arguments, result);
}

/// The event is laid out by the kernel's `format` of it: eight bytes of its own, the number, the result.
#[inline(always)]
fn on_perf(context: &TracePointContext) {
    let event = context.as_ptr().cast::<i64>();
    // SAFETY: the verifier checks the offsets.
    let (number, result) = unsafe { (*event.add(1), *event.add(2)) };
    let Some(call) = Call::of(number as u64, result) else { return };
    // The event's own registers are those of the tracepoint; the process's lie at the top of its kernel stack.
    // SAFETY: no conditions.
    let at = unsafe { bpf_task_pt_regs(bpf_get_current_task_btf()) };
    let mut registers = MaybeUninit::<pt_regs>::uninit();
    if kernel_into(registers.as_mut_ptr(), at as u64) {
        // SAFETY: just read.
        let arguments = unsafe { Arguments::in_registers(registers.as_ptr()) };
        call.finished::<true>(&arguments, result);
    }
}

/// A system call's arguments, as far as any is used here.
struct Arguments {
    fd: u64,
    second: u64,
    third: u64,
    fourth: u64,
    fifth: u64,
}

impl Arguments {
    /// They are still in the registers when the call returns.
    #[inline(always)]
    unsafe fn in_registers(registers: *const pt_regs) -> Self {
        Self {
            fd: (*registers).rdi,
            second: (*registers).rsi,
            third: (*registers).rdx,
            fourth: (*registers).r10,
            fifth: (*registers).r8,
        }
    }
}

/// How a system call names its bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Buffer,
    Vector,
    Message,
    Messages,
    /// It moves none.
    Nothing,
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

/// A system call that matters here.
#[derive(Clone, Copy)]
struct Call {
    number: u64,
    direction: Direction,
    shape: Shape,
}

impl Call {
    /// The call with this number and result, if it matters.
    #[inline(always)]
    fn of(number: u64, result: i64) -> Option<Self> {
        let (direction, shape) = match number {
            number::READ | number::RECVFROM => (Direction::Received, Shape::Buffer),
            number::WRITE | number::SENDTO => (Direction::Sent, Shape::Buffer),
            number::READV | number::PREADV2 => (Direction::Received, Shape::Vector),
            number::WRITEV | number::PWRITEV2 => (Direction::Sent, Shape::Vector),
            number::RECVMSG => (Direction::Received, Shape::Message),
            number::SENDMSG => (Direction::Sent, Shape::Message),
            number::RECVMMSG => (Direction::Received, Shape::Messages),
            number::SENDMMSG => (Direction::Sent, Shape::Messages),
            number::MMAP | number::IO_URING_SETUP => (Direction::Received, Shape::Nothing),
            _ => return None,
        };
        // A connection that was reset has ended, as one that was closed. An address is never negative.
        if result < 0 && !(result == -ECONNRESET && direction == Direction::Received) {
            return None;
        }
        Some(Self { number, direction, shape })
    }

    #[inline(always)]
    fn finished<const LOOP: bool>(self, arguments: &Arguments, result: i64) {
        let result = if result < 0 { 0 } else { result as u64 };
        if self.shape == Shape::Nothing {
            return other_call(arguments, self.number, result);
        }
        moved::<LOOP>(self.number, arguments, result, self.direction, self.shape);
    }
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
        if moved.len == 0 && direction == Direction::Received && bytes.first.len != 0 {
            return moved::end_of_object(&object);
        }
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
        Shape::Nothing => None,
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
fn other_call(arguments: &Arguments, number: u64, result: u64) {
    if number == number::IO_URING_SETUP {
        return process::blind_spot(BlindSpotKind::IoUring);
    }
    if arguments.third & PROT_EXEC != 0 && arguments.fourth & MAP_ANONYMOUS == 0 {
        process::mapped(arguments.fifth, result);
    }
}
