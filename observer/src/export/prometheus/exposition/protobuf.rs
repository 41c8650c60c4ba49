//! Messages `io.prometheus.client.MetricFamily`, each behind its length: the only format with native histograms.

use prost::Message as _;

use self::message::{
    Bucket, BucketSpan, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType,
};
use crate::export::prometheus::metrics::Kind;
use crate::export::prometheus::native::{self, Native, ZERO_THRESHOLD};
use crate::export::prometheus::registry::Family;
use crate::export::prometheus::series::{Buckets, Exemplar, Sample, Series};

/// Writes families.
pub fn write(families: &[Family]) -> Vec<u8> {
    let mut body = Vec::new();
    for family in families {
        body.extend(of(family).encode_length_delimited_to_vec());
    }
    body
}

fn of(family: &Family) -> MetricFamily {
    let metric = family.metric;
    let kind = match metric.kind {
        Kind::Counter => MetricType::Counter,
        Kind::Gauge => MetricType::Gauge,
        Kind::Histogram(_) => MetricType::Histogram,
    };
    MetricFamily {
        name: Some(metric.name.to_owned()),
        help: Some(metric.help.to_owned()),
        r#type: Some(kind.into()),
        metric: family.series.iter().map(|series| of_series(family, series)).collect(),
        unit: metric.unit().map(str::to_owned),
    }
}

fn of_series(family: &Family, series: &Series) -> Metric {
    let label = family.labels(series).into_iter().map(|(name, value)| pair(name, value)).collect();
    let mut metric = Metric { label, ..Metric::default() };
    let start_timestamp = (series.created_unix_ns > 0).then(|| timestamp(series.created_unix_ns));
    match (&series.sample, family.metric.kind) {
        (Sample::Number(value, _), Kind::Gauge) => metric.gauge = Some(Gauge { value: Some(*value) }),
        (Sample::Number(value, exemplar), _) => {
            let exemplar = exemplar.map(of_exemplar);
            metric.counter = Some(Counter { value: Some(*value), exemplar, start_timestamp });
        }
        (Sample::Buckets(buckets), Kind::Histogram(bounds)) => {
            metric.histogram = Some(Histogram { start_timestamp, ..of_buckets(bounds, buckets) });
        }
        (Sample::Buckets(_), _) => {}
    }
    metric
}

/// In classic and native buckets: the scraper takes which it wants. So are the exemplars: Prometheus 2 looks for those of
/// native histograms at the classic buckets, and Prometheus 3 beside them. Those without a time would not count there.
fn of_buckets(bounds: &[f64], buckets: &Buckets) -> Histogram {
    let bucket = buckets.classic(bounds).map(|(bound, count, exemplar)| Bucket {
        cumulative_count: Some(count),
        upper_bound: Some(bound),
        exemplar: exemplar.map(of_exemplar),
    });
    let bucket: Vec<_> = bucket.collect();
    let exemplars = bucket.iter().filter_map(|bucket| bucket.exemplar.clone()).collect();
    let native = buckets.native();
    Histogram {
        sample_count: Some(buckets.count()),
        sample_sum: Some(buckets.sum()),
        bucket,
        schema: Some(native.schema()),
        zero_threshold: Some(ZERO_THRESHOLD),
        zero_count: Some(native.zeros()),
        positive_span: spans(native),
        positive_delta: deltas(native.buckets()),
        start_timestamp: None,
        exemplars,
    }
}

/// Runs of neighbouring buckets, each with the distance to the run before it.
fn spans(native: &Native) -> Vec<BucketSpan> {
    let mut spans: Vec<BucketSpan> = Vec::new();
    let mut end = 0;
    for bucket in native.buckets() {
        match spans.last_mut() {
            Some(span) if bucket.index == end => span.length = span.length.map(|length| length + 1),
            _ => spans.push(BucketSpan { offset: Some(bucket.index - end), length: Some(1) }),
        }
        end = bucket.index + 1;
    }
    if spans.is_empty() {
        // How a native histogram without values is told from a classic one.
        spans.push(BucketSpan { offset: Some(0), length: Some(0) });
    }
    spans
}

fn deltas(buckets: &[native::Bucket]) -> Vec<i64> {
    let mut before = 0;
    let delta = |bucket: &native::Bucket| {
        let count = bucket.count as i64;
        count - std::mem::replace(&mut before, count)
    };
    buckets.iter().map(delta).collect()
}

fn of_exemplar(exemplar: Exemplar) -> message::Exemplar {
    let trace = exemplar.trace;
    message::Exemplar {
        label: vec![
            pair("trace_id", &format!("{:032x}", trace.trace_id)),
            pair("span_id", &format!("{:016x}", trace.span_id)),
        ],
        value: Some(exemplar.value),
        timestamp: Some(timestamp(exemplar.unix_ns)),
    }
}

fn pair(name: &str, value: &str) -> LabelPair {
    LabelPair { name: Some(name.to_owned()), value: Some(value.to_owned()) }
}

fn timestamp(unix_ns: i64) -> message::Timestamp {
    let (seconds, nanos) = (unix_ns.div_euclid(1_000_000_000), unix_ns.rem_euclid(1_000_000_000));
    message::Timestamp { seconds: Some(seconds), nanos: Some(nanos as i32) }
}

/// The messages, as far as they are used: `io/prometheus/client/metrics.proto` of `prometheus/client_model`, whose
/// numbers these are. Written by hand, because generating them would need `protoc` on every machine that builds.
mod message {
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct MetricFamily {
        #[prost(string, optional, tag = "1")]
        pub name: Option<String>,
        #[prost(string, optional, tag = "2")]
        pub help: Option<String>,
        #[prost(enumeration = "MetricType", optional, tag = "3")]
        pub r#type: Option<i32>,
        #[prost(message, repeated, tag = "4")]
        pub metric: Vec<Metric>,
        #[prost(string, optional, tag = "5")]
        pub unit: Option<String>,
    }

    #[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
    #[repr(i32)]
    pub enum MetricType {
        Counter = 0,
        Gauge = 1,
        Histogram = 4,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Metric {
        #[prost(message, repeated, tag = "1")]
        pub label: Vec<LabelPair>,
        #[prost(message, optional, tag = "2")]
        pub gauge: Option<Gauge>,
        #[prost(message, optional, tag = "3")]
        pub counter: Option<Counter>,
        #[prost(message, optional, tag = "7")]
        pub histogram: Option<Histogram>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct LabelPair {
        #[prost(string, optional, tag = "1")]
        pub name: Option<String>,
        #[prost(string, optional, tag = "2")]
        pub value: Option<String>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Gauge {
        #[prost(double, optional, tag = "1")]
        pub value: Option<f64>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Counter {
        #[prost(double, optional, tag = "1")]
        pub value: Option<f64>,
        #[prost(message, optional, tag = "2")]
        pub exemplar: Option<Exemplar>,
        #[prost(message, optional, tag = "3")]
        pub start_timestamp: Option<Timestamp>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Histogram {
        #[prost(uint64, optional, tag = "1")]
        pub sample_count: Option<u64>,
        #[prost(double, optional, tag = "2")]
        pub sample_sum: Option<f64>,
        #[prost(message, repeated, tag = "3")]
        pub bucket: Vec<Bucket>,
        #[prost(sint32, optional, tag = "5")]
        pub schema: Option<i32>,
        #[prost(double, optional, tag = "6")]
        pub zero_threshold: Option<f64>,
        #[prost(uint64, optional, tag = "7")]
        pub zero_count: Option<u64>,
        #[prost(message, repeated, tag = "12")]
        pub positive_span: Vec<BucketSpan>,
        #[prost(sint64, repeated, packed = "false", tag = "13")]
        pub positive_delta: Vec<i64>,
        #[prost(message, optional, tag = "15")]
        pub start_timestamp: Option<Timestamp>,
        /// Of native histograms.
        #[prost(message, repeated, tag = "16")]
        pub exemplars: Vec<Exemplar>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Bucket {
        #[prost(uint64, optional, tag = "1")]
        pub cumulative_count: Option<u64>,
        #[prost(double, optional, tag = "2")]
        pub upper_bound: Option<f64>,
        #[prost(message, optional, tag = "3")]
        pub exemplar: Option<Exemplar>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct BucketSpan {
        #[prost(sint32, optional, tag = "1")]
        pub offset: Option<i32>,
        #[prost(uint32, optional, tag = "2")]
        pub length: Option<u32>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Exemplar {
        #[prost(message, repeated, tag = "1")]
        pub label: Vec<LabelPair>,
        #[prost(double, optional, tag = "2")]
        pub value: Option<f64>,
        #[prost(message, optional, tag = "3")]
        pub timestamp: Option<Timestamp>,
    }

    /// `google.protobuf.Timestamp`.
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Timestamp {
        #[prost(int64, optional, tag = "1")]
        pub seconds: Option<i64>,
        #[prost(int32, optional, tag = "2")]
        pub nanos: Option<i32>,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::prometheus::metrics::{Counter, Histogram};
    use crate::export::prometheus::registry::Registry;
    use crate::export::prometheus::series::Trace;

    const RECORDS: Counter<0> = Counter::new("mcp_observer_records_total");
    const SIZES: Histogram<2> = Histogram::new("mcp_tool_request_bytes");

    fn scraped(registry: &Registry) -> Vec<MetricFamily> {
        let body = write(&registry.gather());
        let (mut rest, mut families) = (&*body, Vec::new());
        while !rest.is_empty() {
            families.push(MetricFamily::decode_length_delimited(&mut rest).unwrap());
        }
        families
    }

    #[test]
    fn a_histogram_is_classic_and_native_with_exemplars() {
        let registry = Registry::default();
        registry.set_time(5_000_000_007);
        registry.add(RECORDS, [], 7);
        let trace = Some(Trace { trace_id: 0xab, span_id: 0xcd });
        for value in [0.0, 1.0, 1.001, 1.001, 2.0, 300.0] {
            registry.observe(SIZES, ["s", "t"], value, trace.filter(|_| value > 256.0));
        }
        let [records, sizes] = scraped(&registry).try_into().unwrap();
        assert_eq!((records.name(), records.r#type()), ("mcp_observer_records_total", MetricType::Counter));
        assert_eq!(records.metric[0].counter.as_ref().unwrap().value(), 7.0);
        assert_eq!((sizes.unit(), sizes.r#type()), ("bytes", MetricType::Histogram));
        assert_eq!(sizes.metric[0].label, [pair("server", "s"), pair("tool", "t")]);
        let histogram = sizes.metric[0].histogram.as_ref().unwrap();
        assert_eq!(histogram.start_timestamp, Some(timestamp(5_000_000_007)));
        assert_eq!((histogram.sample_count(), histogram.zero_count(), histogram.schema()), (6, 1, 7));
        let exemplar = histogram.bucket[1].exemplar.as_ref().unwrap();
        assert_eq!(exemplar.label[0], pair("trace_id", "000000000000000000000000000000ab"));
        assert_eq!(exemplar.timestamp, Some(timestamp(5_000_000_007)));
        assert_eq!(
            histogram.exemplars.as_slice(),
            std::slice::from_ref(exemplar),
            "where Prometheus 3 looks"
        );
        let classic: Vec<_> = histogram.bucket.iter().map(Bucket::cumulative_count).collect();
        assert_eq!(classic, [5, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6]);
        // Buckets 0 (1), 1 (1.001) and 128 (2); 300 is 1054.
        let spans: Vec<_> = histogram.positive_span.iter().map(|it| (it.offset(), it.length())).collect();
        assert_eq!(spans, [(0, 2), (126, 1), (925, 1)]);
        assert_eq!(histogram.positive_delta, [1, 1, -1, 0]);
    }

    #[test]
    fn without_values_it_is_still_native() {
        let spans = spans(&Native::default());
        assert_eq!((spans.len(), spans[0].offset(), spans[0].length()), (1, 0, 0));
    }
}
