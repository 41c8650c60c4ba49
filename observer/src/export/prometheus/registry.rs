//! All series, by metric and label values.
//!
//! In: values, from the thread of the agent. Out: a copy of all series, to whoever serves a scrape. Each metric has a
//! lock of its own, which is held for one value or for copying the metric's series; they are written as text or
//! protobuf when it is free again. Recording under label values that are known allocates nothing.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashbrown::hash_table::Entry;
use hashbrown::{DefaultHashBuilder, HashTable};

use super::metrics::{Counter, Gauge, Histogram, Kind, METRICS, Metric, WORKLOAD};
use super::series::{Buckets, Exemplar, Sample, Series, Trace, Values, hash};
use crate::export::labels::OTHER;

/// Labels of one metric. The OpenTelemetry ones have most.
const MOST_LABELS: usize = 16;
/// Series of one counter or gauge. Labels are bounded one by one, their combinations here.
const MOST_NUMBERS: usize = 10_000;
/// Series of one histogram, each of which is some hundred bytes to a few KiB.
const MOST_HISTOGRAMS: usize = 5_000;

/// All series. Copies share them.
#[derive(Clone, Debug, Default)]
pub struct Registry(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// As in the table of metrics.
    families: Box<[Mutex<HashTable<Series>>]>,
    hasher: DefaultHashBuilder,
    /// Unix time of what is recorded now; 0 until there is something.
    now_unix_ns: AtomicI64,
    /// Where the server runs of which something is recorded now.
    workload: Mutex<[String; 2]>,
    turned_away: AtomicU64,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            families: METRICS.iter().map(|_| Mutex::default()).collect(),
            hasher: DefaultHashBuilder::default(),
            now_unix_ns: AtomicI64::new(0),
            workload: Mutex::default(),
            turned_away: AtomicU64::new(0),
        }
    }
}

/// A metric with its series, in the order of their labels.
#[derive(Clone, Debug)]
pub struct Family {
    /// Its line of the table.
    pub metric: &'static Metric,
    /// Its series; never none.
    pub series: Vec<Series>,
}

impl Family {
    /// The labels of a series, in the order in which they are written: by name.
    pub fn labels<'s>(&self, series: &'s Series) -> Vec<(&'static str, &'s str)> {
        let mut labels: Vec<_> = self.metric.labels.iter().copied().zip(series.values.iter()).collect();
        labels.retain(|(name, value)| !value.is_empty() || !WORKLOAD.contains(name));
        labels.sort_unstable_by_key(|(name, _)| *name);
        labels
    }
}

impl Registry {
    /// Sets the time of what is recorded from now on.
    pub fn set_time(&self, unix_ns: i64) {
        if self.0.now_unix_ns.swap(unix_ns, Ordering::Relaxed) == 0 {
            // What began before there was a time began with it.
            let families = self.0.families.iter().map(lock::<HashTable<Series>>);
            families.for_each(|mut family| family.iter_mut().for_each(|it| it.created_unix_ns = unix_ns));
        }
    }

    /// Sets where the server runs of which something is recorded from now on: its namespace and its pod.
    pub fn set_workload(&self, of_server: [&str; 2]) {
        let mut workload = lock(&self.0.workload);
        for (kept, new) in workload.iter_mut().zip(of_server) {
            kept.clear();
            kept.push_str(new);
        }
    }

    /// Makes a counter grow. Growing by nothing makes a series that is there from the beginning.
    pub fn add<const N: usize>(&self, counter: Counter<N>, values: [&str; N], more: u64) {
        self.add_traced(counter, values, more, None);
    }

    /// Makes a counter grow by what was measured in a trace.
    pub fn add_traced<const N: usize>(
        &self,
        counter: Counter<N>,
        values: [&str; N],
        more: u64,
        trace: Option<Trace>,
    ) {
        let new = self.exemplar(trace, more as f64);
        self.number(counter.line(), &values, |value, exemplar| {
            *value += more as f64;
            *exemplar = new.or(*exemplar);
        });
    }

    /// Follows a counter that is kept elsewhere.
    pub fn follow<const N: usize>(&self, counter: Counter<N>, values: [&str; N], total: f64) {
        self.number(counter.line(), &values, |value, _| *value = value.max(total));
    }

    /// Sets a gauge.
    pub fn set<const N: usize>(&self, gauge: Gauge<N>, values: [&str; N], to: f64) {
        self.number(gauge.line(), &values, |value, _| *value = to);
    }

    /// Moves a gauge up, or down.
    pub fn shift<const N: usize>(&self, gauge: Gauge<N>, values: [&str; N], by: f64) {
        self.number(gauge.line(), &values, |value, _| *value += by);
    }

    /// Sets all series of a gauge to 0.
    pub fn reset<const N: usize>(&self, gauge: Gauge<N>) {
        let Some(family) = self.0.families.get(gauge.line()) else { return };
        for series in lock(family).iter_mut() {
            if let Sample::Number(value, _) = &mut series.sample {
                *value = 0.0;
            }
        }
    }

    /// Forgets a series of a gauge, of which there is nothing more to tell.
    pub fn remove<const N: usize>(&self, gauge: Gauge<N>, values: [&str; N]) {
        if let Some(family) = self.0.families.get(gauge.line()) {
            lock(family).retain(|series| !series.values.are(&values));
        }
    }

    /// Forgets all series of a gauge, which is about to be set anew.
    pub fn clear<const N: usize>(&self, gauge: Gauge<N>) {
        if let Some(family) = self.0.families.get(gauge.line()) {
            lock(family).clear();
        }
    }

    /// Counts a value, which was perhaps measured in a trace.
    pub fn observe<const N: usize>(
        &self,
        histogram: Histogram<N>,
        values: [&str; N],
        value: f64,
        trace: Option<Trace>,
    ) {
        let exemplar = self.exemplar(trace, value);
        self.with(histogram.line(), &values, |metric, sample| {
            if let (Kind::Histogram(bounds), Sample::Buckets(buckets)) = (metric.kind, sample) {
                buckets.observe(bounds, value, exemplar);
            }
        });
    }

    /// Keeps only the series of which `keeps` says so.
    pub fn retain(&self, keeps: impl Fn(&Metric, &Values) -> bool) {
        for (metric, family) in METRICS.iter().zip(&self.0.families) {
            lock(family).retain(|series| keeps(metric, &series.values));
        }
    }

    /// How often a series that would have been one too many was counted as [`OTHER`].
    pub fn turned_away(&self) -> u64 {
        self.0.turned_away.load(Ordering::Relaxed)
    }

    /// A copy of all metrics that have series, in the order of their names.
    pub fn gather(&self) -> Vec<Family> {
        let families = METRICS.iter().zip(&self.0.families).map(|(metric, family)| {
            let series = lock(family).iter().cloned().collect();
            Family { metric, series }
        });
        let mut families: Vec<_> = families.filter(|family| !family.series.is_empty()).collect();
        families.sort_unstable_by_key(|family| family.metric.name);
        for family in &mut families {
            let mut series = std::mem::take(&mut family.series);
            series.sort_by_cached_key(|series| {
                let labels = family.labels(series);
                labels.into_iter().map(|(_, value)| value.to_owned()).collect::<Vec<_>>()
            });
            family.series = series;
        }
        families
    }

    fn exemplar(&self, trace: Option<Trace>, value: f64) -> Option<Exemplar> {
        let unix_ns = self.0.now_unix_ns.load(Ordering::Relaxed);
        trace.map(|trace| Exemplar { trace, value, unix_ns })
    }

    fn number(&self, line: usize, values: &[&str], act: impl FnOnce(&mut f64, &mut Option<Exemplar>)) {
        self.with(line, values, |_, sample| {
            if let Sample::Number(value, exemplar) = sample {
                act(value, exemplar);
            }
        });
    }

    /// Puts the workload behind the first label where the metric has one, and acts on the series.
    fn with(&self, line: usize, values: &[&str], act: impl FnOnce(&Metric, &mut Sample)) {
        let (Some(metric), Some(family)) = (METRICS.get(line), self.0.families.get(line)) else { return };
        let ([server, others @ ..], true) = (values, metric.has_workload()) else {
            return self.on_series(metric, family, values, act);
        };
        let workload = lock(&self.0.workload);
        let mut all = [""; MOST_LABELS];
        let whole = [server].into_iter().copied().chain(workload.iter().map(String::as_str));
        let whole = whole.chain(others.iter().copied());
        all.iter_mut().zip(whole).for_each(|(place, value)| *place = value);
        let all = all.get(..metric.labels.len()).unwrap_or_default();
        self.on_series(metric, family, all, act);
    }

    fn on_series(
        &self,
        metric: &Metric,
        family: &Mutex<HashTable<Series>>,
        values: &[&str],
        act: impl FnOnce(&Metric, &mut Sample),
    ) {
        let mut series = lock(family);
        let most = if matches!(metric.kind, Kind::Histogram(_)) { MOST_HISTOGRAMS } else { MOST_NUMBERS };
        let is_full = series.len() >= most;
        let hash_of = |values: &Values| hash(self.0.hasher.build_hasher(), values.iter());
        let hashed = hash(self.0.hasher.build_hasher(), values.iter().copied());
        match series.entry(hashed, |it| it.values.are(values), |it| hash_of(&it.values)) {
            Entry::Occupied(known) => act(metric, &mut known.into_mut().sample),
            Entry::Vacant(_) if is_full && values.iter().any(|value| *value != OTHER) => {
                drop(series);
                self.0.turned_away.fetch_add(1, Ordering::Relaxed);
                self.on_series(metric, family, &vec![OTHER; values.len()], act);
            }
            Entry::Vacant(place) => {
                act(metric, &mut place.insert(self.new_series(metric, values)).into_mut().sample);
            }
        }
    }

    fn new_series(&self, metric: &Metric, values: &[&str]) -> Series {
        let sample = match metric.kind {
            Kind::Histogram(bounds) => Sample::Buckets(Box::new(Buckets::new(bounds))),
            Kind::Counter | Kind::Gauge => Sample::Number(0.0, None),
        };
        let created_unix_ns = self.0.now_unix_ns.load(Ordering::Relaxed);
        Series { values: Values::new(values), created_unix_ns, sample }
    }
}

/// A thread that panicked while it held the lock left whole values behind: nothing is half done in there.
fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ERRORS: Counter<2> = Counter::new("mcp_errors_total");
    const SIZES: Histogram<2> = Histogram::new("mcp_tool_request_bytes");

    #[test]
    fn past_the_cap_everything_is_other_and_counted() {
        let registry = Registry::default();
        for number in 0..MOST_NUMBERS + 5 {
            registry.add(ERRORS, ["s", &number.to_string()], 1);
        }
        for number in 0..MOST_HISTOGRAMS + 7 {
            registry.observe(SIZES, ["s", &number.to_string()], 1.0, None);
        }
        registry.add(ERRORS, ["s", "0"], 1);
        assert_eq!(registry.turned_away(), 12);
        let [errors, sizes] = registry.gather().try_into().unwrap();
        assert_eq!((errors.series.len(), sizes.series.len()), (MOST_NUMBERS + 1, MOST_HISTOGRAMS + 1));
        let other = errors.series.iter().find(|series| series.values.are(&[OTHER; 4])).unwrap();
        assert!(matches!(other.sample, Sample::Number(5.0, _)), "{other:?}");
    }

    #[test]
    fn a_series_begins_when_it_is_first_seen() {
        let registry = Registry::default();
        registry.add(ERRORS, ["early", ""], 0);
        registry.set_time(7);
        registry.set_time(9);
        registry.add(ERRORS, ["late", ""], 0);
        let created = registry.gather()[0].series.iter().map(|it| it.created_unix_ns).collect::<Vec<_>>();
        assert_eq!(created, [7, 9]);
    }

    #[test]
    fn servers_are_told_apart_by_where_they_run() {
        let registry = Registry::default();
        registry.add(ERRORS, ["s", "x"], 1);
        registry.set_workload(["shop", "web-0"]);
        registry.add(ERRORS, ["s", "x"], 2);
        let [errors] = registry.gather().try_into().unwrap();
        let labels = errors.series.iter().map(|series| errors.labels(series)).collect::<Vec<_>>();
        let in_pod = [("error_type", "x"), ("namespace", "shop"), ("pod", "web-0"), ("server", "s")];
        assert_eq!(labels, [vec![("error_type", "x"), ("server", "s")], in_pod.to_vec()]);
        assert!(METRICS.iter().all(|metric| metric.labels.len() <= MOST_LABELS));
    }

    #[test]
    fn what_is_not_kept_is_gone() {
        let registry = Registry::default();
        registry.add(ERRORS, ["a", "x"], 1);
        registry.add(ERRORS, ["b", "x"], 1);
        registry.retain(|metric, values| {
            metric.labels.iter().zip(values.iter()).all(|(label, value)| *label != "server" || value != "a")
        });
        let [errors] = registry.gather().try_into().unwrap();
        assert!(errors.series.len() == 1 && errors.series[0].values.are(&["b", "", "", "x"]), "{errors:?}");
    }
}
