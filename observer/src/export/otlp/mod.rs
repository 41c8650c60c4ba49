//! Calls as OpenTelemetry's spans and log records, and the metrics, to a collector.
//!
//! In: calls, in order. Out: OTLP over gRPC or HTTP, on a thread of its own: the capture's thread puts a call into
//! a bounded queue and never waits. Every service that is observed is a resource of its own. The SDK of
//! OpenTelemetry has one resource for each provider, with a processor, a thread and a connection each; so the
//! messages are made here, from the types of the protocol's own crate.
//!
//! Nothing goes anywhere unless `OTEL_EXPORTER_OTLP_ENDPOINT`, or that of a signal, says where.

mod attributes;
mod collector;
mod counts;
mod environment;
mod item;
mod metrics;
mod portion;
mod queue;
mod record;
mod resource;
mod settings;
mod span;
#[cfg(test)]
mod tests;
mod tls;
mod verdict;
mod worker;

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

pub use item::OwnSpans;
pub use resource::Host;
pub use settings::{Settings, Wishes};

use self::collector::Collector;
use self::counts::{Counts, Signal};
use self::item::Item;
use self::metrics::Gatherer;
use self::portion::Maker;
use self::queue::{Inlet, queue};
use self::resource::Resources;
use self::span::View;
use self::worker::{Courier, Job};
use super::prometheus::registry::Registry;
use super::trace::Tracer;
use super::{Exporter, Vitals};
use crate::error::Error;
use crate::pipeline::health::Health;
use crate::pipeline::observation::{Call, Observation};
use crate::pipeline::time::WallClock;

/// The exporter.
#[derive(Debug)]
pub struct Otlp {
    tracer: Tracer,
    choice: Choice,
    registry: Registry,
    traces: Option<Inlet>,
    logs: Option<Inlet>,
    counts: Arc<Counts>,
    stop: watch::Sender<Option<Instant>>,
    thread: Option<JoinHandle<()>>,
}

/// What the user chose beside the settings.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// Whether arguments and results leave the process.
    pub payloads: bool,
    /// Which spans are left out because their process makes them itself.
    pub own_spans: OwnSpans,
    /// Whether observers on other hosts export the spans of clients there.
    pub fleet: bool,
    /// Whether calls wait for room in the queue: where they are read from a file, nobody is kept waiting.
    pub waits: bool,
    /// The host that is observed; absent for what was recorded.
    pub host: Option<Host>,
}

/// For what is left at the end: less than the process is given after a signal.
const LONGEST_FLUSH: Duration = Duration::from_secs(3);

impl Otlp {
    /// Starts the exporter's thread. What `registry` holds is exported too.
    ///
    /// # Errors
    /// A certificate cannot be read or the thread not be started.
    pub fn start(settings: Settings, choice: Choice, registry: Registry) -> Result<Self, Error> {
        let counts = Arc::<Counts>::default();
        for complaint in &settings.complaints {
            counts.warn(complaint, || complaint.clone());
        }
        let (stop, stopped) = watch::channel(None);
        let maker = Maker {
            view: View {
                payloads: choice.payloads,
                limits: settings.span_limits,
                status_code: settings.status_code,
            },
            record_limits: settings.record_limits,
            resources: Resources::new(&settings, choice.host.clone(), choice.payloads),
        };
        let courier = |target, signal| {
            let (counts, stop) = (counts.clone(), stopped.clone());
            Collector::new(target).map(|collector| Courier { collector, signal, counts, stop })
        };
        let mut jobs: Vec<Job> = Vec::new();
        let mut traces = None;
        if let Some(target) = settings.traces {
            let (courier, (inlet, outlet)) = (courier(target, Signal::Traces)?, queue(settings.span_batch));
            traces = Some(inlet);
            let (maker, delay) = (maker.clone(), settings.span_batch.delay);
            jobs.push(Box::pin(worker::pump(courier, outlet, delay, move |items| maker.spans(items))));
        }
        let mut logs = None;
        if let Some(target) = settings.logs {
            let (courier, (inlet, outlet)) = (courier(target, Signal::Logs)?, queue(settings.log_batch));
            logs = Some(inlet);
            let (maker, delay) = (maker.clone(), settings.log_batch.delay);
            jobs.push(Box::pin(worker::pump(courier, outlet, delay, move |items| maker.records(items))));
        }
        if let Some(target) = settings.metrics {
            let resource = maker.resources.own();
            let gatherer = Gatherer { registry: registry.clone(), resource, view: settings.metric_view };
            let courier = courier(target, Signal::Metrics)?;
            jobs.push(Box::pin(worker::tell_metrics(courier, settings.metric_interval, gatherer)));
        }
        let failed = |source| Error::Io { act: "start the OTLP exporter".into(), source };
        let thread = if jobs.is_empty() { None } else { Some(worker::run(jobs).map_err(failed)?) };
        Ok(Self {
            tracer: Tracer::new(settings.sampler),
            choice,
            registry,
            traces,
            logs,
            counts,
            stop,
            thread,
        })
    }

    /// Becomes true while a collector does not take what it is sent.
    pub fn is_down(&self) -> Arc<AtomicBool> {
        self.counts.is_down()
    }

    fn call(&mut self, call: &Call, clock: WallClock) {
        let spans = self.tracer.spans(call, clock);
        let mut shown = if spans.is_sampled { item::seen(call) } else { [false; 2] };
        let left_out = self.choice.own_spans.left_out(call);
        for (shown, left_out) in shown.iter_mut().zip(left_out) {
            self.counts.left_out(u64::from(*shown && left_out));
            *shown &= !left_out;
        }
        let mut call = call.clone();
        if !self.choice.payloads {
            (call.arguments, call.result) = (None, None);
        }
        let item = Arc::new(Item { call, spans, shown, fleet: self.choice.fleet, clock });
        let parts = shown.into_iter().map(u64::from).sum();
        if parts > 0 {
            self.push(&self.traces, Signal::Traces, &item, parts);
        }
        self.push(&self.logs, Signal::Logs, &item, 1);
    }

    fn push(&self, inlet: &Option<Inlet>, signal: Signal, item: &Arc<Item>, parts: u64) {
        let Some(inlet) = inlet else { return };
        if let Err(cause) = inlet.push(item.clone(), self.choice.waits) {
            self.counts.shed(signal, cause, parts);
            let name = signal.name();
            self.counts.warn(&format!("{name} queue"), || {
                format!("OTLP {name} are dropped: they come faster than the collector takes them")
            });
        }
    }
}

impl Exporter for Otlp {
    fn export(&mut self, observation: &Observation, clock: WallClock) -> io::Result<()> {
        if let Observation::Call(call) = observation {
            self.call(call, clock);
        }
        Ok(())
    }

    fn turn(&mut self, _vitals: &Vitals<'_>) -> io::Result<()> {
        Ok(())
    }

    fn account(&mut self, health: &mut Health) {
        self.counts.tell(health, &self.registry);
    }

    fn finish(&mut self) {
        (self.traces, self.logs) = (None, None);
        self.stop.send_replace(Some(Instant::now() + LONGEST_FLUSH));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        let lost = self.counts.lost();
        if lost > 0 {
            self.counts.warn("end", || format!("OTLP: {lost} spans, records or points did not arrive"));
        }
    }
}
