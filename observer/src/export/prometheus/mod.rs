//! Observations as metrics.
//!
//! In: observations. Out: a registry that `export::http` renders. A call costs a few look-ups under a lock that
//! only a scrape shares, as another reader; a new series waits for a scrape to have copied the family at most.

pub mod metrics;

use std::io;

use observer_common::loss::LossCause;
use prometheus::Registry;

use self::metrics::Metrics;
use super::labels::{Family, Labels, OTHER};
use super::semconv::{self, Vantage};
use super::{Exporter, Vitals};
use crate::capture::kernel::{KernelState, StartFacts};
use crate::error::Error;
use crate::pipeline::mcp::method;
use crate::pipeline::observation::{Call, CallDirection, Loss, Notification, Observation, Peer};
use crate::pipeline::time::WallClock;

/// The exporter.
#[derive(Debug)]
pub struct Prometheus {
    registry: Registry,
    metrics: Metrics,
    labels: Labels,
}

impl Prometheus {
    /// An exporter with all counters of known label sets at 0.
    ///
    /// # Errors
    /// Two lines of the table of metrics contradict each other.
    pub fn new() -> Result<Self, Error> {
        let registry = Registry::new();
        let metrics = Metrics::register(&registry).map_err(|error| Error::Io {
            act: "register the metrics".into(),
            source: io::Error::other(error),
        })?;
        metrics.build_info.with([env!("CARGO_PKG_VERSION")]).set(1);
        metrics.records.with([]);
        for cause in LossCause::ALL {
            metrics.lost_records.with([cause.name()]);
            metrics.lost_bytes.with([cause.name()]);
        }
        Ok(Self { registry, metrics, labels: Labels::default() })
    }

    /// What a scrape reads.
    pub fn registry(&self) -> Registry {
        self.registry.clone()
    }

    fn call(&mut self, call: &Call) {
        let answered = semconv::is_answered(call);
        let server = peer(&mut self.labels, Family::Server, &call.server, answered);
        let outcome = call.outcome.name();
        self.metrics.requests.with([server, method_label(&call.method), outcome]).inc();
        if let Some(tool) = semconv::tool(call) {
            let client = peer(&mut self.labels, Family::Client, &call.client, answered);
            let tool = self.labels.tool(server, tool, answered);
            self.metrics.tool_calls.with([server, client, tool, outcome]).inc();
        }
        if let Some(error) = semconv::error_type(call, Vantage::Client) {
            self.metrics.errors.with([server, &error]).inc();
        }
        if semconv::has_latency(call) {
            self.operation(call, server, answered);
        }
    }

    fn operation(&mut self, call: &Call, server: &str, answered: bool) {
        let labels = &mut self.labels;
        let tool = semconv::tool(call).map_or("", |tool| labels.tool(server, tool, answered));
        let prompt = semconv::prompt(call).map_or("", |name| labels.name(Family::Prompt, name, answered));
        let revision = call.revision.as_deref().unwrap_or_default();
        let revision = labels.name(Family::Revision, revision, answered);
        let code = semconv::rpc_status_code(call).unwrap_or_default();
        let operation = semconv::operation_name(call);
        let transport = semconv::network_transport(call.transport);
        let protocol = semconv::network_protocol_name(call.transport);
        let method = method_label(&call.method);
        if let Some(duration) = call.client_duration {
            let error = semconv::error_type(call, Vantage::Client).unwrap_or_default();
            let (address, port) = asked_address(call);
            let address = labels.name(Family::Address, &address, answered);
            // A capped address goes without its port, which would tell the capped ones apart again.
            let port = if address == OTHER { "" } else { &*port };
            let values = [
                server, method, &error, tool, prompt, operation, &code, revision, transport, protocol,
                address, port,
            ];
            self.metrics.client_operation.with(values).observe(duration.as_secs_f64());
        }
        if let Some(duration) = call.server_duration {
            let error = semconv::error_type(call, Vantage::Server).unwrap_or_default();
            let values =
                [server, method, &error, tool, prompt, operation, &code, revision, transport, protocol];
            self.metrics.server_operation.with(values).observe(duration.as_secs_f64());
        }
    }

    fn notification(&mut self, it: &Notification) {
        let server = peer(&mut self.labels, Family::Server, &it.server, false);
        self.metrics.notifications.with([server, method_label(&it.method), it.direction.name()]).inc();
    }

    fn kernel(&self, kernel: &KernelState) {
        let metrics = &self.metrics;
        metrics.attached_probes.with([]).set(gauge(kernel.attached_probes));
        metrics.ring_used_bytes.with([]).set(gauge(kernel.ring_used_bytes));
        metrics.degraded.with([]).set(i64::from(kernel.degraded));
        for it in &kernel.programs {
            metrics.probe_skipped.follow([&it.program], it.skipped);
            // Without the kernel's statistics there is nothing to tell, and no series that says zero.
            if it.runs > 0 {
                metrics.probe_runs.follow([&it.program], it.runs);
                metrics.probe_seconds.follow([&it.program], it.nanoseconds);
            }
        }
    }

    /// A hole in one stream is in the kernel's counts too, and has a metric of its own.
    fn loss(&mut self, loss: &Loss) {
        if let Some(hole) = &loss.stream {
            let server = peer(&mut self.labels, Family::Server, &hole.server, false);
            self.metrics.missing_bytes.with([server]).inc_by(loss.bytes);
        } else {
            self.metrics.lost_records.with([loss.cause]).inc_by(loss.records);
            self.metrics.lost_bytes.with([loss.cause]).inc_by(loss.bytes);
        }
    }
}

impl Exporter for Prometheus {
    fn ready(&mut self, facts: &StartFacts) -> io::Result<()> {
        self.metrics.ring_bytes.with([]).set(i64::from(facts.ring_bytes));
        Ok(())
    }

    fn export(&mut self, observation: &Observation, _clock: WallClock) -> io::Result<()> {
        match observation {
            Observation::Call(call) => self.call(call),
            Observation::Notification(notification) => self.notification(notification),
            Observation::Loss(loss) => self.loss(loss),
            Observation::BlindSpot(spot) => self.metrics.blind_spots.with([&spot.facts.kind]).inc(),
            Observation::SessionStarted(_)
            | Observation::SessionEnded(_)
            | Observation::ServerStarted(_)
            | Observation::ServerStopped(_)
            | Observation::Unanswerable(_) => {}
            _ => {}
        }
        Ok(())
    }

    fn turn(&mut self, vitals: &Vitals<'_>) -> io::Result<()> {
        self.metrics.records.follow([], vitals.records);
        self.metrics.streams.with([]).set(gauge(vitals.streams));
        if let Some(kernel) = vitals.kernel {
            self.kernel(kernel);
        }
        for health in vitals.health {
            for (stage, cause, count) in health.faults() {
                self.metrics.faults.follow([stage.name(), cause], count);
            }
            for (stage, cause, count) in health.sheds() {
                self.metrics.shed.follow([stage.name(), cause], count);
            }
        }
        for (cause, count) in self.labels.turned_away() {
            self.metrics.shed.follow(["export", cause], count);
        }
        Ok(())
    }
}

/// The name that a process has on this host is a fact; the one that a peer gives itself needs an answer.
fn peer<'a>(labels: &mut Labels, family: Family, peer: &'a Peer, answered: bool) -> &'a str {
    let names_itself = peer.name.as_deref().is_some_and(|name| !name.is_empty());
    labels.name(family, peer.label().unwrap_or_default(), answered || !names_itself)
}

fn gauge(value: impl TryInto<i64>) -> i64 {
    value.try_into().unwrap_or(i64::MAX)
}

fn method_label(name: &str) -> &'static str {
    method::known(name).map_or(OTHER, |known| known.name)
}

/// `server.address` and `server.port`: of the side that is asked, where that is the one that listens.
fn asked_address(call: &Call) -> (String, String) {
    match (call.direction, call.server.address) {
        (CallDirection::ClientToServer, Some(address)) => {
            (address.ip().to_string(), address.port().to_string())
        }
        _ => Default::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::metrics::{METRICS, text};
    use super::*;
    use crate::capture::kernel::ProgramRuns;
    use crate::export::testing::call;
    use crate::pipeline::health::Health;
    use crate::pipeline::observation::{Hole, Outcome, Subject};
    use crate::pipeline::time::Timestamp;

    const CLOCK: WallClock = WallClock { unix_ns_at_boot: 0 };

    fn scrape(observations: &[Observation]) -> String {
        let mut exporter = Prometheus::new().unwrap();
        observations.iter().for_each(|it| exporter.export(it, CLOCK).unwrap());
        String::from_utf8(text(&exporter.registry())).unwrap()
    }

    fn lines_of<'t>(text: &'t str, name: &str) -> Vec<&'t str> {
        text.lines().filter(|line| line.starts_with(name)).collect()
    }

    #[test]
    fn a_call_is_counted_and_timed_on_both_sides() {
        let text = scrape(&[Observation::Call(Box::new(call()))]);
        assert_eq!(
            lines_of(&text, "mcp_requests_total"),
            [r#"mcp_requests_total{method="tools/call",outcome="ok",server="everything"} 1"#]
        );
        assert_eq!(
            lines_of(&text, "mcp_tool_calls_total"),
            [r#"mcp_tool_calls_total{client="mcp",outcome="ok",server="everything",tool="echo"} 1"#]
        );
        assert!(lines_of(&text, "mcp_errors_total").is_empty());
        let count = lines_of(&text, "mcp_client_operation_duration_seconds_count");
        assert_eq!(count.len(), 1);
        for part in [
            r#"gen_ai_tool_name="echo""#,
            r#"gen_ai_operation_name="execute_tool""#,
            r#"mcp_protocol_version="2025-11-25""#,
            r#"network_transport="pipe""#,
            r#"error_type="""#,
            "} 1",
        ] {
            assert!(count[0].contains(part), "{part} in {}", count[0]);
        }
        assert_eq!(lines_of(&text, "mcp_server_operation_duration_seconds_count").len(), 1);
        assert_eq!(lines_of(&text, "mcp_server_operation_duration_seconds_bucket").len(), 15);
    }

    #[test]
    fn a_tool_that_was_never_answered_has_no_series() {
        let made_up = |outcome| {
            let subject = Some(Subject::Tool("made_up".into()));
            Observation::Call(Box::new(Call { subject, outcome, error_code: Some(-32602), ..call() }))
        };
        let text = scrape(&[made_up(Outcome::RpcError)]);
        assert!(!text.contains("made_up") && text.contains(r#"tool="_other""#), "{text}");
        assert!(text.contains(r#"mcp_errors_total{error_type="-32602",server="_other"} 1"#), "{text}");
        assert!(scrape(&[made_up(Outcome::ToolError)]).contains(r#"tool="made_up""#));
    }

    #[test]
    fn no_latency_for_calls_that_wait() {
        let text = scrape(&[
            Observation::Call(Box::new(Call { method: "subscriptions/listen".into(), ..call() })),
            Observation::Call(Box::new(Call { outcome: Outcome::Task, ..call() })),
        ]);
        assert!(!text.contains("operation_duration_seconds_count"), "{text}");
        assert_eq!(lines_of(&text, "mcp_requests_total").len(), 2);
    }

    #[test]
    fn known_counters_start_at_zero_and_follow() {
        let text = scrape(&[]);
        assert!(text.contains("mcp_observer_records_total 0"));
        for cause in LossCause::ALL {
            assert!(
                text.contains(&format!("mcp_observer_lost_records_total{{cause=\"{}\"}} 0", cause.name()))
            );
        }
        let loss = |stream| {
            Observation::Loss(Loss {
                at: Timestamp::default(),
                cause: "ring_full",
                records: 2,
                bytes: 9,
                stream,
            })
        };
        let hole = Hole { stream: 7, client: Peer::default(), server: call().server };
        let text = scrape(&[loss(None), loss(None), loss(Some(Box::new(hole)))]);
        assert!(text.contains("mcp_observer_missing_bytes_total{server=\"_other\"} 9"), "{text}");
        assert!(text.contains("mcp_observer_lost_records_total{cause=\"ring_full\"} 4"), "{text}");
        assert!(text.contains("mcp_observer_lost_bytes_total{cause=\"ring_full\"} 18"));
    }

    #[test]
    fn the_kernel_side_is_followed() {
        let mut exporter = Prometheus::new().unwrap();
        let runs = |program: &str, runs, nanoseconds, skipped| ProgramRuns {
            program: program.to_owned(),
            runs,
            nanoseconds,
            skipped,
        };
        let health = [&Health::default(), &Health::default()];
        for turn in 1..=2 {
            let kernel = KernelState {
                attached_probes: 30 - turn as usize,
                ring_used_bytes: 4096,
                degraded: 1,
                programs: vec![runs("one", turn * 10, turn * 1_500_000_000, turn), runs("other", 0, 0, 0)],
            };
            let vitals = Vitals { records: 0, streams: 12, kernel: Some(&kernel), health };
            exporter.turn(&vitals).unwrap();
        }
        let text = String::from_utf8(text(&exporter.registry())).unwrap();
        for line in [
            "mcp_observer_attached_probes 28",
            "mcp_observer_ring_used_bytes 4096",
            "mcp_observer_degraded 1",
            "mcp_observer_streams 12",
            "mcp_observer_probe_runs_total{program=\"one\"} 20",
            "mcp_observer_probe_seconds_total{program=\"one\"} 3",
            "mcp_observer_probe_skipped_total{program=\"one\"} 2",
            "mcp_observer_probe_skipped_total{program=\"other\"} 0",
        ] {
            assert!(text.lines().any(|it| it == line), "{line} in {text}");
        }
        assert!(!text.contains("runs_total{program=\"other\"}"), "the kernel keeps no statistics of it");
    }

    #[test]
    fn the_table_is_what_the_contract_promises() {
        for metric in METRICS {
            let ours = metric.name.strip_prefix("mcp_");
            assert!(ours.is_some(), "{}", metric.name);
            assert_eq!(metric.kind == "counter", metric.name.ends_with("_total"), "{}", metric.name);
            assert!(metric.help.ends_with('.'), "{}", metric.name);
        }
        let never = ["session", "id", "uri", "pid", "trace_id", "client_port"];
        assert!(METRICS.iter().flat_map(|metric| metric.labels).all(|label| !never.contains(label)));
    }
}
