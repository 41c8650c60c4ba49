//! Streams: their identity, and their entry in the table.
//!
//! A stream's number is a hash of what the kernel knows it by. Addresses of kernel objects tell generations
//! apart; they leave the kernel only as a keyed hash.

use core::mem::MaybeUninit;

use aya_ebpf::Global;
use observer_common::stream::{StreamIdentity, StreamKind};
use observer_common::table::{Nearness, StreamState};

use crate::maps::{NEW_STREAM, STREAMS};
use crate::settings::*;
use crate::user_copy::{current_task, kernel, kernel_into, of_task};

/// Flag of an update: the entry must be new.
pub const BPF_NOEXIST: u64 = 1;
const S_IFMT: u16 = 0o170_000;
const S_IFIFO: u16 = 0o010_000;
const S_IFSOCK: u16 = 0o140_000;
const SOCK_STREAM: u16 = 1;
const AF_UNIX: u16 = 1;
pub const AF_INET: u16 = 2;
pub const AF_INET6: u16 = 10;
const IPPROTO_TCP: u16 = 6;
/// The file system of anonymous pipes.
const PIPEFS_MAGIC: u64 = 0x5049_5045;

/// An object that a descriptor names, if bytes stream through it.
pub struct Object {
    /// A named pipe counts as `Pipe` here: only its identity tells the difference.
    pub kind: StreamKind,
    pub stream: u64,
    /// The inode, and what hangs on it: `pipe_inode_info` or `sock`.
    pub inode: u64,
    pub inner: u64,
    pub family: u16,
}

/// Why there is no object to observe.
pub enum NotAStream {
    /// The descriptor is of another kind.
    Other,
    /// The descriptor was closed while the call was under way.
    Gone,
}

impl Object {
    /// The object behind a descriptor of the current process.
    #[inline(always)]
    pub fn of_descriptor<const TYPED: bool>(fd: u64) -> Result<Self, NotAStream> {
        let file = file_of::<TYPED>(fd).ok_or(NotAStream::Gone)?;
        Self::of_file(file).ok_or(NotAStream::Other)
    }

    /// The object behind an open file.
    #[inline(always)]
    pub fn of_file(file: u64) -> Option<Self> {
        let inode: u64 = kernel(member(file, &FILE_INODE))?;
        let facts = InodeFacts::read(inode)?;
        match facts.mode & S_IFMT {
            S_IFIFO => Self::of_pipe(inode, facts.number),
            S_IFSOCK => Self::of_socket(inode),
            _ => None,
        }
    }

    #[inline(always)]
    fn of_pipe(inode: u64, number: u64) -> Option<Self> {
        let inner: u64 = kernel(member(inode, &INODE_PIPE))?;
        // A named pipe that is made anew may have the number and the buffers of the one that was removed just
        // before, but not its inode: that is freed only after a grace period.
        let key = number ^ inode.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let kind = StreamKind::Pipe;
        Some(Self { kind, stream: number_of(kind, key, inner), inode, inner, family: 0 })
    }

    #[inline(always)]
    fn of_socket(inode: u64) -> Option<Self> {
        Self::of_socket_at(inode - u64::from(SOCKET_INODE.load()), inode)
    }

    /// The object that is a `struct socket`, with the inode beside it.
    #[inline(always)]
    pub fn of_socket_at(socket: u64, inode: u64) -> Option<Self> {
        let kind: u16 = kernel(member(socket, &SOCKET_TYPE))?;
        if kind != SOCK_STREAM {
            return None;
        }
        let sock: u64 = kernel(member(socket, &SOCKET_SK))?;
        if sock == 0 {
            return None;
        }
        Self::of_sock(sock, inode)
    }

    /// The stream of a `struct sock`, whose socket has this inode.
    #[inline(always)]
    pub fn of_sock(sock: u64, inode: u64) -> Option<Self> {
        let family: u16 = kernel(member(sock, &SOCK_FAMILY))?;
        let (kind, key) = match family {
            AF_UNIX => (StreamKind::Unix, kernel(member(inode, &INODE_INO))?),
            AF_INET | AF_INET6 => (StreamKind::Tcp, ports_of(sock)?),
            _ => return None,
        };
        Some(Self { kind, stream: number_of(kind, key, sock), inode, inner: sock, family })
    }

    /// The inode's number.
    #[inline(always)]
    pub fn inode_number(&self) -> u64 {
        kernel(member(self.inode, &INODE_INO)).unwrap_or(0)
    }

    /// The other end of a Unix socket pair, if it is still there.
    #[inline(always)]
    pub fn unix_peer(&self) -> Option<Self> {
        let peer: u64 = kernel(member(self.inner, &UNIX_PEER))?;
        if peer == 0 {
            return None;
        }
        let socket: u64 = kernel(member(peer, &SOCK_SOCKET))?;
        if socket == 0 {
            return None;
        }
        Self::of_sock(peer, member(socket, &SOCKET_INODE))
    }

    /// Writes what the agent is told of the stream. `into` is ring memory: every byte is written.
    #[inline(always)]
    pub fn identity(&self, into: *mut StreamIdentity) {
        // SAFETY: the caller's memory has the size of the type.
        let identity = unsafe { &mut *into };
        identity.kind = self.kind as u32;
        identity.device = 0;
        identity.inode = 0;
        identity.peer_inode = 0;
        identity.generation = mix(self.inner, SECRET.load());
        identity.network_namespace = 0;
        identity.local_port = 0;
        identity.peer_port = 0;
        identity.local = [0; 16];
        identity.peer = [0; 16];
        identity.sent_from = 0;
        identity.received_from = 0;
        kernel_into(&raw mut identity.inode, member(self.inode, &INODE_INO));
        match self.kind {
            StreamKind::Pipe | StreamKind::Fifo => {
                identity.device = device_of(self.inode).unwrap_or(0);
                if !is_anonymous(self.inode) {
                    identity.kind = StreamKind::Fifo as u32;
                }
            }
            StreamKind::Unix => {
                if let Some(peer) = self.unix_peer() {
                    kernel_into(&raw mut identity.peer_inode, member(peer.inode, &INODE_INO));
                }
            }
            StreamKind::Tcp => self.tcp_identity(identity),
            StreamKind::Tls => {}
        }
    }

    #[inline(always)]
    fn tcp_identity(&self, identity: &mut StreamIdentity) {
        let sock = self.inner;
        let port = |offset| kernel::<u16>(member(sock, offset)).unwrap_or(0);
        identity.local_port = u16::from_be(port(&INET_SPORT));
        identity.peer_port = u16::from_be(port(&SOCK_DPORT));
        if let Some(net) = kernel::<u64>(member(sock, &SOCK_NET)) {
            kernel_into(&raw mut identity.network_namespace, member(net, &NET_INUM));
        }
        if self.family == AF_INET {
            (identity.local[10], identity.local[11]) = (0xff, 0xff);
            (identity.peer[10], identity.peer[11]) = (0xff, 0xff);
            kernel_into((&raw mut identity.local[12]).cast::<u32>(), member(sock, &SOCK_RCV_SADDR));
            kernel_into((&raw mut identity.peer[12]).cast::<u32>(), member(sock, &SOCK_DADDR));
        } else if !is_absent(&SOCK_V6_DADDR) {
            kernel_into(&raw mut identity.local, member(sock, &SOCK_V6_RCV_SADDR));
            kernel_into(&raw mut identity.peer, member(sock, &SOCK_V6_DADDR));
        }
        // A socket of another protocol with streams (MPTCP) has no `tcp_sock` around it.
        let is_tcp =
            !is_absent(&SOCK_PROTOCOL) && kernel::<u16>(member(sock, &SOCK_PROTOCOL)) == Some(IPPROTO_TCP);
        if is_tcp {
            identity.sent_from = first_byte(sock, &TCP_SND_UNA, &TCP_BYTES_ACKED);
            identity.received_from = first_byte(sock, &TCP_RCV_NXT, &TCP_BYTES_RECEIVED);
        }
    }

    /// Whether the other end is on this host, so that its receipt of the bytes is seen.
    #[inline(always)]
    pub fn nearness(&self) -> Nearness {
        match self.kind {
            StreamKind::Tcp if !self.peer_is_local() => Nearness::Remote,
            _ => Nearness::Local,
        }
    }

    #[inline(always)]
    fn peer_is_local(&self) -> bool {
        if self.family == AF_INET {
            let local = kernel::<u32>(member(self.inner, &SOCK_RCV_SADDR)).unwrap_or(0);
            let peer = kernel::<u32>(member(self.inner, &SOCK_DADDR)).unwrap_or(0);
            return peer.to_ne_bytes()[0] == 127 || peer == local;
        }
        if is_absent(&SOCK_V6_DADDR) {
            return false;
        }
        let local = kernel::<[u64; 2]>(member(self.inner, &SOCK_V6_RCV_SADDR)).unwrap_or([0; 2]);
        let peer = kernel::<[u64; 2]>(member(self.inner, &SOCK_V6_DADDR)).unwrap_or([0; 2]);
        let (high, low) = (u64::from_be(peer[0]), u64::from_be(peer[1]));
        let mapped_loopback = high == 0 && low >> 24 == 0xffff_7f;
        mapped_loopback || (high == 0 && low == 1) || peer == local
    }
}

/// What is asked of the inode behind a descriptor.
struct InodeFacts {
    mode: u16,
    number: u64,
}

impl InodeFacts {
    /// One read for both, where the kernel keeps them near each other.
    #[inline(always)]
    fn read(inode: u64) -> Option<Self> {
        const NEAR: usize = 96;
        let between = INODE_INO.load().wrapping_sub(INODE_MODE.load()) as usize;
        if between > NEAR - size_of::<u64>() || !between.is_multiple_of(align_of::<u64>()) {
            let mode = kernel(member(inode, &INODE_MODE))?;
            return Some(Self { mode, number: kernel(member(inode, &INODE_INO))? });
        }
        let mut near = MaybeUninit::<[u64; NEAR / 8]>::uninit();
        let near = near.as_mut_ptr();
        if !kernel_into(near, member(inode, &INODE_MODE)) {
            return None;
        }
        // SAFETY: all of it was written, there is room for the number behind what is between, and that keeps it aligned.
        let number = unsafe { near.cast::<u8>().add(between).cast::<u64>().read() };
        // SAFETY: the mode is first.
        Some(Self { mode: unsafe { near.cast::<u16>().read() }, number })
    }
}

/// Sequence number of the first byte of one way of a TCP connection: where the way has come to, less what it counts
/// for having gone. The kernel moves both together, in `tcp_snd_una_update` and `tcp_rcv_nxt_update` (RFC 4898), so
/// the difference stays for the whole life of the connection. What starts them:
///
/// | | `snd_una - bytes_acked` | `rcv_nxt - bytes_received` |
/// | --- | --- | --- |
/// | `connect` | own SYN, whose acknowledgement counts as a byte | peer's SYN + 1 |
/// | `accept` | own SYN + 1, set by `tcp_create_openreq_child` | peer's SYN + 1 |
///
/// A FIN counts on both sides of the difference. Zero where this kernel lacks a member, or where the socket was
/// busy: another CPU may be between the two steps, so the result counts only if it comes out twice.
#[inline(always)]
fn first_byte(sock: u64, place: &Global<u32>, count: &Global<u32>) -> u32 {
    if is_absent(place) || is_absent(count) {
        return 0;
    }
    let mut before = difference(sock, place, count);
    for _ in 0..4 {
        let now = difference(sock, place, count);
        if now == before {
            return now;
        }
        before = now;
    }
    0
}

#[inline(always)]
fn difference(sock: u64, place: &Global<u32>, count: &Global<u32>) -> u32 {
    let place = kernel::<u32>(member(sock, place)).unwrap_or(0);
    let count = kernel::<u64>(member(sock, count)).unwrap_or(0);
    place.wrapping_sub(count as u32)
}

/// The `struct file` behind a descriptor of the current process, which a call has just used: so the table of
/// descriptors has room for it.
#[inline(always)]
pub fn file_of<const TYPED: bool>(fd: u64) -> Option<u64> {
    let files = of_task::<TYPED>(current_task::<TYPED>(), &TASK_FILES)?;
    let table = of_task::<TYPED>(files, &FILES_FDT)?;
    let slots = of_task::<TYPED>(table, &FDT_FD)?;
    let file: u64 = kernel(slots + (fd & 0x7fff_ffff) * 8)?;
    if file == 0 { None } else { Some(file) }
}

/// Device number of an inode's file system, as the kernel writes it.
#[inline(always)]
pub fn device_of(inode: u64) -> Option<u32> {
    let sb: u64 = kernel(member(inode, &INODE_SB))?;
    kernel(member(sb, &SB_DEV))
}

/// Whether a pipe has no name in a file system.
#[inline(always)]
fn is_anonymous(inode: u64) -> bool {
    let magic = kernel::<u64>(member(inode, &INODE_SB)).and_then(|sb| kernel::<u64>(member(sb, &SB_MAGIC)));
    magic == Some(PIPEFS_MAGIC)
}

/// Both ports of a TCP socket. They stay in place until the socket is freed, unlike the local port of its hash.
#[inline(always)]
pub fn ports_of(sock: u64) -> Option<u64> {
    let local: u16 = kernel(member(sock, &INET_SPORT))?;
    let peer: u16 = kernel(member(sock, &SOCK_DPORT))?;
    Some(u64::from(local) << 16 | u64::from(peer))
}

/// The stream's number: a hash of what it is known by, keyed so that it tells nothing about kernel addresses.
#[inline(always)]
pub fn number_of(kind: StreamKind, key: u64, address: u64) -> u64 {
    mix(key ^ (kind as u64) << 56, address ^ SECRET.load())
}

/// A hash of two words, in the manner of splitmix64.
#[inline(always)]
pub fn mix(a: u64, b: u64) -> u64 {
    let mut x = a ^ b.rotate_left(32).wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// The stream's entry, made if there is none.
#[inline(always)]
pub fn entry(stream: &u64, kind: StreamKind) -> Option<&'static mut StreamState> {
    if let Some(state) = STREAMS.get_ptr_mut(stream) {
        // SAFETY: entries are removed by the agent only when idle; the memory stays a `StreamState`.
        return Some(unsafe { &mut *state });
    }
    // The writer and the reader may come at the same time: the second takes the entry of the first, whose positions
    // are given out already. Where the table is full, neither finds one.
    let _ = STREAMS.insert(stream, NEW_STREAM.value(), BPF_NOEXIST);
    let state = STREAMS.get_ptr_mut(stream)?;
    // SAFETY: as above.
    let state = unsafe { &mut *state };
    state.kind = kind as u32;
    Some(state)
}
