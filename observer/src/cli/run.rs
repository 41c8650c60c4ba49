//! `mcp-observer run`: the agent, with its metrics at an address.

use std::io;
use std::net::SocketAddr;

use clap::Args;

use super::flags::{CaptureFlags, ExpressionFlags, FilterFlags};
use super::{live, tell};
use crate::agent::Agent;
use crate::error::Error;
use crate::export::http;
use crate::export::prometheus::Prometheus;
use crate::export::warnings::Warnings;
use crate::expressions;

/// Run as an agent: serve metrics to Prometheus and stay up.
#[derive(Args, Clone, Debug)]
pub struct Run {
    /// Where /metrics, /healthz and /readyz are served.
    #[arg(long, env = "MCP_OBSERVER_LISTEN", default_value = "127.0.0.1:9464")]
    listen: SocketAddr,
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
        let filter = self.filter.filter()?;
        let expressions = self.expressions.expressions(false)?;
        let prometheus = Prometheus::default();
        let listener = http::listen(self.listen)?;
        let address = listener.local_addr().unwrap_or(self.listen);
        let readiness = http::serve(listener, prometheus.registry())?;
        tell(format_args!("mcp-observer {}: http://{address}/metrics", env!("CARGO_PKG_VERSION")));
        live::observe(&self.capture, |source| {
            let prometheus = prometheus.begun(source.now(), source.wall_clock());
            live::tell_attached(source.facts());
            let warnings = Warnings::new(io::stderr());
            // Readiness comes last: who sees it finds all metrics there.
            let agent = Agent::new(
                expressions::settings(expressions.as_ref(), false),
                source.wall_clock(),
                vec![Box::new(prometheus), Box::new(warnings), Box::new(readiness)],
            );
            Ok(agent.with_filter(filter).with_expressions(expressions))
        })?;
        tell(format_args!("ended"));
        Ok(())
    }
}
