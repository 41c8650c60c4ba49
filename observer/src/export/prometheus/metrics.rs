//! Every metric: name, type, labels, help. Adding one is adding it here and setting it in `prometheus/mod.rs`.

use prometheus::{
    Encoder, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
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
        "Requests that have ended, by outcome.";
    tool_calls: Counters "mcp_tool_calls_total" ["server" "client" "tool" "outcome"]
        "Tool calls that have ended, by outcome.";
    errors: Counters "mcp_errors_total" ["server" "error_type"]
        "Requests that have failed, by the client's error type.";
    notifications: Counters "mcp_notifications_total" ["server" "method" "direction"]
        "Messages that want no answer.";
    records: Counters "mcp_observer_records_total" []
        "Records taken from the kernel or a capture file.";
    lost_records: Counters "mcp_observer_lost_records_total" ["cause"]
        "Records that were not written or not delivered.";
    lost_bytes: Counters "mcp_observer_lost_bytes_total" ["cause"]
        "Bytes of the lost records.";
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
