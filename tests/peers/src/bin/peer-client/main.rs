//! An MCP client of the official Rust SDK that does what its script says and prints what became of each call.
#![forbid(unsafe_code)]

mod connect;
mod drive;

use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;
use peers::script::Step;
use tokio::io::{AsyncBufReadExt, BufReader};

/// Connects, lists the tools, takes the steps and closes. Without `--call` the steps are lines of standard
/// input, each taken as it arrives.
#[derive(Parser)]
pub struct Arguments {
    /// One step, as JSON; repeatable.
    #[arg(long = "call", value_name = "JSON")]
    calls: Vec<String>,
    /// Talk to the server at this address.
    #[arg(long, conflicts_with = "stdio", required_unless_present = "stdio")]
    url: Option<String>,
    /// Trust this certificate authority, PEM.
    #[arg(long)]
    ca: Option<PathBuf>,
    /// Use HTTP connections more than once.
    #[arg(long)]
    keep_alive: bool,
    /// Start the server that stands after `--` and talk to its standard input and output.
    #[arg(long)]
    stdio: bool,
    /// The server's command line.
    #[arg(last = true)]
    command: Vec<String>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let mut client = connect::client(&arguments).await?;
    drive::list(&client).await?;
    for call in &arguments.calls {
        drive::step(&client, &Step::parse(call)?).await;
    }
    if arguments.calls.is_empty() {
        let mut lines = BufReader::new(tokio::io::stdin()).lines();
        while let Some(line) = lines.next_line().await? {
            drive::step(&client, &Step::parse(&line)?).await;
        }
    }
    client.close().await
}
