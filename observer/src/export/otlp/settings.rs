//! What the `OTEL_*` variables and flags mean: where each signal goes, how, and in what portions.

use std::path::PathBuf;
use std::time::Duration;

use hyper::Uri;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};

use super::environment::Environment;
use super::metrics::MetricView;
use crate::error::Error;
use crate::export::trace::Sampler;

/// All settings of the export.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where spans go.
    pub traces: Option<Target>,
    /// Where metrics go.
    pub metrics: Option<Target>,
    /// Where log records go.
    pub logs: Option<Target>,
    /// Which traces.
    pub sampler: Sampler,
    /// Portions of spans.
    pub span_batch: Batch,
    /// Portions of log records.
    pub log_batch: Batch,
    /// Between two exports of metrics.
    pub metric_interval: Duration,
    /// How metrics are shown.
    pub metric_view: MetricView,
    /// `OTEL_SERVICE_NAME`: the observer's own name.
    pub service_name: Option<String>,
    /// `OTEL_RESOURCE_ATTRIBUTES`: of every resource.
    pub resource: Vec<(String, String)>,
    /// How much a span may hold.
    pub span_limits: SpanLimits,
    /// How much a log record may hold.
    pub record_limits: AttributeLimits,
    /// Name of the attribute with the JSON-RPC error code.
    pub status_code: StatusCodeName,
    /// What was wrong and is not used, in sentences.
    pub complaints: Vec<String>,
}

/// Where a signal goes.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// The address, with the path for HTTP.
    pub endpoint: Uri,
    /// How it is spoken to.
    pub protocol: Protocol,
    /// What is said with every request. Values may be secrets.
    pub headers: HeaderMap,
    /// Whether requests are compressed.
    pub gzip: bool,
    /// For one attempt.
    pub timeout: Duration,
    /// Certificates.
    pub files: TlsFiles,
}

/// How a collector is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// gRPC.
    Grpc,
    /// HTTP with protobuf bodies.
    Http,
}

/// PEM files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// Whom to trust; the system's if absent.
    pub authority: Option<PathBuf>,
    /// Our certificate.
    pub certificate: Option<PathBuf>,
    /// Its key.
    pub key: Option<PathBuf>,
}

/// In what portions and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The longest that something waits for its portion to fill.
    pub delay: Duration,
    /// For one attempt, if it is less than the target's.
    pub timeout: Duration,
    /// How many wait at most.
    pub queue: usize,
    /// How many go at once.
    pub size: usize,
}

/// How much one list of attributes may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttributeLimits {
    /// Characters of a text.
    pub length: usize,
    /// Attributes.
    pub count: usize,
}

/// How much a span may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanLimits {
    /// Of itself.
    pub attributes: AttributeLimits,
    /// Events.
    pub events: usize,
    /// Attributes of an event.
    pub event_attributes: usize,
    /// Links.
    pub links: usize,
}

/// `OTEL_SEMCONV_STABILITY_OPT_IN`: the attribute was renamed in version 1.45 of the conventions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusCodeName {
    /// `rpc.response.status_code`, which instrumentations of MCP use.
    Old,
    /// `rpc.status_code`.
    New,
    /// Both.
    Both,
}

/// What the command line adds to the environment.
#[derive(Clone, Debug, Default)]
pub struct Wishes {
    /// Stands for `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub endpoint: Option<String>,
}

impl Settings {
    /// Reads them.
    ///
    /// # Errors
    /// An address, header or file of which no default could be meant is wrong.
    pub fn read(look_up: &dyn Fn(&str) -> Option<String>, wishes: &Wishes) -> Result<Self, Error> {
        let with_wishes = |name: &str| match (name, &wishes.endpoint) {
            ("OTEL_EXPORTER_OTLP_ENDPOINT", Some(endpoint)) => Some(endpoint.clone()),
            _ => look_up(name),
        };
        let mut env = Environment::new(&with_wishes);
        if env.text("OTEL_CONFIG_FILE").is_some() {
            env.complaints.push("OTEL_CONFIG_FILE is not read; the other OTEL_* variables are".into());
        }
        let disabled = env.is_true("OTEL_SDK_DISABLED");
        let mut target = |signal| if disabled { Ok(None) } else { target(&mut env, signal) };
        let (traces, metrics, logs) = (target("TRACES")?, target("METRICS")?, target("LOGS")?);
        let name = env.text("OTEL_TRACES_SAMPLER");
        let argument = env.text("OTEL_TRACES_SAMPLER_ARG");
        let sampler = Sampler::read(name.as_deref(), argument.as_deref(), &mut env.complaints);
        let attributes = attribute_limits(&mut env, "OTEL_", AttributeLimits::default());
        let mut settings = Self {
            sampler: if traces.is_some() { sampler } else { Sampler::NOWHERE },
            traces,
            metrics,
            logs,
            span_batch: batch(&mut env, "BSP", 5000),
            log_batch: batch(&mut env, "BLRP", 1000),
            metric_interval: env.milliseconds("OTEL_METRIC_EXPORT_INTERVAL", 60_000),
            metric_view: metric_view(&mut env),
            service_name: env.text("OTEL_SERVICE_NAME"),
            resource: resource(&mut env),
            span_limits: span_limits(&mut env, attributes),
            record_limits: attribute_limits(&mut env, "OTEL_LOGRECORD_", attributes),
            status_code: status_code(&env),
            complaints: Vec::new(),
        };
        settings.limit_times(&mut env);
        settings.complaints = env.complaints;
        Ok(settings)
    }

    /// Whether anything goes anywhere.
    pub const fn is_on(&self) -> bool {
        self.traces.is_some() || self.metrics.is_some() || self.logs.is_some()
    }

    /// The time for one attempt is the least of what is set for it.
    fn limit_times(&mut self, env: &mut Environment<'_>) {
        let for_metrics = env.milliseconds("OTEL_METRIC_EXPORT_TIMEOUT", 30_000);
        let limits = [self.span_batch.timeout, for_metrics, self.log_batch.timeout];
        for (target, limit) in [&mut self.traces, &mut self.metrics, &mut self.logs].into_iter().zip(limits) {
            if let Some(target) = target {
                target.timeout = target.timeout.min(limit);
            }
        }
    }
}

impl Default for AttributeLimits {
    fn default() -> Self {
        Self { length: usize::MAX, count: 128 }
    }
}

fn attribute_limits(env: &mut Environment<'_>, of: &str, default: AttributeLimits) -> AttributeLimits {
    AttributeLimits {
        length: env.number(&format!("{of}ATTRIBUTE_VALUE_LENGTH_LIMIT"), 0, default.length),
        count: env.number(&format!("{of}ATTRIBUTE_COUNT_LIMIT"), 0, default.count),
    }
}

fn span_limits(env: &mut Environment<'_>, attributes: AttributeLimits) -> SpanLimits {
    SpanLimits {
        attributes: attribute_limits(env, "OTEL_SPAN_", attributes),
        events: env.number("OTEL_SPAN_EVENT_COUNT_LIMIT", 0, 128),
        event_attributes: env.number("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", 0, 128),
        links: env.number("OTEL_SPAN_LINK_COUNT_LIMIT", 0, 128),
    }
}

fn batch(env: &mut Environment<'_>, of: &str, delay: u32) -> Batch {
    let queue = env.number(&format!("OTEL_{of}_MAX_QUEUE_SIZE"), 1, 2048);
    let size = env.number(&format!("OTEL_{of}_MAX_EXPORT_BATCH_SIZE"), 1, 512.min(queue));
    if size > queue {
        env.complaints.push(format!(
            "OTEL_{of}_MAX_EXPORT_BATCH_SIZE={size} is more than OTEL_{of}_MAX_QUEUE_SIZE={queue}, which is used"
        ));
    }
    Batch {
        delay: env.milliseconds(&format!("OTEL_{of}_SCHEDULE_DELAY"), delay),
        timeout: env.milliseconds(&format!("OTEL_{of}_EXPORT_TIMEOUT"), 30_000),
        queue,
        size: size.min(queue),
    }
}

fn resource(env: &mut Environment<'_>) -> Vec<(String, String)> {
    let Some(text) = env.text("OTEL_RESOURCE_ATTRIBUTES") else { return Vec::new() };
    Environment::pairs(&text).unwrap_or_else(|| {
        env.complaints.push(
            "OTEL_RESOURCE_ATTRIBUTES is not name=value,name=value, percent-encoded; none of it is used"
                .into(),
        );
        Vec::new()
    })
}

fn metric_view(env: &mut Environment<'_>) -> MetricView {
    const TEMPORALITY: &str = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";
    if let Some(other) = env.text(TEMPORALITY).filter(|it| !it.eq_ignore_ascii_case("cumulative")) {
        env.complaints.push(format!("{TEMPORALITY}={other}: metrics are cumulative whatever is preferred"));
    }
    let histograms = [("explicit_bucket_histogram", false), ("base2_exponential_bucket_histogram", true)];
    let filters = [("trace_based", true), ("always_on", true), ("always_off", false)];
    MetricView {
        exponential: env.word("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", &histograms, false),
        exemplars: env.word("OTEL_METRICS_EXEMPLAR_FILTER", &filters, true),
    }
}

fn status_code(env: &Environment<'_>) -> StatusCodeName {
    let wishes = env.text("OTEL_SEMCONV_STABILITY_OPT_IN").unwrap_or_default();
    let has = |wish| wishes.split(',').any(|it| it.trim() == wish);
    match (has("rpc/dup"), has("rpc")) {
        (true, _) => StatusCodeName::Both,
        (false, true) => StatusCodeName::New,
        (false, false) => StatusCodeName::Old,
    }
}

/// Where `signal` goes: nowhere unless an address is set.
fn target(env: &mut Environment<'_>, signal: &str) -> Result<Option<Target>, Error> {
    if !is_wanted(env, signal) {
        return Ok(None);
    }
    let of_signal = |name: &str| format!("OTEL_EXPORTER_OTLP_{signal}_{name}");
    let of_all = |name: &str| format!("OTEL_EXPORTER_OTLP_{name}");
    let either = |env: &Environment<'_>, name: &str| {
        [of_signal(name), of_all(name)]
            .into_iter()
            .find_map(|name| env.text(&name).map(|value| (name, value)))
    };
    let protocol_name = either(env, "PROTOCOL").map_or_else(|| of_all("PROTOCOL"), |(name, _)| name);
    let protocols = [("grpc", Protocol::Grpc), ("http/protobuf", Protocol::Http)];
    let protocol = env.word(&protocol_name, &protocols, Protocol::Http);
    let insecure_name = either(env, "INSECURE").map_or_else(|| of_all("INSECURE"), |(name, _)| name);
    let insecure = env.is_true(&insecure_name);
    let endpoint = match (env.text(&of_signal("ENDPOINT")), env.text(&of_all("ENDPOINT"))) {
        (Some(own), _) => endpoint(&of_signal("ENDPOINT"), &own, protocol, insecure, None)?,
        (None, Some(common)) => {
            endpoint(&of_all("ENDPOINT"), &common, protocol, insecure, Some(&signal.to_lowercase()))?
        }
        (None, None) => return Ok(None),
    };
    let compression = either(env, "COMPRESSION").map_or_else(|| of_all("COMPRESSION"), |(name, _)| name);
    let timeout = either(env, "TIMEOUT").map_or_else(|| of_all("TIMEOUT"), |(name, _)| name);
    let path = |name| either(env, name).map(|(_, value)| PathBuf::from(value));
    let files = TlsFiles {
        authority: path("CERTIFICATE"),
        certificate: path("CLIENT_CERTIFICATE"),
        key: path("CLIENT_KEY"),
    };
    let headers = either(env, "HEADERS").map(|(name, value)| headers(&name, &value)).transpose()?;
    Ok(Some(Target {
        endpoint,
        protocol,
        headers: headers.unwrap_or_default(),
        gzip: env.word(&compression, &[("none", false), ("gzip", true)], false),
        timeout: env.milliseconds(&timeout, 10_000),
        files,
    }))
}

/// `OTEL_<signal>_EXPORTER`: a list, of which only `otlp` and `none` are ours.
fn is_wanted(env: &mut Environment<'_>, signal: &str) -> bool {
    let name = format!("OTEL_{signal}_EXPORTER");
    let Some(value) = env.text(&name) else { return true };
    let names: Vec<_> = value.split(',').map(str::trim).collect();
    for unknown in names.iter().filter(|it| !["otlp", "none", "prometheus"].contains(it)) {
        env.complaints.push(format!("{name} names {unknown}; only otlp and none are known"));
    }
    names.contains(&"otlp")
}

/// An address as it is used. `signal`: its path is appended, for HTTP.
fn endpoint(
    name: &str,
    text: &str,
    protocol: Protocol,
    insecure: bool,
    signal: Option<&str>,
) -> Result<Uri, Error> {
    let wrong =
        |why: &str| Error::Usage(format!("{name}={text}: {why}; write it like http://localhost:4318"));
    let with_scheme = match (text.contains("://"), protocol) {
        (false, Protocol::Grpc) => format!("{}://{text}", if insecure { "http" } else { "https" }),
        _ => text.to_owned(),
    };
    let uri: Uri = with_scheme.parse().map_err(|_| wrong("this is no address"))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(wrong("it does not begin with http:// or https://"));
    }
    if uri.host().is_none_or(str::is_empty) {
        return Err(wrong("there is no host in it"));
    }
    let (Protocol::Http, Some(signal)) = (protocol, signal) else { return Ok(uri) };
    let path = format!("{}/v1/{signal}", uri.path().trim_end_matches('/'));
    let mut parts = uri.into_parts();
    parts.path_and_query = Some(path.parse().map_err(|_| wrong("its path cannot be continued"))?);
    Uri::from_parts(parts).map_err(|_| wrong("this is no address"))
}

/// The values may be secrets: an error names none of them.
fn headers(name: &str, text: &str) -> Result<HeaderMap, Error> {
    let wrong = || Error::Usage(format!("{name} is not name=value,name=value, percent-encoded"));
    let mut headers = HeaderMap::new();
    for (header, value) in Environment::pairs(text).ok_or_else(wrong)? {
        let header = HeaderName::from_bytes(header.as_bytes()).map_err(|_| wrong())?;
        let mut value = HeaderValue::from_str(&value).map_err(|_| wrong())?;
        value.set_sensitive(true);
        headers.append(header, value);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Settings, Error> {
        let look_up = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        Settings::read(&look_up, &Wishes::default())
    }

    const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/base/");

    #[test]
    fn nothing_is_exported_without_an_endpoint() {
        let settings = read(&[("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]).unwrap();
        assert!(!settings.is_on());
        assert_eq!(settings.sampler, Sampler::NOWHERE);
        assert!(!read(&[ENDPOINT, ("OTEL_SDK_DISABLED", "TRUE")]).unwrap().is_on());
    }

    #[test]
    fn the_common_endpoint_is_continued_and_a_signals_own_is_taken_as_it_is() {
        let own = ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "https://logs.example");
        let settings = read(&[ENDPOINT, own]).unwrap();
        let uri = |target: &Option<Target>| target.as_ref().unwrap().endpoint.to_string();
        assert_eq!(uri(&settings.traces), "http://collector:4318/base/v1/traces");
        assert_eq!(uri(&settings.metrics), "http://collector:4318/base/v1/metrics");
        assert_eq!(uri(&settings.logs), "https://logs.example/");
        let grpc = read(&[
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317"),
            ("OTEL_EXPORTER_OTLP_TRACES_INSECURE", "true"),
        ]);
        let grpc = grpc.unwrap();
        assert_eq!(uri(&grpc.traces), "http://collector:4317/");
        assert_eq!(uri(&grpc.logs), "https://collector:4317/");
    }

    #[test]
    fn a_signals_own_value_counts_more() {
        let settings = read(&[
            ENDPOINT,
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20s3cr3t,x=1"),
            ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "x=2"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
            ("OTEL_EXPORTER_OTLP_METRICS_COMPRESSION", "none"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "2000"),
            ("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", "3000"),
            ("OTEL_BLRP_EXPORT_TIMEOUT", "2500"),
            ("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca.pem"),
            ("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "/own.pem"),
        ]);
        let settings = settings.unwrap();
        let [traces, metrics, logs] = [settings.traces, settings.metrics, settings.logs].map(Option::unwrap);
        assert_eq!((traces.headers.len(), &traces.headers["x"]), (1, &HeaderValue::from_static("2")));
        assert_eq!(metrics.headers["authorization"], "Bearer s3cr3t");
        assert!(!format!("{:?}", metrics.headers).contains("s3cr3t"));
        assert_eq!([traces.gzip, metrics.gzip, logs.gzip], [true, false, true]);
        assert_eq!([traces.timeout, logs.timeout].map(|it| it.as_millis()), [2000, 2500]);
        assert_eq!([traces.protocol, logs.protocol], [Protocol::Http, Protocol::Grpc]);
        assert_eq!(traces.files.authority.as_deref(), Some("/own.pem".as_ref()));
        assert_eq!(logs.files.authority.as_deref(), Some("/ca.pem".as_ref()));
        assert_eq!(settings.complaints, Vec::<String>::new());
    }

    #[test]
    fn exporters_are_chosen_by_name() {
        let settings = read(&[
            ENDPOINT,
            ("OTEL_TRACES_EXPORTER", "none"),
            ("OTEL_METRICS_EXPORTER", "prometheus, otlp"),
            ("OTEL_LOGS_EXPORTER", "console"),
        ]);
        let settings = settings.unwrap();
        assert!(settings.traces.is_none() && settings.metrics.is_some() && settings.logs.is_none());
        assert_eq!(settings.sampler, Sampler::NOWHERE, "exemplars name only what is exported");
        assert_eq!(settings.complaints, ["OTEL_LOGS_EXPORTER names console; only otlp and none are known"]);
    }

    #[test]
    fn what_cannot_be_meant_otherwise_is_an_error_without_secrets() {
        let endpoint = |value| ("OTEL_EXPORTER_OTLP_ENDPOINT", value);
        for wrong in ["collector:4318", "ftp://x", "http://", "http://a b"] {
            let error = read(&[endpoint(wrong)]).unwrap_err();
            assert!(error.to_string().contains("OTEL_EXPORTER_OTLP_ENDPOINT"), "{error}");
            assert_eq!(error.exit_code(), 2);
        }
        for wrong in ["s3cr3t", "a b=s3cr3t", "a=s3cr3t%0a"] {
            let error = read(&[ENDPOINT, ("OTEL_EXPORTER_OTLP_HEADERS", wrong)]).unwrap_err();
            assert!(!error.to_string().contains("s3cr3t"), "{error}");
        }
    }

    #[test]
    fn wrong_words_and_numbers_are_told_of() {
        let settings = read(&[
            ENDPOINT,
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "100"),
            ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "200"),
            ("OTEL_BLRP_SCHEDULE_DELAY", "-1"),
            ("OTEL_TRACES_SAMPLER", "jaeger_remote"),
            ("OTEL_RESOURCE_ATTRIBUTES", "a=1,b"),
        ]);
        let settings = settings.unwrap();
        assert_eq!(settings.traces.unwrap().protocol, Protocol::Http);
        assert_eq!((settings.span_batch.queue, settings.span_batch.size), (100, 100));
        assert_eq!(settings.log_batch.delay, Duration::from_secs(1));
        assert_eq!(settings.resource, []);
        for name in ["PROTOCOL=http/json", "BATCH_SIZE=200", "DELAY=-1", "SAMPLER=jaeger", "RESOURCE"] {
            assert!(
                settings.complaints.iter().any(|it| it.contains(name)),
                "{name} {:?}",
                settings.complaints
            );
        }
    }

    #[test]
    fn the_flag_stands_for_the_variable() {
        let wishes = Wishes { endpoint: Some("http://here:1".into()) };
        let settings = Settings::read(&|_| None, &wishes).unwrap();
        assert_eq!(settings.traces.unwrap().endpoint, "http://here:1/v1/traces");
    }
}
