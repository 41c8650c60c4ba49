//! The metrics that `/metrics` shows, as OTLP has them: the same numbers, cumulative, with the times they began.
//!
//! Names are such that Prometheus's own names come back where a collector writes them for Prometheus.

use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets as Exponents;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram,
    HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, exemplar,
    number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;

use super::attributes::{Attributes, SCHEMA_URL, scope};
use super::settings::AttributeLimits;
use crate::export::prometheus::metrics::{self, Kind};
use crate::export::prometheus::native::{Bucket, Native, ZERO_THRESHOLD};
use crate::export::prometheus::registry::{Family, Registry};
use crate::export::prometheus::series::{self, Buckets, Sample, Series};
use crate::export::semconv::OPERATION;

/// Takes metrics out of a registry.
#[derive(Clone, Debug)]
pub struct Gatherer {
    /// What `/metrics` shows.
    pub registry: Registry,
    /// The observer.
    pub resource: Resource,
    /// How they are shown.
    pub view: MetricView,
}

/// How metrics are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetricView {
    /// Histograms are exponential ones.
    pub exponential: bool,
    /// They name traces.
    pub exemplars: bool,
}

/// Points of one request: collectors take 4 MiB.
const MOST_POINTS: usize = 4000;
/// Buckets of an exponential histogram, from the lowest in use to the highest: twice what the SDKs have, so that
/// narrow ones stay fine.
const MOST_BUCKETS: usize = 320;

impl Gatherer {
    /// All metrics as they are now, in requests of a bounded size, each with the number of its points.
    pub fn requests(&self) -> Vec<(ExportMetricsServiceRequest, u64)> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        let mut requests = Vec::new();
        let (mut metrics, mut points) = (Vec::new(), 0);
        for family in self.registry.gather() {
            for series in family.series.chunks(MOST_POINTS) {
                if points + series.len() > MOST_POINTS {
                    requests.push((self.request(std::mem::take(&mut metrics)), points as u64));
                    points = 0;
                }
                points += series.len();
                metrics.push(self.view.metric(&family, series, now));
            }
        }
        if points > 0 {
            requests.push((self.request(metrics), points as u64));
        }
        requests
    }

    fn request(&self, metrics: Vec<Metric>) -> ExportMetricsServiceRequest {
        let scope = ScopeMetrics { scope: Some(scope()), metrics, schema_url: SCHEMA_URL.to_owned() };
        let resource = Some(self.resource.clone());
        let all = ResourceMetrics { resource, scope_metrics: vec![scope], schema_url: SCHEMA_URL.to_owned() };
        ExportMetricsServiceRequest { resource_metrics: vec![all] }
    }
}

impl MetricView {
    fn metric(self, family: &Family, series: &[Series], now: u64) -> Metric {
        let metric = family.metric;
        let numbers = || series.iter().filter_map(|it| self.number(metric, it, now)).collect();
        let cumulative = AggregationTemporality::Cumulative.into();
        let data = match metric.kind {
            Kind::Counter => Data::Sum(Sum {
                data_points: numbers(),
                aggregation_temporality: cumulative,
                is_monotonic: true,
            }),
            Kind::Gauge => Data::Gauge(Gauge { data_points: numbers() }),
            Kind::Histogram(_) if self.exponential => Data::ExponentialHistogram(ExponentialHistogram {
                data_points: series.iter().filter_map(|it| self.exponential(metric, it, now)).collect(),
                aggregation_temporality: cumulative,
            }),
            Kind::Histogram(bounds) => Data::Histogram(Histogram {
                data_points: series.iter().filter_map(|it| self.classic(metric, bounds, it, now)).collect(),
                aggregation_temporality: cumulative,
            }),
        };
        Metric {
            name: name(metric),
            description: metric.help.to_owned(),
            unit: unit(metric).to_owned(),
            data: Some(data),
            ..Metric::default()
        }
    }

    fn number(self, metric: &metrics::Metric, series: &Series, now: u64) -> Option<NumberDataPoint> {
        let Sample::Number(value, exemplar) = &series.sample else { return None };
        let is_counter = metric.kind == Kind::Counter;
        Some(NumberDataPoint {
            attributes: attributes(metric, series),
            start_time_unix_nano: if is_counter { began(series) } else { 0 },
            time_unix_nano: now,
            exemplars: self.exemplars(exemplar.iter()),
            value: Some(number_data_point::Value::AsDouble(*value)),
            ..NumberDataPoint::default()
        })
    }

    fn classic(
        self,
        metric: &metrics::Metric,
        bounds: &[f64],
        series: &Series,
        now: u64,
    ) -> Option<HistogramDataPoint> {
        let buckets = buckets(series)?;
        let mut before = 0;
        let counts =
            buckets.classic(bounds).map(|(_, total, _)| total - std::mem::replace(&mut before, total));
        let exemplars: Vec<_> = buckets.classic(bounds).filter_map(|(_, _, exemplar)| exemplar).collect();
        Some(HistogramDataPoint {
            attributes: attributes(metric, series),
            start_time_unix_nano: began(series),
            time_unix_nano: now,
            count: buckets.count(),
            sum: Some(buckets.sum()),
            bucket_counts: counts.collect(),
            explicit_bounds: bounds.to_vec(),
            exemplars: self.exemplars(exemplars.iter()),
            ..HistogramDataPoint::default()
        })
    }

    fn exponential(
        self,
        metric: &metrics::Metric,
        series: &Series,
        now: u64,
    ) -> Option<ExponentialHistogramDataPoint> {
        let buckets = buckets(series)?;
        let bounds = if let Kind::Histogram(bounds) = metric.kind { bounds } else { &[] };
        let exemplars: Vec<_> = buckets.classic(bounds).filter_map(|(_, _, exemplar)| exemplar).collect();
        let (scale, positive) = exponents(buckets.native());
        Some(ExponentialHistogramDataPoint {
            attributes: attributes(metric, series),
            start_time_unix_nano: began(series),
            time_unix_nano: now,
            count: buckets.count(),
            sum: Some(buckets.sum()),
            scale,
            zero_count: buckets.native().zeros(),
            zero_threshold: ZERO_THRESHOLD,
            positive: Some(positive),
            exemplars: self.exemplars(exemplars.iter()),
            ..ExponentialHistogramDataPoint::default()
        })
    }

    fn exemplars<'a>(self, exemplars: impl Iterator<Item = &'a series::Exemplar>) -> Vec<Exemplar> {
        let exemplar = |it: &series::Exemplar| Exemplar {
            time_unix_nano: u64::try_from(it.unix_ns).unwrap_or_default(),
            trace_id: it.trace.trace_id.to_be_bytes().to_vec(),
            span_id: it.trace.span_id.to_be_bytes().to_vec(),
            value: Some(exemplar::Value::AsDouble(it.value)),
            ..Exemplar::default()
        };
        exemplars.filter(|_| self.exemplars).map(exemplar).collect()
    }
}

fn buckets(series: &Series) -> Option<&Buckets> {
    match &series.sample {
        Sample::Buckets(buckets) => Some(buckets),
        Sample::Number(..) => None,
    }
}

fn began(series: &Series) -> u64 {
    u64::try_from(series.created_unix_ns).unwrap_or_default()
}

/// OpenTelemetry's own name where it has one, else ours without what a collector adds for Prometheus.
fn name(metric: &metrics::Metric) -> String {
    let name = metric.name.strip_suffix("_total").unwrap_or(metric.name);
    let name = ["_seconds", "_bytes"].iter().find_map(|unit| name.strip_suffix(unit)).unwrap_or(name);
    let is_convention = ["mcp_client_", "mcp_server_"].iter().any(|party| name.starts_with(party))
        && ["_operation_duration", "_session_duration"].iter().any(|what| name.ends_with(what));
    if is_convention { name.replace('_', ".") } else { name.to_owned() }
}

fn unit(metric: &metrics::Metric) -> &'static str {
    match metric.unit() {
        Some("seconds") => "s",
        Some("bytes") => "By",
        _ => "",
    }
}

/// Labels by the names that OpenTelemetry has for them; what is empty is absent.
fn attributes(metric: &metrics::Metric, series: &Series) -> Vec<KeyValue> {
    let mut list = Attributes::new(AttributeLimits { length: usize::MAX, count: usize::MAX });
    for (label, value) in metric.labels.iter().zip(series.values.iter()) {
        let known = OPERATION.iter().find(|attribute| attribute.label == *label);
        let key = known.map_or(*label, |attribute| attribute.name);
        match (key, value.parse::<i64>()) {
            ("server.port", Ok(port)) => list.number(key, port),
            _ => list.text(key, value),
        }
    }
    list.finish().0
}

/// The native buckets as exponential ones, as fine as there is room for.
///
/// Ours has bucket `i` end at `2^(i/2^s)`, OTLP has it begin there: one less is the same bucket.
fn exponents(native: &Native) -> (i32, Exponents) {
    let buckets = native.buckets();
    let [Some(first), Some(last)] = [buckets.first(), buckets.last()] else {
        return (native.schema(), Exponents::default());
    };
    let mut coarser = 0;
    let at = |bucket: &Bucket, coarser: u32| (bucket.index - 1) >> coarser;
    while (at(last, coarser) - at(first, coarser)) as usize >= MOST_BUCKETS {
        coarser += 1;
    }
    let offset = at(first, coarser);
    let mut bucket_counts = vec![0; (at(last, coarser) - offset) as usize + 1];
    for bucket in buckets {
        if let Some(count) = bucket_counts.get_mut((at(bucket, coarser) - offset) as usize) {
            *count += bucket.count;
        }
    }
    (native.schema() - coarser as i32, Exponents { offset, bucket_counts })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[f64]) -> (i32, Exponents) {
        let mut native = Native::default();
        values.iter().for_each(|value| native.observe(*value));
        exponents(&native)
    }

    /// The bucket of `value`, as the specification has it.
    fn index(value: f64, scale: i32) -> i32 {
        (value.log2() * f64::from(scale).exp2()).ceil() as i32 - 1
    }

    #[test]
    fn a_value_is_in_the_bucket_of_the_specification() {
        for value in [0.001, 0.3, 1.0, 1.5, 2.0, 300.0] {
            let (scale, buckets) = of(&[value]);
            assert_eq!(
                (buckets.offset, buckets.bucket_counts.as_slice()),
                (index(value, scale), &[1][..]),
                "{value}"
            );
        }
    }

    #[test]
    fn wide_histograms_get_coarser_and_lose_nothing() {
        let values: Vec<f64> = (0..5000).map(|number| 0.000_1 * (f64::from(number) / 250.0).exp2()).collect();
        let (scale, buckets) = of(&values);
        assert!(scale < 7 && buckets.bucket_counts.len() <= MOST_BUCKETS, "{scale}");
        assert_eq!(buckets.bucket_counts.iter().sum::<u64>(), 5000);
        let lowest = values.iter().filter(|value| index(**value, scale) == buckets.offset).count() as u64;
        assert_eq!(buckets.bucket_counts[0], lowest);
        assert_eq!(of(&[]).1, Exponents::default());
    }

    #[test]
    fn names_are_those_of_the_conventions_or_come_back_in_prometheus() {
        let shown = |wanted: &str| {
            let metric = metrics::METRICS.iter().find(|metric| metric.name == wanted).unwrap();
            (name(metric), unit(metric))
        };
        assert_eq!(
            shown("mcp_client_operation_duration_seconds"),
            ("mcp.client.operation.duration".into(), "s")
        );
        assert_eq!(shown("mcp_tool_request_bytes"), ("mcp_tool_request".into(), "By"));
        assert_eq!(shown("mcp_requests_total"), ("mcp_requests".into(), ""));
        assert_eq!(shown("mcp_observer_probe_seconds_total"), ("mcp_observer_probe".into(), "s"));
    }
}
