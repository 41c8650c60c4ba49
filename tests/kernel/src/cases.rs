//! Each kind of stream with each way to move bytes, in sizes from one byte to a mebibyte.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::thread::ScopedJoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::content::Content;
use crate::manifest::{self, Entry};
use crate::streams::{Kind, Stream, set_nonblocking};
use crate::ways::{
    By, CALLS, EMPTY_FIRST_MESSAGE, EMPTY_FIRST_VECTOR, PAGES, PLAIN, RINGS, SEVERAL_MESSAGES, Way,
};
use crate::{calls, ktls, release};

/// What belongs together because a kernel or a mode has all of it or nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Family {
    /// System calls with a buffer.
    Calls,
    /// io_uring.
    Rings,
    /// Pages that the kernel moves.
    Pages,
    /// TLS in the kernel.
    Ktls,
}

/// Runs all cases of a family, one after the other.
pub fn run(dir: &Path, family: Family) -> Result<()> {
    std::fs::create_dir_all(dir)?;
    let mut entries = Vec::new();
    for (kind, way, plan) in all(family, release::of_this_kernel()?) {
        let number = entries.len();
        let case = format!("{kind:?}: {}{}", way.name, plan.name);
        entries.push(one(dir, kind, &way, number, &plan).context(case)?);
    }
    manifest::write(dir, &entries)
}

fn all(family: Family, release: (u32, u32)) -> Vec<(Kind, Way, Plan)> {
    let each = |ways: &[Way]| -> Vec<(Kind, Way, Plan)> {
        let pairs = Kind::ALL.into_iter().flat_map(|kind| ways.iter().map(move |way| (kind, *way)));
        pairs
            .filter(|(kind, way)| way.works(*kind, release))
            .map(|(kind, way)| (kind, way, Plan::USUAL))
            .collect()
    };
    match family {
        Family::Calls => each(&CALLS).into_iter().chain(SPECIAL).collect(),
        Family::Rings => each(&RINGS),
        Family::Pages => each(&PAGES),
        Family::Ktls => vec![(Kind::Tcp4, PLAIN, ENCRYPTED), (Kind::Tcp6, PLAIN, ENCRYPTED)],
    }
}

/// What is special about a case.
#[derive(Clone, Copy)]
struct Plan {
    /// What people read.
    name: &'static str,
    /// Sizes of what is sent.
    sent: &'static [usize],
    /// Room that the receiver has, in turns.
    rooms: &'static [usize],
    /// Bytes at the end of the stream that the receiver throws away unread.
    discarded: usize,
    /// Everything is sent and the sending end closed before the receiver begins. It asks for more room than
    /// there are bytes, and not again once it has them all.
    closed_first: bool,
    /// The kernel encrypts what is sent.
    encrypted: bool,
}

impl Plan {
    const USUAL: Self =
        Self { name: "", sent: &SENT, rooms: &ROOMS, discarded: 0, closed_first: false, encrypted: false };
}

const SPECIAL: [(Kind, Way, Plan); 7] = [
    (Kind::Tcp4, PLAIN, THROWN_AWAY),
    (Kind::Tcp6, PLAIN, THROWN_AWAY),
    (Kind::Pipe, EMPTY_FIRST_VECTOR, LARGE_AT_ONCE),
    (Kind::Unix, EMPTY_FIRST_VECTOR, LARGE_AT_ONCE),
    (Kind::Unix, EMPTY_FIRST_MESSAGE, LARGE_AT_ONCE),
    (Kind::Tcp4, PLAIN, HEAD_IN_PIECES),
    (Kind::Unix, SEVERAL_MESSAGES, END_BEHIND_BYTES),
];

const THROWN_AWAY: Plan = Plan { name: ", the end thrown away", discarded: 20_000, ..Plan::USUAL };
/// More than an unknown text may hold, before anybody could have said what it is.
const LARGE_AT_ONCE: Plan =
    Plan { name: ", large at once", sent: &[100_000, 3000], rooms: &[262_144], ..Plan::USUAL };
/// The same after pieces that do not tell yet what it is.
const HEAD_IN_PIECES: Plan =
    Plan { name: ", the head in pieces", sent: &[2, 1, 1 << 20], rooms: &[2, 1, 262_144], ..Plan::USUAL };
/// One call gets the last bytes and the end.
const END_BEHIND_BYTES: Plan =
    Plan { name: ", the end behind bytes", sent: &[3000], rooms: &[6000], closed_first: true, ..Plan::USUAL };
/// Less, since an emulated processor is slow at it; still more than one TLS record at once.
const ENCRYPTED: Plan =
    Plan { name: ", encrypted", sent: &[1025, 1, 20_000, 4096], encrypted: true, ..Plan::USUAL };

fn one(dir: &Path, kind: Kind, way: &Way, number: usize, plan: &Plan) -> Result<Entry> {
    let stream = Stream::connect(kind, dir)?;
    let Stream { sender, receiver, sending, receiving } = stream;
    if way.nonblocking {
        set_nonblocking(&sender)?;
        set_nonblocking(&receiver)?;
    }
    if plan.encrypted {
        ktls::encrypt(&sender, &receiver)?;
    }
    let sent: usize = plan.sent.iter().sum();
    let content = &Content::new(kind, number as u64, sent as u64);
    let (received, hidden) = std::thread::scope(|scope| {
        let sending = scope.spawn(|| send(sender, way, content, plan.sent));
        let joined = |sending: ScopedJoinHandle<'_, Result<()>>| {
            sending.join().map_err(|_| anyhow::anyhow!("the sender panicked"))?
        };
        if plan.closed_first {
            joined(sending)?;
            return receive(receiver.as_fd(), way, sent, plan);
        }
        let received = receive(receiver.as_fd(), way, sent - plan.discarded, plan)?;
        joined(sending)?;
        Ok::<_, anyhow::Error>(received)
    })?;
    ensure!(received == content.bytes(0, received.len()), "the kernel gave other bytes than it got");
    let file = format!("{number}.bin");
    std::fs::write(dir.join(&file), &received)?;
    Ok(Entry {
        case: format!("{kind:?}: {}{}", way.name, plan.name),
        kind,
        receiving,
        sending,
        pid: std::process::id(),
        seed: number as u64,
        sent: sent as u64,
        received: sent as u64,
        sent_by: way.sent_by,
        received_by: way.received_by,
        hidden: hidden + plan.discarded as u64,
        by_kernel_threads: release::of_this_kernel()? < RINGS_OF_PROCESSES
            && [way.sent_by, way.received_by].contains(&By::Ring),
        introduced: false,
        file: Some(file),
    })
}

/// Sends everything and closes the sending end, so that the receiver meets the end.
fn send(sender: OwnedFd, way: &Way, content: &Content, sizes: &[usize]) -> Result<()> {
    let mut at = 0;
    for &size in sizes {
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

/// Receives everything; returns it, and how many of the bytes were taken in the hidden way.
fn receive(receiver: BorrowedFd<'_>, way: &Way, wanted: usize, plan: &Plan) -> Result<(Vec<u8>, u64)> {
    let (mut received, mut hidden) = (Vec::with_capacity(wanted), 0);
    let mut rooms = plan.rooms.iter().cycle().copied();
    let mut pause = PAUSE_EVERY;
    while received.len() < wanted {
        let most = if plan.closed_first { usize::MAX } else { wanted - received.len() };
        let room = rooms.next().unwrap_or(1).min(most);
        let bytes = match way.hidden {
            Some(by) if room >= HIDDEN_FROM => {
                let bytes = by(receiver, room)?;
                hidden += bytes.len() as u64;
                bytes
            }
            _ => (way.receive)(receiver, room)?,
        };
        ensure!(!bytes.is_empty(), "the stream ended early");
        received.extend(bytes);
        if received.len() > pause {
            // A reader that is slower than the writer, so that large writes block half done.
            std::thread::sleep(Duration::from_millis(1));
            pause += PAUSE_EVERY;
        }
    }
    ensure!(received.len() == wanted, "more came than was asked for");
    calls::discard(receiver, plan.discarded)?;
    // The end is met by the same call as the bytes.
    let at_the_end = || (way.receive)(receiver, ROOMS[0]);
    ensure!(plan.closed_first || at_the_end()?.is_empty(), "the stream does not end");
    Ok((received, hidden))
}

/// Sizes of what is sent: around powers of two and page sizes, the largest in one call.
const SENT: [usize; 14] = [1025, 1, 2, 191, 192, 193, 1024, 4095, 4096, 4097, 65536, 70_001, 1 << 20, 30_000];
/// Room that the receiver has, in turns. The first time it is enough for the stream to be told from others.
const ROOMS: [usize; 9] = [500, 1, 7, 192, 4096, 65536, 5000, 262_144, 65_537];
const PAUSE_EVERY: usize = 200_000;
/// A way that hides bytes is used for rooms of this size and more, and the plain one for the rest: what comes after a
/// gap is to be at its place.
const HIDDEN_FROM: usize = 4096;
/// From this release on io_uring's workers are threads of the process.
const RINGS_OF_PROCESSES: (u32, u32) = (5, 12);
