//! From calls to spans, as OpenTelemetry's conventions for MCP have them.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link, SpanKind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span, Status};

use super::attributes::Attributes;
use super::item::{Item, Side};
use super::settings::{AttributeLimits, SpanLimits, StatusCodeName};
use crate::export::semconv::{self, Vantage};
use crate::pipeline::jsonrpc::Id;
use crate::pipeline::observation::{AttributeValue, CallDirection, Outcome, Subject, Transport};
use crate::pipeline::private::Private;

/// How spans are made.
#[derive(Clone, Copy, Debug)]
pub struct View {
    /// Whether arguments, results and addresses of resources are shown.
    pub payloads: bool,
    /// How much a span may hold.
    pub limits: SpanLimits,
    /// How the attribute with the error code is called.
    pub status_code: StatusCodeName,
}

/// W3C: the trace is sampled.
const SAMPLED: u32 = 1;
/// OTLP: it is known whether the parent is of another process.
const HAS_IS_REMOTE: u32 = 0x100;
/// OTLP: it is.
const IS_REMOTE: u32 = 0x200;

impl View {
    /// The span of one side.
    pub fn span(&self, item: &Item, side: &Side<'_>) -> Span {
        let kind = match side.vantage {
            Vantage::Client => SpanKind::Client,
            Vantage::Server => SpanKind::Server,
        };
        let (attributes, dropped_attributes_count) =
            self.attributes(item, side, self.limits.attributes).finish();
        let (events, dropped_events_count) = self.events(item);
        let (links, dropped_links_count) = self.links(item, side);
        // The parent is always another process's: the client's agent, or the client.
        let remote = if side.parent.is_some() { HAS_IS_REMOTE | IS_REMOTE } else { HAS_IS_REMOTE };
        Span {
            trace_id: item.spans.trace_id.to_be_bytes().to_vec(),
            span_id: side.span_id.to_be_bytes().to_vec(),
            trace_state: item.call.span.trace_state.as_deref().unwrap_or_default().to_owned(),
            parent_span_id: side.parent.map(|id| id.to_be_bytes().to_vec()).unwrap_or_default(),
            flags: SAMPLED | remote,
            name: name(item),
            kind: kind.into(),
            start_time_unix_nano: side.start_ns,
            end_time_unix_nano: side.end_ns,
            attributes,
            dropped_attributes_count,
            events,
            dropped_events_count,
            links,
            dropped_links_count,
            status: self.status(item, side),
        }
    }

    /// An error, or nothing: that all went well is for the application to say.
    fn status(&self, item: &Item, side: &Side<'_>) -> Option<Status> {
        semconv::error_type(&item.call, side.vantage)?;
        let message = item.call.span.error_message.as_ref().filter(|_| self.payloads);
        let message = message.map(|message| message.reveal().to_string()).unwrap_or_default();
        Some(Status { message, code: StatusCode::Error.into() })
    }

    /// What is told of the call on one side; log records have the same.
    pub fn attributes(&self, item: &Item, side: &Side<'_>, limits: AttributeLimits) -> Attributes {
        let call = &item.call;
        let mut list = Attributes::new(limits);
        list.text("mcp.method.name", &call.method);
        list.known("error.type", semconv::error_type(call, side.vantage).as_deref());
        list.known("gen_ai.tool.name", semconv::tool(call));
        list.known("gen_ai.prompt.name", semconv::prompt(call));
        list.text("jsonrpc.request.id", id(&call.id));
        if let (Some(Subject::Resource(uri)), true) = (&call.subject, self.payloads) {
            list.text("mcp.resource.uri", uri.reveal());
        }
        self.error_code(&mut list, item);
        list.text("gen_ai.operation.name", semconv::operation_name(call));
        list.known("mcp.protocol.version", call.revision.as_deref());
        if let Some(session) = call.session {
            // The id itself lets whoever reads it take the session over; the hash tells sessions apart as well.
            list.text("mcp.session.id", &format!("{session:016x}"));
        }
        network(&mut list, item, side);
        self.payloads(&mut list, item);
        ours(&mut list, item);
        for attribute in &call.attributes {
            if !list.has(&attribute.name) {
                list.put(&attribute.name, chosen(&attribute.value));
            }
        }
        list
    }

    fn error_code(&self, list: &mut Attributes, item: &Item) {
        let code = item.call.error_code.filter(|_| item.call.outcome == Outcome::RpcError);
        let Some(code) = code.map(|code| code.to_string()) else { return };
        if self.status_code != StatusCodeName::New {
            list.text("rpc.response.status_code", &code);
        }
        if self.status_code != StatusCodeName::Old {
            list.text("rpc.status_code", &code);
        }
    }

    fn payloads(&self, list: &mut Attributes, item: &Item) {
        let is_tool = semconv::tool(&item.call).is_some();
        let mut add = |key, payload: &Option<Private<Box<[u8]>>>| {
            if let Some(payload) = payload.as_ref().filter(|_| self.payloads && is_tool) {
                list.put(key, Value::StringValue(String::from_utf8_lossy(payload.reveal()).into_owned()));
            }
        };
        add("gen_ai.tool.call.arguments", &item.call.arguments);
        if item.call.outcome == Outcome::Ok {
            add("gen_ai.tool.call.result", &item.call.result);
        }
    }

    fn events(&self, item: &Item) -> (Vec<Event>, u32) {
        let known = &item.call.span.events;
        let kept = known.len().min(self.limits.events);
        let events = known.iter().take(kept).map(|event| {
            let limits = AttributeLimits { count: self.limits.event_attributes, ..self.limits.attributes };
            let mut list = Attributes::new(limits);
            list.text("mcp.method.name", event.method);
            list.text("mcp_observer.direction", event.direction.name());
            let (attributes, dropped_attributes_count) = list.finish();
            let name = event.method.to_owned();
            Event { time_unix_nano: item.unix_ns(event.at), name, attributes, dropped_attributes_count }
        });
        let dropped = u32::try_from(known.len() - kept).unwrap_or(u32::MAX);
        (events.collect(), dropped.saturating_add(item.call.span.dropped_events))
    }

    /// The HTTP request may be of a trace of its own: that of the hop, not of the call.
    fn links(&self, item: &Item, side: &Side<'_>) -> (Vec<Link>, u32) {
        let context = item.call.span.http_context.filter(|_| side.vantage == Vantage::Server);
        let own = item.call.trace.map(|own| (own.trace_id, own.parent_span_id));
        let Some(context) = context.filter(|it| Some((it.trace_id, it.parent_span_id)) != own) else {
            return (Vec::new(), 0);
        };
        if self.limits.links == 0 {
            return (Vec::new(), 1);
        }
        let link = Link {
            trace_id: context.trace_id.to_be_bytes().to_vec(),
            span_id: context.parent_span_id.to_be_bytes().to_vec(),
            flags: u32::from(context.sampled) | HAS_IS_REMOTE | IS_REMOTE,
            ..Link::default()
        };
        (vec![link], 0)
    }
}

/// `tools/call echo`. An address of a resource is never part of it.
pub fn name(item: &Item) -> String {
    match semconv::tool(&item.call).or_else(|| semconv::prompt(&item.call)) {
        Some(target) => format!("{} {target}", item.call.method),
        None => item.call.method.to_string(),
    }
}

fn id(id: &Id) -> &str {
    match id {
        Id::Number(text) | Id::String(text) => text,
    }
}

fn network(list: &mut Attributes, item: &Item, side: &Side<'_>) {
    let call = &item.call;
    list.text("network.transport", semconv::network_transport(call.transport));
    list.text("network.protocol.name", semconv::network_protocol_name(call.transport));
    if matches!(call.transport, Transport::StreamableHttp | Transport::HttpSse) {
        list.known("network.protocol.version", call.span.http_version);
    }
    match side.vantage {
        Vantage::Client if call.direction == CallDirection::ClientToServer => {
            let (host, port) = split_host(call.span.http_host.as_deref().unwrap_or_default());
            let peer = side.other.address;
            let address = peer.map(|address| address.ip().to_canonical().to_string());
            list.text(
                "server.address",
                if host.is_empty() { address.as_deref().unwrap_or_default() } else { host },
            );
            if let Some(port) = port.or(peer.map(|address| address.port())) {
                list.number("server.port", port);
            }
        }
        // The asked one does not listen: it has no address of a server.
        Vantage::Client => {}
        Vantage::Server => {
            if let Some(address) = side.other.address {
                list.text("client.address", &address.ip().to_canonical().to_string());
                list.number("client.port", address.port());
            }
        }
    }
}

/// The host of a `Host` header and its port.
fn split_host(text: &str) -> (&str, Option<u16>) {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port.parse().ok()),
        _ => (text, None),
    };
    (host.trim_start_matches('[').trim_end_matches(']'), port)
}

/// The value of an attribute that the user has chosen.
fn chosen(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::Text(text) => Value::StringValue(text.to_string()),
        AttributeValue::Int(number) => Value::IntValue(*number),
        AttributeValue::Double(number) => Value::DoubleValue(*number),
        AttributeValue::Bool(is_so) => Value::BoolValue(*is_so),
    }
}

/// What the conventions have no name for.
fn ours(list: &mut Attributes, item: &Item) {
    let call = &item.call;
    list.text("mcp_observer.transport", call.transport.name());
    list.known("mcp_observer.tls", call.tls.map(|library| library.name()));
    list.text("mcp_observer.direction", call.direction.name());
    list.text("mcp_observer.outcome", call.outcome.name());
    list.text("mcp_observer.certainty", call.certainty.name());
    list.number("mcp_observer.request.size", call.request_bytes);
    list.number("mcp_observer.response.size", call.response_bytes);
    if call.progress > 0 {
        list.number("mcp_observer.progress", call.progress);
    }
    if call.links.relay.is_some() {
        // A hop is counted with the call that it passes on.
        list.put("mcp_observer.relay", Value::BoolValue(true));
    }
    for (role, peer) in [("client", &call.client), ("server", &call.server)] {
        list.known(&format!("mcp_observer.{role}.name"), peer.name.as_deref());
        list.known(&format!("mcp_observer.{role}.version"), peer.version.as_deref());
    }
}
