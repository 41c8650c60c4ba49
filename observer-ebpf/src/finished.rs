//! What modes `fexit` and `kprobe` have in common: a kernel function that moved bytes has returned.
//!
//! Its buffers are found by the iterator that it has advanced, so nothing is kept from its beginning. These functions
//! are below all system calls and below `io_uring`.

use observer_common::loss::LossCause;
use observer_common::stream::StreamKind;

use crate::iov::{self, Bytes};
use crate::moved::{self, Direction, Moved};
use crate::process;
use crate::settings::*;
use crate::streams::Object;
use crate::syscall::{self, Arguments};
use crate::user_copy::{Caller, kernel};

const MSG_OOB: u64 = 0x1;
pub const MSG_PEEK: u64 = 0x2;
const MSG_TRUNC: u64 = 0x20;
const MSG_ERRQUEUE: u64 = 0x2000;

/// Flag of a `struct vm_area_struct`: what is mapped there may be run.
const VM_EXEC: u64 = 0x4;

/// Flags of a call on a socket.
#[derive(Clone, Copy)]
pub struct Flags(pub u64);

impl Flags {
    /// Whether the call took its bytes out of the stream.
    #[inline(always)]
    pub fn is_of_the_stream(self) -> bool {
        self.0 & (MSG_OOB | MSG_PEEK | MSG_ERRQUEUE) == 0
    }

    /// Whether they were thrown away. Only TCP does so; Unix sockets read as usual.
    #[inline(always)]
    pub fn are_discarded(self, object: &Object) -> bool {
        self.0 & MSG_TRUNC != 0 && object.kind == StreamKind::Tcp
    }
}

/// `ssize_t pipe_read(struct kiocb *, struct iov_iter *)` and `pipe_write`; from 6.15 on `anon_pipe_*`.
#[inline(always)]
pub fn pipe<const LOOP: bool>(iocb: u64, iterator: u64, result: i64, direction: Direction) {
    if result < 0 {
        return;
    }
    let Some(file) = kernel::<u64>(member(iocb, &IOCB_FILE)) else { return };
    if let Some(object) = Object::of_file(file) {
        on_object::<LOOP>(&object, iterator, result, direction, Flags(0));
    }
}

/// `int unix_stream_sendmsg(struct socket *, struct msghdr *, size_t)`, `inet_sendmsg`, `inet6_sendmsg`, and
/// `int unix_stream_recvmsg(struct socket *, struct msghdr *, size_t, int flags)`, `inet_recvmsg`, `inet6_recvmsg`.
#[inline(always)]
pub fn socket<const LOOP: bool>(socket: u64, message: u64, result: i32, direction: Direction, flags: Flags) {
    let result = i64::from(result);
    if !direction.is_told_by(result) {
        return;
    }
    let inode = member(socket, &SOCKET_INODE);
    if flags.is_of_the_stream()
        && let Some(object) = Object::of_socket_at(socket, inode)
    {
        on_object::<LOOP>(&object, member(message, &MESSAGE_ITERATOR), result, direction, flags);
    }
}

#[inline(always)]
fn on_object<const LOOP: bool>(
    object: &Object,
    iterator: u64,
    result: i64,
    direction: Direction,
    flags: Flags,
) {
    let Some(caller) = observed(object, direction) else { return };
    if result <= 0 {
        if direction == Direction::Received && (result < 0 || iov::has_room(iterator)) {
            moved::end_of_object(object);
        }
        return;
    }
    let len = result as u64;
    let bytes = if flags.are_discarded(object) {
        Bytes::gap(LossCause::Discarded)
    } else {
        Bytes::behind::<LOOP>(iterator, len).unwrap_or(Bytes::gap(LossCause::UserMemoryFault))
    };
    moved::on_object::<LOOP>(object, &Moved { direction, len, bytes, messages_at: 0, messages: 0, caller });
}

/// `inet_sendpage` and `unix_stream_sendpage`: `(struct socket *, struct page *, int, size_t, int)`, before 6.5.
#[inline(always)]
pub fn page<const LOOP: bool>(socket: u64, result: i64) {
    if result > 0
        && let Some(object) = Object::of_socket_at(socket, member(socket, &SOCKET_INODE))
    {
        spliced::<LOOP>(&object, Direction::Sent, result as u64);
    }
}

/// `long do_splice(struct file *in, loff_t *, struct file *out, loff_t *, size_t, unsigned int)`, and with no input
/// that is used up `long do_tee(struct file *in, struct file *out, size_t, unsigned int)`.
///
/// What goes to a socket is noticed there.
#[inline(always)]
pub fn files<const LOOP: bool>(from: Option<u64>, to: u64, result: i64) {
    if result <= 0 {
        return;
    }
    if let Some(from) = from
        && let Some(object) = Object::of_file(from)
    {
        spliced::<LOOP>(&object, Direction::Received, result as u64);
    }
    to_pipe::<LOOP>(Object::of_file(to), result);
}

/// `long sys_sendfile64(const struct pt_regs *)`, by the name that it has on this architecture.
#[inline(always)]
pub fn sendfile<const LOOP: bool>(registers: u64, result: i64) {
    if result > 0
        && let Some(arguments) = Arguments::read(registers)
    {
        to_pipe::<LOOP>(Object::of_descriptor::<LOOP>(arguments.fd).ok(), result);
    }
}

/// `long sys_vmsplice(const struct pt_regs *)`, in the same way.
#[inline(always)]
pub fn vmsplice<const LOOP: bool>(registers: u64, result: i64) {
    if result > 0
        && let Some(arguments) = Arguments::read(registers)
    {
        syscall::vmsplice::<LOOP>(&arguments, result as u64);
    }
}

#[inline(always)]
fn to_pipe<const LOOP: bool>(object: Option<Object>, result: i64) {
    if let Some(object) = object
        && object.kind == StreamKind::Pipe
    {
        spliced::<LOOP>(&object, Direction::Sent, result as u64);
    }
}

/// Bytes moved that are in no memory of the process.
#[inline(always)]
pub fn spliced<const LOOP: bool>(object: &Object, direction: Direction, len: u64) {
    if let Some(caller) = observed(object, direction) {
        moved::spliced::<LOOP>(object, direction, len, caller);
    }
}

/// `int uprobe_mmap(struct vm_area_struct *)`: a file is mapped.
#[inline(always)]
pub fn mapped(area: u64) {
    if kernel::<u64>(member(area, &VMA_FLAGS)).unwrap_or(0) & VM_EXEC == 0 {
        return;
    }
    if let (Some(file), Some(start)) =
        (kernel::<u64>(member(area, &VMA_FILE)), kernel::<u64>(member(area, &VMA_START)))
        && file != 0
    {
        process::mapped(file, start);
    }
}

/// The current thread, unless it is one of the observer. What that prints is never looked at.
#[inline(always)]
pub fn observed(object: &Object, direction: Direction) -> Option<Caller> {
    let caller = Caller::current();
    if caller.pid() != SELF_PID.load() {
        return Some(caller);
    }
    if direction == Direction::Sent {
        moved::never_look(object);
    }
    None
}
