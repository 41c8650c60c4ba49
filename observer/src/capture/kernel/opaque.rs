//! Processes that move TLS records which nobody reads: their library has no probe.
//!
//! In: the kernel's table of streams. Out: processes to be looked at. Only what was seen counts: a process is named
//! when TLS records of it went over a socket, and some time later no plaintext is known to travel there.

use std::time::{Duration, Instant};

use aya::Ebpf;
use aya::maps::{HashMap, Map, MapData};
use observer_common::stream::{StreamKind, Verdict};
use observer_common::table::{STATE_WORDS, StreamState, StreamSummary};
use rustc_hash::{FxHashMap, FxHashSet};

use super::ring::map_error;
use crate::error::Error;

/// The table, and the processes in question.
pub(super) struct Opaque {
    streams: HashMap<MapData, u64, [u64; STATE_WORDS]>,
    suspects: Suspects,
    next: Instant,
}

/// Processes with opaque sockets: when each was first seen with one, and whether it was named.
#[derive(Default)]
struct Suspects(FxHashMap<u32, (Instant, bool)>);

/// A socket with TLS records, or a plaintext stream with the socket it is bound to.
#[derive(Clone, Copy)]
enum Seen {
    Socket { stream: u64, owner: u32 },
    Plaintext { socket: u64, owner: u32 },
}

/// Between two looks at the table.
const EVERY: Duration = Duration::from_secs(2);
/// The same as a multiple of what a look takes, so that a large table costs no more of the processor.
const PAUSE: u32 = 500;
/// How long a plaintext stream may be in coming: the library may just be getting its probes.
const PATIENCE: Duration = Duration::from_secs(4);
/// Word of an entry in which the socket of a plaintext stream stands.
const BOUND: usize = std::mem::offset_of!(StreamState, bound) / 8;

impl Opaque {
    /// Opens the table a second time.
    pub fn open(ebpf: &Ebpf) -> Result<Self, Error> {
        let failed = |reason: String| Error::Kernel { act: "open map STREAMS".to_owned(), reason };
        let Some(Map::HashMap(map)) = ebpf.map("STREAMS") else {
            return Err(failed("it is not there".to_owned()));
        };
        let descriptor = std::os::fd::AsFd::as_fd(map.fd()).try_clone_to_owned();
        let descriptor = descriptor.map_err(|error| failed(error.to_string()))?;
        let map = MapData::from_fd(descriptor).map_err(|error| map_error("STREAMS", &error))?;
        let streams = HashMap::try_from(Map::HashMap(map)).map_err(|error| map_error("STREAMS", &error))?;
        Ok(Self { streams, suspects: Suspects::default(), next: Instant::now() + EVERY })
    }

    /// Processes whose TLS nobody reads, each once for as long as it has opaque sockets.
    pub fn look(&mut self) -> Vec<u32> {
        let now = Instant::now();
        if now < self.next {
            return Vec::new();
        }
        let seen: Vec<Seen> = self.streams.iter().filter_map(Result::ok).filter_map(seen).collect();
        self.next = now + (now.elapsed() * PAUSE).max(EVERY);
        self.suspects.judge(&seen, now)
    }
}

fn seen((stream, words): (u64, [u64; STATE_WORDS])) -> Option<Seen> {
    let StreamSummary { kind, verdict, owner, .. } = StreamSummary::from_words(&words);
    if kind == StreamKind::Tls as u32 {
        return Some(Seen::Plaintext { socket: *words.get(BOUND)?, owner });
    }
    (verdict == Verdict::OpaqueTls as u32).then_some(Seen::Socket { stream, owner })
}

impl Suspects {
    fn judge(&mut self, seen: &[Seen], now: Instant) -> Vec<u32> {
        let (mut read, mut readers) = (FxHashSet::default(), FxHashSet::default());
        for one in seen {
            if let Seen::Plaintext { socket, owner } = *one {
                read.insert(socket);
                readers.insert(owner);
            }
        }
        let mut opaque = FxHashSet::default();
        for one in seen {
            if let Seen::Socket { stream, owner } = *one
                && !read.contains(&stream)
                && !readers.contains(&owner)
            {
                opaque.insert(owner);
            }
        }
        self.0.retain(|pid, _| opaque.contains(pid));
        for &pid in &opaque {
            self.0.entry(pid).or_insert((now, false));
        }
        let mut named = Vec::new();
        for (&pid, (since, is_named)) in &mut self.0 {
            if !*is_named && now.duration_since(*since) >= PATIENCE {
                *is_named = true;
                named.push(pid);
            }
        }
        named
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOCKET: Seen = Seen::Socket { stream: 1, owner: 10 };

    #[test]
    fn a_process_is_named_once_and_not_at_once() {
        let mut suspects = Suspects::default();
        let start = Instant::now();
        assert!(suspects.judge(&[SOCKET], start).is_empty());
        assert_eq!(suspects.judge(&[SOCKET], start + PATIENCE), [10]);
        assert!(suspects.judge(&[SOCKET], start + 2 * PATIENCE).is_empty());
        suspects.judge(&[], start + 2 * PATIENCE);
        assert!(suspects.judge(&[SOCKET], start + 2 * PATIENCE).is_empty(), "from the beginning again");
    }

    #[test]
    fn who_is_read_is_no_suspect() {
        let start = Instant::now();
        for plaintext in [Seen::Plaintext { socket: 1, owner: 11 }, Seen::Plaintext { socket: 0, owner: 10 }]
        {
            let mut suspects = Suspects::default();
            suspects.judge(&[SOCKET], start);
            assert!(suspects.judge(&[SOCKET, plaintext], start + PATIENCE).is_empty());
        }
    }
}
