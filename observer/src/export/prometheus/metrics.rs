//! Every metric: name, type, labels, help. Adding one is adding it here and setting it in `prometheus/mod.rs`.

use std::time::Duration;

use prometheus::{
    CounterVec, Encoder, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};

use crate::export::semconv::OPERATION_BUCKETS;

/// What is told of a metric in the table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Metric {
    /// Name, as scraped.
    pub name: &'static str,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// Names of its labels; every series has all of them, empty where a fact is absent.
    pub labels: &'static [&'static str],
    /// Help, as scraped.
    pub help: &'static str,
}

/// Makes the table, and a struct with one typed field for each of its lines.
macro_rules! metrics {
    ($($field:ident: $kind:ident $name:literal [$($label:literal)*] $help:literal;)*) => {
        /// All metrics, in the order of the reference.
        pub const METRICS: &[Metric] = &[$(Metric {
            name: $name,
            kind: <$kind<{ count(&[$($label),*]) }> as Family>::KIND,
            labels: &[$($label),*],
            help: $help,
        }),*];

        /// The registered metrics.
        #[derive(Clone, Debug)]
        pub struct Metrics {
            $(#[doc = $help] pub $field: $kind<{ count(&[$($label),*]) }>,)*
        }

        impl Metrics {
            /// Registers all of them.
            pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
                Ok(Self { $($field: Family::register(registry, $name, $help, &[$($label),*])?,)* })
            }
        }
    };
}

metrics! {
    client_operation: Histograms "mcp_client_operation_duration_seconds"
        ["server" "mcp_method_name" "error_type" "gen_ai_tool_name" "gen_ai_prompt_name" "gen_ai_operation_name"
         "rpc_response_status_code" "mcp_protocol_version" "network_transport" "network_protocol_name"
         "server_address" "server_port"]
        "From sending a request to its last answer byte, as the asking process sees it.";
    server_operation: Histograms "mcp_server_operation_duration_seconds"
        ["server" "mcp_method_name" "error_type" "gen_ai_tool_name" "gen_ai_prompt_name" "gen_ai_operation_name"
         "rpc_response_status_code" "mcp_protocol_version" "network_transport" "network_protocol_name"]
        "From receiving a request to its last answer byte, as the asked process sees it.";
    requests: Counters "mcp_requests_total" ["server" "method" "outcome"]
        "Requests that have ended, by outcome. A request that a wrapper or gateway passes on counts once.";
    tool_calls: Counters "mcp_tool_calls_total" ["server" "client" "tool" "outcome"]
        "Tool calls, each once: without the rounds that asked for more input and the hops of calls that are passed on.";
    tasks: Histograms "mcp_task_duration_seconds" ["server" "tool" "outcome"]
        "From the request that made a task until its end was first seen.";
    errors: Counters "mcp_errors_total" ["server" "error_type"]
        "Requests that have failed, by the client's error type, counted like mcp_requests_total.";
    notifications: Counters "mcp_notifications_total" ["server" "method" "direction"]
        "Messages that want no answer.";
    records: Counters "mcp_observer_records_total" []
        "Records taken from the kernel or a capture file.";
    lost_records: Counters "mcp_observer_lost_records_total" ["cause"]
        "Records that were not written or not delivered.";
    lost_bytes: Counters "mcp_observer_lost_bytes_total" ["cause"]
        "Bytes of the lost records.";
    missing_bytes: Counters "mcp_observer_missing_bytes_total" ["server"]
        "Bytes of a server's messages that were not read, whatever the cause: its sizes and calls may be incomplete.";
    faults: Counters "mcp_observer_faults_total" ["stage" "cause"]
        "Bytes or facts that made no sense to a stage.";
    shed: Counters "mcp_observer_shed_total" ["stage" "cause"]
        "What was given up at a limit.";
    blind_spots: Gauges "mcp_observer_blind_spots" ["kind"]
        "Places found since the start that cannot be seen into.";
    attached_probes: Gauges "mcp_observer_attached_probes" []
        "Probes in the kernel and in TLS libraries.";
    ring_bytes: Gauges "mcp_observer_ring_bytes" []
        "Size of the ring between the kernel and the observer.";
    ring_used_bytes: Gauges "mcp_observer_ring_used_bytes" []
        "Most bytes that waited in the ring, within the last second.";
    streams: Gauges "mcp_observer_streams" []
        "Pipes, sockets and TLS objects that are known.";
    degraded: Gauges "mcp_observer_degraded" []
        "What is recorded of calls: 0 all, 1 the first bytes of each, 2 only how much they move.";
    probe_runs: Counters "mcp_observer_probe_runs_total" ["program"]
        "Runs of the kernel programs, while the kernel's statistics are on.";
    probe_seconds: Seconds "mcp_observer_probe_seconds_total" ["program"]
        "Time that the kernel programs took, while the kernel's statistics are on.";
    probe_skipped: Counters "mcp_observer_probe_skipped_total" ["program"]
        "Runs of the kernel programs that the kernel skipped.";
    build_info: Gauges "mcp_observer_build_info" ["version"]
        "Always 1; the label is the version of the observer.";
}

/// Writes all metrics of a registry in the text format of Prometheus.
pub fn text(registry: &Registry) -> Vec<u8> {
    let mut text = Vec::new();
    // Fails for a family without a name or a writer that fails: neither can be here.
    let _ = TextEncoder::new().encode(&registry.gather(), &mut text);
    text
}

const fn count(labels: &[&str]) -> usize {
    labels.len()
}

/// Counters with `N` labels.
#[derive(Clone, Debug)]
pub struct Counters<const N: usize>(IntCounterVec);

/// Counters of seconds with `N` labels.
#[derive(Clone, Debug)]
pub struct Seconds<const N: usize>(CounterVec);

/// Gauges with `N` labels.
#[derive(Clone, Debug)]
pub struct Gauges<const N: usize>(IntGaugeVec);

/// Histograms of seconds with `N` labels.
#[derive(Clone, Debug)]
pub struct Histograms<const N: usize>(HistogramVec);

impl<const N: usize> Counters<N> {
    /// The counter with these label values, new ones at 0.
    pub fn with(&self, values: [&str; N]) -> IntCounter {
        self.0.with_label_values(&values)
    }

    /// Follows a counter that is kept elsewhere.
    pub fn follow(&self, values: [&str; N], total: u64) {
        let counter = self.with(values);
        counter.inc_by(total.saturating_sub(counter.get()));
    }
}

impl<const N: usize> Seconds<N> {
    /// Follows a time that is measured elsewhere.
    pub fn follow(&self, values: [&str; N], nanoseconds: u64) {
        let counter = self.0.with_label_values(&values);
        let more = Duration::from_nanos(nanoseconds).as_secs_f64() - counter.get();
        // Floating point may have it a little less than before.
        counter.inc_by(more.max(0.0));
    }
}

impl<const N: usize> Gauges<N> {
    /// The gauge with these label values.
    pub fn with(&self, values: [&str; N]) -> IntGauge {
        self.0.with_label_values(&values)
    }
}

impl<const N: usize> Histograms<N> {
    /// The histogram with these label values.
    pub fn with(&self, values: [&str; N]) -> Histogram {
        self.0.with_label_values(&values)
    }
}

/// A kind of metric.
trait Family: Sized {
    const KIND: &'static str;

    fn register(
        registry: &Registry,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<Self, prometheus::Error>;
}

impl<const N: usize> Family for Counters<N> {
    const KIND: &'static str = "counter";

    fn register(
        registry: &Registry,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<Self, prometheus::Error> {
        let family = IntCounterVec::new(Opts::new(name, help), labels)?;
        registry.register(Box::new(family.clone()))?;
        Ok(Self(family))
    }
}

impl<const N: usize> Family for Seconds<N> {
    const KIND: &'static str = "counter";

    fn register(
        registry: &Registry,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<Self, prometheus::Error> {
        let family = CounterVec::new(Opts::new(name, help), labels)?;
        registry.register(Box::new(family.clone()))?;
        Ok(Self(family))
    }
}

impl<const N: usize> Family for Gauges<N> {
    const KIND: &'static str = "gauge";

    fn register(
        registry: &Registry,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<Self, prometheus::Error> {
        let family = IntGaugeVec::new(Opts::new(name, help), labels)?;
        registry.register(Box::new(family.clone()))?;
        Ok(Self(family))
    }
}

impl<const N: usize> Family for Histograms<N> {
    const KIND: &'static str = "histogram";

    fn register(
        registry: &Registry,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<Self, prometheus::Error> {
        let options = HistogramOpts::new(name, help).buckets(OPERATION_BUCKETS.to_vec());
        let family = HistogramVec::new(options, labels)?;
        registry.register(Box::new(family.clone()))?;
        Ok(Self(family))
    }
}
