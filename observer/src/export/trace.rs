//! Trace and span ids of a call, and whether its spans are exported.
//!
//! In: calls, in order. Out: [`Spans`]. The exporter of spans and the one of exemplars each keep a [`Tracer`]; fed
//! the same calls, they give the same ids. The same holds for two observers of one call, on one host or on the two
//! hosts between which it travels: the ids follow from what both know.
//!
//! * Where: the hash of the session's id, else the client's address and port, else the two processes. A proxy or an
//!   address translation between two hosts makes them disagree, unless the session's id passes it.
//! * What: method, subject, direction, JSON-RPC id and size of the request.
//! * When: the time of its first byte in units of [`UNIT`], for no two clocks agree to the nanosecond. Two that
//!   differ by a millisecond disagree about one call in ten thousand, which then has two traces.
//! * The how-many-eth call it is of which all that is the same: an id that is used again within one unit must not
//!   give two calls one trace. An observer that came in between counts from there, until the unit ends.
//!
//! The ids are well mixed, so that a ratio can be sampled from them, but anybody can compute them: no secret
//! depends on them.

use std::hash::{Hash, Hasher};

use rustc_hash::FxHashMap;

use super::semconv::Vantage;
use crate::pipeline::observation::{Call, CallDirection, Peer, Subject};
use crate::pipeline::time::WallClock;

/// How exactly two observers must agree about the time: skewed clocks and the way between two hosts are far below
/// it, the time until a client uses an id again mostly far above.
const UNIT: i64 = 10_000_000_000;
/// Calls that are remembered in order to tell those apart that are the same otherwise, in each of two generations.
const MOST_REMEMBERED: usize = 1 << 13;

/// The ids of a call's spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spans {
    /// The trace: of the request's own context, else a new one.
    pub trace_id: u128,
    /// The span that the request names as its parent.
    pub parent: Option<u64>,
    /// The asking party's span, child of `parent`.
    pub client: u64,
    /// The asked party's span, child of `client`.
    pub server: u64,
    /// Whether the spans are to be exported.
    pub is_sampled: bool,
    /// Whether the parent is of a trace that its own process exports.
    parent_is_sampled: bool,
}

impl Spans {
    /// Trace and span that somebody exports and that show this call from this side.
    pub fn exemplar(&self, vantage: Vantage) -> Option<(u128, u64)> {
        let own = match vantage {
            Vantage::Client => self.client,
            Vantage::Server => self.server,
        };
        let span = if self.is_sampled { Some(own) } else { self.parent.filter(|_| self.parent_is_sampled) };
        Some((self.trace_id, span?))
    }
}

/// Gives calls their ids.
#[derive(Clone, Debug)]
pub struct Tracer {
    sampler: Sampler,
    seen: Seen,
}

impl Tracer {
    /// A tracer that has seen nothing.
    pub fn new(sampler: Sampler) -> Self {
        Self { sampler, seen: Seen::default() }
    }

    /// The ids of `call`, which was not asked for before.
    pub fn spans(&mut self, call: &Call, clock: WallClock) -> Spans {
        let mut key = Mixer::default();
        identify(call, &mut key);
        key.write_i64(clock.unix_ns(call.at).div_euclid(UNIT));
        key.write_u32(self.seen.before(key.finish()));
        let parent = call.trace;
        if let Some(parent) = parent {
            key.write_u128(parent.trace_id);
            key.write_u64(parent.parent_span_id);
        }
        let trace_id = parent.map_or_else(|| key.id(b't'), |parent| parent.trace_id);
        let parent_is_sampled = parent.is_some_and(|parent| parent.sampled);
        Spans {
            trace_id,
            parent: parent.map(|parent| parent.parent_span_id),
            client: key.span_id(b'c'),
            server: key.span_id(b's'),
            is_sampled: self.sampler.samples(trace_id, parent.map(|parent| parent.sampled)),
            parent_is_sampled,
        }
    }
}

/// What two observers of a call both know of it, the time left aside.
fn identify(call: &Call, key: &mut Mixer) {
    match (call.session, call.client.address) {
        (Some(session), _) => (1_u8, session).hash(key),
        (None, Some(address)) => (2_u8, address.ip().to_canonical(), address.port()).hash(key),
        (None, None) => (3_u8, process(&call.client), process(&call.server)).hash(key),
    }
    call.method.hash(key);
    match &call.subject {
        Some(Subject::Tool(name) | Subject::Prompt(name)) => name.hash(key),
        // A resource's address is payload: even its hash stays inside.
        Some(Subject::Resource(_)) | None => {}
    }
    (call.direction == CallDirection::ClientToServer).hash(key);
    call.id.hash(key);
    call.request_bytes.hash(key);
}

fn process(peer: &Peer) -> Option<(u32, u64)> {
    peer.process.as_deref().map(|process| (process.id.pid, process.id.started_ns))
}

/// Which calls' spans are exported: `OTEL_TRACES_SAMPLER`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampler {
    root: Root,
    /// Whether a parent's decision counts, where there is a parent.
    follows_parent: bool,
}

/// What is sampled of the traces that begin here.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Root {
    All,
    None,
    Ratio(f64),
}

impl Default for Sampler {
    /// The specification's: `parentbased_always_on`.
    fn default() -> Self {
        Self { root: Root::All, follows_parent: true }
    }
}

impl Sampler {
    /// Samples nothing: there is nowhere to export spans to.
    pub const NOWHERE: Self = Self { root: Root::None, follows_parent: false };

    /// Reads `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG`. A value that means nothing is as if it were not
    /// there, as the specification has it, and is told of in `complaints`.
    pub fn read(name: Option<&str>, argument: Option<&str>, complaints: &mut Vec<String>) -> Self {
        let Some(name) = name else { return Self::default() };
        let (follows_parent, root) = match name.strip_prefix("parentbased_") {
            Some(root) => (true, root),
            None => (false, name),
        };
        let root = match root {
            "always_on" => Root::All,
            "always_off" => Root::None,
            "traceidratio" => Root::Ratio(ratio(argument, complaints)),
            _ => {
                complaints.push(format!(
                    "OTEL_TRACES_SAMPLER={name} is not one of always_on, always_off, traceidratio, each also with \
                     parentbased_ in front; parentbased_always_on is used"
                ));
                return Self::default();
            }
        };
        Self { root, follows_parent }
    }

    /// Whether a call of this trace is sampled, where its parent, if any, says this of itself.
    fn samples(&self, trace_id: u128, parent: Option<bool>) -> bool {
        match (parent.filter(|_| self.follows_parent), self.root) {
            (Some(parent), _) => parent,
            (None, Root::All) => true,
            (None, Root::None) => false,
            // As other SDKs have it, so that one ratio keeps the same traces everywhere: 63 of the lower 64 bits.
            (None, Root::Ratio(ratio)) => {
                let low = (trace_id & u128::from(u64::MAX)) >> 1;
                ratio >= 1.0 || (low as f64) < ratio * (1_u64 << 63) as f64
            }
        }
    }
}

fn ratio(argument: Option<&str>, complaints: &mut Vec<String>) -> f64 {
    let Some(argument) = argument else { return 1.0 };
    match argument.parse::<f64>() {
        Ok(ratio) if (0.0..=1.0).contains(&ratio) => ratio,
        _ => {
            complaints
                .push(format!("OTEL_TRACES_SAMPLER_ARG={argument} is not a number from 0 to 1; 1 is used"));
            1.0
        }
    }
}

/// How often calls were seen that cannot be told apart. The ones not seen for longest are forgotten.
#[derive(Clone, Debug, Default)]
struct Seen {
    newer: FxHashMap<u64, u32>,
    older: FxHashMap<u64, u32>,
}

impl Seen {
    /// How often `key` was seen before.
    fn before(&mut self, key: u64) -> u32 {
        if self.newer.len() >= MOST_REMEMBERED {
            self.older = std::mem::take(&mut self.newer);
        }
        let older = &mut self.older;
        let count = self.newer.entry(key).or_insert_with(|| older.remove(&key).unwrap_or_default());
        let before = *count;
        *count = count.wrapping_add(1);
        before
    }
}

/// FNV-1a of 128 bits, the same on every machine and in every version.
#[derive(Clone, Debug)]
pub struct Mixer(u128);

impl Default for Mixer {
    fn default() -> Self {
        Self(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d)
    }
}

impl Hasher for Mixer {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u128::from(*byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
        }
    }

    fn finish(&self) -> u64 {
        let [high, low] = [(self.0 >> 64) as u64, self.0 as u64];
        scatter(high ^ scatter(low))
    }
}

impl Mixer {
    /// A well-mixed number that stands for `value`.
    pub fn of(value: &impl Hash) -> u128 {
        let mut own = Self::default();
        value.hash(&mut own);
        own.id(b'o')
    }

    /// An id for one purpose, never 0.
    fn id(&self, purpose: u8) -> u128 {
        let mut own = self.clone();
        own.write_u8(purpose);
        let high = own.finish();
        own.write_u8(purpose);
        (u128::from(high) << 64 | u128::from(own.finish())).max(1)
    }

    fn span_id(&self, purpose: u8) -> u64 {
        (self.id(purpose) as u64).max(1)
    }
}

/// Every bit depends on every other: FNV alone leaves the upper bits of short texts alike (SplitMix64's last step).
const fn scatter(bits: u64) -> u64 {
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::testing::{CLOCK, call};
    use crate::pipeline::jsonrpc::Id;
    use crate::pipeline::observation::TraceContext;
    use crate::pipeline::time::Timestamp;
    use std::collections::HashSet;
    use std::sync::Arc;

    fn spans(call: &Call) -> Spans {
        Tracer::new(Sampler::default()).spans(call, CLOCK)
    }

    fn sampler(name: &str, argument: Option<&str>) -> Sampler {
        let mut complaints = Vec::new();
        let sampler = Sampler::read(Some(name), argument, &mut complaints);
        assert_eq!(complaints, Vec::<String>::new());
        sampler
    }

    #[test]
    fn two_observers_of_a_call_agree() {
        let later = Timestamp::from_nanos(call().at.as_nanos() + 20_000_000);
        // The other one has not seen the handshake, and less of the answer.
        let (mut client, mut server) = (call().client, call().server);
        (client.name, server.name) = (None, None);
        let other = Call { at: later, client, server, revision: None, response_bytes: 0, ..call() };
        assert_eq!(spans(&call()), spans(&other));
    }

    #[test]
    fn on_two_hosts_they_agree_by_session_or_by_the_address_of_the_client() {
        let near = |session| {
            let mut near = Call { session, ..call() };
            near.client.address = Some(([192, 0, 2, 7], 40_000).into());
            near.server.address = Some(([10, 96, 0, 1], 80).into());
            near
        };
        let far = |session, client: &str| {
            let mut far = Call { session, ..call() };
            far.client = Peer { address: Some(client.parse().unwrap()), ..Peer::default() };
            far
        };
        assert_eq!(spans(&near(None)), spans(&far(None, "[::ffff:c000:207]:40000")));
        assert_ne!(spans(&near(None)), spans(&far(None, "192.0.2.7:40001")));
        assert_eq!(spans(&near(Some(5))), spans(&far(Some(5), "192.0.2.8:40001")), "through a proxy");
    }

    #[test]
    fn what_differs_has_other_ids() {
        let mut process = call().client.process.as_deref().unwrap().clone();
        process.id.started_ns += 1;
        let client = Peer { process: Some(Arc::new(process)), ..call().client };
        let calls = [
            call(),
            Call { id: Id::String("3".into()), ..call() },
            Call { id: Id::Number("4".into()), ..call() },
            Call { method: "tools/list".into(), ..call() },
            Call { subject: Some(Subject::Tool("add".into())), ..call() },
            Call { direction: CallDirection::ServerToClient, ..call() },
            Call { at: Timestamp::from_nanos(11_000_000_000), ..call() },
            Call { session: Some(1), ..call() },
            Call { client, ..call() },
        ];
        let ids = calls.iter().map(spans).flat_map(|it| [it.trace_id, it.client.into(), it.server.into()]);
        assert_eq!(ids.collect::<HashSet<_>>().len(), calls.len() * 3);
    }

    #[test]
    fn an_id_that_is_used_again_is_another_call() {
        let mut tracers = [Tracer::new(Sampler::default()), Tracer::new(Sampler::default())];
        let mut seen = HashSet::new();
        for number in 0..3 * MOST_REMEMBERED {
            let other = Call { id: Id::Number(number.to_string().into()), ..call() };
            for call in [call(), other] {
                let [one, two] = tracers.each_mut().map(|tracer| tracer.spans(&call, CLOCK));
                assert_eq!(one, two);
                assert!(seen.insert(one.trace_id) && seen.insert(one.client.into()), "{number}");
            }
        }
        let remembered = tracers[0].seen.newer.len() + tracers[0].seen.older.len();
        assert!(remembered <= 2 * MOST_REMEMBERED);
    }

    #[test]
    fn the_context_of_a_request_is_continued() {
        let context = |sampled| Some(TraceContext { trace_id: 0xab, parent_span_id: 0xcd, sampled });
        let sampled = spans(&Call { trace: context(true), ..call() });
        assert_eq!((sampled.trace_id, sampled.parent, sampled.is_sampled), (0xab, Some(0xcd), true));
        let unsampled = spans(&Call { trace: context(false), ..call() });
        assert_eq!((unsampled.trace_id, unsampled.is_sampled), (0xab, false));
        assert_eq!(unsampled.exemplar(Vantage::Client), None);
        // One context may be given to many calls.
        let other = spans(&Call { trace: context(true), id: Id::Number("4".into()), ..call() });
        assert!(other.client != sampled.client && other.server != sampled.server);
    }

    #[test]
    fn an_exemplar_names_a_span_that_is_exported() {
        let own = spans(&call());
        assert_eq!(own.exemplar(Vantage::Client), Some((own.trace_id, own.client)));
        assert_eq!(own.exemplar(Vantage::Server), Some((own.trace_id, own.server)));
        let mut nowhere = Tracer::new(Sampler::NOWHERE);
        assert_eq!(nowhere.spans(&call(), CLOCK).exemplar(Vantage::Client), None);
        let context = TraceContext { trace_id: 0xab, parent_span_id: 0xcd, sampled: true };
        let theirs = nowhere.spans(&Call { trace: Some(context), ..call() }, CLOCK);
        assert_eq!(theirs.exemplar(Vantage::Server), Some((0xab, 0xcd)), "the parent, which others export");
    }

    #[test]
    fn samplers_do_as_they_are_called() {
        let taken = |sampler: Sampler, parent| {
            (0..10_000).filter(move |number| {
                let other = Call { id: Id::Number(number.to_string().into()), ..call() };
                sampler.samples(spans(&other).trace_id, parent)
            })
        };
        assert_eq!(taken(sampler("always_on", None), Some(false)).count(), 10_000);
        assert_eq!(taken(sampler("always_off", None), Some(true)).count(), 0);
        assert_eq!(taken(sampler("parentbased_always_off", None), Some(true)).count(), 10_000);
        assert_eq!(taken(sampler("parentbased_always_off", None), None).count(), 0);
        assert_eq!(taken(sampler("traceidratio", None), None).count(), 10_000);
        for parent in [None, Some(true)] {
            let tenth = taken(sampler("traceidratio", Some("0.1")), parent).count();
            assert!((900..1100).contains(&tenth), "{tenth}");
        }
        assert_eq!(taken(sampler("parentbased_traceidratio", Some("0")), None).count(), 0);
    }

    #[test]
    fn a_value_without_meaning_is_told_of() {
        let mut complaints = Vec::new();
        assert_eq!(Sampler::read(Some("often"), None, &mut complaints), Sampler::default());
        let all = Sampler::read(Some("traceidratio"), Some("1.5"), &mut complaints);
        assert!(all.samples(u128::MAX, None));
        assert_eq!(complaints.len(), 2, "{complaints:?}");
        assert!(complaints[1].contains("OTEL_TRACES_SAMPLER_ARG=1.5"), "{complaints:?}");
    }
}
