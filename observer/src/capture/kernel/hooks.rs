//! The kernel functions that modes `fexit` and `kprobe` attach to.

use std::fs;

/// A kernel function, and what the programs for it are called.
pub(super) struct Hook {
    /// The program's name after `fexit_`, `kprobe_` or `kretprobe_`.
    pub program: &'static str,
    /// What the function is called, newest kernels first.
    pub functions: &'static [&'static str],
    /// Whether the mode is of no use without it.
    pub need: Need,
}

/// Whether a function has to be there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// On every kernel.
    Always,
    /// Where IPv6 is in use; it may be left out of a kernel, or be a module whose types are elsewhere.
    WithIpv6,
    /// On some kernels; others have it no more.
    Never,
}

impl Need {
    /// Whether this host needs it.
    pub fn applies(self) -> bool {
        match self {
            Self::Always => true,
            Self::WithIpv6 => fs::exists("/proc/net/if_inet6").unwrap_or(true),
            Self::Never => false,
        }
    }
}

const fn hook(program: &'static str, functions: &'static [&'static str], need: Need) -> Hook {
    Hook { program, functions, need }
}

/// All of them. What they do is told where the programs are.
pub(super) const MOVING: [Hook; 14] = [
    hook("pipe_read", &["anon_pipe_read", "pipe_read"], Need::Always),
    hook("pipe_write", &["anon_pipe_write", "pipe_write"], Need::Always),
    hook("unix_recvmsg", &["unix_stream_recvmsg"], Need::Always),
    hook("unix_sendmsg", &["unix_stream_sendmsg"], Need::Always),
    hook("inet_recvmsg", &["inet_recvmsg"], Need::Always),
    hook("inet_sendmsg", &["inet_sendmsg"], Need::Always),
    hook("inet6_recvmsg", &["inet6_recvmsg"], Need::WithIpv6),
    hook("inet6_sendmsg", &["inet6_sendmsg"], Need::WithIpv6),
    hook("splice", &["do_splice"], Need::Always),
    hook("tee", &["do_tee"], Need::Always),
    hook("vmsplice", &["__x64_sys_vmsplice", "__arm64_sys_vmsplice"], Need::Always),
    hook("sendfile", &["__x64_sys_sendfile64", "__arm64_sys_sendfile64"], Need::Always),
    // Until 6.5; since then, pages are sent as messages.
    hook("inet_sendpage", &["inet_sendpage"], Need::Never),
    hook("unix_sendpage", &["unix_stream_sendpage"], Need::Never),
];

/// Where code is mapped into a process; its program has no return part.
pub(super) const MAPPING: Hook = hook("mmap", &["uprobe_mmap"], Need::Always);
