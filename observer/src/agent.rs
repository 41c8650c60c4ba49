//! The loop around the pipeline: records in, observations to the exporters, verdicts to the kernel, time.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::time::Duration;

use crate::capture::Record;
use crate::capture::file::{Reader, Writer};
use crate::capture::kernel::{KernelSource, KernelState};
use crate::config::Filter;
use crate::error::Error;
use crate::export::{Exporter, Vitals};
use crate::expressions::Expressions;
use crate::pipeline::health::{Health, Stage};
use crate::pipeline::input::Input;
use crate::pipeline::observation::Observation;
use crate::pipeline::time::{Timestamp, WallClock};
use crate::pipeline::{Pipeline, Settings};

/// The kernel wakes us for the first record after a rest. Losses, which come without a record, are asked for after this.
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// How long a record can be on its way: the end of a process is held back until its bytes are out of the ring.
const ON_THE_WAY: Duration = Duration::from_millis(30);
/// A full ring may be left to take; the user waits for the end.
const LONGEST_END: Duration = Duration::from_millis(700);

/// A pipeline with all that is around it.
pub struct Agent {
    pipeline: Pipeline,
    exporters: Vec<Box<dyn Exporter>>,
    recorder: Option<Writer>,
    filter: Filter,
    expressions: Option<Expressions>,
    clock: WallClock,
    most_calls: Option<u64>,
    /// Time of the newest record.
    newest: Timestamp,
    tally: Tally,
    own_health: Health,
}

/// What an agent has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Records taken.
    pub records: u64,
    /// Calls shown.
    pub calls: u64,
    /// Calls that were in flight at the end.
    pub in_flight: u64,
    /// Records that the kernel side reported as lost.
    pub lost_records: u64,
    /// Bytes of the lost records.
    pub lost_bytes: u64,
    /// Places that cannot be seen into.
    pub blind_spots: u64,
    /// Bytes of a torn last record of a capture file.
    pub torn_bytes: u64,
}

impl Agent {
    /// An agent that shows all and never ends by itself.
    pub fn new(settings: Settings, clock: WallClock, exporters: Vec<Box<dyn Exporter>>) -> Self {
        Self {
            pipeline: Pipeline::new(settings),
            exporters,
            recorder: None,
            filter: Filter::default(),
            expressions: None,
            clock,
            most_calls: None,
            newest: Timestamp::default(),
            tally: Tally::default(),
            own_health: Health::default(),
        }
    }

    /// Shows only what the filter wants.
    pub fn with_filter(self, filter: Filter) -> Self {
        Self { filter, ..self }
    }

    /// Shows only what the user's expressions want, with the attributes that they make. The settings of the pipeline
    /// must name the headers that they read.
    pub fn with_expressions(self, expressions: Option<Expressions>) -> Self {
        Self { expressions, ..self }
    }

    /// Ends after so many calls.
    pub fn with_most_calls(self, most_calls: Option<u64>) -> Self {
        Self { most_calls, ..self }
    }

    /// Writes every record to a capture file.
    pub fn with_recorder(self, recorder: Writer) -> Self {
        Self { recorder: Some(recorder), ..self }
    }

    /// Observes until `stop`.
    ///
    /// # Errors
    /// An output cannot be written.
    pub async fn observe(
        mut self,
        mut source: KernelSource,
        stop: impl Future<Output = ()>,
    ) -> Result<Tally, Error> {
        let mut stop = pin!(stop);
        self.output(|exporter| exporter.ready(source.facts()))?;
        loop {
            let now = source.now();
            let wait = self.pipeline.deadline().map_or(LONGEST_WAIT, |at| at.since(now).min(LONGEST_WAIT));
            let stopped = tokio::select! {
                biased;
                () = &mut stop => true,
                () = source.wait(Some(wait)) => false,
            };
            let asked_at = source.now();
            if self.drain(&mut source)? == 0 && self.pipeline.deadline().is_some_and(|due| due <= asked_at) {
                // Records bring their time with them; only where none came must it be told.
                self.take(Record::time(asked_at))?;
            }
            if stopped || self.has_enough() {
                return self.end(source).await;
            }
            self.turn(source.now(), Some(source.state()))?;
        }
    }

    /// Takes all records that there are, and tells the kernel what the pipeline thinks of their streams.
    fn drain(&mut self, source: &mut KernelSource) -> Result<u64, Error> {
        let before = self.tally.records;
        let mut taken = Ok(());
        source.drain(&mut |record| {
            if taken.is_ok() {
                taken = self.take(record);
            }
        });
        while let Some((stream, verdict)) = self.pipeline.next_verdict() {
            source.decide(stream.0, verdict);
        }
        while let Some((process, is_wanted)) = self.pipeline.next_watch() {
            source.watch(process, is_wanted);
        }
        taken.map(|()| self.tally.records - before)
    }

    /// Takes what was recorded until now: some records are on their way to us, some wait for their turn.
    async fn end(mut self, mut source: KernelSource) -> Result<Tally, Error> {
        let asked_at = source.now();
        loop {
            let taken = self.drain(&mut source)?;
            let spent = source.now().since(asked_at);
            let all_taken = taken == 0 || self.newest.since(asked_at) > ON_THE_WAY;
            if (all_taken && spent > ON_THE_WAY) || spent > LONGEST_END || self.has_enough() {
                break;
            }
            source.wait(Some(ON_THE_WAY)).await;
        }
        let mut taken = Ok(());
        source.tell_losses(&mut |record| {
            if taken.is_ok() {
                taken = self.take(record);
            }
        });
        taken?;
        let now = source.now();
        self.take(Record::time(now))?;
        self.finish(now, Some(source.state()))
    }

    /// Takes a capture file through the pipeline. The passing of time is in the file.
    ///
    /// # Errors
    /// The file cannot be read or an output cannot be written.
    pub fn replay(mut self, mut reader: Reader<impl io::Read>) -> Result<Tally, Error> {
        while !self.has_enough()
            && let Some(record) = reader.next()?
        {
            self.take(record)?;
            while self.pipeline.next_verdict().is_some() {}
            while self.pipeline.next_watch().is_some() {}
        }
        self.tally.torn_bytes = reader.torn_bytes();
        if self.tally.torn_bytes > 0 {
            self.own_health.fault(Stage::Input, "torn_record");
        }
        let newest = self.newest;
        self.finish(newest, None)
    }

    fn take(&mut self, record: Record<'_>) -> Result<(), Error> {
        self.tally.records += 1;
        self.newest = self.newest.max(Timestamp::from_nanos(record.header.at_ns));
        if let Some(recorder) = &mut self.recorder {
            recorder.write(&record)?;
        }
        match Input::decode(&record.header, record.payload) {
            Ok(input) => self.pipeline.feed(input),
            Err(bad) => self.own_health.fault(Stage::Input, bad.0),
        }
        self.export()
    }

    fn export(&mut self) -> Result<(), Error> {
        while let Some(mut observation) = self.pipeline.next() {
            if !self.has_enough() && self.filter.wants(&observation) && self.is_wanted(&mut observation) {
                self.tally.add(&observation);
                let clock = self.clock;
                self.output(|exporter| exporter.export(&observation, clock))?;
            }
        }
        Ok(())
    }

    fn is_wanted(&mut self, observation: &mut Observation) -> bool {
        let Some(expressions) = &self.expressions else { return true };
        expressions.apply(observation, &mut self.own_health)
    }

    fn finish(mut self, at: Timestamp, kernel: Option<&KernelState>) -> Result<Tally, Error> {
        self.tally.in_flight = self.pipeline.finish(at);
        self.export()?;
        self.turn(at, kernel)?;
        Ok(self.tally)
    }

    /// Nothing more is there for now.
    fn turn(&mut self, at: Timestamp, kernel: Option<&KernelState>) -> Result<(), Error> {
        if let Some(recorder) = &mut self.recorder {
            recorder.flush()?;
        }
        let health = [&self.own_health, self.pipeline.health()];
        let streams = self.pipeline.streams();
        let vitals = Vitals { at, records: self.tally.records, streams, kernel, health };
        self.exporters.iter_mut().try_for_each(|exporter| exporter.turn(&vitals)).map_err(Error::from_output)
    }

    fn output(&mut self, mut act: impl FnMut(&mut dyn Exporter) -> io::Result<()>) -> Result<(), Error> {
        self.exporters.iter_mut().try_for_each(|exporter| act(&mut **exporter)).map_err(Error::from_output)
    }

    fn has_enough(&self) -> bool {
        self.most_calls.is_some_and(|most| self.tally.calls >= most)
    }
}

impl Tally {
    fn add(&mut self, observation: &Observation) {
        match observation {
            Observation::Call(_) => self.calls += 1,
            Observation::BlindSpot(_) => self.blind_spots += 1,
            // A hole in one stream was counted already when the kernel reported its records as lost.
            Observation::Loss(loss) if loss.stream.is_none() => {
                self.lost_records += loss.records;
                self.lost_bytes += loss.bytes;
            }
            _ => {}
        }
    }
}
