//! How the observer itself does, as metrics.

use observer_common::loss::LossCause;

use super::Prometheus;
use super::metrics::{Counter, Gauge};
use super::registry::Registry;
use crate::capture::kernel::{KernelState, StartFacts};
use crate::export::Vitals;
use crate::pipeline::observation::{BlindSpot, Loss};

const RECORDS: Counter<0> = Counter::new("mcp_observer_records_total");
const LOST_RECORDS: Counter<1> = Counter::new("mcp_observer_lost_records_total");
const LOST_BYTES: Counter<1> = Counter::new("mcp_observer_lost_bytes_total");
const MISSING_BYTES: Counter<1> = Counter::new("mcp_observer_missing_bytes_total");
const FAULTS: Counter<2> = Counter::new("mcp_observer_faults_total");
const SHED: Counter<2> = Counter::new("mcp_observer_shed_total");
const BLIND_SPOTS: Gauge<1> = Gauge::new("mcp_observer_blind_spots");
const ATTACHED_PROBES: Gauge<0> = Gauge::new("mcp_observer_attached_probes");
const RING_BYTES: Gauge<0> = Gauge::new("mcp_observer_ring_bytes");
const RING_USED_BYTES: Gauge<0> = Gauge::new("mcp_observer_ring_used_bytes");
const STREAMS: Gauge<0> = Gauge::new("mcp_observer_streams");
const DEGRADED: Gauge<0> = Gauge::new("mcp_observer_degraded");
const PROBE_RUNS: Counter<1> = Counter::new("mcp_observer_probe_runs_total");
const PROBE_SECONDS: Counter<1> = Counter::new("mcp_observer_probe_seconds_total");
const PROBE_SKIPPED: Counter<1> = Counter::new("mcp_observer_probe_skipped_total");
const BUILD_INFO: Gauge<1> = Gauge::new("mcp_observer_build_info");

/// What is there before anything was seen.
pub(super) fn begin(registry: &Registry) {
    registry.set(BUILD_INFO, [env!("CARGO_PKG_VERSION")], 1.0);
    registry.add(RECORDS, [], 0);
    for cause in LossCause::ALL {
        registry.add(LOST_RECORDS, [cause.name()], 0);
        registry.add(LOST_BYTES, [cause.name()], 0);
    }
}

/// The probes are attached.
pub(super) fn ready(registry: &Registry, facts: &StartFacts) {
    registry.set(RING_BYTES, [], f64::from(facts.ring_bytes));
}

impl Prometheus {
    pub(super) fn vitals(&mut self, vitals: &Vitals<'_>) {
        let registry = &self.registry;
        registry.follow(RECORDS, [], vitals.records as f64);
        registry.set(STREAMS, [], vitals.streams as f64);
        if let Some(state) = vitals.kernel {
            kernel(registry, state);
        }
        for health in vitals.health {
            for (stage, cause, count) in health.faults() {
                registry.follow(FAULTS, [stage.name(), cause], count as f64);
            }
            for (stage, cause, count) in health.sheds() {
                registry.follow(SHED, [stage.name(), cause], count as f64);
            }
        }
        for (cause, count) in self.labels.turned_away() {
            registry.follow(SHED, ["export", cause], count as f64);
        }
        if registry.turned_away() > 0 {
            registry.follow(SHED, ["export", "series"], registry.turned_away() as f64);
        }
    }

    /// A hole in one stream is in the kernel's counts too, and has a metric of its own.
    pub(super) fn loss(&mut self, loss: &Loss) {
        if let Some(hole) = &loss.stream {
            let server = self.labels.server(&hole.server, false);
            self.registry.add(MISSING_BYTES, [server], loss.bytes);
        } else {
            self.registry.add(LOST_RECORDS, [loss.cause], loss.records);
            self.registry.add(LOST_BYTES, [loss.cause], loss.bytes);
        }
    }

    pub(super) fn blind_spot(&mut self, spot: &BlindSpot) {
        self.registry.shift(BLIND_SPOTS, [&spot.facts.kind], 1.0);
    }
}

fn kernel(registry: &Registry, kernel: &KernelState) {
    registry.set(ATTACHED_PROBES, [], kernel.attached_probes as f64);
    registry.set(RING_USED_BYTES, [], kernel.ring_used_bytes as f64);
    registry.set(DEGRADED, [], f64::from(kernel.degraded));
    for it in &kernel.programs {
        registry.follow(PROBE_SKIPPED, [&it.program], it.skipped as f64);
        // Without the kernel's statistics there is nothing to tell, and no series that says zero.
        if it.runs > 0 {
            registry.follow(PROBE_RUNS, [&it.program], it.runs as f64);
            registry.follow(PROBE_SECONDS, [&it.program], it.nanoseconds as f64 / 1e9);
        }
    }
}
