//! Hand-written clients and servers for wire shapes that no SDK can be made to produce on demand.
//!
//! Each subcommand is a client that starts its own server as a child process, talks to it, and prints what
//! became of each call in the same lines as the SDK clients.
#![forbid(unsafe_code)]

mod bare;
mod closed_loop;
mod http_client;
mod http_server;
mod http_wire;
mod load;
mod lookalike;
mod message;
mod sse_client;
mod stdio_client;
mod stdio_server;
mod steady;
mod unrelated;
mod wire;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about = "MCP traffic of exact shapes")]
struct Arguments {
    #[command(subcommand)]
    role: Role,
}

#[derive(Subcommand)]
enum Role {
    /// Sessions over standard input and output of child processes.
    Stdio(stdio_client::Settings),
    /// Streamable HTTP with a child process.
    Http(http_client::Settings),
    /// The transport of 2024: answers come on one event stream, requests go by POST.
    Sse(sse_client::Settings),
    /// So many calls a second on one stdio session.
    Load(load::Settings),
    /// One call after the other, as fast as they are answered.
    ClosedLoop(closed_loop::Settings),
    /// So many calls a second from a bare client to a bare server.
    Steady(steady::Settings),
    /// System calls that have nothing to do with streams.
    Unrelated(unrelated::Settings),
    /// Traffic that resembles MCP and is not.
    Lookalike(lookalike::Settings),
    /// The server of `stdio` and `load`.
    #[command(hide = true)]
    ServeStdio(stdio_server::Settings),
    /// The server of `closed-loop` and `steady`.
    #[command(hide = true)]
    ServeBare(bare::Settings),
    /// The server of `http` and `sse`.
    #[command(hide = true)]
    ServeHttp,
    /// The other end of `lookalike`.
    #[command(hide = true)]
    ServeLookalike(lookalike::Settings),
}

fn main() -> Result<()> {
    match Arguments::parse().role {
        Role::Stdio(settings) => stdio_client::run(&settings),
        Role::Http(settings) => http_client::run(&settings),
        Role::Sse(settings) => sse_client::run(&settings),
        Role::Load(settings) => load::run(&settings),
        Role::ClosedLoop(settings) => closed_loop::run(&settings),
        Role::Steady(settings) => steady::run(&settings),
        Role::Unrelated(settings) => unrelated::run(&settings),
        Role::Lookalike(settings) => lookalike::client(&settings),
        Role::ServeStdio(settings) => stdio_server::run(&settings),
        Role::ServeBare(settings) => bare::serve(&settings),
        Role::ServeHttp => http_server::run(),
        Role::ServeLookalike(settings) => lookalike::server(&settings),
    }
}
