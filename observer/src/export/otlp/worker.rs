//! The exporter's thread: portions go out as they fill or as their time comes, are sent again as long as that may
//! help, and at the end what is left goes out within a bounded time.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use prost::Message;
use prost::bytes::Bytes;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::collector::Collector;
use super::counts::{Cause, Counts, Fate, Signal};
use super::item::Item;
use super::metrics::Gatherer;
use super::portion::Request;
use super::queue::Outlet;
use super::verdict::{Backoff, Verdict};

/// When the end was asked for, until when to try.
pub type Stop = watch::Receiver<Option<Instant>>;

/// At the end there is no time for long pauses.
const PAUSE_AT_THE_END: Duration = Duration::from_millis(250);

/// Runs `jobs` on a thread of their own until all have ended.
///
/// # Errors
/// The thread cannot be started.
pub fn run(jobs: Vec<Job>) -> io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let body = move || {
        runtime.block_on(async {
            let running: Vec<_> = jobs.into_iter().map(tokio::spawn).collect();
            for job in running {
                let _ = job.await;
            }
        });
    };
    std::thread::Builder::new().name("otlp".into()).spawn(body)
}

/// What one signal's task does.
pub type Job = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

/// Takes what is sent to one collector.
#[derive(Debug)]
pub struct Courier {
    /// Where it goes.
    pub collector: Collector,
    /// What it is.
    pub signal: Signal,
    /// What did not arrive.
    pub counts: Arc<Counts>,
    /// The end.
    pub stop: Stop,
}

/// Takes calls out of a queue until the end.
pub async fn pump<R: Request>(
    mut courier: Courier,
    mut outlet: Outlet,
    delay: Duration,
    make: impl Fn(&[Arc<Item>]) -> R,
) {
    loop {
        let is_due = tokio::select! {
            () = outlet.full() => false,
            () = tokio::time::sleep(delay) => true,
            _ = courier.stop.changed() => true,
        };
        // The end may have come while a portion was on its way.
        while is_due || courier.is_ending() || outlet.is_full() {
            let portion = outlet.take();
            if portion.is_empty() {
                break;
            }
            let parts = portion.iter().map(|item| courier.parts(item)).sum();
            courier.deliver::<R>(make(&portion).encode_to_vec().into(), parts).await;
            outlet.done(&portion);
        }
        if courier.is_ending() && outlet.is_empty() {
            return;
        }
    }
}

/// Sends the metrics again and again until the end, and then once more.
pub async fn tell_metrics(mut courier: Courier, interval: Duration, gatherer: Gatherer) {
    loop {
        let due = Instant::now() + interval;
        tokio::select! {
            () = sleep_until(due) => {}
            _ = courier.stop.changed() => {}
        }
        let is_last = courier.is_ending();
        for (request, points) in gatherer.requests() {
            courier.deliver::<ExportMetricsServiceRequest>(request.encode_to_vec().into(), points).await;
        }
        if is_last {
            return;
        }
    }
}

impl Courier {
    fn is_ending(&self) -> bool {
        self.stop.borrow().is_some()
    }

    fn parts(&self, item: &Item) -> u64 {
        match self.signal {
            Signal::Traces => item.shown.into_iter().map(u64::from).sum(),
            Signal::Logs | Signal::Metrics => 1,
        }
    }

    /// Sends until it is taken, refused, or over. Tells whether it was taken.
    pub async fn deliver<R: Request>(&mut self, encoded: Bytes, parts: u64) -> bool {
        let mut backoff = Backoff::new();
        loop {
            let attempt = self.collector.send::<R>(encoded.clone());
            let Some(verdict) = before_the_end(&mut self.stop.clone(), attempt).await else {
                self.counts.shed(self.signal, Cause::End, parts);
                return false;
            };
            let (after, reason) = match verdict {
                Verdict::Taken { rejected, message } => {
                    self.taken(parts, rejected, &message);
                    return true;
                }
                Verdict::Refused { reason } => {
                    self.counts.request(self.signal, Fate::Refused);
                    self.counts.shed(self.signal, Cause::Refused, parts);
                    self.warn("refused", || format!("{reason}; {parts} of them are dropped"));
                    return false;
                }
                Verdict::Again { after, reason } => (after, reason),
            };
            self.counts.request(self.signal, Fate::Failed);
            self.warn("down", || format!("{reason}; trying again"));
            self.pause(backoff.wait(after)).await;
        }
    }

    /// Waits before the next attempt. Where the end is asked for meanwhile, there is one more attempt at once.
    async fn pause(&mut self, wait: Duration) {
        if self.is_ending() {
            tokio::time::sleep(wait.min(PAUSE_AT_THE_END)).await;
        } else {
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = self.stop.changed() => {}
            }
        }
    }

    fn taken(&self, parts: u64, rejected: u64, message: &str) {
        // A collector cannot turn down more than it was sent, whatever it says.
        let rejected = rejected.min(parts);
        self.counts.request(self.signal, Fate::Taken);
        self.counts.exported(self.signal, parts - rejected);
        self.counts.shed(self.signal, Cause::Rejected, rejected);
        if rejected > 0 {
            // What the collector says may quote what it was sent.
            let said = if message.is_empty() { "" } else { ", with a reason" };
            self.warn("rejected", || format!("{rejected} of them were turned down{said}"));
        }
    }

    fn warn(&self, cause: &str, sentence: impl FnOnce() -> String) {
        let signal = self.signal.name();
        let endpoint = self.collector.endpoint();
        self.counts.warn(&format!("{signal} {cause}"), || {
            format!("OTLP {signal} to {}: {}", without_secrets(endpoint), sentence())
        });
    }
}

/// The result of `work`, unless the time for the end comes first.
async fn before_the_end<T>(stop: &mut Stop, work: impl Future<Output = T>) -> Option<T> {
    let over = async {
        // Fails where the other side is gone: then nobody waits for us.
        let until = stop.wait_for(Option::is_some).await.map(|until| *until);
        sleep_until(until.ok().flatten().unwrap_or_else(Instant::now)).await;
    };
    tokio::select! {
        result = work => Some(result),
        () = over => None,
    }
}

/// An address may carry a password or a token.
fn without_secrets(endpoint: &hyper::Uri) -> String {
    let host = endpoint.host().unwrap_or_default();
    let port = endpoint.port_u16().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{host}{port}{}", endpoint.scheme_str().unwrap_or_default(), endpoint.path())
}
