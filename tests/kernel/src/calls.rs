//! The system calls, each as a way to send or to receive some bytes.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd};

use anyhow::{Context, Result, bail};
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, ReadWriteFlags, preadv2, pwritev2, read, readv, write, writev};
use rustix::net::{
    MMsgHdr, RecvAncillaryBuffer, RecvFlags, SendAncillaryBuffer, SendFlags, recv, recvmsg, send, sendmmsg,
    sendmsg,
};

/// Puts bytes in; returns how many went.
pub type Send = fn(BorrowedFd<'_>, &[u8]) -> Result<usize>;
/// Takes at most so many bytes out; none at the end.
pub type Receive = fn(BorrowedFd<'_>, usize) -> Result<Vec<u8>>;

/// A way to send with its way to receive.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    /// What people read.
    pub name: &'static str,
    /// Whether it needs a socket.
    pub socket: bool,
    /// Whether the calls return at once.
    pub nonblocking: bool,
    /// How to send.
    pub send: Send,
    /// How to receive.
    pub receive: Receive,
}

/// All of them.
pub const WAYS: [Way; 7] = [
    Way { name: "write, read", socket: false, nonblocking: false, send: by_write, receive: by_read },
    Way {
        name: "the same, not blocking",
        socket: false,
        nonblocking: true,
        send: by_write,
        receive: by_read,
    },
    Way { name: "writev, readv", socket: false, nonblocking: false, send: by_writev, receive: by_readv },
    Way {
        name: "pwritev2, preadv2",
        socket: false,
        nonblocking: false,
        send: by_pwritev2,
        receive: by_preadv2,
    },
    Way { name: "sendto, recvfrom", socket: true, nonblocking: false, send: by_sendto, receive: by_recvfrom },
    Way { name: "sendmsg, recvmsg", socket: true, nonblocking: false, send: by_sendmsg, receive: by_recvmsg },
    SEVERAL_MESSAGES,
];

/// Several messages with one call.
pub const SEVERAL_MESSAGES: Way = Way {
    name: "sendmmsg, recvmmsg",
    socket: true,
    nonblocking: false,
    send: by_sendmmsg,
    receive: by_recvmmsg,
};

/// Segments of which the first ones are empty.
pub const EMPTY_FIRST_VECTOR: Way = Way {
    name: "writev, readv with empty segments first",
    socket: false,
    nonblocking: false,
    send: |end, bytes| Ok(writev(end, &[IoSlice::new(&[]), IoSlice::new(&[]), IoSlice::new(bytes)])?),
    receive: |end, room| {
        filled(room, |buffer| {
            let mut segments = [IoSliceMut::new(&mut []), IoSliceMut::new(&mut []), IoSliceMut::new(buffer)];
            Ok(readv(end, &mut segments)?)
        })
    },
};

/// The same in a message.
pub const EMPTY_FIRST_MESSAGE: Way = Way {
    name: "sendmsg, recvmsg with an empty segment first",
    socket: true,
    nonblocking: false,
    send: |end, bytes| {
        let segments = [IoSlice::new(&[]), IoSlice::new(bytes)];
        Ok(sendmsg(end, &segments, &mut SendAncillaryBuffer::default(), SendFlags::NOSIGNAL)?)
    },
    receive: |end, room| {
        filled(room, |buffer| {
            let mut segments = [IoSliceMut::new(&mut []), IoSliceMut::new(buffer)];
            let mut control = RecvAncillaryBuffer::default();
            Ok(recvmsg(end, &mut segments, &mut control, RecvFlags::empty())?.bytes)
        })
    },
};

fn by_write(end: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize> {
    retried(end, PollFlags::OUT, || write(end, bytes))
}

/// Plain `read`.
pub fn by_read(end: BorrowedFd<'_>, room: usize) -> Result<Vec<u8>> {
    filled(room, |buffer| retried(end, PollFlags::IN, || read(end, &mut *buffer)))
}

fn by_writev(end: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize> {
    Ok(writev(end, &segments(bytes))?)
}

fn by_readv(end: BorrowedFd<'_>, room: usize) -> Result<Vec<u8>> {
    filled(room, |buffer| Ok(readv(end, &mut segments_mut(buffer))?))
}

fn by_pwritev2(end: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize> {
    Ok(pwritev2(end, &segments(bytes), CURRENT, ReadWriteFlags::empty())?)
}

fn by_preadv2(end: BorrowedFd<'_>, room: usize) -> Result<Vec<u8>> {
    filled(room, |buffer| Ok(preadv2(end, &mut segments_mut(buffer), CURRENT, ReadWriteFlags::empty())?))
}

fn by_sendto(end: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize> {
    Ok(send(end, bytes, SendFlags::NOSIGNAL)?)
}

/// Looks at what is there twice before it takes it.
fn by_recvfrom(end: BorrowedFd<'_>, room: usize) -> Result<Vec<u8>> {
    let mut peeked = vec![0; room / 2 + 1];
    recv(end, &mut peeked, RecvFlags::PEEK)?;
    recv(end, &mut peeked, RecvFlags::PEEK | RecvFlags::TRUNC)?;
    filled(room, |buffer| Ok(recv(end, &mut *buffer, RecvFlags::empty())?.0))
}

fn by_sendmsg(end: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize> {
    Ok(sendmsg(end, &segments(bytes), &mut SendAncillaryBuffer::default(), SendFlags::NOSIGNAL)?)
}

/// Looks at what is there before it takes it.
fn by_recvmsg(end: BorrowedFd<'_>, room: usize) -> Result<Vec<u8>> {
    let take = |buffer: &mut [u8], flags| {
        let message = recvmsg(end, &mut segments_mut(buffer), &mut RecvAncillaryBuffer::default(), flags)?;
        Ok(message.bytes)
    };
    filled(room, |buffer| take(buffer, RecvFlags::PEEK))?;
    filled(room, |buffer| take(buffer, RecvFlags::empty()))
}

fn by_sendmmsg(end: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize> {
    let parts: Vec<_> = bytes.chunks(bytes.len().div_ceil(3).max(1)).map(segments).collect();
    let mut controls: Vec<_> = parts.iter().map(|_| SendAncillaryBuffer::default()).collect();
    let mut messages: Vec<_> =
        parts.iter().zip(&mut controls).map(|(part, control)| MMsgHdr::new(part, control)).collect();
    let sent = sendmmsg(end, &mut messages, SendFlags::NOSIGNAL)?;
    Ok(messages.iter().take(sent).map(MMsgHdr::bytes_sent).sum())
}

fn by_recvmmsg(end: BorrowedFd<'_>, room: usize) -> Result<Vec<u8>> {
    let mut buffers = [vec![0; room / 3 + 1], vec![0; room / 3 + 1], vec![0; room / 3 + 1]];
    let mut slices: Vec<_> = buffers.iter_mut().map(|buffer| segments_mut(buffer)).collect();
    let mut headers = MultiHeaders::<SockaddrStorage>::preallocate(slices.len(), None);
    let messages =
        recvmmsg(end.as_raw_fd(), &mut headers, slices.iter_mut(), MsgFlags::MSG_WAITFORONE, None)?;
    let lengths: Vec<usize> = messages.map(|message| message.bytes).collect();
    Ok(buffers.iter().zip(lengths).flat_map(|(buffer, len)| &buffer[..len]).copied().collect())
}

/// Throws the next `len` bytes of a TCP connection away without receiving them.
pub fn discard(end: BorrowedFd<'_>, mut len: usize) -> Result<()> {
    while len > 0 {
        let mut nothing = vec![0; len];
        match recv(end, &mut nothing, RecvFlags::TRUNC)?.1 {
            0 => bail!("the connection ended early"),
            gone => len -= gone,
        }
    }
    Ok(())
}

/// Uneven parts with an empty one between them.
fn segments(bytes: &[u8]) -> Vec<IoSlice<'_>> {
    let (first, rest) = bytes.split_at(bytes.len() / 7);
    let (second, third) = rest.split_at(rest.len() / 2);
    [first, second, &[], third].map(IoSlice::new).into()
}

fn segments_mut(bytes: &mut [u8]) -> Vec<IoSliceMut<'_>> {
    let (first, rest) = bytes.split_at_mut(bytes.len() / 5);
    let (second, third) = rest.split_at_mut(rest.len() / 3);
    [first, &mut [], second, third].map(IoSliceMut::new).into()
}

fn filled(room: usize, fill: impl FnOnce(&mut [u8]) -> Result<usize>) -> Result<Vec<u8>> {
    let mut buffer = vec![0; room];
    let len = fill(&mut buffer)?;
    buffer.truncate(len);
    Ok(buffer)
}

/// Calls again, once the other end has moved, where a call would have had to wait.
fn retried(
    end: BorrowedFd<'_>,
    ready: PollFlags,
    mut call: impl FnMut() -> rustix::io::Result<usize>,
) -> Result<usize> {
    loop {
        match call() {
            Err(Errno::AGAIN) => {
                let timeout = rustix::event::Timespec { tv_sec: 30, tv_nsec: 0 };
                let woken = poll(&mut [PollFd::from_borrowed_fd(end, ready)], Some(&timeout))?;
                (woken > 0).then_some(()).context("the other end does not move")?;
            }
            moved => return Ok(moved?),
        }
    }
}

/// The offset that means: where the file stands, as for streams.
const CURRENT: u64 = u64::MAX;
