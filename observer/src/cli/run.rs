//! `mcp-observer run`: the agent, with its metrics at an address.

use std::io;
use std::net::SocketAddr;

use clap::Args;

use super::flags::{CaptureFlags, ExpressionFlags, FilterFlags, PayloadFlags};
use super::{live, tell};
use crate::agent::Agent;
use crate::error::Error;
use crate::export::Exporter;
use crate::export::http;
#[cfg(feature = "otlp")]
use crate::export::otlp;
use crate::export::prometheus::Prometheus;
use crate::export::warnings::Warnings;
use crate::expressions;

/// Run as an agent: serve metrics to Prometheus, export to a collector and stay up.
#[derive(Args, Clone, Debug)]
pub struct Run {
    /// Where /metrics, /healthz and /readyz are served.
    #[arg(long, env = "MCP_OBSERVER_LISTEN", default_value = "127.0.0.1:9464")]
    listen: SocketAddr,
    #[cfg(feature = "otlp")]
    #[command(flatten)]
    otlp: super::otlp::OtlpFlags,
    #[command(flatten)]
    payloads: PayloadFlags,
    #[command(flatten)]
    filter: FilterFlags,
    #[command(flatten)]
    expressions: ExpressionFlags,
    #[command(flatten)]
    capture: CaptureFlags,
}

impl Run {
    /// Does it. The server is up before the probes are, so that `/readyz` can say that they are not.
    pub fn run(self) -> Result<(), Error> {
        let payloads = self.payloads.payloads;
        let expressions = self.expressions.expressions(payloads)?;
        #[cfg(feature = "otlp")]
        let otlp = self.otlp.settings()?;
        #[cfg(feature = "otlp")]
        let prometheus = Prometheus::new(otlp.sampler);
        #[cfg(not(feature = "otlp"))]
        let prometheus = Prometheus::default();
        #[cfg(feature = "otlp")]
        let otlp = self.otlp(otlp, &prometheus)?;
        let filter = self.filter.filter()?;
        let listener = http::listen(self.listen)?;
        let address = listener.local_addr().unwrap_or(self.listen);
        let readiness = http::serve(listener, prometheus.registry())?;
        #[cfg(feature = "otlp")]
        otlp.iter().for_each(|otlp| readiness.watch(otlp.is_down()));
        tell(format_args!("mcp-observer {}: http://{address}/metrics", env!("CARGO_PKG_VERSION")));
        live::observe(&self.capture, |source| {
            let prometheus = prometheus.begun(source.now(), source.wall_clock());
            live::tell_attached(source.facts());
            let warnings = Warnings::new(io::stderr());
            let mut exporters: Vec<Box<dyn Exporter>> = vec![Box::new(prometheus), Box::new(warnings)];
            #[cfg(feature = "otlp")]
            exporters.extend(otlp.map(|otlp| Box::new(otlp) as Box<dyn Exporter>));
            // Readiness comes last: who sees it finds all metrics there.
            exporters.push(Box::new(readiness));
            let settings = expressions::settings(expressions.as_ref(), payloads);
            let agent = Agent::new(settings, source.wall_clock(), exporters);
            Ok(agent.with_filter(filter).with_expressions(expressions))
        })?;
        tell(format_args!("ended"));
        Ok(())
    }

    /// The exporter to a collector, if one is named. What is wrong with its settings is told before anything starts.
    #[cfg(feature = "otlp")]
    fn otlp(&self, settings: otlp::Settings, prometheus: &Prometheus) -> Result<Option<otlp::Otlp>, Error> {
        let (payloads, host) = (self.payloads.payloads, Some(otlp::Host::here(&self.capture.host())));
        let choice = otlp::Choice { payloads, host, ..otlp::Choice::default() };
        self.otlp.exporter(settings, choice, prometheus.registry())
    }
}
