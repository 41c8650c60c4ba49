//! Every metric, one line each: name, type, labels, help.
//!
//! The expositions, the reference page and the checks of dashboards read this table. To add a metric, add its line
//! here and set it where `prometheus/mod.rs` and its neighbours do, through a [`Counter`], [`Gauge`] or
//! [`Histogram`] that names it: a name or a number of labels that is not in the table does not compile.

use std::marker::PhantomData;

use crate::export::semconv::{
    CLIENT_OPERATION_LABELS, CLIENT_SESSION_LABELS, OPERATION_BUCKETS, SERVER_OPERATION_LABELS,
    SERVER_SESSION_LABELS,
};

/// All metrics, in the order of the reference.
pub const METRICS: &[Metric] = &[
    histogram(
        "mcp_client_operation_duration_seconds",
        OPERATION_BUCKETS,
        &CLIENT_OPERATION_LABELS,
        "From sending a request to its last answer byte, as the asking process sees it.",
    )
    .in_development(),
    histogram(
        "mcp_server_operation_duration_seconds",
        OPERATION_BUCKETS,
        &SERVER_OPERATION_LABELS,
        "From receiving a request to its last answer byte, as the asked process sees it.",
    )
    .in_development(),
    histogram(
        "mcp_client_session_duration_seconds",
        OPERATION_BUCKETS,
        &CLIENT_SESSION_LABELS,
        "How long sessions lasted whose client is on this host.",
    )
    .in_development(),
    histogram(
        "mcp_server_session_duration_seconds",
        OPERATION_BUCKETS,
        &SERVER_SESSION_LABELS,
        "How long sessions lasted whose server is on this host.",
    )
    .in_development(),
    counter(
        "mcp_requests_total",
        &["server", "namespace", "pod", "method", "outcome"],
        "Requests that have ended, by outcome. A request that a wrapper or gateway passes on counts once.",
    ),
    counter(
        "mcp_tool_calls_total",
        &["server", "namespace", "pod", "client", "tool", "outcome"],
        "Tool calls, each once: without the rounds that asked for more input and the hops of calls that are passed on.",
    ),
    counter(
        "mcp_attribute_requests_total",
        &["server", "namespace", "pod", "attribute", "value", "outcome"],
        "Requests by each value of the user's attributes that are texts, true or false; counted like mcp_requests_total.",
    ),
    histogram(
        "mcp_task_duration_seconds",
        OPERATION_BUCKETS,
        &["server", "namespace", "pod", "tool", "outcome"],
        "From the request that made a task until its end was first seen.",
    ),
    counter(
        "mcp_errors_total",
        &["server", "namespace", "pod", "error_type"],
        "Requests that have failed, by the client's error type, counted like mcp_requests_total.",
    ),
    histogram(
        "mcp_tool_request_bytes",
        SIZE_BUCKETS,
        &["server", "namespace", "pod", "tool"],
        "Sizes of tool calls.",
    ),
    histogram(
        "mcp_tool_response_bytes",
        SIZE_BUCKETS,
        &["server", "namespace", "pod", "tool"],
        "Sizes of answers to tool calls.",
    ),
    counter(
        "mcp_notifications_total",
        &["server", "namespace", "pod", "method", "direction"],
        "Messages that want no answer.",
    ),
    gauge(
        "mcp_calls_in_flight",
        &["server", "namespace", "pod"],
        "Requests without an answer, counted once a second.",
    ),
    histogram(
        "mcp_protocol_step_duration_seconds",
        OPERATION_BUCKETS,
        &["server", "namespace", "pod", "step"],
        "From sending the first request of one step of the protocol to that of the next, once for each conversation.",
    ),
    gauge(
        "mcp_servers_active",
        &["transport"],
        "Server processes on this host that have answered, and not ended.",
    ),
    gauge("mcp_sessions_active", &["transport"], "Sessions that have begun, and not ended."),
    counter(
        "mcp_server_starts_total",
        &["server", "namespace", "pod"],
        "Server processes that were started while the observer ran, without those only asked what they are.",
    ),
    counter(
        "mcp_server_stops_total",
        &["server", "namespace", "pod", "reason"],
        "Ends of server processes, without those only asked what they are.",
    ),
    gauge(
        "mcp_server_uptime_seconds",
        &["server", "namespace", "pod"],
        "How long the oldest of a server's processes has run.",
    ),
    gauge(
        "mcp_server_memory_bytes",
        &["server", "namespace", "pod"],
        "Resident memory of a server's processes, without their children.",
    ),
    counter(
        "mcp_server_cpu_seconds_total",
        &["server", "namespace", "pod"],
        "Processor time of a server's processes, without their children.",
    ),
    counter(
        "mcp_auth_requests_total",
        &["server", "namespace", "pod", "scheme", "result"],
        "HTTP requests with MCP, by the scheme of their authorization and whether they were let in.",
    ),
    gauge("mcp_tools_listed", &["server", "namespace", "pod"], "Tools in the server's last list."),
    counter(
        "mcp_tool_definition_changes_total",
        &["server", "namespace", "pod"],
        "Tools of which a server's list told something else than before.",
    ),
    counter("mcp_observer_records_total", &[], "Records taken from the kernel or a capture file."),
    counter("mcp_observer_lost_records_total", &["cause"], "Records that were not written or not delivered."),
    counter("mcp_observer_lost_bytes_total", &["cause"], "Bytes of the lost records."),
    counter(
        "mcp_observer_missing_bytes_total",
        &["server", "namespace", "pod"],
        "Bytes of a server's messages that were not read, whatever the cause: its sizes and calls may be incomplete.",
    ),
    counter(
        "mcp_observer_faults_total",
        &["stage", "cause"],
        "Bytes or facts that made no sense to a stage.",
    ),
    counter("mcp_observer_shed_total", &["stage", "cause"], "What was given up at a limit."),
    counter(
        "mcp_observer_exported_total",
        &["signal"],
        "Spans (`traces`), log records (`logs`) and points of metrics that an OpenTelemetry collector has taken.",
    ),
    counter(
        "mcp_observer_export_requests_total",
        &["signal", "result"],
        "Requests to an OpenTelemetry collector: taken, failed and sent again, or refused.",
    ),
    gauge("mcp_observer_blind_spots", &["kind"], "Places found since the start that cannot be seen into."),
    gauge("mcp_observer_attached_probes", &[], "Probes in the kernel and in TLS libraries."),
    gauge("mcp_observer_ring_bytes", &[], "Size of the ring between the kernel and the observer."),
    gauge("mcp_observer_ring_used_bytes", &[], "Most bytes that waited in the ring, within the last second."),
    gauge("mcp_observer_streams", &[], "Pipes, sockets and TLS objects that are known."),
    gauge(
        "mcp_observer_degraded",
        &[],
        "What is recorded of calls: 0 all, 1 the first bytes of each, 2 only how much they move.",
    ),
    counter(
        "mcp_observer_probe_runs_total",
        &["program"],
        "Runs of the kernel programs, while the kernel's statistics are on.",
    ),
    counter(
        "mcp_observer_probe_seconds_total",
        &["program"],
        "Time that the kernel programs took, while the kernel's statistics are on.",
    ),
    counter(
        "mcp_observer_probe_skipped_total",
        &["program"],
        "Runs of the kernel programs that the kernel skipped.",
    ),
    gauge("mcp_observer_build_info", &["version"], "Always 1; the label is the version of the observer."),
];

/// Bytes, by powers of four: from an empty result to a picture.
const SIZE_BUCKETS: &[f64] = &[
    256.0,
    1024.0,
    4096.0,
    16384.0,
    65536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];

/// Where on Kubernetes a server runs. Elsewhere these labels are empty and not written.
pub const WORKLOAD: [&str; 2] = ["namespace", "pod"];

/// What is told of a metric in the table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Metric {
    /// Name, as scraped.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// Names of its labels; every series has all of them, empty where a fact is absent. Behind `server` stand the
    /// labels of [`WORKLOAD`] where series are told apart by them; nobody who sets the metric need care.
    pub labels: &'static [&'static str],
    /// Help, as scraped.
    pub help: &'static str,
    /// How far its name and labels can be relied on.
    pub stability: Stability,
}

impl Metric {
    /// `seconds` or `bytes`. The name ends in it, as OpenMetrics demands, so the name is where it stands.
    pub fn unit(&self) -> Option<&'static str> {
        let base = self.name.strip_suffix("_total").unwrap_or(self.name);
        ["seconds", "bytes"].into_iter().find(|unit| base.ends_with(unit))
    }

    /// Whether the labels of [`WORKLOAD`] stand behind the first one.
    pub const fn has_workload(&self) -> bool {
        self.labels.len() > WORKLOAD.len() && is_same(self.labels[1], WORKLOAD[0])
    }

    const fn in_development(self) -> Self {
        Self { stability: Stability::Development, ..self }
    }
}

/// The type of a metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts by size, in these classic buckets and in native ones.
    Histogram(&'static [f64]),
}

impl Kind {
    /// As scraped.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram(_) => "histogram",
        }
    }
}

/// How far a name can be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stability {
    /// Renamed only with a release in which the old name is there too.
    Stable,
    /// Follows a convention of OpenTelemetry that is in development, and changes with it.
    Development,
}

impl Stability {
    /// For the reference.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stable => "stable",
            Self::Development => "development",
        }
    }
}

const fn counter(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, kind: Kind::Counter, labels, help, stability: Stability::Stable }
}

const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, kind: Kind::Gauge, labels, help, stability: Stability::Stable }
}

const fn histogram(
    name: &'static str,
    buckets: &'static [f64],
    labels: &'static [&'static str],
    help: &'static str,
) -> Metric {
    Metric { name, kind: Kind::Histogram(buckets), labels, help, stability: Stability::Stable }
}

/// Names a counter of the table, with `N` labels besides those of [`WORKLOAD`].
pub type Counter<const N: usize> = Named<OfCounter, N>;
/// Names a gauge of the table, likewise.
pub type Gauge<const N: usize> = Named<OfGauge, N>;
/// Names a histogram of the table, likewise.
pub type Histogram<const N: usize> = Named<OfHistogram, N>;

/// Names a line of the table. Made in constants, so that a wrong name, type or number of labels does not compile.
#[derive(Clone, Copy, Debug)]
pub struct Named<K, const N: usize> {
    line: usize,
    kind: PhantomData<K>,
}

impl<K: OfKind, const N: usize> Named<K, N> {
    /// The metric of this name.
    pub const fn new(name: &str) -> Self {
        let mut line = 0;
        while line < METRICS.len() && !is_same(METRICS[line].name, name) {
            line += 1;
        }
        assert!(line < METRICS.len(), "no metric of this name is in the table");
        assert!(is_same(METRICS[line].kind.name(), K::NAME), "the table has it with another type");
        let others = if METRICS[line].has_workload() { WORKLOAD.len() } else { 0 };
        assert!(METRICS[line].labels.len() == N + others, "the table has it with another number of labels");
        Self { line, kind: PhantomData }
    }

    /// Where it is in the table.
    pub const fn line(self) -> usize {
        self.line
    }
}

/// A type of metric, at compile time.
pub trait OfKind {
    /// As [`Kind::name`] has it.
    const NAME: &'static str;
}

/// See [`Counter`].
#[derive(Clone, Copy, Debug)]
pub enum OfCounter {}
/// See [`Gauge`].
#[derive(Clone, Copy, Debug)]
pub enum OfGauge {}
/// See [`Histogram`].
#[derive(Clone, Copy, Debug)]
pub enum OfHistogram {}

impl OfKind for OfCounter {
    const NAME: &'static str = Kind::Counter.name();
}

impl OfKind for OfGauge {
    const NAME: &'static str = Kind::Gauge.name();
}

impl OfKind for OfHistogram {
    const NAME: &'static str = Kind::Histogram(&[]).name();
}

/// `==` cannot be used in constants yet.
const fn is_same(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let mut at = 0;
    while at < one.len() && at < other.len() && one[at] == other[at] {
        at += 1;
    }
    at == one.len() && at == other.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_follow_the_conventions() {
        let mut names = BTreeSet::new();
        for metric in METRICS {
            let name = metric.name;
            assert!(name.starts_with("mcp_") && names.insert(name), "{name}");
            assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{name}");
            assert_eq!(metric.kind == Kind::Counter, name.ends_with("_total"), "{name}");
            let reserved = ["_bucket", "_sum", "_count", "_created"];
            assert!(!reserved.iter().any(|suffix| name.ends_with(suffix)), "{name}");
            assert!(!matches!(metric.kind, Kind::Histogram(_)) || metric.unit().is_some(), "{name}");
            assert!(metric.help.ends_with('.') && !metric.help.contains('\n'), "{name}");
        }
    }

    #[test]
    fn nothing_that_a_stranger_can_choose_at_will_is_a_label() {
        let never =
            ["session", "id", "uri", "pid", "trace_id", "client_port", "le", "quantile", "job", "instance"];
        assert!(METRICS.iter().flat_map(|metric| metric.labels).all(|label| !never.contains(label)));
    }

    #[test]
    fn the_workload_stands_behind_the_server() {
        for metric in METRICS {
            let places = metric.labels.iter().enumerate().filter(|(_, label)| WORKLOAD.contains(label));
            let places = places.map(|(at, _)| at).collect::<Vec<_>>();
            assert_eq!(places, if metric.has_workload() { vec![1, 2] } else { vec![] }, "{}", metric.name);
            assert!(!metric.has_workload() || metric.labels[0] == "server", "{}", metric.name);
        }
    }

    #[test]
    fn units_are_those_of_the_names() {
        let unit = |name| METRICS.iter().find(|metric| metric.name == name).and_then(Metric::unit);
        assert_eq!(unit("mcp_observer_probe_seconds_total"), Some("seconds"));
        assert_eq!(unit("mcp_tool_request_bytes"), Some("bytes"));
        assert_eq!(unit("mcp_requests_total"), None);
    }

    #[test]
    fn buckets_rise() {
        for metric in METRICS {
            if let Kind::Histogram(buckets) = metric.kind {
                assert!(!buckets.is_empty() && buckets.is_sorted(), "{}", metric.name);
            }
        }
    }
}
