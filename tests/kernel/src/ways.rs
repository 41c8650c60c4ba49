//! The ways to move bytes: each a way to send with its way to receive, and what an observer can see of them.

use std::os::fd::BorrowedFd;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::streams::Kind;
use crate::{calls, pages, ring};

/// Puts bytes in; returns how many went.
pub type Send = fn(BorrowedFd<'_>, &[u8]) -> Result<usize>;
/// Takes at most so many bytes out; none at the end.
pub type Receive = fn(BorrowedFd<'_>, usize) -> Result<Vec<u8>>;

/// A way to send with its way to receive.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    /// What people read.
    pub name: &'static str,
    /// Where it works.
    pub on: On,
    /// Since which kernel.
    pub since: (u32, u32),
    /// Whether the calls return at once.
    pub nonblocking: bool,
    /// What the sender does.
    pub sent_by: By,
    /// What the receiver does.
    pub received_by: By,
    /// How to send.
    pub send: Send,
    /// How to receive.
    pub receive: Receive,
    /// How to receive much at once, where that leaves the bytes out of the reader's memory or out of an observer's
    /// sight, which is then to show a gap.
    pub hidden: Option<Receive>,
}

/// How bytes go from a process into a stream, or the other way.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// System calls with a buffer.
    #[default]
    Calls,
    /// io_uring: no system call names the bytes.
    Ring,
    /// Pages that the kernel moves: they are in no buffer of the process.
    Pages,
}

/// Kinds of streams.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum On {
    Any,
    Pipes,
    Sockets,
    Tcp,
}

impl Way {
    /// Whether it works on such a stream, on a kernel of this release.
    pub fn works(&self, kind: Kind, release: (u32, u32)) -> bool {
        let here = match self.on {
            On::Any => true,
            On::Pipes => !kind.is_socket(),
            On::Sockets => kind.is_socket(),
            On::Tcp => matches!(kind, Kind::Tcp4 | Kind::Tcp6),
        };
        here && release >= self.since
    }
}

/// The plainest.
pub const PLAIN: Way = Way {
    name: "write, read",
    on: On::Any,
    since: (0, 0),
    nonblocking: false,
    sent_by: By::Calls,
    received_by: By::Calls,
    send: calls::by_write,
    receive: calls::by_read,
    hidden: None,
};

/// System calls, each with a buffer.
pub const CALLS: [Way; 7] = [
    PLAIN,
    Way { name: "the same, not blocking", nonblocking: true, ..PLAIN },
    Way { name: "writev, readv", send: calls::by_writev, receive: calls::by_readv, ..PLAIN },
    Way { name: "pwritev2, preadv2", send: calls::by_pwritev2, receive: calls::by_preadv2, ..PLAIN },
    Way { name: "sendto, recvfrom", send: calls::by_sendto, receive: calls::by_recvfrom, ..SOCKETS },
    Way { name: "sendmsg, recvmsg", send: calls::by_sendmsg, receive: calls::by_recvmsg, ..SOCKETS },
    SEVERAL_MESSAGES,
];
const SOCKETS: Way = Way { on: On::Sockets, ..PLAIN };

/// Several messages with one call.
pub const SEVERAL_MESSAGES: Way =
    Way { name: "sendmmsg, recvmmsg", send: calls::by_sendmmsg, receive: calls::by_recvmmsg, ..SOCKETS };
/// Segments of which the first ones are empty.
pub const EMPTY_FIRST_VECTOR: Way = Way {
    name: "writev, readv with empty segments first",
    send: calls::by_writev_after_nothing,
    receive: calls::by_readv_after_nothing,
    ..PLAIN
};
/// The same in a message.
pub const EMPTY_FIRST_MESSAGE: Way = Way {
    name: "sendmsg, recvmsg with an empty segment first",
    send: calls::by_sendmsg_after_nothing,
    receive: calls::by_recvmsg_after_nothing,
    ..SOCKETS
};

/// io_uring, at both ends or at one.
pub const RINGS: [Way; 8] = [
    Way { name: "ring: write, read", ..RING },
    Way { name: "ring: writev, readv", send: ring::by_writev, receive: ring::by_readv, ..RING },
    Way { name: "ring: send, recv", on: On::Sockets, send: ring::by_send, receive: ring::by_recv, ..RING },
    Way {
        name: "ring: sendmsg, recvmsg",
        on: On::Sockets,
        send: ring::by_sendmsg,
        receive: ring::by_recvmsg,
        ..RING
    },
    Way {
        name: "ring: registered buffers",
        send: ring::by_write_fixed,
        hidden: Some(ring::by_read_fixed),
        ..RING
    },
    Way {
        name: "polled ring: write, read",
        since: (5, 13),
        send: ring::by_polled_write,
        receive: ring::by_polled_read,
        ..RING
    },
    Way { name: "write; ring: read", sent_by: By::Calls, send: calls::by_write, ..RING },
    Way { name: "ring: write; read", received_by: By::Calls, receive: calls::by_read, ..RING },
];
const RING: Way =
    Way { sent_by: By::Ring, received_by: By::Ring, send: ring::by_write, receive: ring::by_read, ..PLAIN };

/// Pages instead of buffers.
pub const PAGES: [Way; 8] = [
    Way { name: "splice from a pipe, read", sent_by: By::Pages, send: pages::by_splice, ..PLAIN },
    Way {
        name: "splice from a file, read",
        on: On::Pipes,
        sent_by: By::Pages,
        send: pages::by_splice_from_file,
        ..PLAIN
    },
    Way { name: "sendfile, read", on: On::Sockets, sent_by: By::Pages, send: pages::by_sendfile, ..PLAIN },
    Way {
        name: "sendfile, read",
        on: On::Pipes,
        since: (5, 12),
        sent_by: By::Pages,
        send: pages::by_sendfile,
        ..PLAIN
    },
    Way { name: "vmsplice, read", on: On::Pipes, sent_by: By::Pages, send: pages::by_vmsplice, ..PLAIN },
    Way { name: "tee, read", on: On::Pipes, sent_by: By::Pages, send: pages::by_tee, ..PLAIN },
    Way { name: "MSG_ZEROCOPY, read", on: On::Tcp, send: pages::by_zerocopy, ..PLAIN },
    Way { name: "write, read and splice in turns", hidden: Some(pages::taken_by_splice), ..PLAIN },
];
