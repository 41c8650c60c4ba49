//! What only spans tell of a call, beside its figures: what else was sent for it, and whose trace it belongs to.

use crate::pipeline::jsonrpc::{Member, Message};
use crate::pipeline::private::Private;
use crate::pipeline::time::Timestamp;
use crate::pipeline::transport::{Field, RequestHead};

use super::meta::{TraceContext, parse_traceparent};
use super::method::CallDirection;

/// See the file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SpanFacts {
    /// When it was over; the only end that a call without an answer has.
    pub ended_at: Timestamp,
    /// When the asked process had received the last byte of the request.
    pub received_at: Option<Timestamp>,
    /// `params._meta.tracestate`.
    pub trace_state: Option<Box<str>>,
    /// The context of the HTTP request that carried the call.
    pub http_context: Option<TraceContext>,
    /// The host that the HTTP request names.
    pub http_host: Option<Box<str>>,
    /// Version of HTTP: `1.1`, `2`.
    pub http_version: Option<&'static str>,
    /// What the error says, if payloads are kept.
    pub error_message: Option<Private<Box<str>>>,
    /// What was told of the call while it was open, oldest first, at most [`MOST_EVENTS`].
    pub events: Vec<CallEvent>,
    /// What was told besides.
    pub dropped_events: u32,
    /// Whether the client's and the server's process send spans of their own to a collector.
    pub sends_spans: [bool; 2],
}

/// A notification about an open call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallEvent {
    /// When it was sent, or first seen.
    pub at: Timestamp,
    /// Its method; `_other` for one that is not of the specification.
    pub method: &'static str,
    /// Who told whom.
    pub direction: CallDirection,
}

/// More than a person reads of one call; a job that tells its progress for hours must not fill the memory.
pub const MOST_EVENTS: usize = 32;

impl SpanFacts {
    /// What a request says of itself.
    pub fn of_request(message: &Message) -> Self {
        let state = message.string(Member::TraceState).filter(|state| is_trace_state(state));
        Self { trace_state: state.map(Into::into), ..Self::default() }
    }

    /// What the head of its HTTP request says; `multiplexed`: HTTP/2.
    pub fn hear_http(&mut self, request: Option<&RequestHead>, multiplexed: bool) {
        self.http_version = Some(if multiplexed { "2" } else { "1.1" });
        let field = |field| request.and_then(|request| request.fields.value(field));
        self.http_context = field(Field::TraceParent).and_then(parse_traceparent);
        self.http_host = field(Field::Host).map(Into::into);
    }

    /// Puts together what was known at two ends.
    pub fn merge(self, other: Self) -> Self {
        let with_events = if self.events.len() >= other.events.len() { &self } else { &other };
        Self {
            ended_at: self.ended_at.max(other.ended_at),
            received_at: self.received_at.or(other.received_at),
            events: with_events.events.clone(),
            dropped_events: with_events.dropped_events,
            trace_state: self.trace_state.or(other.trace_state),
            http_context: self.http_context.or(other.http_context),
            http_host: self.http_host.or(other.http_host),
            http_version: self.http_version.or(other.http_version),
            error_message: self.error_message.or(other.error_message),
            sends_spans: [0, 1].map(|side| {
                [&self.sends_spans, &other.sends_spans].iter().any(|known| known.get(side) == Some(&true))
            }),
        }
    }

    /// Keeps an event, or counts it where there are too many.
    pub fn add(&mut self, event: CallEvent) {
        if self.events.len() < MOST_EVENTS {
            self.events.push(event);
        } else {
            self.dropped_events = self.dropped_events.saturating_add(1);
        }
    }
}

/// The paths at which OTLP receivers take spans: over HTTP, and the method of the gRPC service.
pub fn is_span_export(head: &RequestHead) -> bool {
    let path = head.target.split('?').next().unwrap_or_default();
    &*head.method == "POST"
        && (path.ends_with("/v1/traces")
            || path == "/opentelemetry.proto.collector.trace.v1.TraceService/Export")
}

/// W3C Trace Context, §3.3: at most 512 printable characters. What is longer must not be passed on cut.
fn is_trace_state(text: &str) -> bool {
    !text.is_empty() && text.len() <= 512 && text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}
