//! `cargo xtask bench`: what observing costs, as figures by name.
//!
//! A measurement is a function from the built programs to figures. To add one: write it in a file of its own and add it
//! to [`MEASUREMENTS`].

mod added;
mod bytes;
mod exporters;
mod floor;
mod load;
mod replay;
mod report;
mod rest;
mod rounds;
mod unrelated;
mod vitals;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Map, Value};

use crate::agent::{Agent, Programs};
use crate::{process, setup};
use floor::Mode;

/// Flags of `cargo xtask bench`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Also writes the figures to this file, as one JSON object
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Measures only this; repeatable. Without it all is measured, and docs/performance.md is written
    #[arg(long, value_name = "NAME", value_parser = names())]
    only: Vec<String>,
    /// The capture mode to measure
    #[arg(long, value_enum, default_value = "syscall")]
    mode: Mode,
    /// Rounds of the measurements whose conditions take turns
    #[arg(long, default_value_t = 12)]
    rounds: u32,
    /// Runs the peers of closed loops and the agent before all else, for a machine that does other things meanwhile
    #[arg(long)]
    real_time: bool,
    /// Takes these programs instead of building: the observer, beside which `rate` and `exporters` are, and the folder of the peers
    #[arg(long, num_args = 2, value_names = ["OBSERVER", "PEERS"])]
    built: Vec<PathBuf>,
}

/// What the measurements work with.
struct Bench {
    programs: Programs,
    mode: Mode,
    rounds: u32,
    real_time: bool,
}

impl Bench {
    /// A client in a closed loop, to be started.
    fn closed_loop(&self, carrier: &str, cpus: [usize; 2]) -> Command {
        let mut command = self.first(&self.programs.peers.join("raw-peer"));
        let [client, server] = cpus.map(|cpu| cpu.to_string());
        command.args(["closed-loop", "--carrier", carrier, "--client-cpu", &client, "--server-cpu", &server]);
        command
    }

    /// A program, to be started with the priority that was asked for.
    fn first(&self, program: &Path) -> Command {
        if !self.real_time {
            return Command::new(program);
        }
        let mut command = Command::new("chrt");
        command.args(["-f", "10"]).arg(program);
        command
    }

    /// An observer that has attached and serves its metrics.
    fn agent(&self) -> Result<Agent> {
        let agent = Agent::start_with(&self.programs, &["--mode", self.mode.name()])?;
        if self.real_time {
            // Behind those that it observes; else they would keep it from the processors.
            let pid = agent.observer.pid().to_string();
            process::output(Command::new("chrt").args(["-a", "-f", "-p", "5", &pid]))?;
        }
        Ok(agent)
    }
}

/// Values by names, each of which says what was measured and in which unit.
#[derive(Default)]
struct Figures(Vec<(String, f64)>);

impl Figures {
    fn add(&mut self, name: impl Into<String>, value: f64) {
        self.0.push((name.into(), value));
    }
}

/// Something that is measured: its name, a sentence about it, and how.
struct Measurement {
    name: &'static str,
    about: &'static str,
    run: fn(&Bench) -> Result<Figures>,
}

const MEASUREMENTS: [Measurement; 7] = [
    Measurement { name: "added", about: added::ABOUT, run: added::measure },
    Measurement { name: "load", about: load::ABOUT, run: load::measure },
    Measurement { name: "unrelated", about: unrelated::ABOUT, run: unrelated::measure },
    Measurement { name: "bytes", about: bytes::ABOUT, run: bytes::measure },
    Measurement { name: "rest", about: rest::ABOUT, run: rest::measure },
    Measurement { name: "replay", about: replay::ABOUT, run: replay::measure },
    Measurement { name: "exporters", about: exporters::ABOUT, run: exporters::measure },
];

fn names() -> clap::builder::PossibleValuesParser {
    MEASUREMENTS.map(|measurement| measurement.name).into()
}

/// Builds, measures and prints.
pub fn run(arguments: &Arguments) -> Result<()> {
    ensure!(process::is_root(), "the observer that is measured needs root: start this as root");
    let bench = Bench {
        programs: programs(arguments)?,
        mode: arguments.mode,
        rounds: arguments.rounds,
        real_time: arguments.real_time,
    };
    let is_wanted = |name: &str| arguments.only.is_empty() || arguments.only.iter().any(|only| only == name);
    let mut all = Vec::new();
    for measurement in MEASUREMENTS.iter().filter(|measurement| is_wanted(measurement.name)) {
        let measured =
            (measurement.run)(&bench).with_context(|| format!("measuring {}", measurement.name))?;
        measured.0.iter().for_each(|(name, value)| println!("{name} {value:.2}"));
        all.push((measurement, measured));
    }
    if let Some(file) = &arguments.json {
        let figures = all.iter().flat_map(|(_, figures)| &figures.0);
        let figures: Map<_, _> = figures.map(|(name, value)| (name.clone(), (*value).into())).collect();
        let text = serde_json::to_string_pretty(&Value::Object(figures))? + "\n";
        std::fs::write(file, text).with_context(|| format!("writing {}", file.display()))?;
    }
    if arguments.only.is_empty() { report::write(&bench, &all) } else { Ok(()) }
}

fn programs(arguments: &Arguments) -> Result<Programs> {
    if let [observer, peers] = arguments.built.as_slice() {
        return Ok(Programs { observer: observer.clone(), peers: peers.clone() });
    }
    setup::for_build()?;
    replay::build()?;
    exporters::build()?;
    Programs::build()
}
