//! More bytes at once than a small ring can take, on many streams of all kinds.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::Barrier;

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::calls::by_read;
use crate::content::{Content, INTRODUCTION};
use crate::manifest::{self, Entry};
use crate::streams::{Kind, Stream};
use crate::ways::By;

/// How much.
#[derive(Args, Clone, Debug)]
pub struct Amount {
    /// Streams at once.
    #[arg(long, default_value_t = 8)]
    writers: usize,
    /// Mebibytes on each.
    #[arg(long, default_value_t = 16)]
    mebibytes: u64,
}

/// Pushes everything through and writes the manifest.
///
/// Each stream begins with a short call while there is room for it. A large call in several pieces that follows
/// is worth recording only on a connection that is known to carry calls, and what is not worth it is no loss.
pub fn run(dir: &Path, amount: &Amount) -> Result<()> {
    std::fs::create_dir_all(dir)?;
    let introduced = &Barrier::new(amount.writers);
    let entries = std::thread::scope(|scope| {
        let streams: Vec<_> = (0..amount.writers)
            .map(|number| scope.spawn(move || one(dir, amount, number, introduced)))
            .collect();
        let entries = streams.into_iter().map(|stream| {
            stream.join().map_err(|_| anyhow::anyhow!("a writer panicked")).and_then(|entry| entry)
        });
        entries.collect::<Result<Vec<_>>>()
    })?;
    manifest::write(dir, &entries)
}

fn one(dir: &Path, amount: &Amount, number: usize, introduced: &Barrier) -> Result<Entry> {
    let kind = KINDS[number % KINDS.len()];
    let seed = 1000 + number as u64;
    let total = amount.mebibytes << 20;
    let content = Content::introduced(kind, seed, total);
    let begun = Stream::connect(kind, dir).and_then(|stream| {
        write_all(stream.sender.as_fd(), &content.bytes(0, INTRODUCTION))?;
        let read = read_all(stream.receiver.as_fd(), INTRODUCTION as u64)?;
        ensure!(read == INTRODUCTION as u64, "the first call did not come through");
        Ok(stream)
    });
    introduced.wait(); // also of those that failed, or the others would wait for ever
    let Stream { sender, receiver, sending, receiving } = begun.with_context(|| format!("{kind:?}"))?;
    let received = std::thread::scope(|scope| {
        let sending = scope.spawn(move || {
            (INTRODUCTION as u64..total).step_by(BLOCK).try_for_each(|at| {
                let len = BLOCK.min((total - at) as usize);
                write_all(sender.as_fd(), &content.bytes(at, len))
            })
        });
        let received = read_all(receiver.as_fd(), u64::MAX)?;
        sending.join().map_err(|_| anyhow::anyhow!("the sender panicked"))??;
        Ok::<_, anyhow::Error>(INTRODUCTION as u64 + received)
    })
    .with_context(|| format!("{kind:?}"))?;
    ensure!(received == total, "{received} of {total} bytes came through");
    Ok(Entry {
        case: format!("{kind:?} {number}"),
        kind,
        receiving,
        sending,
        pid: std::process::id(),
        seed,
        sent: total,
        received,
        sent_by: By::Calls,
        received_by: By::Calls,
        hidden: 0,
        by_kernel_threads: false,
        introduced: true,
        file: None,
    })
}

fn write_all(end: BorrowedFd<'_>, mut bytes: &[u8]) -> Result<()> {
    while !bytes.is_empty() {
        bytes = &bytes[rustix::io::write(end, bytes)?..];
    }
    Ok(())
}

/// Reads to the end, or until there are so many bytes; returns how many.
fn read_all(end: BorrowedFd<'_>, most: u64) -> Result<u64> {
    let mut received = 0;
    while received < most {
        match by_read(end, BLOCK)?.len() as u64 {
            0 => break,
            some => received += some,
        }
    }
    Ok(received)
}

const KINDS: [Kind; 4] = [Kind::Pipe, Kind::Unix, Kind::Tcp4, Kind::Tcp6];
/// What one call moves: a full pipe.
const BLOCK: usize = 65536;
