//! From calls to log records: one each.

use opentelemetry_proto::tonic::common::v1::AnyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, SeverityNumber};

use super::item::{Item, Side, seen};
use super::settings::AttributeLimits;
use super::span::{self, View};
use crate::export::semconv;

/// What the records are called.
const EVENT_NAME: &str = "mcp_observer.call";

/// The side that tells of a call: the asked one, where it was seen.
pub fn side(item: &Item) -> Side<'_> {
    if seen(&item.call)[1] { item.asked() } else { item.asker() }
}

impl View {
    /// The record of a call.
    pub fn record(&self, item: &Item, side: &Side<'_>, limits: AttributeLimits) -> LogRecord {
        let mut list = self.attributes(item, side, limits);
        let durations = [
            ("mcp_observer.client.duration", item.call.client_duration),
            ("mcp_observer.server.duration", item.call.server_duration),
        ];
        for (key, duration) in durations {
            if let Some(duration) = duration {
                list.put(key, Value::DoubleValue(duration.as_secs_f64()));
            }
        }
        let (attributes, dropped_attributes_count) = list.finish();
        let failed = semconv::error_type(&item.call, side.vantage).is_some();
        let (severity, text) =
            if failed { (SeverityNumber::Error, "ERROR") } else { (SeverityNumber::Info, "INFO") };
        let body = format!("{}: {}", span::name(item), item.call.outcome.name());
        LogRecord {
            time_unix_nano: side.end_ns,
            observed_time_unix_nano: side.end_ns,
            severity_number: severity.into(),
            severity_text: text.to_owned(),
            body: Some(AnyValue { value: Some(Value::StringValue(body)) }),
            attributes,
            dropped_attributes_count,
            flags: u32::from(item.spans.is_sampled),
            trace_id: item.spans.trace_id.to_be_bytes().to_vec(),
            span_id: side.span_id.to_be_bytes().to_vec(),
            event_name: EVENT_NAME.to_owned(),
        }
    }
}
