//! io_uring: the calls of `calls.rs`, and reads and writes on registered buffers, without a system call for each.
//!
//! Each thread has rings of its own, made at their first use, so that an observer that started before sees it.

use std::cell::RefCell;
use std::fs::File;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Duration;

use anyhow::{Context as _, Result};
use compio_buf::{BufResult, IntoInner};
use compio_driver::op::{Read, ReadVectored, Recv, RecvFlags, RecvVectored, Send, SendFlags, SendVectored};
use compio_driver::op::{Write, WriteVectored};
use compio_driver::{OpCode, Proactor, PushEntry};
use tokio_uring::buf::BoundedBuf as _;
use tokio_uring::buf::fixed::FixedBufRegistry;

thread_local! {
    static PLAIN: RefCell<Option<Proactor>> = const { RefCell::new(None) };
    static POLLED: RefCell<Option<Proactor>> = const { RefCell::new(None) };
    static FIXED: RefCell<Option<Fixed>> = const { RefCell::new(None) };
}

/// A ring with a registered buffer.
struct Fixed {
    runtime: tokio_uring::Runtime,
    buffers: FixedBufRegistry<Vec<u8>>,
}

pub fn by_write(end: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize> {
    sent(Write::new(owned(end)?, bytes.to_vec()))
}

pub fn by_read(end: BorrowedFd<'_>, room: usize) -> Result<Vec<u8>> {
    received(Read::new(owned(end)?, vec![0; room]))
}

pub fn by_writev(end: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize> {
    sent(WriteVectored::new(owned(end)?, segments(bytes)))
}

pub fn by_readv(end: BorrowedFd<'_>, room: usize) -> Result<Vec<u8>> {
    received_in_segments(ReadVectored::new(owned(end)?, rooms(room)))
}

pub fn by_send(end: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize> {
    sent(Send::new(owned(end)?, bytes.to_vec(), SendFlags::NOSIGNAL))
}

pub fn by_recv(end: BorrowedFd<'_>, room: usize) -> Result<Vec<u8>> {
    received(Recv::new(owned(end)?, vec![0; room], RecvFlags::empty()))
}

/// In several segments it is `sendmsg`.
pub fn by_sendmsg(end: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize> {
    sent(SendVectored::new(owned(end)?, segments(bytes), SendFlags::NOSIGNAL))
}

/// And `recvmsg`.
pub fn by_recvmsg(end: BorrowedFd<'_>, room: usize) -> Result<Vec<u8>> {
    received_in_segments(RecvVectored::new(owned(end)?, rooms(room), RecvFlags::empty()))
}

/// A thread of the kernel looks for work, so that not even one system call puts it into the ring.
pub fn by_polled_write(end: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize> {
    Ok(done(Ring::Polled, Write::new(owned(end)?, bytes.to_vec()))?.0)
}

pub fn by_polled_read(end: BorrowedFd<'_>, room: usize) -> Result<Vec<u8>> {
    let (len, read) = done(Ring::Polled, Read::new(owned(end)?, vec![0; room]))?;
    Ok(shortened(read.into_inner(), len))
}

/// From a registered buffer.
pub fn by_write_fixed(end: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize> {
    let file = tokio_uring::fs::File::from_std(File::from(owned(end)?));
    with_fixed(|fixed| {
        let len = bytes.len().min(FIXED_LEN);
        let mut buffer = fixed.buffers.check_out(0).context("the buffer is in use")?;
        buffer[..len].copy_from_slice(&bytes[..len]);
        let (result, _) = fixed.runtime.block_on(async {
            let done = file.write_fixed_at(buffer.slice(..len), 0).await;
            file.close().await.map(|()| done)
        })?;
        Ok(result?)
    })
}

/// Into a registered buffer.
pub fn by_read_fixed(end: BorrowedFd<'_>, room: usize) -> Result<Vec<u8>> {
    let file = tokio_uring::fs::File::from_std(File::from(owned(end)?));
    with_fixed(|fixed| {
        let buffer = fixed.buffers.check_out(0).context("the buffer is in use")?;
        let (result, buffer) = fixed.runtime.block_on(async {
            let done = file.read_fixed_at(buffer.slice(..room.min(FIXED_LEN)), 0).await;
            file.close().await.map(|()| done)
        })?;
        Ok(buffer[..result?].to_vec())
    })
}

fn with_fixed<T>(act: impl FnOnce(&Fixed) -> Result<T>) -> Result<T> {
    FIXED.with_borrow_mut(|fixed| {
        if fixed.is_none() {
            let runtime = tokio_uring::Runtime::new(&tokio_uring::builder()).context("no io_uring")?;
            let buffers = FixedBufRegistry::new([vec![0; FIXED_LEN]]);
            runtime.block_on(async { buffers.register() }).context("the buffer cannot be registered")?;
            *fixed = Some(Fixed { runtime, buffers });
        }
        act(fixed.as_ref().context("no ring")?)
    })
}

fn sent<T: OpCode + 'static>(operation: T) -> Result<usize> {
    Ok(done(Ring::Plain, operation)?.0)
}

fn received<T: OpCode + IntoInner<Inner = Vec<u8>> + 'static>(operation: T) -> Result<Vec<u8>> {
    let (len, operation) = done(Ring::Plain, operation)?;
    Ok(shortened(operation.into_inner(), len))
}

fn received_in_segments<T>(operation: T) -> Result<Vec<u8>>
where
    T: OpCode + IntoInner<Inner = Vec<Vec<u8>>> + 'static,
{
    let (mut left, operation) = done(Ring::Plain, operation)?;
    let mut bytes = Vec::with_capacity(left);
    for segment in operation.into_inner() {
        let here = left.min(segment.len());
        bytes.extend(&segment[..here]);
        left -= here;
    }
    Ok(bytes)
}

fn shortened(mut bytes: Vec<u8>, len: usize) -> Vec<u8> {
    bytes.truncate(len);
    bytes
}

/// Puts one operation into this thread's ring and waits for its end.
fn done<T: OpCode + 'static>(ring: Ring, operation: T) -> Result<(usize, T)> {
    let own = if ring == Ring::Polled { &POLLED } else { &PLAIN };
    own.with_borrow_mut(|place| {
        if place.is_none() {
            let mut settings = Proactor::builder();
            if ring == Ring::Polled {
                settings.sqpoll_idle(POLL_IDLE);
            }
            *place = Some(settings.build().context("no io_uring")?);
        }
        let ring = place.as_mut().context("no ring")?;
        let mut entry = ring.push(operation);
        loop {
            match entry {
                PushEntry::Ready(BufResult(result, operation)) => return Ok((result?, operation)),
                PushEntry::Pending(key) => {
                    ring.poll(None)?;
                    entry = ring.pop(key);
                }
            }
        }
    })
}

/// Which of a thread's rings.
#[derive(Clone, Copy, PartialEq)]
enum Ring {
    Plain,
    Polled,
}

/// Uneven parts with an empty one between them.
fn segments(bytes: &[u8]) -> Vec<Vec<u8>> {
    let (first, rest) = bytes.split_at(bytes.len() / 7);
    let (second, third) = rest.split_at(rest.len() / 2);
    [first, second, &[], third].map(<[u8]>::to_vec).into()
}

fn rooms(room: usize) -> Vec<Vec<u8>> {
    let first = room / 5;
    [first, 0, room - first].map(|len| vec![0; len]).into()
}

/// A descriptor of its own for the ring, which may keep it longer than a call lasts.
fn owned(end: BorrowedFd<'_>) -> Result<OwnedFd> {
    Ok(end.try_clone_to_owned()?)
}

const FIXED_LEN: usize = 262_144;
/// How long the kernel's thread looks for work before it sleeps.
const POLL_IDLE: Duration = Duration::from_millis(5);
