//! An MCP server of the official Rust SDK, over standard input and output, HTTP or HTTPS.
#![forbid(unsafe_code)]

mod http;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, Subcommand};
use peers::tools::Tools;
use rmcp::ServiceExt;

#[derive(Parser)]
#[command(about = "An MCP server to observe")]
struct Arguments {
    #[command(subcommand)]
    transport: Transport,
}

#[derive(Subcommand)]
enum Transport {
    /// Newline-delimited JSON on standard input and output.
    Stdio,
    /// Streamable HTTP at /mcp of the loopback address.
    Http(http::Settings),
    /// The same inside TLS of the system's OpenSSL.
    Https {
        #[command(flatten)]
        settings: http::Settings,
        /// Certificate, PEM.
        #[arg(long)]
        cert: PathBuf,
        /// Its private key, PEM.
        #[arg(long)]
        key: PathBuf,
    },
    /// Writes ca.pem, cert.pem and key.pem for the loopback names.
    MakeCert {
        /// Where to.
        #[arg(long)]
        dir: PathBuf,
    },
}

#[tokio::main]
async fn main() -> Result<()> {
    match Arguments::parse().transport {
        Transport::Stdio => {
            Tools.serve(rmcp::transport::stdio()).await?.waiting().await?;
            Ok(())
        }
        Transport::Http(settings) => http::serve(&settings, None).await,
        Transport::Https { settings, cert, key } => {
            http::serve(&settings, Some(http::acceptor(&cert, &key)?)).await
        }
        Transport::MakeCert { dir } => peers::certificate::make(&dir),
    }
}
