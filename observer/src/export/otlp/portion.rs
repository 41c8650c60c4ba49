//! Portions of what is sent: many calls in one request, grouped by the service that they are of.

use std::sync::Arc;

use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::logs::v1::{ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans};

use super::attributes::{SCHEMA_URL, scope};
use super::item::{Item, Side};
use super::record;
use super::resource::{Key, Resources, Service};
use super::settings::AttributeLimits;
use super::span::View;
use crate::pipeline::observation::Transport;

/// A request to a collector.
pub trait Request: prost::Message + Clone + Default + 'static {
    /// Its answer.
    type Response: prost::Message + Default + 'static;
    /// The method of the gRPC service.
    const METHOD: &'static str;

    /// How many things of the request the answer turns down, and why.
    fn rejected(response: &Self::Response) -> Option<(i64, &str)>;
}

macro_rules! request {
    ($request:ident, $response:ident, $rejected:ident, $method:literal) => {
        impl Request for $request {
            type Response = $response;
            const METHOD: &'static str = concat!("/opentelemetry.proto.collector.", $method, "/Export");

            fn rejected(response: &Self::Response) -> Option<(i64, &str)> {
                response.partial_success.as_ref().map(|it| (it.$rejected, it.error_message.as_str()))
            }
        }
    };
}

request!(ExportTraceServiceRequest, ExportTraceServiceResponse, rejected_spans, "trace.v1.TraceService");
request!(
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
    rejected_data_points,
    "metrics.v1.MetricsService"
);
request!(ExportLogsServiceRequest, ExportLogsServiceResponse, rejected_log_records, "logs.v1.LogsService");

/// Makes requests of calls.
#[derive(Clone, Debug)]
pub struct Maker {
    /// How calls are shown.
    pub view: View,
    /// How much a log record may hold.
    pub record_limits: AttributeLimits,
    /// Whose they are.
    pub resources: Resources,
}

impl Maker {
    /// The spans of these calls.
    pub fn spans(&self, items: &[Arc<Item>]) -> ExportTraceServiceRequest {
        let sides = items.iter().flat_map(|item| item.sides().map(move |side| (&**item, side)));
        let groups = group(sides, |item, side| self.view.span(item, side));
        let resource_spans = groups.into_iter().map(|Group { item, service, members: spans, .. }| {
            let scope = ScopeSpans { scope: Some(scope()), spans, schema_url: SCHEMA_URL.to_owned() };
            let resource = Some(self.resources.observed(&service, item.clock));
            ResourceSpans { resource, scope_spans: vec![scope], schema_url: SCHEMA_URL.to_owned() }
        });
        ExportTraceServiceRequest { resource_spans: resource_spans.collect() }
    }

    /// The log records of these calls.
    pub fn records(&self, items: &[Arc<Item>]) -> ExportLogsServiceRequest {
        let sides = items.iter().map(|item| (&**item, record::side(item)));
        let groups = group(sides, |item, side| self.view.record(item, side, self.record_limits));
        let resource_logs =
            groups.into_iter().map(|Group { item, service, members: log_records, .. }| {
                let scope =
                    ScopeLogs { scope: Some(scope()), log_records, schema_url: SCHEMA_URL.to_owned() };
                let resource = Some(self.resources.observed(&service, item.clock));
                ResourceLogs { resource, scope_logs: vec![scope], schema_url: SCHEMA_URL.to_owned() }
            });
        ExportLogsServiceRequest { resource_logs: resource_logs.collect() }
    }
}

/// What is of one service.
struct Group<'a, T> {
    key: Key<'a>,
    service: Service<'a>,
    item: &'a Item,
    members: Vec<T>,
}

/// By service, in the order of their first members. There are few services in a portion.
fn group<'a, T>(
    sides: impl Iterator<Item = (&'a Item, Side<'a>)>,
    make: impl Fn(&Item, &Side<'a>) -> T,
) -> Vec<Group<'a, T>> {
    let mut groups: Vec<Group<'a, T>> = Vec::new();
    for (item, side) in sides {
        let is_child = item.call.transport == Transport::Stdio && std::ptr::eq(side.own, &item.call.server);
        let service = Service { peer: side.own, is_child };
        let key = Resources::key(&service);
        let member = make(item, &side);
        match groups.iter_mut().find(|group| group.key == key) {
            Some(group) => group.members.push(member),
            None => groups.push(Group { key, service, item, members: vec![member] }),
        }
    }
    groups
}
