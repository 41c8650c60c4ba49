//! The kernel as a source of records: start, wait, drain, decide.

use std::time::Duration;

use observer_common::loss::{LossCause, Lost};
use observer_common::process::ProcessKey;
use observer_common::record::{HEADER_LEN, RecordHeader, RecordKind};
use observer_common::stream::Verdict;

use super::attach::Libraries;
use super::control::{Made, Processes, made};
use super::losses::Losses;
use super::opaque::Opaque;
use super::ring::Ring;
use super::verdicts::{Holders, Verdicts};
use super::{KernelState, Options, StartFacts, boot_clock, kernel_release, programs};
use crate::capture::Record;
use crate::capture::host::homes::Homes;
use crate::capture::host::identity::Identities;
use crate::capture::host::processes::{self, Asked};
use crate::capture::host::root::HostRoot;
use crate::capture::host::usage::{Proc, Usage};
use crate::error::Error;
use crate::pipeline::input::ProcessId;
use crate::pipeline::time::{Timestamp, WallClock};

/// Everything that comes from this host's kernel, in order.
pub struct KernelSource {
    facts: StartFacts,
    wall_clock: WallClock,
    pace: Duration,
    data: Ring,
    control: Ring,
    processes: Processes,
    verdicts: Verdicts,
    losses: Losses,
    libraries: Libraries,
    opaque: Opaque,
    identities: Identities,
    usage: Usage,
    state: KernelState,
    /// Probes that are not in libraries.
    own_probes: usize,
    /// Bytes taken since the ring was last found empty, and the most that these have been.
    backlog: Backlog,
    /// What the last drain found.
    load: Load,
    /// Until then streams count as new: verdicts on them are waited for.
    news_until: Timestamp,
    losses_at: Timestamp,
    programs_at: Timestamp,
    sweep_at: Timestamp,
}

/// How much there was to drain.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Load {
    /// Nothing: the next record is news.
    Rest,
    /// Little, of streams that are known.
    Calm,
    /// Something, so there is likely more soon.
    Busy,
    /// More than one drain takes.
    Behind,
}

/// How full the ring was.
#[derive(Default)]
struct Backlog {
    /// Bytes taken since it was last found empty.
    since_empty: usize,
    most: usize,
}

impl Backlog {
    fn add(&mut self, taken: usize, is_empty: bool) {
        self.since_empty += taken;
        self.most = self.most.max(self.since_empty);
        if is_empty {
            self.since_empty = 0;
        }
    }

    fn take_most(&mut self) -> u64 {
        std::mem::take(&mut self.most) as u64
    }
}

/// How long an end of a process is held back: longer than any program takes to finish a record of its bytes.
const HOLD_BACK: Duration = Duration::from_millis(20);
/// How long streams are new: most are decided by their first messages.
const NEWS_FOR: Duration = Duration::from_millis(100);
/// Where nothing is new and the ring stays almost empty, records gather for so many times the pace.
const CALM_PACES: u32 = 4;
/// The part of the ring that may fill up in one calm pace.
const CALM_PART: usize = 64;
/// A deadline may be missed by this: observations have their times from the records.
const LATE: Duration = Duration::from_millis(5);
/// How long the start waits for the names of containers that run already. Those found later are told later.
const NAMES_WITHIN: Duration = Duration::from_millis(250);
/// The same for one that starts later; the ring has room for what comes meanwhile.
const NAME_WITHIN: Duration = Duration::from_millis(5);
const LOSSES_EVERY: Duration = Duration::from_secs(1);
/// The kernel's own counts of the programs cost more to read.
const PROGRAMS_EVERY: Duration = Duration::from_secs(5);
const SWEEP_EVERY: Duration = Duration::from_secs(30);
/// Most bytes of records that one drain delivers, so that the rest of the agent gets its turn.
const DRAIN_MAX: usize = 16 << 20;

impl KernelSource {
    /// Loads and attaches everything, and looks at what is already running.
    ///
    /// # Errors
    /// `Error::Unable` names what this host or these privileges lack, and the command that mends it.
    pub fn start(options: Options) -> Result<Self, Error> {
        let clock = boot_clock();
        let mut facts =
            StartFacts { kernel: kernel_release(), ring_bytes: options.ring_bytes, ..StartFacts::default() };
        let mut attached = programs::attach(&options, &mut facts)?;
        let now = clock.now();
        let mut losses = Losses::take(&mut attached.ebpf)?;
        for (name, descriptor) in attached.descriptors() {
            losses.watch_program(&name, descriptor);
        }
        let opaque = Opaque::open(&attached.ebpf)?;
        let root = HostRoot::new(options.host.root.as_deref());
        let mut source = Self {
            wall_clock: clock.wall_clock(),
            pace: options.pace,
            data: Ring::take(&mut attached.ebpf, "DATA")?,
            control: Ring::take(&mut attached.ebpf, "CONTROL")?,
            processes: Processes::new(Homes::new(root.clone())),
            verdicts: Verdicts::take(&mut attached.ebpf)?,
            losses,
            libraries: Libraries::start(attached, options.tls)?,
            opaque,
            identities: Identities::start(root, options.host.node)?,
            usage: Usage::default(),
            state: KernelState::default(),
            own_probes: 0,
            backlog: Backlog::default(),
            load: Load::Behind,
            news_until: now,
            losses_at: now.after(LOSSES_EVERY),
            programs_at: now.after(PROGRAMS_EVERY),
            sweep_at: now.after(SWEEP_EVERY),
            facts,
        };
        for (name, descriptor) in source.libraries.take_programs() {
            source.losses.watch_program(name, descriptor);
        }
        source.look_around();
        Ok(source)
    }

    /// Takes what is already running, and waits until its libraries have probes.
    fn look_around(&mut self) {
        for pid in processes::all() {
            if pid != std::process::id() {
                self.processes.found(pid, boot_clock().now().as_nanos());
            }
        }
        self.facts.processes = self.processes.ready.len();
        self.identities.seek(&mut self.processes.sought);
        self.libraries.look(&mut self.processes.looks);
        let found = self.libraries.settle();
        for told in self.identities.settle(NAMES_WITHIN) {
            self.processes.tell(told, boot_clock().now().as_nanos());
        }
        self.facts.libraries = found.libraries;
        self.own_probes = self.facts.attached_probes;
        self.facts.attached_probes += found.probes;
        self.state.attached_probes = self.facts.attached_probes;
        self.facts.features.extend(found.feature);
    }

    /// What was found and attached at the start.
    pub fn facts(&self) -> &StartFacts {
        &self.facts
    }

    /// How the kernel's side does now.
    pub fn state(&self) -> &KernelState {
        &self.state
    }

    /// How the records' times relate to wall-clock time.
    pub fn wall_clock(&self) -> WallClock {
        self.wall_clock
    }

    /// The time now, on the records' clock.
    pub fn now(&self) -> Timestamp {
        boot_clock().now()
    }

    /// Waits until there may be records, for `at_most` so long. Under load it lets records gather for a moment,
    /// so that wake-ups are few; after a rest it returns with the first record.
    pub async fn wait(&mut self, at_most: Option<Duration>) {
        let at_most = at_most.unwrap_or(Duration::MAX).max(LATE);
        match self.load {
            Load::Rest => {}
            Load::Calm => return self.gather(self.pace * CALM_PACES).await,
            Load::Busy => return self.gather(self.pace).await,
            Load::Behind => return tokio::task::yield_now().await,
        }
        let at_most = if self.processes.ends.is_empty() { at_most } else { at_most.min(HOLD_BACK) };
        tokio::select! {
            () = self.data.readable() => {}
            () = self.control.readable() => {}
            () = tokio::time::sleep(at_most) => {}
        }
    }

    /// Lets records come for so long. A ring that is waited for would wake this thread with the first of them.
    async fn gather(&mut self, pace: Duration) {
        self.data.leave();
        tokio::time::sleep(pace).await;
    }

    /// Hands over all records that there are now, in order: the start of a process before its bytes, its end
    /// after them.
    pub fn drain(&mut self, sink: &mut dyn FnMut(Record<'_>)) {
        let started = self.now();
        for told in self.identities.told() {
            self.processes.tell(told, started.as_nanos());
        }
        let mut delivered = self.take_control(sink);
        // What the control ring had told by then is told.
        let mut told_until = started.as_nanos();
        let (control, own, names) = (&mut self.control, &mut self.processes, &self.identities);
        let mut is_news = false;
        loop {
            let size = self.data.next(&mut |header, payload| {
                if header.at_ns > told_until {
                    told_until = boot_clock().now().as_nanos();
                    take_all(control, own, names, sink);
                }
                is_news |= header.kind == RecordKind::StreamOpened as u16;
                sink(Record { header, payload });
            });
            let Some(size) = size else { break };
            delivered += size;
            if delivered >= DRAIN_MAX {
                break;
            }
        }
        self.backlog.add(delivered, delivered < DRAIN_MAX);
        if is_news {
            self.news_until = started.after(NEWS_FOR);
        }
        let little = self.facts.ring_bytes as usize / CALM_PART;
        self.load = match delivered {
            0 => Load::Rest,
            DRAIN_MAX.. => Load::Behind,
            _ if delivered < little && started >= self.news_until => Load::Calm,
            _ => Load::Busy,
        };
        self.libraries.look(&mut self.processes.looks);
        for made in self.libraries.found(started.as_nanos()) {
            deliver(&made, sink);
        }
        self.tell_ends(started, sink);
        self.tick(started, sink);
    }

    /// Hands over what was lost since it was last told: from time to time by itself, and when all is over.
    pub fn tell_losses(&mut self, sink: &mut dyn FnMut(Record<'_>)) {
        let now = self.now();
        for lost in self.losses.since_last().into_iter().chain(self.losses.of_programs()) {
            deliver(&lost_record(&lost, now), sink);
        }
        self.programs_at = now.after(PROGRAMS_EVERY);
        self.state.programs = self.losses.runs().cloned().collect();
    }

    /// Tells the kernel what to do with a stream's bytes from now on.
    pub fn decide(&mut self, stream: u64, verdict: Verdict) {
        self.verdicts.decide(stream, verdict);
    }

    /// Tells from time to time what a process takes, or no longer.
    pub fn watch(&mut self, process: ProcessId, is_wanted: bool) {
        let key = ProcessKey { pid: process.pid, tid: 0, started_ns: process.started_ns };
        self.usage.watch(key, is_wanted);
    }

    /// Takes the control ring, and tells what can be told at once. Returns how many bytes that was.
    fn take_control(&mut self, sink: &mut dyn FnMut(Record<'_>)) -> usize {
        take_all(&mut self.control, &mut self.processes, &self.identities, sink)
    }

    /// Tells the ends of processes whose bytes are out of the data ring by now.
    fn tell_ends(&mut self, now: Timestamp, sink: &mut dyn FnMut(Record<'_>)) {
        while let Some(end) = self.processes.ends.front() {
            if now.since(Timestamp::from_nanos(end.header.at_ns)) < HOLD_BACK {
                return;
            }
            deliver(end, sink);
            self.processes.ends.pop_front();
        }
    }

    /// What is due from time to time.
    fn tick(&mut self, now: Timestamp, sink: &mut dyn FnMut(Record<'_>)) {
        if now >= self.losses_at {
            self.losses_at = now.after(LOSSES_EVERY);
            let lost = self.losses.since_last();
            self.state.degraded = degraded(&lost);
            for lost in lost {
                deliver(&lost_record(&lost, now), sink);
            }
            self.state.attached_probes = self.own_probes + self.libraries.probes();
            self.state.ring_used_bytes = self.backlog.take_most();
        }
        if now >= self.programs_at {
            self.tell_losses(sink);
        }
        self.usage.look(now, &Proc, &mut |process, usage| {
            let payload = usage.to_bytes().to_vec();
            deliver(&made(RecordKind::ProcessUsage, now.as_nanos(), process, payload), sink);
        });
        for pid in self.opaque.look() {
            self.libraries.suspect(pid);
        }
        if now >= self.sweep_at {
            self.sweep_at = now.after(SWEEP_EVERY);
            self.verdicts.sweep(now.as_nanos(), &mut Asked::default());
        }
    }
}

impl Holders for Asked {
    fn lives(&mut self, pid: u32) -> bool {
        Self::lives(self, pid)
    }

    fn holds(&mut self, pid: u32, inode: u64) -> bool {
        Self::holds(self, pid, inode)
    }
}

fn take_all(
    control: &mut Ring,
    processes: &mut Processes,
    identities: &Identities,
    sink: &mut dyn FnMut(Record<'_>),
) -> usize {
    let mut taken = 0;
    while let Some(size) = control.next(&mut |header, payload| processes.take(header, payload)) {
        taken += size;
    }
    if !processes.sought.is_empty() {
        // The first process of a container: what files tell of it is there before the first bytes that it moves.
        identities.seek(&mut processes.sought);
        for told in identities.settle(NAME_WITHIN) {
            processes.tell(told, boot_clock().now().as_nanos());
        }
    }
    while let Some(made) = processes.ready.pop_front() {
        taken += HEADER_LEN + made.payload.len();
        deliver(&made, sink);
    }
    taken
}

fn deliver(made: &Made, sink: &mut dyn FnMut(Record<'_>)) {
    sink(Record { header: made.header, payload: &made.payload });
}

/// How much was left out of late since the ring was filling up: 0 nothing, 1 all but the first bytes of calls, 2 all
/// bytes.
fn degraded(lost: &[Lost]) -> u32 {
    let shed = |cause: LossCause| lost.iter().any(|lost| lost.cause == cause as u32);
    if shed(LossCause::ShedToCounters) { 2 } else { u32::from(shed(LossCause::ShedToHeaders)) }
}

fn lost_record(lost: &Lost, now: Timestamp) -> Made {
    made(RecordKind::Lost, now.as_nanos(), ProcessKey::default(), lost.to_bytes().to_vec())
}

const _: () = assert!(size_of::<RecordHeader>() == HEADER_LEN);
