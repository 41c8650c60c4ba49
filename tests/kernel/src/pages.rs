//! Calls that move pages instead of copying from or into a buffer: splice, tee, vmsplice, sendfile, MSG_ZEROCOPY.

use std::io::{IoSlice, PipeReader, PipeWriter, Read as _, Write as _, pipe};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nix::fcntl::{SpliceFFlags, splice, tee, vmsplice};
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::SetBool;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, memfd_create, sendfile};
use rustix::io::ioctl_fionread;
use rustix::net::{RecvAncillaryBuffer, RecvFlags, SendFlags, recvmsg, send};

// nix has no name for this option.
nix::setsockopt_impl!(ZeroCopy, libc::SOL_SOCKET, libc::SO_ZEROCOPY, bool, SetBool);
#[derive(Clone, Copy, Debug)]
struct ZeroCopy;

/// Bytes that are in a pipe already.
pub fn by_splice(end: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize> {
    let (from, len) = filled_pipe(bytes)?;
    whole(len, |left| Ok(splice(&from, None, end, None, left, SpliceFFlags::empty())?))
}

/// Bytes that are in a file.
pub fn by_splice_from_file(end: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize> {
    let file = file(bytes)?;
    let mut offset = 0;
    Ok(splice(&file, Some(&mut offset), end, None, bytes.len(), SpliceFFlags::empty())?)
}

/// The same in one call for any target.
pub fn by_sendfile(end: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize> {
    Ok(sendfile(end, file(bytes)?, Some(&mut 0), bytes.len())?)
}

/// Bytes that go on into another pipe too.
pub fn by_tee(end: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize> {
    let (mut from, len) = filled_pipe(bytes)?;
    whole(len, |left| {
        let copied = tee(&from, end, left, SpliceFFlags::empty())?;
        from.read_exact(&mut vec![0; copied])?;
        Ok(copied)
    })
}

/// The process's own pages, which it leaves alone until they have been read.
pub fn by_vmsplice(end: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize> {
    let given = vmsplice(end, &[IoSlice::new(bytes)], SpliceFFlags::empty())?;
    let deadline = Instant::now() + DEADLINE;
    while ioctl_fionread(end)? > 0 {
        ensure!(Instant::now() < deadline, "the other end does not move");
        std::thread::sleep(Duration::from_micros(100));
    }
    Ok(given)
}

/// The same for TCP, where the kernel says when it is done with the pages.
pub fn by_zerocopy(end: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize> {
    setsockopt(&end, ZeroCopy, &true)?;
    let sent = send(end, bytes, SendFlags::NOSIGNAL | SendFlags::from_bits_retain(MSG_ZEROCOPY))?;
    let timeout = Timespec { tv_sec: DEADLINE.as_secs().cast_signed(), tv_nsec: 0 };
    let woken = poll(&mut [PollFd::from_borrowed_fd(end, PollFlags::ERR)], Some(&timeout))?;
    ensure!(woken > 0, "the kernel does not say that it is done");
    recvmsg(end, &mut [], &mut RecvAncillaryBuffer::default(), RecvFlags::ERRQUEUE)?;
    Ok(sent)
}

/// Through a pipe, into no buffer of the reader's.
pub fn taken_by_splice(end: BorrowedFd<'_>, room: usize) -> Result<Vec<u8>> {
    let (mut reader, writer) = pipe()?;
    let moved = splice(end, None, &writer, None, room, SpliceFFlags::empty())?;
    let mut bytes = vec![0; moved];
    reader.read_exact(&mut bytes).context("what was spliced")?;
    Ok(bytes)
}

/// A pipe that holds as many of `bytes` as it can.
fn filled_pipe(bytes: &[u8]) -> Result<(PipeReader, usize)> {
    let (reader, mut writer): (_, PipeWriter) = pipe()?;
    let len = bytes.len().min(PIPE);
    writer.write_all(&bytes[..len])?;
    Ok((reader, len))
}

fn file(bytes: &[u8]) -> Result<OwnedFd> {
    let file = memfd_create("workload", MemfdFlags::CLOEXEC)?;
    std::fs::File::from(file.try_clone()?).write_all(bytes)?;
    Ok(file)
}

/// Calls until all of `len` bytes are moved.
fn whole(len: usize, mut call: impl FnMut(usize) -> Result<usize>) -> Result<usize> {
    let mut left = len;
    while left > 0 {
        let moved = call(left)?;
        ensure!(moved > 0, "nothing was moved");
        left -= moved;
    }
    Ok(len)
}

/// What a pipe holds.
const PIPE: usize = 65536;
const MSG_ZEROCOPY: u32 = 0x400_0000;
const DEADLINE: Duration = Duration::from_secs(30);
