//! Capture mode `kprobe`: the same kernel functions as mode `fexit`, for kernels that do not let us use that.
//!
//! A return probe knows nothing of the arguments, so the entry probe keeps them. The kernel has room for a limited
//! number of threads inside a probed function: a return that it did not notice leaves the entry behind, where the
//! thread's next call finds it and counts it.

use aya_ebpf::macros::{kprobe, kretprobe};
use aya_ebpf::programs::{ProbeContext, RetProbeContext};
use observer_common::loss::LossCause;

use crate::call;
use crate::emit;
use crate::finished::{self, Flags};
use crate::maps::ENTERED;
use crate::moved::Direction::{self, Received, Sent};
use crate::streams::BPF_NOEXIST;

/// What a function was called with, as far as its return needs it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Entered {
    pub first: u64,
    pub second: u64,
    pub flags: u64,
}

/// A program for the entry, one for the return, and one for the return on kernels without `bpf_loop` (5.17), in
/// sections of their own as in mode `fexit`.
macro_rules! programs {
    ($($number:literal $function:literal $entry:ident, $with_loop:ident, $flat:ident: $keep:ident, $body:ident($($constant:expr),*);)*) => {
        $(
            #[kprobe(function = $function)]
            pub fn $entry(context: ProbeContext) -> u32 {
                enter($number, $keep(&context));
                0
            }

            #[kretprobe(function = $function)]
            pub fn $with_loop(context: RetProbeContext) -> u32 {
                if let Some(entered) = leave($number) {
                    $body::<true>(entered, context.ret() $(, $constant)*);
                }
                0
            }

            #[kretprobe(function = $function)]
            pub fn $flat(context: RetProbeContext) -> u32 {
                if let Some(entered) = leave($number) {
                    $body::<false>(entered, context.ret() $(, $constant)*);
                }
                0
            }
        )*
    };
}

programs! {
    1 "pipe_read" kprobe_pipe_read, kretprobe_pipe_read, kretprobe_pipe_read_flat: two, pipe(Received);
    2 "pipe_write" kprobe_pipe_write, kretprobe_pipe_write, kretprobe_pipe_write_flat: two, pipe(Sent);
    3 "unix_recvmsg" kprobe_unix_recvmsg, kretprobe_unix_recvmsg, kretprobe_unix_recvmsg_flat: with_flags, socket(Received);
    4 "unix_sendmsg" kprobe_unix_sendmsg, kretprobe_unix_sendmsg, kretprobe_unix_sendmsg_flat: two, socket(Sent);
    5 "inet_recvmsg" kprobe_inet_recvmsg, kretprobe_inet_recvmsg, kretprobe_inet_recvmsg_flat: with_flags, socket(Received);
    6 "inet_sendmsg" kprobe_inet_sendmsg, kretprobe_inet_sendmsg, kretprobe_inet_sendmsg_flat: two, socket(Sent);
    7 "inet6_recvmsg" kprobe_inet6_recvmsg, kretprobe_inet6_recvmsg, kretprobe_inet6_recvmsg_flat: with_flags, socket(Received);
    8 "inet6_sendmsg" kprobe_inet6_sendmsg, kretprobe_inet6_sendmsg, kretprobe_inet6_sendmsg_flat: two, socket(Sent);
    9 "vmsplice" kprobe_vmsplice, kretprobe_vmsplice, kretprobe_vmsplice_flat: two, vmsplice();
    10 "splice" kprobe_splice, kretprobe_splice, kretprobe_splice_flat: first_and_third, splice();
    11 "tee" kprobe_tee, kretprobe_tee, kretprobe_tee_flat: two, tee();
    12 "sendfile" kprobe_sendfile, kretprobe_sendfile, kretprobe_sendfile_flat: two, sendfile();
    13 "inet_sendpage" kprobe_inet_sendpage, kretprobe_inet_sendpage, kretprobe_inet_sendpage_flat: two, page();
    14 "unix_sendpage" kprobe_unix_sendpage, kretprobe_unix_sendpage, kretprobe_unix_sendpage_flat: two, page();
}

#[inline(always)]
fn two(context: &ProbeContext) -> Entered {
    Entered { first: context.arg(0).unwrap_or(0), second: context.arg(1).unwrap_or(0), flags: 0 }
}

#[inline(always)]
fn with_flags(context: &ProbeContext) -> Entered {
    Entered { flags: context.arg::<u64>(3).unwrap_or(0) & 0xffff_ffff, ..two(context) }
}

#[inline(always)]
fn first_and_third(context: &ProbeContext) -> Entered {
    Entered { second: context.arg(2).unwrap_or(0), ..two(context) }
}

#[inline(always)]
fn pipe<const LOOP: bool>(entered: Entered, result: u64, direction: Direction) {
    finished::pipe::<LOOP>(entered.first, entered.second, result as i64, direction);
}

#[inline(always)]
fn socket<const LOOP: bool>(entered: Entered, result: u64, direction: Direction) {
    let flags = Flags(entered.flags);
    finished::socket::<LOOP>(entered.first, entered.second, result as i32, direction, flags);
}

#[inline(always)]
fn vmsplice<const LOOP: bool>(entered: Entered, result: u64) {
    finished::vmsplice::<LOOP>(entered.first, result as i64);
}

#[inline(always)]
fn splice<const LOOP: bool>(entered: Entered, result: u64) {
    finished::files::<LOOP>(Some(entered.first), entered.second, result as i64);
}

#[inline(always)]
fn tee<const LOOP: bool>(entered: Entered, result: u64) {
    finished::files::<LOOP>(None, entered.second, result as i64);
}

#[inline(always)]
fn sendfile<const LOOP: bool>(entered: Entered, result: u64) {
    finished::sendfile::<LOOP>(entered.first, result as i64);
}

#[inline(always)]
fn page<const LOOP: bool>(entered: Entered, result: u64) {
    finished::page::<LOOP>(entered.first, result as i64);
}

#[kprobe]
pub fn kprobe_mmap(context: ProbeContext) -> u32 {
    finished::mapped(context.arg(0).unwrap_or(0));
    0
}

#[inline(always)]
fn enter(function: u64, entered: Entered) {
    let key = call::key_of(function);
    if ENTERED.insert(&key, &entered, BPF_NOEXIST).is_ok() {
        return;
    }
    if ENTERED.get_ptr(&key).is_none() {
        return emit::lost(LossCause::CallTableFull, 1, 0);
    }
    emit::lost(LossCause::MissedReturn, 1, 0);
    let _ = ENTERED.insert(&key, &entered, 0);
}

/// What the call began with. Where nothing is known of it, the kernel skipped the entry: it does so while another
/// such program is under way on the CPU.
#[inline(always)]
fn leave(function: u64) -> Option<Entered> {
    let key = call::key_of(function);
    // SAFETY: only this thread uses the entry.
    let Some(entered) = (unsafe { ENTERED.get(&key).copied() }) else {
        emit::lost(LossCause::MissedReturn, 1, 0);
        return None;
    };
    let _ = ENTERED.remove(&key);
    Some(entered)
}
