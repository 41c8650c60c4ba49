//! Programs that do nothing, on the hooks that the observer uses: what any observer there would cost.
//!
//! The agent never loads them. `cargo xtask bench` measures with them what is the kernel's own price of being looked
//! at, beside the price of looking.

use aya_ebpf::macros::{btf_tracepoint, fexit, kprobe, kretprobe};
use aya_ebpf::programs::{BtfTracePointContext, FExitContext, ProbeContext, RetProbeContext};

/// As `syscall::sys_exit_loop`.
#[btf_tracepoint(function = "sys_exit")]
pub fn floor_sys_exit(_: BtfTracePointContext) -> i32 {
    0
}

/// As `process::process_exec`.
#[btf_tracepoint(function = "sched_process_exec")]
pub fn floor_exec(_: BtfTracePointContext) -> i32 {
    0
}

/// As `process::process_fork`.
#[btf_tracepoint(function = "sched_process_fork")]
pub fn floor_fork(_: BtfTracePointContext) -> i32 {
    0
}

/// As `process::process_exit`.
#[btf_tracepoint(function = "sched_process_exit")]
pub fn floor_exit(_: BtfTracePointContext) -> i32 {
    0
}

/// As `sockets::socket_state`.
#[btf_tracepoint(function = "inet_sock_set_state")]
pub fn floor_socket_state(_: BtfTracePointContext) -> i32 {
    0
}

/// At the entry of each function of mode `kprobe`.
#[kprobe]
pub fn floor_entry(_: ProbeContext) -> u32 {
    0
}

/// At the return of each function of mode `kprobe`.
#[kretprobe]
pub fn floor_return(_: RetProbeContext) -> u32 {
    0
}

/// At the end of each function of mode `fexit`: such a program is loaded for one function.
macro_rules! at_end {
    ($($name:ident)*) => {
        $(
            #[fexit]
            pub fn $name(_: FExitContext) -> i32 {
                0
            }
        )*
    };
}

at_end! {
    floor_pipe_read floor_pipe_write
    floor_unix_sendmsg floor_unix_recvmsg
    floor_inet_sendmsg floor_inet_recvmsg
    floor_inet6_sendmsg floor_inet6_recvmsg
}
