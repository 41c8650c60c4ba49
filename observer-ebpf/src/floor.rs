//! Programs that do nothing, on the tracepoints that the observer uses: what any observer there would cost.
//!
//! The agent never loads them. `cargo xtask bench` measures with them what is the kernel's own price of being looked
//! at, beside the price of looking.

use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;

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
