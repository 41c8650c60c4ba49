//! Capture mode `syscall`: one program at the exit of all system calls.
//!
//! Arguments are still in the saved registers when a call returns, so nothing is kept between entry and exit.
//! What it costs falls on every call of every process: an unrelated one is passed by after two comparisons.

use aya_ebpf::EbpfContext as _;
use aya_ebpf::helpers::generated::{bpf_get_current_task_btf, bpf_task_pt_regs};
use aya_ebpf::macros::{btf_tracepoint, tracepoint};
use aya_ebpf::programs::{BtfTracePointContext, TracePointContext};
use observer_common::control::BlindSpotKind;
use observer_common::loss::LossCause;

use crate::emit;
use crate::finished::{self, Flags};
use crate::iov::{Bytes, CountedMessage};
use crate::moved::{self, Direction, Moved};
use crate::process;
use crate::settings::*;
use crate::streams::{NotAStream, Object, file_of};
use crate::user_copy::{current_task, kernel, of_typed, user_into};

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
    let registers: u64 = context.arg(0);
    let result: i64 = context.arg(1);
    // SAFETY: the verifier knows the type of the first argument, and checks what is loaded of it.
    let number = unsafe { (member(registers, &REGISTERS_NUMBER) as *const u64).read_volatile() };
    let Some(call) = Call::of(number, result) else { return };
    // SAFETY: as above.
    let arguments = unsafe { Arguments::of_typed(registers) };
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
    // SAFETY: no conditions; what is returned has a type that the verifier knows.
    let arguments = unsafe { Arguments::of_typed(bpf_task_pt_regs(bpf_get_current_task_btf()) as u64) };
    call.finished::<true>(&arguments, result);
}

/// A system call's arguments, as far as any is used here. They are still in the saved registers when it returns.
pub struct Arguments {
    pub fd: u64,
    pub second: u64,
    pub third: u64,
    pub fourth: u64,
    pub fifth: u64,
}

impl Arguments {
    /// From `struct pt_regs`, whose type the verifier knows.
    #[inline(always)]
    unsafe fn of_typed(registers: u64) -> Self {
        let load = |offset| (member(registers, offset) as *const u64).read_volatile();
        Self {
            fd: load(&REGISTERS_FIRST),
            second: load(&REGISTERS_SECOND),
            third: load(&REGISTERS_THIRD),
            fourth: load(&REGISTERS_FOURTH),
            fifth: load(&REGISTERS_FIFTH),
        }
    }

    /// From `struct pt_regs` somewhere in kernel memory.
    #[inline(always)]
    pub fn read(registers: u64) -> Option<Self> {
        Some(Self {
            fd: kernel(member(registers, &REGISTERS_FIRST))?,
            second: kernel(member(registers, &REGISTERS_SECOND))?,
            third: kernel(member(registers, &REGISTERS_THIRD))?,
            fourth: kernel(member(registers, &REGISTERS_FOURTH))?,
            fifth: 0,
        })
    }
}

/// How a system call names its bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Buffer,
    Vector,
    Message,
    Messages,
    /// From file to file, through no memory of the process.
    Files,
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
    pub const SENDFILE: u64 = 40;
    pub const SENDTO: u64 = 44;
    pub const RECVFROM: u64 = 45;
    pub const SENDMSG: u64 = 46;
    pub const RECVMSG: u64 = 47;
    pub const SPLICE: u64 = 275;
    pub const TEE: u64 = 276;
    pub const VMSPLICE: u64 = 278;
    pub const RECVMMSG: u64 = 299;
    pub const SENDMMSG: u64 = 307;
    pub const PREADV2: u64 = 327;
    pub const PWRITEV2: u64 = 328;
    pub const IO_URING_SETUP: u64 = 425;
}

/// The same where numbers are those of `asm-generic/unistd.h`.
#[cfg(bpf_target_arch = "aarch64")]
mod number {
    pub const READ: u64 = 63;
    pub const WRITE: u64 = 64;
    pub const READV: u64 = 65;
    pub const WRITEV: u64 = 66;
    pub const SENDFILE: u64 = 71;
    pub const VMSPLICE: u64 = 75;
    pub const SPLICE: u64 = 76;
    pub const TEE: u64 = 77;
    pub const SENDTO: u64 = 206;
    pub const RECVFROM: u64 = 207;
    pub const SENDMSG: u64 = 211;
    pub const RECVMSG: u64 = 212;
    pub const MMAP: u64 = 222;
    pub const RECVMMSG: u64 = 243;
    pub const SENDMMSG: u64 = 269;
    pub const PREADV2: u64 = 286;
    pub const PWRITEV2: u64 = 287;
    pub const IO_URING_SETUP: u64 = 425;
}

const PROT_EXEC: u64 = 0x4;
const MAP_ANONYMOUS: u64 = 0x20;
/// In `thread_info.status`: the call came by the 32-bit entry, and its number means something else.
#[cfg(bpf_target_arch = "x86_64")]
const COMPAT: u64 = 0x2;
/// In `thread_info.flags`, `TIF_32BIT`: the process is a 32-bit one.
#[cfg(bpf_target_arch = "aarch64")]
const COMPAT: u64 = 1 << 22;

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
            number::SPLICE | number::TEE | number::SENDFILE => (Direction::Sent, Shape::Files),
            // Into a pipe or out of one, which its end tells.
            number::VMSPLICE => (Direction::Sent, Shape::Vector),
            number::MMAP | number::IO_URING_SETUP => (Direction::Received, Shape::Nothing),
            _ => return None,
        };
        // An address is never negative.
        if !direction.is_told_by(result) {
            return None;
        }
        Some(Self { number, direction, shape })
    }

    #[inline(always)]
    fn finished<const LOOP: bool>(self, arguments: &Arguments, result: i64) {
        let result = if result < 0 { 0 } else { result as u64 };
        match self.shape {
            Shape::Nothing => other_call::<LOOP>(arguments, self.number, result),
            Shape::Files => between_files::<LOOP>(arguments, self.number, result),
            _ => moved::<LOOP>(self.number, arguments, result, self.direction, self.shape),
        }
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
    let flags = flags_of(call, arguments);
    if !flags.is_of_the_stream() {
        return;
    }
    let object = match Object::of_descriptor::<LOOP>(arguments.fd) {
        Ok(object) => object,
        Err(NotAStream::Other) => return,
        Err(NotAStream::Gone) => return emit::lost(LossCause::DescriptorGone, 1, result),
    };
    if is_compat::<LOOP>() {
        return process::blind_spot(BlindSpotKind::CompatCalls);
    }
    let direction =
        if call == number::VMSPLICE { vmspliced::<LOOP>(arguments.fd, direction) } else { direction };
    let Some(caller) = finished::observed(&object, direction) else { return };
    let mut bytes = bytes_of(arguments, shape).unwrap_or(Bytes::gap(LossCause::UserMemoryFault));
    if flags.are_discarded(&object) {
        bytes = Bytes::gap(LossCause::Discarded);
    }
    if result == 0 {
        if direction == Direction::Received && bytes.first.len != 0 {
            moved::end_of_object(&object);
        }
        return;
    }
    let mut moved = Moved { direction, len: result, bytes, messages_at: 0, messages: 0, caller };
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
        Shape::Files | Shape::Nothing => None,
    }
}

/// The flags of a receiving call. One that is for another place than the stream's has some that say so.
#[inline(always)]
fn flags_of(call: u64, arguments: &Arguments) -> Flags {
    Flags(match call {
        number::RECVFROM | number::RECVMMSG => arguments.fourth,
        number::RECVMSG => arguments.third,
        number::PREADV2 | number::PWRITEV2 if arguments.fourth != u64::MAX => finished::MSG_PEEK,
        _ => 0,
    })
}

/// Bytes that went from file to file. The end of the input is not told: it is not told from that of a file.
#[inline(always)]
fn between_files<const LOOP: bool>(arguments: &Arguments, number: u64, result: u64) {
    if result == 0 {
        return;
    }
    let (from, to) = match number {
        number::SPLICE => (Some(arguments.fd), arguments.third),
        number::TEE => (None, arguments.second),
        _ => (None, arguments.fd),
    };
    if let Some(from) = from
        && let Ok(object) = Object::of_descriptor::<LOOP>(from)
    {
        finished::spliced::<LOOP>(&object, Direction::Received, result);
    }
    if let Ok(object) = Object::of_descriptor::<LOOP>(to) {
        finished::spliced::<LOOP>(&object, Direction::Sent, result);
    }
}

/// The bytes of `vmsplice` come out of the pipe if the descriptor is its reading end.
#[inline(always)]
fn vmspliced<const LOOP: bool>(fd: u64, otherwise: Direction) -> Direction {
    const FMODE_READ: u32 = 1;
    let mode = file_of::<LOOP>(fd).and_then(|file| kernel::<u32>(member(file, &FILE_MODE)));
    if mode.unwrap_or(0) & FMODE_READ != 0 { Direction::Received } else { otherwise }
}

#[inline(always)]
fn is_compat<const TYPED: bool>() -> bool {
    if is_absent(&TASK_STATUS) {
        return false;
    }
    let task = current_task::<TYPED>();
    let status: u32 =
        if TYPED { of_typed(task, &TASK_STATUS) } else { kernel(member(task, &TASK_STATUS)).unwrap_or(0) };
    u64::from(status) & COMPAT != 0
}

/// Calls that move no bytes and yet matter: new code in a process, and a way around all calls.
#[inline(always)]
fn other_call<const LOOP: bool>(arguments: &Arguments, number: u64, result: u64) {
    if number == number::IO_URING_SETUP {
        return process::blind_spot(BlindSpotKind::IoUring);
    }
    if arguments.third & PROT_EXEC != 0
        && arguments.fourth & MAP_ANONYMOUS == 0
        && let Some(file) = file_of::<LOOP>(arguments.fifth)
    {
        process::mapped(file, result);
    }
}

/// `vmsplice`, where a mode sees everything else without system calls.
#[inline(always)]
pub fn vmsplice<const LOOP: bool>(arguments: &Arguments, result: u64) {
    moved::<LOOP>(number::VMSPLICE, arguments, result, Direction::Sent, Shape::Vector);
}
