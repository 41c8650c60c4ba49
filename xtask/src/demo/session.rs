//! `cargo xtask session`: observes one client over each transport that needs no TLS, with programs that are built
//! already, and accounts for every call. This is what runs in guests, where nothing can be built.

use std::path::PathBuf;

use anyhow::Result;

use super::account::{Account, Call};
use super::traffic::{self, Transport};
use crate::agent::{Programs, Watch};

/// Flags of `cargo xtask session`.
#[derive(clap::Args)]
pub struct Arguments {
    /// The observer
    #[arg(long)]
    observer: PathBuf,
    /// The folder of the peers
    #[arg(long)]
    peers: PathBuf,
    /// How the observer is to capture
    #[arg(long, default_value = "auto")]
    mode: String,
}

/// Observes and accounts.
pub fn run(arguments: &Arguments) -> Result<()> {
    let programs = Programs { observer: arguments.observer.clone(), peers: arguments.peers.clone() };
    let watch = Watch::start(&programs, &["--mode", &arguments.mode])?;
    let mut account = Account::default();
    for transport in [Transport::Stdio, Transport::Http] {
        account.made(traffic::exchange(&programs, transport)?);
    }
    super::observe(&watch, &mut account);
    account.seen_all(watch.stop()?.iter().filter_map(Call::read));
    super::report::calls(&account);
    super::conclude(&account)
}
