//! Streamable HTTP, plain or inside OpenSSL.

use std::net::Ipv4Addr;
use std::path::Path;
use std::pin::Pin;

use anyhow::{Context, Result};
use clap::Args;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use openssl::ssl::{Ssl, SslAcceptor, SslFiletype, SslMethod};
use peers::tools::Tools;
use peers::truth::Line;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_openssl::SslStream;

/// How to listen and answer.
#[derive(Args)]
pub struct Settings {
    /// TCP port; 0 lets the kernel choose.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// No sessions, and plain JSON bodies instead of event streams where nothing precedes the answer.
    #[arg(long)]
    stateless: bool,
}

type Service = StreamableHttpService<Tools, LocalSessionManager>;

/// Serves until it is killed.
pub async fn serve(settings: &Settings, tls: Option<SslAcceptor>) -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, settings.port)).await?;
    Line::Listening { pid: std::process::id(), port: listener.local_addr()?.port() }.print();
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(!settings.stateless)
        .with_json_response(settings.stateless);
    let service = Service::new(|| Ok(Tools), LocalSessionManager::default().into(), config);
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(connection(service.clone(), stream, tls.clone()));
    }
}

/// An acceptor for one certificate.
pub fn acceptor(cert: &Path, key: &Path) -> Result<SslAcceptor> {
    let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server())?;
    let cannot_read = |path: &Path| format!("cannot read {}", path.display());
    builder.set_certificate_chain_file(cert).with_context(|| cannot_read(cert))?;
    builder.set_private_key_file(key, SslFiletype::PEM).with_context(|| cannot_read(key))?;
    Ok(builder.build())
}

async fn connection(service: Service, stream: TcpStream, tls: Option<SslAcceptor>) {
    // An answer in two segments would otherwise wait for the client's delayed acknowledgement.
    let _ = stream.set_nodelay(true);
    match tls {
        None => exchanges(service, stream).await,
        Some(acceptor) => match accepted(&acceptor, stream).await {
            Ok(stream) => exchanges(service, stream).await,
            Err(error) => eprintln!("no TLS session: {error:#}"),
        },
    }
}

async fn accepted(acceptor: &SslAcceptor, stream: TcpStream) -> Result<SslStream<TcpStream>> {
    let mut stream = SslStream::new(Ssl::new(acceptor.context())?, stream)?;
    Pin::new(&mut stream).accept().await?;
    Ok(stream)
}

async fn exchanges(service: Service, stream: impl AsyncRead + AsyncWrite + Unpin + Send) {
    let answer = service_fn(|request| answer(&service, request));
    // A client may leave in the middle of an event stream; that is its affair.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
}

async fn answer(
    service: &Service,
    request: Request<Incoming>,
) -> Result<Response<BoxBody<Bytes, std::convert::Infallible>>, std::convert::Infallible> {
    if request.uri().path() == "/mcp" {
        return Ok(service.handle(request).await);
    }
    let mut response = Response::new(Empty::new().boxed());
    *response.status_mut() = StatusCode::NOT_FOUND;
    Ok(response)
}
