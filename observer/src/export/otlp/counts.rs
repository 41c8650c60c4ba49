//! What the export gave up or could not deliver, by cause; told of on standard error, at most once a minute each.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::pipeline::health::{Health, Stage};

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
    /// Its name in sentences.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Logs => "logs",
            Self::Metrics => "metrics",
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

    /// Spans were left out because their process makes them itself.
    pub fn left_out(&self, count: u64) {
        if count > 0
            && let Ok(mut inner) = self.inner.lock()
        {
            *inner.shed.entry("otlp_own_spans").or_default() += count;
        }
    }

    /// Adds what was counted since the last time to `health`.
    pub fn tell(&self, health: &mut Health) {
        let Ok(mut inner) = self.inner.lock() else { return };
        for (cause, count) in std::mem::take(&mut inner.shed) {
            health.shed_many(Stage::Export, cause, count);
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

    /// Whether the last attempt to send this signal succeeded.
    pub fn set_up(&self, signal: Signal, is_up: bool) {
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
