//! What became of what was to be exported: taken by a collector, or given up, by cause. What is given up is told of on
//! standard error too, at most once a minute for each cause.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::export::prometheus::metrics::Counter;
use crate::export::prometheus::registry::Registry;
use crate::pipeline::health::{Health, Stage};

const EXPORTED: Counter<1> = Counter::new("mcp_observer_exported_total");
const REQUESTS: Counter<2> = Counter::new("mcp_observer_export_requests_total");

/// Why something did not arrive. The names are label values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// The queue of the signal was full: the collector is slower than the calls come.
    QueueFull,
    /// So many bytes wait that no more may.
    QueueBytes,
    /// The collector turned down a request for good.
    Refused,
    /// The collector took a request but for some of its parts.
    Rejected,
    /// The observer ended before the collector had taken it.
    End,
}

impl Cause {
    const fn names(self) -> [&'static str; 3] {
        match self {
            Self::QueueFull => ["otlp_traces_queue_full", "otlp_logs_queue_full", "otlp_metrics_queue_full"],
            Self::QueueBytes => {
                ["otlp_traces_queue_bytes", "otlp_logs_queue_bytes", "otlp_metrics_queue_bytes"]
            }
            Self::Refused => ["otlp_traces_refused", "otlp_logs_refused", "otlp_metrics_refused"],
            Self::Rejected => ["otlp_traces_rejected", "otlp_logs_rejected", "otlp_metrics_rejected"],
            Self::End => ["otlp_traces_end", "otlp_logs_end", "otlp_metrics_end"],
        }
    }
}

/// What is exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Signal {
    /// Spans.
    Traces,
    /// Log records.
    Logs,
    /// Metrics.
    Metrics,
}

impl Signal {
    /// Its name in sentences and labels.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Logs => "logs",
            Self::Metrics => "metrics",
        }
    }
}

/// What became of a request to a collector. The names are label values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// The collector took it.
    Taken,
    /// It is sent again: the collector was not reached, or asked for that.
    Failed,
    /// The collector turned it down for good.
    Refused,
}

impl Fate {
    const fn name(self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::Failed => "failed",
            Self::Refused => "refused",
        }
    }
}

/// Counters that the capture's thread and the exporter's share.
#[derive(Debug, Default)]
pub struct Counts {
    inner: Mutex<Inner>,
    /// Signals whose last attempt failed.
    down: AtomicU32,
    /// There is one.
    is_down: Arc<AtomicBool>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Not yet told to the pipeline's health.
    shed: BTreeMap<&'static str, u64>,
    warned: BTreeMap<String, Instant>,
    total: u64,
    exported: BTreeMap<Signal, u64>,
    requests: BTreeMap<(Signal, Fate), u64>,
}

/// Between two warnings of one cause.
const PAUSE: Duration = Duration::from_secs(60);

impl Counts {
    /// So many spans, records or points of `signal` did not arrive.
    pub fn shed(&self, signal: Signal, cause: Cause, count: u64) {
        if count == 0 {
            return;
        }
        let [traces, logs, metrics] = cause.names();
        let name = match signal {
            Signal::Traces => traces,
            Signal::Logs => logs,
            Signal::Metrics => metrics,
        };
        let Ok(mut inner) = self.inner.lock() else { return };
        *inner.shed.entry(name).or_default() += count;
        inner.total += count;
    }

    /// So many spans, records or points of `signal` were taken.
    pub fn exported(&self, signal: Signal, count: u64) {
        let Ok(mut inner) = self.inner.lock() else { return };
        *inner.exported.entry(signal).or_default() += count;
    }

    /// What became of a request; the last one tells whether the collector is up.
    pub fn request(&self, signal: Signal, fate: Fate) {
        self.set_up(signal, fate == Fate::Taken);
        let Ok(mut inner) = self.inner.lock() else { return };
        *inner.requests.entry((signal, fate)).or_default() += 1;
    }

    /// Spans were left out because their process makes them itself.
    pub fn left_out(&self, count: u64) {
        if count > 0
            && let Ok(mut inner) = self.inner.lock()
        {
            *inner.shed.entry("otlp_own_spans").or_default() += count;
        }
    }

    /// Adds what was given up since the last time to `health`, and what arrived to `registry`.
    pub fn tell(&self, health: &mut Health, registry: &Registry) {
        let Ok(mut inner) = self.inner.lock() else { return };
        for (cause, count) in std::mem::take(&mut inner.shed) {
            health.shed_many(Stage::Export, cause, count);
        }
        for (signal, count) in std::mem::take(&mut inner.exported) {
            registry.add(EXPORTED, [signal.name()], count);
        }
        for ((signal, fate), count) in std::mem::take(&mut inner.requests) {
            registry.add(REQUESTS, [signal.name(), fate.name()], count);
        }
    }

    /// How much did not arrive.
    pub fn lost(&self) -> u64 {
        self.inner.lock().map_or(0, |inner| inner.total)
    }

    /// A warning, unless there was one of the same `cause` within a minute. The cause has no part that varies.
    pub fn warn(&self, cause: &str, sentence: impl FnOnce() -> String) {
        let Ok(mut inner) = self.inner.lock() else { return };
        if inner.warned.get(cause).is_some_and(|last| last.elapsed() < PAUSE) {
            return;
        }
        inner.warned.insert(cause.to_owned(), Instant::now());
        drop(inner);
        // Nobody may be reading standard error: that is no reason to end.
        let _ = writeln!(std::io::stderr(), "warning: {}", sentence());
    }

    fn set_up(&self, signal: Signal, is_up: bool) {
        let bit = 1 << signal as u32;
        if is_up {
            self.down.fetch_and(!bit, Ordering::Relaxed);
        } else {
            self.down.fetch_or(bit, Ordering::Relaxed);
        }
        self.is_down.store(self.down.load(Ordering::Relaxed) != 0, Ordering::Relaxed);
    }

    /// Becomes true while a collector does not take what it is sent.
    pub fn is_down(&self) -> Arc<AtomicBool> {
        self.is_down.clone()
    }

    /// Whether every signal's last attempt succeeded; none yet counts as success.
    #[cfg(test)]
    pub fn is_up(&self) -> bool {
        self.down.load(Ordering::Relaxed) == 0
    }
}
