//! The text format of Prometheus (0.0.4) and OpenMetrics 1.0, which differ in few places.

use std::fmt::{self, Write};

use crate::export::prometheus::metrics::{Kind, Metric};
use crate::export::prometheus::registry::Family;
use crate::export::prometheus::series::{Buckets, Exemplar, Sample, Series};

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// No exemplars, no units, no times of creation.
    Prometheus,
    /// With all of them.
    OpenMetrics,
}

/// Writes families.
pub fn write(families: &[Family], dialect: Dialect) -> Vec<u8> {
    let mut writer = Writer { out: String::new(), dialect };
    // A string takes whatever is written: there is nothing to fail.
    let _ = families.iter().try_for_each(|family| writer.family(family));
    if dialect == Dialect::OpenMetrics {
        writer.out.push_str("# EOF\n");
    }
    writer.out.into_bytes()
}

struct Writer {
    out: String,
    dialect: Dialect,
}

impl Writer {
    fn family(&mut self, family: &Family) -> fmt::Result {
        let metric = family.metric;
        let name = self.family_name(metric);
        let help = Escaped(metric.help, self.is_open());
        writeln!(self.out, "# HELP {name} {help}\n# TYPE {name} {}", metric.kind.name())?;
        if let Some(unit) = metric.unit().filter(|_| self.is_open()) {
            writeln!(self.out, "# UNIT {name} {unit}")?;
        }
        family.series.iter().try_for_each(|series| self.series(metric, &family.labels(series), series))
    }

    fn series(&mut self, metric: &Metric, labels: &[(&str, &str)], series: &Series) -> fmt::Result {
        let labels = written(labels)?;
        match (&series.sample, metric.kind) {
            (Sample::Number(value, exemplar), kind) => {
                self.sample(metric.name, "", &labels, None, *value)?;
                self.exemplar(exemplar.filter(|_| kind == Kind::Counter))?;
            }
            (Sample::Buckets(buckets), Kind::Histogram(bounds)) => {
                self.histogram(metric, bounds, &labels, buckets)?;
            }
            (Sample::Buckets(_), Kind::Counter | Kind::Gauge) => {}
        }
        if self.is_open() && metric.kind != Kind::Gauge && series.created_unix_ns > 0 {
            self.name(self.family_name(metric), "_created", &labels, None);
            writeln!(self.out, " {}", Seconds(series.created_unix_ns))?;
        }
        Ok(())
    }

    fn histogram(&mut self, metric: &Metric, bounds: &[f64], labels: &str, buckets: &Buckets) -> fmt::Result {
        for (bound, count, exemplar) in buckets.classic(bounds) {
            let bound = match self.dialect {
                _ if bound.is_infinite() => "+Inf".to_owned(),
                Dialect::Prometheus => bound.to_string(),
                // OpenMetrics wants a number that looks like one of floating point.
                Dialect::OpenMetrics => format!("{bound:?}"),
            };
            self.sample(metric.name, "_bucket", labels, Some(&bound), count as f64)?;
            self.exemplar(exemplar)?;
        }
        self.sample(metric.name, "_sum", labels, None, buckets.sum())?;
        self.out.push('\n');
        self.sample(metric.name, "_count", labels, None, buckets.count() as f64)?;
        self.out.push('\n');
        Ok(())
    }

    /// A line without its end.
    fn sample(
        &mut self,
        name: &str,
        suffix: &str,
        labels: &str,
        le: Option<&str>,
        value: f64,
    ) -> fmt::Result {
        self.name(name, suffix, labels, le);
        write!(self.out, " {value}")
    }

    fn name(&mut self, name: &str, suffix: &str, labels: &str, le: Option<&str>) {
        self.out.extend([name, suffix]);
        if !labels.is_empty() || le.is_some() {
            let comma = if labels.is_empty() || le.is_none() { "" } else { "," };
            let [open, bound, close] = le.map_or(["", "", ""], |le| ["le=\"", le, "\""]);
            self.out.extend(["{", labels, comma, open, bound, close, "}"]);
        }
    }

    /// The end of a line, with the exemplar where the format has a place for it.
    fn exemplar(&mut self, exemplar: Option<Exemplar>) -> fmt::Result {
        if let Some(Exemplar { trace, value, unix_ns }) = exemplar.filter(|_| self.is_open()) {
            let (trace_id, span_id, at) = (trace.trace_id, trace.span_id, Seconds(unix_ns));
            write!(self.out, " # {{trace_id=\"{trace_id:032x}\",span_id=\"{span_id:016x}\"}} {value} {at}")?;
        }
        self.out.push('\n');
        Ok(())
    }

    /// The name of a family is that of its samples, but for counters in OpenMetrics.
    fn family_name(&self, metric: &Metric) -> &'static str {
        metric.name.strip_suffix("_total").filter(|_| self.is_open()).unwrap_or(metric.name)
    }

    fn is_open(&self) -> bool {
        self.dialect == Dialect::OpenMetrics
    }
}

/// `name="value"` and so on.
fn written(labels: &[(&str, &str)]) -> Result<String, fmt::Error> {
    let mut text = String::new();
    for (number, (name, value)) in labels.iter().enumerate() {
        let comma = if number > 0 { "," } else { "" };
        write!(text, "{comma}{name}=\"{}\"", Escaped(value, true))?;
    }
    Ok(text)
}

/// Text on one line, and within quotes if so.
struct Escaped<'t>(&'t str, bool);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(mut rest, quoted) = *self;
        while let Some(at) = rest.find(|c| matches!(c, '\\' | '\n') || quoted && c == '"') {
            let (before, special) = rest.split_at(at);
            f.write_str(before)?;
            f.write_str(match special.as_bytes().first() {
                Some(b'\\') => "\\\\",
                Some(b'\n') => "\\n",
                _ => "\\\"",
            })?;
            rest = special.get(1..).unwrap_or_default();
        }
        f.write_str(rest)
    }
}

/// Unix nanoseconds as seconds, exactly.
struct Seconds(i64);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:09}", self.0.div_euclid(1_000_000_000), self.0.rem_euclid(1_000_000_000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::prometheus::metrics::{Counter, Gauge, Histogram};
    use crate::export::prometheus::registry::Registry;
    use crate::export::prometheus::series::Trace;

    const ERRORS: Counter<2> = Counter::new("mcp_errors_total");
    const SPOTS: Gauge<1> = Gauge::new("mcp_observer_blind_spots");
    const SIZES: Histogram<2> = Histogram::new("mcp_tool_request_bytes");
    const RECORDS: Counter<0> = Counter::new("mcp_observer_records_total");

    fn written(dialect: Dialect) -> String {
        let registry = Registry::default();
        let trace = Some(Trace { trace_id: 0xab, span_id: 0xcd });
        registry.set_time(1_795_255_200_123_456_789);
        registry.add_traced(ERRORS, ["a\"b\\c\nd", "-1"], 2, trace);
        registry.set(SPOTS, ["go"], 1.5);
        registry.observe(SIZES, ["s", "t"], 300.0, trace);
        registry.add(RECORDS, [], 7);
        String::from_utf8(write(&registry.gather(), dialect)).unwrap()
    }

    #[test]
    fn the_text_format_is_plain() {
        let text = written(Dialect::Prometheus);
        let expected = [
            "# HELP mcp_errors_total Requests that have failed, by the client's error type, counted like mcp_requests_total.",
            "# TYPE mcp_errors_total counter",
            r#"mcp_errors_total{error_type="-1",server="a\"b\\c\nd"} 2"#,
            "# HELP mcp_observer_blind_spots Places found since the start that cannot be seen into.",
            "# TYPE mcp_observer_blind_spots gauge",
            r#"mcp_observer_blind_spots{kind="go"} 1.5"#,
            "# HELP mcp_observer_records_total Records taken from the kernel or a capture file.",
            "# TYPE mcp_observer_records_total counter",
            "mcp_observer_records_total 7",
            "# HELP mcp_tool_request_bytes Sizes of tool calls.",
            "# TYPE mcp_tool_request_bytes histogram",
            r#"mcp_tool_request_bytes_bucket{server="s",tool="t",le="256"} 0"#,
            r#"mcp_tool_request_bytes_bucket{server="s",tool="t",le="1024"} 1"#,
        ];
        assert_eq!(text.lines().take(expected.len()).collect::<Vec<_>>(), expected);
        let end = [
            r#"mcp_tool_request_bytes_bucket{server="s",tool="t",le="+Inf"} 1"#,
            r#"mcp_tool_request_bytes_sum{server="s",tool="t"} 300"#,
            r#"mcp_tool_request_bytes_count{server="s",tool="t"} 1"#,
        ];
        assert!(text.ends_with(&(end.join("\n") + "\n")), "{text}");
        assert!(!text.contains("_created") && !text.contains("trace_id"), "{text}");
    }

    #[test]
    fn openmetrics_has_units_exemplars_and_times_of_creation() {
        let text = written(Dialect::OpenMetrics);
        let exemplar = r#"# {trace_id="000000000000000000000000000000ab",span_id="00000000000000cd"}"#;
        for line in [
            "# TYPE mcp_errors counter".to_owned(),
            format!(
                r#"mcp_errors_total{{error_type="-1",server="a\"b\\c\nd"}} 2 {exemplar} 2 1795255200.123456789"#
            ),
            r#"mcp_errors_created{error_type="-1",server="a\"b\\c\nd"} 1795255200.123456789"#.to_owned(),
            "mcp_observer_records_created 1795255200.123456789".to_owned(),
            "# UNIT mcp_tool_request_bytes bytes".to_owned(),
            r#"mcp_tool_request_bytes_bucket{server="s",tool="t",le="256.0"} 0"#.to_owned(),
            format!(
                r#"mcp_tool_request_bytes_bucket{{server="s",tool="t",le="1024.0"}} 1 {exemplar} 300 1795255200.123456789"#
            ),
            r#"mcp_tool_request_bytes_created{server="s",tool="t"} 1795255200.123456789"#.to_owned(),
        ] {
            assert!(text.lines().any(|it| it == line), "{line} in {text}");
        }
        assert!(!text.contains("blind_spots_created"), "a gauge is not created: {text}");
        assert!(text.ends_with("# EOF\n") && !text.contains("\n\n"));
    }
}
