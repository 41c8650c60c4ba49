//! `cargo xtask bench`: what observing costs, as figures by name.
//!
//! A measurement is a function from the built programs to figures. To add one: write it in a file of its own and add it
//! to [`MEASUREMENTS`].

mod added;
mod floor;
mod load;
mod rest;
mod vitals;

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Map, Value};

use crate::agent::{Agent, Programs};
use crate::{process, setup};

/// Flags of `cargo xtask bench`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Also writes the figures to this file, as one JSON object
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Measures only this; repeatable
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Rounds of the measurements whose conditions take turns
    #[arg(long, default_value_t = 12)]
    rounds: u32,
    /// Runs clients and servers of closed loops before all else, for a machine that does other things meanwhile
    #[arg(long)]
    real_time: bool,
    /// Takes these programs instead of building: the observer and the folder of the peers
    #[arg(long, num_args = 2, value_names = ["OBSERVER", "PEERS"])]
    built: Vec<PathBuf>,
}

/// What the measurements work with.
struct Bench {
    programs: Programs,
    rounds: u32,
    real_time: bool,
}

impl Bench {
    /// A client in a closed loop, to be started.
    fn closed_loop(&self, carrier: &str, cpus: [usize; 2]) -> Command {
        let peer = self.programs.peers.join("raw-peer");
        let mut command = if self.real_time { Command::new("chrt") } else { Command::new(&peer) };
        if self.real_time {
            command.args(["-f", "10"]).arg(peer);
        }
        let [client, server] = cpus.map(|cpu| cpu.to_string());
        command.args(["closed-loop", "--carrier", carrier, "--client-cpu", &client, "--server-cpu", &server]);
        command
    }

    /// An observer that has attached and serves its metrics.
    fn agent(&self) -> Result<Agent> {
        Agent::start(&self.programs)
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

type Measurement = fn(&Bench) -> Result<Figures>;

const MEASUREMENTS: &[(&str, Measurement)] =
    &[("added", added::measure), ("load", load::measure), ("rest", rest::measure)];

/// Builds, measures and prints.
pub fn run(arguments: &Arguments) -> Result<()> {
    ensure!(process::is_root(), "the observer that is measured needs root: start this as root");
    let programs = match arguments.built.as_slice() {
        [observer, peers] => Programs { observer: observer.clone(), peers: peers.clone() },
        _ => {
            setup::for_build()?;
            Programs::build()?
        }
    };
    let bench = Bench { programs, rounds: arguments.rounds, real_time: arguments.real_time };
    let mut figures = Map::new();
    for (name, measurement) in MEASUREMENTS {
        if !arguments.only.is_empty() && !arguments.only.iter().any(|only| only == name) {
            continue;
        }
        let measured = measurement(&bench).with_context(|| format!("measuring {name}"))?;
        for (name, value) in measured.0 {
            println!("{name} {value:.2}");
            figures.insert(name, value.into());
        }
    }
    if let Some(file) = &arguments.json {
        let text = serde_json::to_string_pretty(&Value::Object(figures))? + "\n";
        std::fs::write(file, text).with_context(|| format!("writing {}", file.display()))?;
    }
    Ok(())
}
