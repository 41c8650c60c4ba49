//! Flags of the export to OpenTelemetry collectors, beside the standard `OTEL_*` variables.

use clap::builder::BoolishValueParser;
use clap::{Args, ValueEnum};

use crate::error::Error;
use crate::export::otlp::{Choice, Otlp, OwnSpans, Settings, Wishes};
use crate::export::prometheus::registry::Registry;

/// What goes to collectors.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "OpenTelemetry (beside the OTEL_* variables)")]
pub struct OtlpFlags {
    /// Export to this collector: http://localhost:4318. Without it and OTEL_EXPORTER_OTLP_ENDPOINT, nothing is.
    #[arg(long, env = "MCP_OBSERVER_OTLP_ENDPOINT")]
    otlp_endpoint: Option<String>,
    /// Spans of processes that make spans of their own: auto leaves them out where the request carries trace
    /// context and its process sends spans to a collector; leave-out, wherever the request carries trace context.
    #[arg(long, env = "MCP_OBSERVER_OWN_SPANS", value_enum, default_value = "auto")]
    own_spans: OwnSpansFlag,
    /// Other hosts have an observer too: the span of a server is the child of the one that they export of its client.
    #[arg(long, env = "MCP_OBSERVER_FLEET", value_parser = BoolishValueParser::new())]
    fleet: bool,
}

/// What becomes of spans that a process makes itself.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum OwnSpansFlag {
    Auto,
    Keep,
    LeaveOut,
}

impl OtlpFlags {
    /// What they and the environment say.
    pub fn settings(&self) -> Result<Settings, Error> {
        let wishes = Wishes { endpoint: self.otlp_endpoint.clone() };
        Settings::read(&|name| std::env::var(name).ok(), &wishes)
    }

    /// Whether the flag alone asks for an export.
    pub const fn has_endpoint(&self) -> bool {
        self.otlp_endpoint.is_some()
    }

    /// The exporter, if there is somewhere to export to.
    pub fn exporter(
        &self,
        settings: Settings,
        choice: Choice,
        registry: Registry,
    ) -> Result<Option<Otlp>, Error> {
        let own_spans = match self.own_spans {
            OwnSpansFlag::Auto => OwnSpans::Auto,
            OwnSpansFlag::Keep => OwnSpans::Keep,
            OwnSpansFlag::LeaveOut => OwnSpans::LeaveOut,
        };
        if !settings.is_on() {
            return Ok(None);
        }
        Otlp::start(settings, Choice { own_spans, fleet: self.fleet, ..choice }, registry).map(Some)
    }
}
