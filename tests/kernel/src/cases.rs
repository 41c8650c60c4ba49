//! Each kind of stream with each way to move bytes, in sizes from one byte to a mebibyte.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::calls::{self, Receive, WAYS, Way};
use crate::content::Content;
use crate::manifest::{self, Entry};
use crate::streams::{Kind, Stream, set_nonblocking};

/// Runs all cases, one after the other.
pub fn run(dir: &Path) -> Result<()> {
    std::fs::create_dir_all(dir)?;
    let mut entries = Vec::new();
    for kind in Kind::ALL {
        for way in WAYS.iter().filter(|way| kind.is_socket() || !way.socket) {
            let case = format!("{kind:?}: {}", way.name);
            let number = entries.len();
            entries.push(one(dir, kind, way, number, 0).with_context(|| case)?);
        }
    }
    for kind in [Kind::Tcp4, Kind::Tcp6] {
        let number = entries.len();
        entries.push(one(dir, kind, &WAYS[0], number, DISCARDED).context("thrown away")?);
    }
    manifest::write(dir, &entries)
}

fn one(dir: &Path, kind: Kind, way: &Way, number: usize, discarded: usize) -> Result<Entry> {
    let stream = Stream::connect(kind, dir)?;
    let Stream { sender, receiver, sending, receiving } = stream;
    if way.nonblocking {
        set_nonblocking(&sender)?;
        set_nonblocking(&receiver)?;
    }
    let sent: usize = SENT.iter().sum();
    let content = &Content::new(kind, number as u64, sent as u64);
    let received = std::thread::scope(|scope| {
        let sending = scope.spawn(|| send(sender, way, content));
        let received = receive(receiver.as_fd(), way.receive, sent - discarded, discarded)?;
        sending.join().map_err(|_| anyhow::anyhow!("the sender panicked"))??;
        Ok::<_, anyhow::Error>(received)
    })?;
    ensure!(received == content.bytes(0, received.len()), "the kernel gave other bytes than it got");
    let file = format!("{number}.bin");
    std::fs::write(dir.join(&file), &received)?;
    Ok(Entry {
        case: format!("{kind:?}: {}{}", way.name, if discarded > 0 { ", the end thrown away" } else { "" }),
        kind,
        receiving,
        sending,
        pid: std::process::id(),
        seed: number as u64,
        sent: sent as u64,
        received: received.len() as u64,
        file: Some(file),
    })
}

/// Sends everything and closes the sending end, so that the receiver meets the end.
fn send(sender: OwnedFd, way: &Way, content: &Content) -> Result<()> {
    let mut at = 0;
    for size in SENT {
        let bytes = content.bytes(at, size);
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let gone = (way.send)(sender.as_fd(), rest)?;
            ensure!(gone > 0, "nothing was sent");
            rest = &rest[gone..];
        }
        at += size as u64;
    }
    Ok(())
}

fn receive(receiver: BorrowedFd<'_>, by: Receive, wanted: usize, discarded: usize) -> Result<Vec<u8>> {
    let mut received = Vec::with_capacity(wanted);
    let mut rooms = ROOMS.iter().cycle().copied();
    let mut pause = PAUSE_EVERY;
    while received.len() < wanted {
        let room = rooms.next().unwrap_or(1).min(wanted - received.len());
        let bytes = by(receiver, room)?;
        ensure!(!bytes.is_empty(), "the stream ended early");
        received.extend(bytes);
        if received.len() > pause {
            // A reader that is slower than the writer, so that large writes block half done.
            std::thread::sleep(Duration::from_millis(1));
            pause += PAUSE_EVERY;
        }
    }
    ensure!(received.len() == wanted, "more came than was asked for");
    calls::discard(receiver, discarded)?;
    ensure!(calls::by_read(receiver, ROOMS[0])?.is_empty(), "the stream does not end");
    Ok(received)
}

/// Sizes of what is sent: around powers of two and page sizes, the largest in one call.
const SENT: [usize; 14] = [1025, 1, 2, 191, 192, 193, 1024, 4095, 4096, 4097, 65536, 70_001, 1 << 20, 30_000];
/// Room that the receiver has, in turns. The first time it is enough for the stream to be told from others.
const ROOMS: [usize; 9] = [500, 1, 7, 192, 4096, 65536, 5000, 262_144, 65_537];
const PAUSE_EVERY: usize = 200_000;
/// Bytes at the end of a TCP connection that the receiver throws away unread.
const DISCARDED: usize = 20_000;
