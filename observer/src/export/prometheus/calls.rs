//! Calls, notifications and sessions as metrics.

use std::borrow::Cow;

use super::Prometheus;
use super::metrics::{Counter, Histogram};
use super::series::Trace;
use crate::export::labels::{Family, Labels};
use crate::export::semconv::{self, Bound, Vantage};
use crate::pipeline::observation::{AttributeValue, Call, Notification, Session, Subject, TaskEnded};
use crate::pipeline::time::WallClock;

const REQUESTS: Counter<3> = Counter::new("mcp_requests_total");
const TOOL_CALLS: Counter<4> = Counter::new("mcp_tool_calls_total");
const ATTRIBUTE_REQUESTS: Counter<4> = Counter::new("mcp_attribute_requests_total");
const TASK: Histogram<3> = Histogram::new("mcp_task_duration_seconds");
const ERRORS: Counter<2> = Counter::new("mcp_errors_total");
const TOOL_REQUEST_BYTES: Histogram<2> = Histogram::new("mcp_tool_request_bytes");
const TOOL_RESPONSE_BYTES: Histogram<2> = Histogram::new("mcp_tool_response_bytes");
const NOTIFICATIONS: Counter<3> = Counter::new("mcp_notifications_total");
const CLIENT_OPERATION: Histogram<12> = Histogram::new("mcp_client_operation_duration_seconds");
const SERVER_OPERATION: Histogram<10> = Histogram::new("mcp_server_operation_duration_seconds");
const CLIENT_SESSION: Histogram<6> = Histogram::new("mcp_client_session_duration_seconds");
const SERVER_SESSION: Histogram<4> = Histogram::new("mcp_server_session_duration_seconds");

impl Prometheus {
    pub(super) fn call(&mut self, call: &Call, clock: WallClock) {
        let answered = semconv::is_answered(call);
        let server = self.labels.server(&call.server, answered);
        let outcome = call.outcome.name();
        let traces = self.traces(call, clock);
        if call.is_counted() {
            self.registry.add(REQUESTS, [server, semconv::method_name(&call.method), outcome], 1);
            if let Some(error) = semconv::error_type(call, Vantage::Client) {
                self.registry.add_traced(ERRORS, [server, &error], 1, traces.client);
            }
            for it in &call.attributes {
                let value = match &it.value {
                    AttributeValue::Text(text) => self.labels.attribute(&it.name, text),
                    AttributeValue::Bool(true) => "true",
                    AttributeValue::Bool(false) => "false",
                    AttributeValue::Int(_) | AttributeValue::Double(_) => continue, // measured, not counted
                };
                self.registry.add(ATTRIBUTE_REQUESTS, [server, &it.name, value, outcome], 1);
            }
        }
        if let Some(tool) = semconv::tool(call).filter(|_| call.is_logical_end()) {
            let client = self.labels.client(&call.client, answered);
            let tool = self.labels.tool(server, tool, answered);
            self.registry.add_traced(TOOL_CALLS, [server, client, tool, outcome], 1, traces.client);
            self.registry.observe(
                TOOL_REQUEST_BYTES,
                [server, tool],
                call.request_bytes as f64,
                traces.client,
            );
            if answered {
                let bytes = call.response_bytes as f64;
                self.registry.observe(TOOL_RESPONSE_BYTES, [server, tool], bytes, traces.client);
            }
        }
        if semconv::has_latency(call) {
            self.operation(call, server, answered, &traces);
        }
    }

    fn operation(&mut self, call: &Call, server: &str, answered: bool, traces: &Traces) {
        let labels = &mut self.labels;
        if let Some(duration) = call.client_duration {
            let values: [_; 12] = attributes(labels, call, Vantage::Client, server);
            let mut values = values.each_ref().map(|value| &**value);
            let [.., address, port] = &mut values;
            [*address, *port] = labels.address(semconv::asked_address(call), answered);
            self.registry.observe(CLIENT_OPERATION, values, duration.as_secs_f64(), traces.client);
        }
        if let Some(duration) = call.server_duration {
            let values: [_; 10] = attributes(labels, call, Vantage::Server, server);
            let values = values.each_ref().map(|value| &**value);
            self.registry.observe(SERVER_OPERATION, values, duration.as_secs_f64(), traces.server);
        }
    }

    pub(super) fn task(&mut self, it: &TaskEnded) {
        let server = self.labels.server(&it.server, true);
        let tool = it.subject.as_ref().and_then(Subject::tool);
        let tool = tool.map_or("", |tool| self.labels.tool(server, tool, true));
        self.registry.observe(TASK, [server, tool, it.outcome.name()], it.duration.as_secs_f64(), None);
    }

    pub(super) fn notification(&mut self, it: &Notification) {
        let server = self.labels.server(&it.server, false);
        let values = [server, semconv::method_name(&it.method), it.direction.name()];
        self.registry.add(NOTIFICATIONS, values, 1);
    }

    /// A session that has ended: of each side that is here.
    pub(super) fn session(&mut self, it: &Session) {
        let Some(seconds) = it.duration.map(|duration| duration.as_secs_f64()) else { return };
        let labels = &mut self.labels;
        // There was a session because the server had answered.
        let server = labels.server(&it.server, true);
        let revision = labels.name(Family::Revision, it.revision.as_deref().unwrap_or_default(), true);
        let transport = semconv::network_transport(it.transport);
        let protocol = semconv::network_protocol_name(it.transport);
        if it.server.process.is_some() {
            self.registry.observe(SERVER_SESSION, [server, revision, transport, protocol], seconds, None);
        }
        if it.client.process.is_some() {
            let [address, port] = labels.address(it.server.address, true);
            let values = [server, revision, transport, protocol, address, port];
            self.registry.observe(CLIENT_SESSION, values, seconds, None);
        }
    }

    /// The traces that exemplars name. Where nothing exports spans, nothing is worked out for most calls.
    fn traces(&mut self, call: &Call, clock: WallClock) -> Traces {
        if !self.exports_spans && call.trace.is_none() {
            return Traces::default();
        }
        let spans = self.tracer.spans(call, clock);
        let trace = |vantage| spans.exemplar(vantage).map(|(trace_id, span_id)| Trace { trace_id, span_id });
        Traces { client: trace(Vantage::Client), server: trace(Vantage::Server) }
    }
}

/// What shows a call from its two sides.
#[derive(Default)]
struct Traces {
    client: Option<Trace>,
    server: Option<Trace>,
}

/// The server and the first attributes of a call as label values; of its address nothing, which is the caller's to add.
fn attributes<'c, const N: usize>(
    labels: &mut Labels,
    call: &'c Call,
    vantage: Vantage,
    server: &'c str,
) -> [Cow<'c, str>; N] {
    let answered = semconv::is_answered(call);
    std::array::from_fn(|at| match at.checked_sub(1).and_then(|at| semconv::OPERATION.get(at)) {
        None => server.into(),
        Some(attribute) => match attribute.bound {
            Bound::Closed => (attribute.value)(call, vantage).unwrap_or_default(),
            Bound::Tool => semconv::tool(call).map_or("", |tool| labels.tool(server, tool, answered)).into(),
            Bound::Prompt => {
                let prompt = semconv::prompt(call).unwrap_or_default();
                labels.name(Family::Prompt, prompt, answered).into()
            }
            Bound::Revision => {
                let revision = call.revision.as_deref().unwrap_or_default();
                labels.name(Family::Revision, revision, answered).into()
            }
            Bound::Address | Bound::Port => Cow::default(),
        },
    })
}
