//! The system calls that take a buffer: each sends or receives some bytes.

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

pub fn by_write(end: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize> {
    retried(end, PollFlags::OUT, || write(end, bytes))
}

/// Plain `read`.
pub fn by_read(end: BorrowedFd<'_>, room: usize) -> Result<Vec<u8>> {
    filled(room, |buffer| retried(end, PollFlags::IN, || read(end, &mut *buffer)))
}

pub fn by_writev(end: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize> {
    Ok(writev(end, &segments(bytes))?)
}

pub fn by_readv(end: BorrowedFd<'_>, room: usize) -> Result<Vec<u8>> {
    filled(room, |buffer| Ok(readv(end, &mut segments_mut(buffer))?))
}

pub fn by_pwritev2(end: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize> {
    Ok(pwritev2(end, &segments(bytes), CURRENT, ReadWriteFlags::empty())?)
}

pub fn by_preadv2(end: BorrowedFd<'_>, room: usize) -> Result<Vec<u8>> {
    filled(room, |buffer| Ok(preadv2(end, &mut segments_mut(buffer), CURRENT, ReadWriteFlags::empty())?))
}

pub fn by_sendto(end: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize> {
    Ok(send(end, bytes, SendFlags::NOSIGNAL)?)
}

/// Looks at what is there twice before it takes it.
pub fn by_recvfrom(end: BorrowedFd<'_>, room: usize) -> Result<Vec<u8>> {
    let mut peeked = vec![0; room / 2 + 1];
    recv(end, &mut peeked, RecvFlags::PEEK)?;
    recv(end, &mut peeked, RecvFlags::PEEK | RecvFlags::TRUNC)?;
    filled(room, |buffer| Ok(recv(end, &mut *buffer, RecvFlags::empty())?.0))
}

pub fn by_sendmsg(end: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize> {
    Ok(sendmsg(end, &segments(bytes), &mut SendAncillaryBuffer::default(), SendFlags::NOSIGNAL)?)
}

/// Looks at what is there before it takes it.
pub fn by_recvmsg(end: BorrowedFd<'_>, room: usize) -> Result<Vec<u8>> {
    let take = |buffer: &mut [u8], flags| {
        let message = recvmsg(end, &mut segments_mut(buffer), &mut RecvAncillaryBuffer::default(), flags)?;
        Ok(message.bytes)
    };
    filled(room, |buffer| take(buffer, RecvFlags::PEEK))?;
    filled(room, |buffer| take(buffer, RecvFlags::empty()))
}

pub fn by_sendmmsg(end: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize> {
    let parts: Vec<_> = bytes.chunks(bytes.len().div_ceil(3).max(1)).map(segments).collect();
    let mut controls: Vec<_> = parts.iter().map(|_| SendAncillaryBuffer::default()).collect();
    let mut messages: Vec<_> =
        parts.iter().zip(&mut controls).map(|(part, control)| MMsgHdr::new(part, control)).collect();
    let sent = sendmmsg(end, &mut messages, SendFlags::NOSIGNAL)?;
    Ok(messages.iter().take(sent).map(MMsgHdr::bytes_sent).sum())
}

pub fn by_recvmmsg(end: BorrowedFd<'_>, room: usize) -> Result<Vec<u8>> {
    let mut buffers = [vec![0; room / 3 + 1], vec![0; room / 3 + 1], vec![0; room / 3 + 1]];
    let mut slices: Vec<_> = buffers.iter_mut().map(|buffer| segments_mut(buffer)).collect();
    let mut headers = MultiHeaders::<SockaddrStorage>::preallocate(slices.len(), None);
    let messages =
        recvmmsg(end.as_raw_fd(), &mut headers, slices.iter_mut(), MsgFlags::MSG_WAITFORONE, None)?;
    let lengths: Vec<usize> = messages.map(|message| message.bytes).collect();
    Ok(buffers.iter().zip(lengths).flat_map(|(buffer, len)| &buffer[..len]).copied().collect())
}

/// Segments of which the first ones are empty.
pub fn by_writev_after_nothing(end: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize> {
    Ok(writev(end, &[IoSlice::new(&[]), IoSlice::new(&[]), IoSlice::new(bytes)])?)
}

pub fn by_readv_after_nothing(end: BorrowedFd<'_>, room: usize) -> Result<Vec<u8>> {
    filled(room, |buffer| {
        let mut segments = [IoSliceMut::new(&mut []), IoSliceMut::new(&mut []), IoSliceMut::new(buffer)];
        Ok(readv(end, &mut segments)?)
    })
}

/// The same in a message.
pub fn by_sendmsg_after_nothing(end: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize> {
    let segments = [IoSlice::new(&[]), IoSlice::new(bytes)];
    Ok(sendmsg(end, &segments, &mut SendAncillaryBuffer::default(), SendFlags::NOSIGNAL)?)
}

pub fn by_recvmsg_after_nothing(end: BorrowedFd<'_>, room: usize) -> Result<Vec<u8>> {
    filled(room, |buffer| {
        let mut segments = [IoSliceMut::new(&mut []), IoSliceMut::new(buffer)];
        let mut control = RecvAncillaryBuffer::default();
        Ok(recvmsg(end, &mut segments, &mut control, RecvFlags::empty())?.bytes)
    })
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
