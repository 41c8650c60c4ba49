//! How the client reaches its server.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use peers::truth::{Ledger, Line};
use peers::witness::{self, Witness};
use rmcp::model::{ClientCapabilities, ClientConfig, Implementation};
use rmcp::service::RunningService;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::transport::{StreamableHttpClientTransport, TokioChildProcess, Transport};
use rmcp::{RoleClient, ServiceExt};
use tokio::process::Command;

use crate::Arguments;

/// A session that is under way.
pub struct Client {
    /// The SDK's own client.
    pub service: RunningService<RoleClient, ClientConfig>,
    ledger: Arc<Ledger>,
}

impl Client {
    /// Ends the session; prints what was never answered.
    pub async fn close(&mut self) -> Result<()> {
        self.service.close().await?;
        witness::print(self.ledger.close());
        Ok(())
    }
}

/// Starts or reaches the server and initializes the session.
pub async fn client(arguments: &Arguments) -> Result<Client> {
    match &arguments.url {
        Some(url) => {
            let config = StreamableHttpClientTransportConfig::with_uri(url.as_str());
            let transport = StreamableHttpClientTransport::with_client(http(arguments)?, config);
            session(transport, None).await
        }
        None => {
            let [program, rest @ ..] = arguments.command.as_slice() else {
                bail!("--stdio needs the server's command line after `--`");
            };
            let mut command = Command::new(program);
            command.args(rest);
            let transport =
                TokioChildProcess::new(command).with_context(|| format!("cannot start {program}"))?;
            let server_pid = transport.id();
            session(transport, server_pid).await
        }
    }
}

async fn session<T>(transport: T, server_pid: Option<u32>) -> Result<Client>
where
    T: Transport<RoleClient> + 'static,
{
    Line::Peer { client_pid: std::process::id(), server_pid }.print();
    let ledger = Arc::new(Ledger::new(server_pid));
    let service = identity().serve(Witness::new(transport, ledger.clone())).await?;
    Ok(Client { service, ledger })
}

fn identity() -> ClientConfig {
    ClientConfig::new(
        ClientCapabilities::default(),
        Implementation::new("peer-client", env!("CARGO_PKG_VERSION")),
    )
}

fn http(arguments: &Arguments) -> Result<reqwest::Client> {
    let mut builder = reqwest::Client::builder().use_native_tls();
    if !arguments.keep_alive {
        builder = builder.pool_max_idle_per_host(0);
    }
    if let Some(ca) = &arguments.ca {
        let pem = std::fs::read(ca).with_context(|| format!("cannot read {}", ca.display()))?;
        builder = builder.add_root_certificate(reqwest::Certificate::from_pem(&pem)?);
    }
    Ok(builder.build()?)
}
