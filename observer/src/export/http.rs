//! Serves the metrics, on a thread of its own, so that no scraper ever delays the capture.
//!
//! In: a registry. Out: what `/metrics`, `/healthz` and `/readyz` answer. Formats are `prometheus/exposition`'s.

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, ALLOW, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, VARY,
};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::prometheus::exposition::{self, Format};
use super::prometheus::registry::Registry;
use super::{Exporter, Vitals};
use crate::capture::kernel::StartFacts;
use crate::error::Error;
use crate::pipeline::observation::Observation;
use crate::pipeline::time::WallClock;

/// Connections served at once; more wait in the kernel's queue.
const MOST_CONNECTIONS: usize = 16;
/// Head of a request. Scrapers send some hundred bytes.
const MOST_HEAD_BYTES: usize = 16 << 10;
/// For the head of a request.
const TIME_FOR_HEAD: Duration = Duration::from_secs(2);
/// For one connection, from its head to the last byte that the scraper has read.
const TIME_FOR_ONE: Duration = Duration::from_secs(10);

/// Tells the server when the probes are attached.
#[derive(Debug)]
pub struct Readiness(Arc<Pages>);

/// Serves `registry` at `listener`, from now on until the process ends.
///
/// # Errors
/// The thread cannot be started.
pub fn serve(listener: TcpListener, registry: Registry) -> Result<Readiness, Error> {
    let failed = |source| Error::Io { act: "serve the metrics".into(), source };
    let pages = Arc::new(Pages { registry, is_ready: AtomicBool::new(false) });
    let served = pages.clone();
    listener.set_nonblocking(true).map_err(failed)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let body = move || runtime.block_on(accept(listener, served));
    thread::Builder::new().name("metrics".into()).spawn(body).map_err(failed)?;
    Ok(Readiness(pages))
}

/// Takes the address.
///
/// # Errors
/// It is taken, or not one of this host.
pub fn listen(address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address).map_err(|source| Error::Io {
        act: format!("listen on {address} (--listen chooses another address)"),
        source,
    })
}

impl Exporter for Readiness {
    fn ready(&mut self, _facts: &StartFacts) -> io::Result<()> {
        self.0.is_ready.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn export(&mut self, _observation: &Observation, _clock: WallClock) -> io::Result<()> {
        Ok(())
    }

    fn turn(&mut self, _vitals: &Vitals<'_>) -> io::Result<()> {
        Ok(())
    }
}

async fn accept(listener: TcpListener, pages: Arc<Pages>) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    loop {
        let place = places.clone().acquire_owned().await.map_err(io::Error::other)?;
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(connection(stream, pages.clone(), place))),
            // Out of descriptors, most likely: it passes, and asking again at once would not help.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn connection(stream: TcpStream, pages: Arc<Pages>, _place: OwnedSemaphorePermit) {
    let answer = service_fn(|request: Request<Incoming>| {
        let response = pages.answer(request.method(), request.uri().path(), request.headers());
        async { Ok::<_, Infallible>(response) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .keep_alive(false)
        .max_buf_size(MOST_HEAD_BYTES)
        .header_read_timeout(TIME_FOR_HEAD)
        .serve_connection(TokioIo::new(stream), answer);
    // What went wrong with one scraper is the scraper's to tell.
    let _ = tokio::time::timeout(TIME_FOR_ONE, served).await;
}

/// What is served.
#[derive(Debug)]
struct Pages {
    registry: Registry,
    is_ready: AtomicBool,
}

impl Pages {
    fn answer(&self, method: &Method, path: &str, headers: &HeaderMap) -> Response<Full<Bytes>> {
        if method != Method::GET && method != Method::HEAD {
            let mut refused = page(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET and HEAD\n");
            refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return refused;
        }
        match path {
            "/metrics" => self.metrics(headers),
            "/healthz" => page(StatusCode::OK, TEXT, "alive\n"),
            "/readyz" if self.is_ready.load(Ordering::Relaxed) => page(StatusCode::OK, TEXT, "ready\n"),
            "/readyz" => page(StatusCode::SERVICE_UNAVAILABLE, TEXT, "the probes are not attached\n"),
            "/" => page(StatusCode::OK, "text/html; charset=utf-8", LANDING),
            _ => page(StatusCode::NOT_FOUND, TEXT, "not here; see /\n"),
        }
    }

    fn metrics(&self, headers: &HeaderMap) -> Response<Full<Bytes>> {
        let format = Format::preferred(&listed(headers, &ACCEPT));
        let body = exposition::body(&self.registry, format);
        let zipped = exposition::takes_gzip(&listed(headers, &ACCEPT_ENCODING))
            .then(|| exposition::gzip(&body).ok())
            .flatten();
        let is_zipped = zipped.is_some();
        let mut response = page(StatusCode::OK, TEXT, zipped.unwrap_or(body));
        let headers = response.headers_mut();
        if let Ok(content_type) = HeaderValue::try_from(format.content_type()) {
            headers.insert(CONTENT_TYPE, content_type);
        }
        if is_zipped {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        headers.insert(VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
        response
    }
}

/// All members of a header that may come more than once.
fn listed(headers: &HeaderMap, name: &HeaderName) -> String {
    let values: Vec<_> = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
    values.join(",")
}

fn page(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

const TEXT: &str = "text/plain; charset=utf-8";
const LANDING: &str = "<!doctype html><title>mcp-observer</title><h1>mcp-observer</h1>\
    <p><a href=\"/metrics\">metrics</a> <a href=\"/healthz\">alive</a> <a href=\"/readyz\">ready</a></p>\n";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::prometheus::Prometheus;
    use std::io::{Read, Write};
    use std::net::TcpStream;

    fn started() -> (SocketAddr, Readiness) {
        let listener = listen(([127, 0, 0, 1], 0).into()).unwrap();
        let address = listener.local_addr().unwrap();
        (address, serve(listener, Prometheus::default().registry()).unwrap())
    }

    fn ask(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn page_of(address: SocketAddr, path: &str) -> String {
        ask(address, &format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"))
    }

    #[test]
    fn it_is_ready_once_the_probes_are_attached() {
        let (address, mut readiness) = started();
        assert!(page_of(address, "/healthz").starts_with("HTTP/1.1 200 "));
        assert!(page_of(address, "/readyz").starts_with("HTTP/1.1 503 "));
        let facts = StartFacts::default();
        readiness.ready(&facts).unwrap();
        assert!(page_of(address, "/readyz").starts_with("HTTP/1.1 200 "));
    }

    #[test]
    fn metrics_have_their_type_and_other_things_are_refused() {
        let (address, _readiness) = started();
        let metrics = page_of(address, "/metrics");
        assert!(
            metrics.contains("\r\ncontent-type: text/plain; version=0.0.4; charset=utf-8\r\n"),
            "{metrics}"
        );
        assert!(metrics.contains("\nmcp_observer_build_info{version="), "{metrics}");
        assert!(page_of(address, "/").contains("href=\"/metrics\""));
        assert!(page_of(address, "/other").starts_with("HTTP/1.1 404 "));
        assert!(ask(address, "POST /metrics HTTP/1.1\r\nHost: x\r\n\r\n").starts_with("HTTP/1.1 405 "));
        let long = "a".repeat(MOST_HEAD_BYTES);
        let refused = ask(address, &format!("GET / HTTP/1.1\r\nHost: x\r\nx: {long}\r\n\r\n"));
        assert!(refused.starts_with("HTTP/1.1 431 "), "{refused}");
    }

    #[test]
    fn a_scraper_gets_the_format_and_the_coding_that_it_asks_for() {
        let (address, _readiness) = started();
        let scrape = |headers: &str| {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            write!(stream, "GET /metrics HTTP/1.1\r\nHost: x\r\n{headers}\r\n").unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).unwrap();
            let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
            (String::from_utf8(answer[..end].to_vec()).unwrap(), answer[end + 4..].to_vec())
        };
        let (head, body) = scrape("Accept: text/plain;q=0.1\r\nAccept: application/openmetrics-text\r\n");
        assert!(
            head.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8"),
            "{head}"
        );
        assert!(
            head.contains("vary: Accept, Accept-Encoding") && !head.contains("content-encoding"),
            "{head}"
        );
        assert!(body.ends_with(b"# EOF\n"));
        let (head, zipped) = scrape("Accept: application/openmetrics-text\r\nAccept-Encoding: gzip\r\n");
        assert!(head.contains("content-encoding: gzip"), "{head}");
        let mut unzipped = Vec::new();
        flate2::read::GzDecoder::new(&*zipped).read_to_end(&mut unzipped).unwrap();
        assert_eq!(unzipped, body);
    }

    #[test]
    fn silent_connections_keep_nobody_out_for_longer_than_their_time() {
        let (address, _readiness) = started();
        let silent: Vec<_> = (0..MOST_CONNECTIONS).map(|_| TcpStream::connect(address).unwrap()).collect();
        assert!(page_of(address, "/healthz").starts_with("HTTP/1.1 200 "));
        drop(silent);
    }
}
