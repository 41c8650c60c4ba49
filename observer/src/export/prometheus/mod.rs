//! Observations as metrics.
//!
//! In: observations. Out: a registry that `export::http` serves. `metrics.rs` is the table of all metrics; what sets
//! them is in `calls.rs`, `servers.rs` and `own.rs`.

mod calls;
pub mod exposition;
pub mod metrics;
pub mod native;
mod own;
pub mod registry;
pub mod series;
mod servers;

use std::io;
use std::time::Duration;

use self::registry::Registry;
use super::labels::Labels;
use super::trace::{Sampler, Tracer};
use super::{Exporter, Vitals};
use crate::capture::kernel::StartFacts;
use crate::pipeline::observation::Observation;
use crate::pipeline::time::{Timestamp, WallClock};

/// Between two looks for series that have expired.
const PAUSE: Duration = Duration::from_secs(60);

/// The exporter.
#[derive(Debug)]
pub struct Prometheus {
    registry: Registry,
    labels: Labels,
    servers: servers::Known,
    tracer: Tracer,
    /// Whether some spans are exported, by us.
    exports_spans: bool,
    /// When series that have expired are looked for.
    sweep_at: Option<Timestamp>,
    clock: Option<WallClock>,
}

impl Default for Prometheus {
    fn default() -> Self {
        Self::new(Sampler::NOWHERE)
    }
}

impl Prometheus {
    /// An exporter with all counters of known label sets at 0. `sampler` says which spans are exported: exemplars
    /// name no others, but for those that a request says are exported by who made it.
    pub fn new(sampler: Sampler) -> Self {
        let registry = Registry::default();
        own::begin(&registry);
        let exports_spans = sampler != Sampler::NOWHERE;
        Self {
            registry,
            labels: Labels::default(),
            servers: servers::Known::default(),
            tracer: Tracer::new(sampler),
            exports_spans,
            sweep_at: None,
            clock: None,
        }
    }

    /// Says when it began: that is when the counters began that are there from the beginning. In a replay they begin
    /// with the first observation.
    pub fn begun(mut self, at: Timestamp, clock: WallClock) -> Self {
        self.set_time(at, clock);
        self
    }

    fn set_time(&mut self, at: Timestamp, clock: WallClock) {
        self.clock = Some(clock);
        self.labels.set_time(at);
        self.registry.set_time(clock.unix_ns(at));
    }

    /// What a scrape reads.
    pub fn registry(&self) -> Registry {
        self.registry.clone()
    }

    /// Removes the series of names that are no longer admitted. The first turn only begins to count the time: a
    /// replay, which has no other, tells all that was in the file.
    fn sweep(&mut self, now: Timestamp) {
        let is_due = self.sweep_at.is_some_and(|due| now >= due);
        if is_due && self.labels.expire() {
            let labels = &self.labels;
            self.registry.retain(|metric, values| {
                labels.hold(&metric.labels.iter().copied().zip(values.iter()).collect::<Vec<_>>())
            });
            self.servers.forget(labels);
        }
        if is_due || self.sweep_at.is_none() {
            self.sweep_at = Some(now.after(PAUSE));
        }
    }
}

impl Exporter for Prometheus {
    fn ready(&mut self, facts: &StartFacts) -> io::Result<()> {
        own::ready(&self.registry, facts);
        Ok(())
    }

    fn export(&mut self, observation: &Observation, clock: WallClock) -> io::Result<()> {
        self.set_time(ended_at(observation), clock);
        let [_, server] = observation.parties();
        let workload = server.map(|peer| self.labels.workload(peer));
        self.registry.set_workload(workload.unwrap_or_default());
        match observation {
            Observation::Call(call) => self.call(call, clock),
            Observation::Notification(notification) => self.notification(notification),
            Observation::SessionEnded(session) => {
                self.session(session);
                self.sessions_active(session.transport, -1);
            }
            Observation::ServerStopped(stopped) => {
                self.server_stopped(stopped);
                stopped.server.process.iter().for_each(|process| self.labels.ended(process.id));
            }
            Observation::TaskEnded(it) => self.task(it),
            Observation::Loss(loss) => self.loss(loss),
            Observation::BlindSpot(spot) => self.blind_spot(spot),
            Observation::SessionStarted(session) => self.sessions_active(session.transport, 1),
            Observation::ServerStarted(started) => self.server_started(started),
            Observation::ToolsListed(listed) => self.tools_listed(listed),
            Observation::ToolChanged(changed) => self.tool_changed(changed),
            Observation::ProtocolStep(step) => self.step(step),
            Observation::Auth(auth) => self.auth(auth),
            Observation::ServerUsage(usage) => self.usage(usage),
            Observation::InFlight(in_flight) => self.in_flight(in_flight),
            Observation::Unanswerable(_) => {}
        }
        Ok(())
    }

    fn turn(&mut self, vitals: &Vitals<'_>) -> io::Result<()> {
        if let Some(clock) = self.clock {
            self.set_time(vitals.at, clock);
        }
        self.registry.set_workload(["", ""]);
        self.vitals(vitals);
        self.sweep(vitals.at);
        Ok(())
    }
}

/// When it was over.
fn ended_at(observation: &Observation) -> Timestamp {
    match observation {
        Observation::Call(call) => call.at.after(call.duration().unwrap_or_default()),
        Observation::Notification(it) => it.at,
        Observation::TaskEnded(it) => it.at,
        Observation::SessionStarted(it) | Observation::SessionEnded(it) => it.at,
        Observation::ServerStarted(it) | Observation::ServerStopped(it) => it.at,
        Observation::Unanswerable(it) => it.at,
        Observation::Loss(it) => it.at,
        Observation::BlindSpot(it) => it.at,
        Observation::ToolsListed(it) => it.at,
        Observation::ToolChanged(it) => it.at,
        Observation::ProtocolStep(it) => it.at,
        Observation::Auth(it) => it.at,
        Observation::ServerUsage(it) => it.at,
        Observation::InFlight(it) => it.at,
    }
}

#[cfg(test)]
mod tests {
    use super::exposition::plain_text;
    use super::exposition::{Escaping, Format};
    use super::*;
    use crate::capture::kernel::{KernelState, ProgramRuns};
    use crate::export::testing::{self, call, ended};
    use crate::pipeline::health::Health;
    use crate::pipeline::observation::{
        Call, Hole, Links, Loss, Outcome, Peer, Relay, Server, Subject, TaskEnded, TaskStatus, TraceContext,
    };
    use observer_common::loss::LossCause;

    const CLOCK: WallClock = WallClock { unix_ns_at_boot: 0 };

    fn scrape(observations: &[Observation]) -> String {
        let mut exporter = Prometheus::default();
        observations.iter().for_each(|it| exporter.export(it, CLOCK).unwrap());
        String::from_utf8(plain_text(&exporter.registry())).unwrap()
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
        let text = scrape(&[made_up(0, Outcome::RpcError)]);
        assert!(!text.contains("made_up") && text.contains(r#"tool="_other""#), "{text}");
        assert!(text.contains(r#"mcp_errors_total{error_type="-32602",server="_other"} 1"#), "{text}");
        assert!(scrape(&[made_up(0, Outcome::ToolError)]).contains(r#"tool="made_up_0""#));
    }

    #[test]
    fn what_the_client_wanted_is_counted_once() {
        let linked = |links, outcome| Observation::Call(Box::new(Call { links, outcome, ..call() }));
        let relay = Some(Relay { at: Timestamp::default(), id: call().id, inferred: false });
        let text = scrape(&[
            linked(Links::default(), Outcome::InputRequired),
            linked(Links { relay, ..Links::default() }, Outcome::ToolError),
            linked(Links::default(), Outcome::Ok),
        ]);
        let value =
            |name| lines_of(&text, name).iter().map(|line| line.rsplit(' ').next().unwrap()).collect();
        let counted: Vec<&str> = value("mcp_tool_calls_total");
        assert_eq!(counted, ["1"], "neither the round before the last nor the hop");
        let requests: Vec<&str> = value("mcp_requests_total");
        assert_eq!(requests, ["1", "1"], "each round is a request");
        assert!(lines_of(&text, "mcp_errors_total").is_empty(), "the hop's error is the call's");
        let timed: Vec<&str> = value("mcp_client_operation_duration_seconds_count");
        assert_eq!(timed, ["1", "1"], "each hop takes its time");
    }

    #[test]
    fn a_task_is_timed_to_its_end() {
        let call = call();
        let ended = TaskEnded {
            at: call.at,
            method: call.method,
            subject: call.subject,
            id: call.id,
            direction: call.direction,
            transport: call.transport,
            revision: call.revision,
            status: TaskStatus::Completed,
            outcome: Outcome::ToolError,
            duration: std::time::Duration::from_secs(90),
            polls: 3,
            session: None,
            trace: None,
            client: call.client,
            server: call.server,
        };
        let ended = Observation::TaskEnded(Box::new(ended));
        assert_eq!(ended_at(&ended), call.at, "its time is that of its end");
        let text = scrape(&[ended]);
        let sum = r#"mcp_task_duration_seconds_sum{outcome="tool_error",server="everything",tool="echo"} 90"#;
        assert_eq!(lines_of(&text, "mcp_task_duration_seconds_sum"), [sum]);
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
        let mut exporter = Prometheus::default();
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
            let vitals =
                Vitals { at: Timestamp::default(), records: 0, streams: 12, kernel: Some(&kernel), health };
            exporter.turn(&vitals).unwrap();
        }
        let text = String::from_utf8(plain_text(&exporter.registry())).unwrap();
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

    fn made_up(number: u32, outcome: Outcome) -> Observation {
        let subject = Some(Subject::Tool(format!("made_up_{number}").into()));
        Observation::Call(Box::new(Call { subject, outcome, error_code: Some(-32602), ..call() }))
    }

    fn series_of(exporter: &Prometheus) -> usize {
        exporter.registry().gather().iter().map(|family| family.series.len()).sum()
    }

    #[test]
    fn a_hundred_thousand_invented_tools_cost_few_series() {
        let mut exporter = Prometheus::default();
        exporter.export(&Observation::Call(Box::new(call())), CLOCK).unwrap();
        let before = series_of(&exporter);
        for number in 0..100_000 {
            exporter.export(&made_up(number, Outcome::RpcError), CLOCK).unwrap();
        }
        let after = series_of(&exporter);
        assert!(after <= before + 10, "{before} series, then {after}");
        assert!(String::from_utf8(plain_text(&exporter.registry())).unwrap().len() < 50_000);
    }

    #[test]
    fn a_server_that_answers_to_every_name_costs_a_bounded_number_of_series() {
        let mut exporter = Prometheus::default();
        for number in 0..100_000 {
            exporter.export(&made_up(number, Outcome::ToolError), CLOCK).unwrap();
        }
        // Two hundred tools and the one that stands for all others, in five families.
        assert!(series_of(&exporter) < 201 * 5 + 100, "{}", series_of(&exporter));
        let vitals = Vitals {
            at: Timestamp::default(),
            records: 0,
            streams: 0,
            kernel: None,
            health: [&Health::default(), &Health::default()],
        };
        exporter.turn(&vitals).unwrap();
        let text = String::from_utf8(plain_text(&exporter.registry())).unwrap();
        let shed = lines_of(&text, "mcp_observer_shed_total");
        assert!(shed.iter().any(|line| line.contains("tools_of_a_server")), "{shed:?}");
        assert!(
            text.contains(r#"tool="_other"} 99800"#),
            "{:?}",
            lines_of(&text, "mcp_tool_calls_total").last()
        );
    }

    #[test]
    fn series_of_servers_that_are_gone_expire() {
        let mut exporter = Prometheus::default();
        let server = call().server;
        exporter.export(&Observation::Call(Box::new(call())), CLOCK).unwrap();
        let stopped = Server { server, ..ended(call().at, Some(0)) };
        exporter.export(&Observation::ServerStopped(Box::new(stopped)), CLOCK).unwrap();
        let mut count_at = |minutes: u64| {
            let vitals = Vitals {
                at: Timestamp::from_nanos(minutes * 60_000_000_000),
                records: 0,
                streams: 0,
                kernel: None,
                health: [&Health::default(), &Health::default()],
            };
            exporter.turn(&vitals).unwrap();
            let text = String::from_utf8(plain_text(&exporter.registry())).unwrap();
            text.lines().filter(|line| line.contains("everything")).count()
        };
        assert!(count_at(1) > 0);
        assert!(count_at(59) > 0, "the hour is not over");
        assert_eq!(count_at(62), 0);
    }

    #[test]
    fn counters_begin_with_the_agent() {
        let exporter = Prometheus::default().begun(Timestamp::from_nanos(7), testing::CLOCK);
        let body = exposition::body(&exporter.registry(), Format::OpenMetrics(Escaping::Unsaid));
        let text = String::from_utf8(body).unwrap();
        assert_eq!(
            lines_of(&text, "mcp_observer_records_created"),
            ["mcp_observer_records_created 1795255200.000000007"]
        );
    }

    #[test]
    fn exemplars_are_of_traces_that_somebody_exports() {
        let openmetrics = |sampler, trace| {
            let mut exporter = Prometheus::new(sampler);
            exporter.export(&Observation::Call(Box::new(Call { trace, ..call() })), CLOCK).unwrap();
            let body = exposition::body(&exporter.registry(), Format::OpenMetrics(Escaping::Unsaid));
            String::from_utf8(body).unwrap()
        };
        let context = |sampled| Some(TraceContext { trace_id: 0xab, parent_span_id: 0xcd, sampled });
        assert!(!openmetrics(Sampler::NOWHERE, None).contains("trace_id"), "no trace is exported");
        assert!(!openmetrics(Sampler::NOWHERE, context(false)).contains("trace_id"), "nor by the client");
        let carried = openmetrics(Sampler::NOWHERE, context(true));
        assert!(carried.contains(r#"ab",span_id="00000000000000cd"} 0.012345 "#), "{carried}");
        let own = openmetrics(Sampler::default(), None);
        assert_eq!(own.matches("trace_id").count(), 5, "two durations, two sizes, a counter: {own}");
    }
}
