//! What the agent decided of each stream, and the sweeping of the tables.

use std::collections::HashMap as Index;

use aya::Ebpf;
use aya::maps::{HashMap, MapData};
use observer_common::stream::{StreamKind, Verdict};
use observer_common::table::{STATE_WORDS, StreamSummary};

use super::ring::{map_error, take_map};
use crate::error::Error;

/// Tables that programs and agent share.
pub(super) struct Verdicts {
    streams: HashMap<MapData, u64, [u64; STATE_WORDS]>,
    decisions: HashMap<MapData, u64, u64>,
    objects: HashMap<MapData, u64, [u64; 2]>,
    next: u32,
}

/// A stream that nobody wants is forgotten after this long without use.
const IDLE_NS: u64 = 60_000_000_000;
/// A stream that ended is forgotten after this long: its last bytes may still be read.
const CLOSED_NS: u64 = 10_000_000_000;
/// A captured stream whose last user is gone is forgotten after this long without use.
const ABANDONED_NS: u64 = 60_000_000_000;

impl Verdicts {
    pub fn take(ebpf: &mut Ebpf) -> Result<Self, Error> {
        fn map<V: aya::Pod>(ebpf: &mut Ebpf, name: &str) -> Result<HashMap<MapData, u64, V>, Error> {
            HashMap::try_from(take_map(ebpf, name)?).map_err(|error| map_error(name, &error))
        }
        Ok(Self {
            streams: map(ebpf, "STREAMS")?,
            decisions: map(ebpf, "DECISIONS")?,
            objects: map(ebpf, "TLS_OBJECTS")?,
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
    }

    /// Forgets streams that are over, that nobody wants, or whose process is gone.
    pub fn sweep(&mut self, now_ns: u64, is_alive: &dyn Fn(u32) -> bool) {
        let mut alive = Index::new();
        let mut lives = |pid: u32| *alive.entry(pid).or_insert_with(|| is_alive(pid));
        let over: Vec<u64> = self
            .streams
            .iter()
            .filter_map(Result::ok)
            .filter(|(_, words)| is_over(&StreamSummary::from_words(words), now_ns, &mut lives))
            .map(|(stream, _)| stream)
            .collect();
        for stream in &over {
            let _ = self.streams.remove(stream);
            let _ = self.decisions.remove(stream);
        }
        self.sweep_decisions();
        self.sweep_objects(&mut lives);
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

    fn sweep_objects(&mut self, lives: &mut dyn FnMut(u32) -> bool) {
        let all: Vec<(u64, [u64; 2])> = self.objects.iter().filter_map(Result::ok).collect();
        for (object, [stream, pid]) in all {
            if !lives(pid as u32) || self.streams.get(&stream, 0).is_err() {
                let _ = self.objects.remove(&object);
            }
        }
    }
}

fn is_over(stream: &StreamSummary, now_ns: u64, lives: &mut dyn FnMut(u32) -> bool) -> bool {
    let idle = now_ns.saturating_sub(stream.last_seen_ns);
    if stream.closed_ns != 0 {
        return idle > CLOSED_NS && now_ns.saturating_sub(stream.closed_ns) > CLOSED_NS;
    }
    if stream.kind == StreamKind::Tls as u32 && !lives(stream.owner) {
        return true;
    }
    let is_kept = stream.verdict == Verdict::Capture as u32 || stream.verdict == Verdict::Never as u32;
    if is_kept { idle > ABANDONED_NS && !lives(stream.owner) } else { idle > IDLE_NS }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_000_000_000_000;

    fn stream(idle_ns: u64, verdict: Verdict) -> StreamSummary {
        StreamSummary {
            last_seen_ns: NOW - idle_ns,
            closed_ns: 0,
            verdict: verdict as u32,
            kind: StreamKind::Pipe as u32,
            owner: 1,
        }
    }

    #[test]
    fn an_idle_stream_goes_unless_it_is_captured() {
        let alive = &mut |_| true;
        assert!(is_over(&stream(IDLE_NS + 1, Verdict::Ignore), NOW, alive));
        assert!(is_over(&stream(IDLE_NS + 1, Verdict::OpaqueTls), NOW, alive));
        assert!(!is_over(&stream(IDLE_NS - 1, Verdict::Ignore), NOW, alive));
        assert!(!is_over(&stream(NOW / 2, Verdict::Capture), NOW, alive));
    }

    #[test]
    fn a_captured_stream_goes_with_its_last_user() {
        assert!(is_over(&stream(ABANDONED_NS + 1, Verdict::Capture), NOW, &mut |_| false));
        assert!(!is_over(&stream(ABANDONED_NS - 1, Verdict::Capture), NOW, &mut |_| false));
    }

    #[test]
    fn a_closed_connection_goes_when_its_last_bytes_were_read() {
        let mut closed = stream(CLOSED_NS + 1, Verdict::Capture);
        closed.closed_ns = NOW - CLOSED_NS - 1;
        assert!(is_over(&closed, NOW, &mut |_| true));
        closed.last_seen_ns = NOW - 1;
        assert!(!is_over(&closed, NOW, &mut |_| true));
    }

    #[test]
    fn plaintext_goes_with_its_process() {
        let mut tls = stream(0, Verdict::Capture);
        tls.kind = StreamKind::Tls as u32;
        assert!(is_over(&tls, NOW, &mut |_| false));
        assert!(!is_over(&tls, NOW, &mut |_| true));
    }
}
