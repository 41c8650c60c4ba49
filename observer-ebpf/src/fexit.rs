//! Capture mode `fexit`: programs at the return of the kernel functions that move bytes.
//!
//! The kernel hands them the function's arguments and, in the place after the last, its result.

use aya_ebpf::macros::fexit;
use aya_ebpf::programs::FExitContext;

use crate::finished::{self, Flags};
use crate::moved::Direction::{self, Received, Sent};

/// Two programs of each kind: with `bpf_loop` (5.17), and for kernels without. The name in front is that of their
/// section: the loader copies what debuggers know of a whole section for each program in it.
macro_rules! programs {
    ($($function:literal $with_loop:ident, $flat:ident: $body:ident($($constant:expr),*);)*) => {
        $(
            #[fexit(function = $function)]
            pub fn $with_loop(context: FExitContext) -> i32 {
                $body::<true>(&context $(, $constant)*);
                0
            }

            #[fexit(function = $function)]
            pub fn $flat(context: FExitContext) -> i32 {
                $body::<false>(&context $(, $constant)*);
                0
            }
        )*
    };
}

programs! {
    "pipe_read" fexit_pipe_read, fexit_pipe_read_flat: pipe(Received);
    "pipe_write" fexit_pipe_write, fexit_pipe_write_flat: pipe(Sent);
    "unix_recvmsg" fexit_unix_recvmsg, fexit_unix_recvmsg_flat: received();
    "unix_sendmsg" fexit_unix_sendmsg, fexit_unix_sendmsg_flat: sent();
    "inet_recvmsg" fexit_inet_recvmsg, fexit_inet_recvmsg_flat: received();
    "inet_sendmsg" fexit_inet_sendmsg, fexit_inet_sendmsg_flat: sent();
    "inet6_recvmsg" fexit_inet6_recvmsg, fexit_inet6_recvmsg_flat: received();
    "inet6_sendmsg" fexit_inet6_sendmsg, fexit_inet6_sendmsg_flat: sent();
    "vmsplice" fexit_vmsplice, fexit_vmsplice_flat: vmsplice();
    "splice" fexit_splice, fexit_splice_flat: splice();
    "tee" fexit_tee, fexit_tee_flat: tee();
    "sendfile" fexit_sendfile, fexit_sendfile_flat: sendfile();
    "inet_sendpage" fexit_inet_sendpage, fexit_inet_sendpage_flat: page();
    "unix_sendpage" fexit_unix_sendpage, fexit_unix_sendpage_flat: page();
}

#[inline(always)]
fn pipe<const LOOP: bool>(context: &FExitContext, direction: Direction) {
    finished::pipe::<LOOP>(context.arg(0), context.arg(1), context.arg(2), direction);
}

#[inline(always)]
fn received<const LOOP: bool>(context: &FExitContext) {
    let flags = Flags(u64::from(context.arg::<u32>(3)));
    finished::socket::<LOOP>(context.arg(0), context.arg(1), context.arg(4), Received, flags);
}

#[inline(always)]
fn sent<const LOOP: bool>(context: &FExitContext) {
    finished::socket::<LOOP>(context.arg(0), context.arg(1), context.arg(3), Sent, Flags(0));
}

#[inline(always)]
fn vmsplice<const LOOP: bool>(context: &FExitContext) {
    finished::vmsplice::<LOOP>(context.arg(0), context.arg(1));
}

#[inline(always)]
fn splice<const LOOP: bool>(context: &FExitContext) {
    finished::files::<LOOP>(Some(context.arg(0)), context.arg(2), context.arg(6));
}

#[inline(always)]
fn tee<const LOOP: bool>(context: &FExitContext) {
    finished::files::<LOOP>(None, context.arg(1), context.arg(4));
}

#[inline(always)]
fn sendfile<const LOOP: bool>(context: &FExitContext) {
    finished::sendfile::<LOOP>(context.arg(0), context.arg(1));
}

#[inline(always)]
fn page<const LOOP: bool>(context: &FExitContext) {
    finished::page::<LOOP>(context.arg(0), context.arg(5));
}

#[fexit]
pub fn fexit_mmap(context: FExitContext) -> i32 {
    finished::mapped(context.arg(0));
    0
}
