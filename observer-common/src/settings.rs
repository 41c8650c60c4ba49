//! What the agent tells the kernel programs before they are loaded.
//!
//! The agent resolves every offset by name from the kernel's own type information (BTF), so that none is
//! written down here. The kernel crate declares one read-only global for each name.

/// Calls `$with!` with all kernel struct offsets: global's name, struct, member path. Where kernels and
/// architectures differ in a member's name, all names are given, divided by `|`; bytes to add stand behind a `+`.
#[macro_export]
macro_rules! for_each_offset {
    ($with:ident) => {
        $with! {
            TASK_TGID: "task_struct", "tgid";
            TASK_PID: "task_struct", "pid";
            TASK_FILES: "task_struct", "files";
            TASK_GROUP_LEADER: "task_struct", "group_leader";
            TASK_START_BOOTTIME: "task_struct", "start_boottime";
            TASK_REAL_PARENT: "task_struct", "real_parent";
            TASK_MM: "task_struct", "mm";
            TASK_SIGNAL: "task_struct", "signal";
            TASK_EXIT_CODE: "task_struct", "exit_code";
            TASK_STATUS: "task_struct", "thread_info.status|thread_info.flags";
            SIGNAL_LIVE: "signal_struct", "live";
            MM_ARG_START: "mm_struct", "arg_start";
            MM_ARG_END: "mm_struct", "arg_end";
            BPRM_FILENAME: "linux_binprm", "filename";
            FILES_FDT: "files_struct", "fdt";
            FDT_FD: "fdtable", "fd";
            FILE_INODE: "file", "f_inode";
            FILE_MODE: "file", "f_mode";
            INODE_MODE: "inode", "i_mode";
            INODE_INO: "inode", "i_ino";
            INODE_SB: "inode", "i_sb";
            INODE_PIPE: "inode", "i_pipe";
            SB_DEV: "super_block", "s_dev";
            SB_MAGIC: "super_block", "s_magic";
            SOCKET_INODE: "socket_alloc", "vfs_inode";
            SOCKET_TYPE: "socket", "type";
            SOCKET_SK: "socket", "sk";
            SOCK_SOCKET: "sock", "sk_socket";
            SOCK_FAMILY: "sock", "__sk_common.skc_family";
            SOCK_PROTOCOL: "sock", "sk_protocol";
            SOCK_SHUTDOWN: "sock", "sk_shutdown";
            SOCK_DADDR: "sock", "__sk_common.skc_daddr";
            SOCK_RCV_SADDR: "sock", "__sk_common.skc_rcv_saddr";
            SOCK_DPORT: "sock", "__sk_common.skc_dport";
            SOCK_NET: "sock", "__sk_common.skc_net";
            SOCK_V6_DADDR: "sock", "__sk_common.skc_v6_daddr";
            SOCK_V6_RCV_SADDR: "sock", "__sk_common.skc_v6_rcv_saddr";
            INET_SPORT: "inet_sock", "inet_sport";
            NET_INUM: "net", "ns.inum";
            TCP_SND_UNA: "tcp_sock", "snd_una";
            TCP_BYTES_ACKED: "tcp_sock", "bytes_acked";
            TCP_RCV_NXT: "tcp_sock", "rcv_nxt";
            TCP_BYTES_RECEIVED: "tcp_sock", "bytes_received";
            UNIX_PEER: "unix_sock", "peer";
            REGISTERS_NUMBER: "pt_regs", "orig_ax|regs+64";
            REGISTERS_FIRST: "pt_regs", "di|orig_x0";
            REGISTERS_SECOND: "pt_regs", "si|regs+8";
            REGISTERS_THIRD: "pt_regs", "dx|regs+16";
            REGISTERS_FOURTH: "pt_regs", "r10|regs+24";
            REGISTERS_FIFTH: "pt_regs", "r8|regs+32";
            IOCB_FILE: "kiocb", "ki_filp";
            MESSAGE_ITERATOR: "msghdr", "msg_iter";
            ITERATOR_KIND: "iov_iter", "iter_type|type";
            ITERATOR_OFFSET: "iov_iter", "iov_offset";
            ITERATOR_COUNT: "iov_iter", "count";
            ITERATOR_BUFFER: "iov_iter", "ubuf";
            ITERATOR_SEGMENTS: "iov_iter", "__iov|iov";
            VMA_START: "vm_area_struct", "vm_start";
            VMA_FLAGS: "vm_area_struct", "vm_flags";
            VMA_FILE: "vm_area_struct", "vm_file";
        }
    };
}

/// Value of a global whose struct member this kernel does not have.
pub const ABSENT: u32 = u32::MAX;

/// Offsets that a kernel may lack: without IPv6, without 32-bit processes, where it is a field of bits, before 6.0, or
/// where TCP counts otherwise.
pub const OPTIONAL: [&str; 10] = [
    "TASK_STATUS",
    "SOCK_V6_DADDR",
    "SOCK_V6_RCV_SADDR",
    "SOCK_SHUTDOWN",
    "ITERATOR_BUFFER",
    "SOCK_PROTOCOL",
    "TCP_SND_UNA",
    "TCP_BYTES_ACKED",
    "TCP_RCV_NXT",
    "TCP_BYTES_RECEIVED",
];

/// Values of `enum iter_type`, which kernels number differently: global's name, constant. One that a kernel lacks
/// is [`ABSENT`].
pub const ITERATOR_KINDS: [(&str, &str); 2] = [("KIND_BUFFER", "ITER_UBUF"), ("KIND_SEGMENTS", "ITER_IOVEC")];

/// Before 5.14 the member is called so, and its lowest bit is the direction.
pub const KIND_WITH_DIRECTION: (&str, &str) = ("iov_iter", "type");

macro_rules! as_table {
    ($($name:ident: $of:literal, $path:literal;)*) => {
        /// All kernel struct offsets: global's name, struct, member path.
        pub const OFFSETS: &[(&str, &str, &str)] = &[$((stringify!($name), $of, $path)),*];
    };
}
for_each_offset!(as_table);

/// The attach cookie of a probe: which function, of which library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cookie {
    /// A [`TlsLibrary`](crate::stream::TlsLibrary).
    pub library: u8,
    /// The function's shape.
    pub function: TlsFunction,
}

/// What a probed library function does, and how it tells how many bytes it moved.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsFunction {
    /// `int f(object, buffer, length)` takes plaintext out; returns the count.
    Read = 1,
    /// `int f(object, buffer, length)` puts plaintext in; returns the count.
    Write = 2,
    /// `int f(object, buffer, length, size_t *count)` takes plaintext out; returns 1 for success.
    ReadEx = 3,
    /// `int f(object, buffer, length, size_t *count)` puts plaintext in; returns 1 for success.
    WriteEx = 4,
    /// `void f(object)` ends the object.
    Free = 5,
}

impl Cookie {
    /// The number that the kernel hands to the program.
    pub const fn number(self) -> u64 {
        (self.library as u64) << 8 | self.function as u64
    }
}
