//! More bytes at once than a small ring can take, on many streams.

use std::os::fd::AsFd;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::calls::by_read;
use crate::content::Content;
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
    /// Also TCP, where a message has no end that could be found again after a loss.
    #[arg(long)]
    tcp: bool,
}

/// Pushes everything through and writes the manifest.
pub fn run(dir: &Path, amount: &Amount) -> Result<()> {
    std::fs::create_dir_all(dir)?;
    let entries = std::thread::scope(|scope| {
        let streams: Vec<_> =
            (0..amount.writers).map(|number| scope.spawn(move || one(dir, amount, number))).collect();
        let entries = streams.into_iter().map(|stream| {
            stream.join().map_err(|_| anyhow::anyhow!("a writer panicked")).and_then(|entry| entry)
        });
        entries.collect::<Result<Vec<_>>>()
    })?;
    manifest::write(dir, &entries)
}

fn one(dir: &Path, amount: &Amount, number: usize) -> Result<Entry> {
    let kinds = if amount.tcp { &KINDS[..] } else { &KINDS[..2] };
    let kind = kinds[number % kinds.len()];
    let Stream { sender, receiver, sending, receiving } = Stream::connect(kind, dir)?;
    let seed = 1000 + number as u64;
    let total = amount.mebibytes << 20;
    let content = Content::new(kind, seed, total);
    let received = std::thread::scope(|scope| {
        let sending = scope.spawn(move || {
            for at in (0..total).step_by(BLOCK) {
                let mut rest = &content.bytes(at, BLOCK)[..];
                while !rest.is_empty() {
                    rest = &rest[rustix::io::write(&sender, rest)?..];
                }
            }
            Ok::<_, anyhow::Error>(())
        });
        let mut received = 0;
        loop {
            match by_read(receiver.as_fd(), BLOCK)?.len() as u64 {
                0 => break,
                some => received += some,
            }
        }
        sending.join().map_err(|_| anyhow::anyhow!("the sender panicked"))??;
        Ok::<_, anyhow::Error>(received)
    })
    .with_context(|| format!("{kind:?}"))?;
    ensure!(received == total, "{received} of {total} bytes came through");
    let case = format!("{kind:?} {number}");
    let pid = std::process::id();
    let by = By::Calls;
    Ok(Entry {
        case,
        kind,
        receiving,
        sending,
        pid,
        seed,
        sent: total,
        received,
        sent_by: by,
        received_by: by,
        hidden: 0,
        by_kernel_threads: false,
        file: None,
    })
}

const KINDS: [Kind; 4] = [Kind::Pipe, Kind::Unix, Kind::Tcp4, Kind::Tcp6];
/// What one call moves: a full pipe.
const BLOCK: usize = 65536;
