//! What the agent decided of each stream, and the sweeping of the tables.

use aya::Ebpf;
use aya::maps::{Array, HashMap, MapData};
use observer_common::stream::{StreamKind, Verdict};
use observer_common::table::{STATE_WORDS, StreamSummary};

use super::ring::{map_error, take_map};
use crate::error::Error;

/// Tables that programs and agent share.
pub(super) struct Verdicts {
    streams: HashMap<MapData, u64, [u64; STATE_WORDS]>,
    decisions: HashMap<MapData, u64, u64>,
    objects: HashMap<MapData, u64, [u64; 2]>,
    /// The number of the last decision, by which the kernel knows that there is one to look for.
    decided: Array<MapData, u64>,
    next: u32,
}

/// A stream that nobody wants is forgotten after this long without use.
const IDLE_NS: u64 = 60_000_000_000;
/// A stream that ended is forgotten after this long: its last bytes may still be read.
const CLOSED_NS: u64 = 10_000_000_000;
/// A captured stream is forgotten after this long without use if its last user is gone,
const ABANDONED_NS: u64 = 60_000_000_000;
/// and after this long if its last user has no descriptor of it any more.
const LET_GO_NS: u64 = 600_000_000_000;

/// What the sweep asks about processes.
pub(super) trait Holders {
    /// Whether the process lives.
    fn lives(&mut self, pid: u32) -> bool;
    /// Whether the process has a descriptor of a pipe or socket with this inode.
    fn holds(&mut self, pid: u32, inode: u64) -> bool;
}

impl Verdicts {
    pub fn take(ebpf: &mut Ebpf) -> Result<Self, Error> {
        fn map<V: aya::Pod>(ebpf: &mut Ebpf, name: &str) -> Result<HashMap<MapData, u64, V>, Error> {
            HashMap::try_from(take_map(ebpf, name)?).map_err(|error| map_error(name, &error))
        }
        Ok(Self {
            streams: map(ebpf, "STREAMS")?,
            decisions: map(ebpf, "DECISIONS")?,
            objects: map(ebpf, "TLS_OBJECTS")?,
            decided: Array::try_from(take_map(ebpf, "DECIDED")?)
                .map_err(|error| map_error("DECIDED", &error))?,
            next: 0,
        })
    }

    /// Tells the kernel what to do with a stream from now on. Each decision has a number, by which the kernel
    /// knows a new one from one that it has already applied and since moved on from.
    pub fn decide(&mut self, stream: u64, verdict: Verdict) {
        self.next = self.next.wrapping_add(1).max(1);
        let decision = u64::from(self.next) << 32 | u64::from(verdict as u32);
        // A full table leaves the stream undecided: it costs its budget, and is swept like the others.
        let _ = self.decisions.insert(&stream, &decision, 0);
        let _ = self.decided.set(0, &u64::from(self.next), 0);
    }

    /// Forgets streams that are over, that nobody wants, or whose process is gone.
    pub fn sweep(&mut self, now_ns: u64, holders: &mut dyn Holders) {
        let over: Vec<u64> = self
            .streams
            .iter()
            .filter_map(Result::ok)
            .filter(|(_, words)| is_over(&StreamSummary::from_words(words), now_ns, holders))
            .map(|(stream, _)| stream)
            .collect();
        for stream in &over {
            let _ = self.streams.remove(stream);
            let _ = self.decisions.remove(stream);
        }
        self.sweep_decisions();
        self.sweep_objects(holders);
    }

    /// Decisions about streams that the kernel never saw again.
    fn sweep_decisions(&mut self) {
        let all: Vec<u64> = self.decisions.keys().filter_map(Result::ok).collect();
        for stream in all {
            if self.streams.get(&stream, 0).is_err() {
                let _ = self.decisions.remove(&stream);
            }
        }
    }

    fn sweep_objects(&mut self, holders: &mut dyn Holders) {
        let all: Vec<(u64, [u64; 2])> = self.objects.iter().filter_map(Result::ok).collect();
        for (object, [stream, pid]) in all {
            if !holders.lives(pid as u32) || self.streams.get(&stream, 0).is_err() {
                let _ = self.objects.remove(&object);
            }
        }
    }
}

fn is_over(stream: &StreamSummary, now_ns: u64, holders: &mut dyn Holders) -> bool {
    let idle = now_ns.saturating_sub(stream.last_seen_ns);
    if stream.closed_ns != 0 {
        return idle > CLOSED_NS && now_ns.saturating_sub(stream.closed_ns) > CLOSED_NS;
    }
    if stream.kind == StreamKind::Tls as u32 && !holders.lives(stream.owner) {
        return true;
    }
    let is_kept = stream.verdict == Verdict::Capture as u32 || stream.verdict == Verdict::Never as u32;
    if !is_kept {
        return idle > IDLE_NS;
    }
    if idle > LET_GO_NS && stream.inode != 0 {
        return !holders.holds(stream.owner, stream.inode);
    }
    idle > ABANDONED_NS && !holders.lives(stream.owner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_000_000_000_000;

    struct World {
        lives: bool,
        holds: bool,
    }

    impl Holders for World {
        fn lives(&mut self, _: u32) -> bool {
            self.lives
        }

        fn holds(&mut self, _: u32, _: u64) -> bool {
            self.holds
        }
    }

    const HELD: World = World { lives: true, holds: true };
    const LET_GO: World = World { lives: true, holds: false };
    const DEAD: World = World { lives: false, holds: false };

    fn stream(idle_ns: u64, verdict: Verdict) -> StreamSummary {
        StreamSummary {
            last_seen_ns: NOW - idle_ns,
            closed_ns: 0,
            inode: 7,
            verdict: verdict as u32,
            kind: StreamKind::Pipe as u32,
            owner: 1,
        }
    }

    #[test]
    fn an_idle_stream_goes_unless_it_is_captured() {
        assert!(is_over(&stream(IDLE_NS + 1, Verdict::Ignore), NOW, &mut { HELD }));
        assert!(is_over(&stream(IDLE_NS + 1, Verdict::OpaqueTls), NOW, &mut { HELD }));
        assert!(!is_over(&stream(IDLE_NS - 1, Verdict::Ignore), NOW, &mut { HELD }));
        assert!(!is_over(&stream(NOW, Verdict::Capture), NOW, &mut { HELD }));
    }

    #[test]
    fn a_captured_stream_goes_with_its_last_user() {
        assert!(is_over(&stream(ABANDONED_NS + 1, Verdict::Capture), NOW, &mut { DEAD }));
        assert!(!is_over(&stream(ABANDONED_NS - 1, Verdict::Capture), NOW, &mut { DEAD }));
    }

    #[test]
    fn a_captured_stream_goes_when_it_was_let_go() {
        assert!(is_over(&stream(LET_GO_NS + 1, Verdict::Capture), NOW, &mut { LET_GO }));
        assert!(!is_over(&stream(LET_GO_NS - 1, Verdict::Capture), NOW, &mut { LET_GO }));
    }

    #[test]
    fn a_closed_connection_goes_when_its_last_bytes_were_read() {
        let mut closed = stream(CLOSED_NS + 1, Verdict::Capture);
        closed.closed_ns = NOW - CLOSED_NS - 1;
        assert!(is_over(&closed, NOW, &mut { HELD }));
        closed.last_seen_ns = NOW - 1;
        assert!(!is_over(&closed, NOW, &mut { HELD }));
    }

    #[test]
    fn plaintext_goes_with_its_process() {
        let mut tls = stream(0, Verdict::Capture);
        tls.kind = StreamKind::Tls as u32;
        assert!(is_over(&tls, NOW, &mut { DEAD }));
        assert!(!is_over(&tls, NOW, &mut { HELD }));
    }
}
