//! A collector for tests: strict about what it takes, and it answers as it is told.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::Read;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::header::{HeaderMap, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message;
use tokio::sync::Notify;

/// What a request is answered.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Taken but for so many.
    Partly(i64),
    /// An HTTP status, perhaps with when to come again.
    Status(u16, Option<&'static str>),
    /// A gRPC status.
    Code(u8),
    /// Taken, after a while.
    Late(Duration),
    /// Not taken, and the connection breaks.
    Break,
    /// Taken, but the connection breaks before there is an answer.
    TakeAndBreak,
    /// Taken, and the connection breaks within the answer.
    Cut,
}

/// What came.
#[derive(Clone, Debug, Default)]
pub struct Taken {
    /// Requests with spans.
    pub traces: Vec<ExportTraceServiceRequest>,
    /// Requests with log records.
    pub logs: Vec<ExportLogsServiceRequest>,
    /// Requests with metrics.
    pub metrics: Vec<ExportMetricsServiceRequest>,
    /// Heads of all requests.
    pub heads: Vec<HeaderMap>,
    /// When each attempt to send spans came.
    pub attempts: Vec<Instant>,
    /// How many handshakes of TLS failed.
    pub failed_handshakes: usize,
}

/// A collector.
pub struct Receiver {
    /// Where.
    pub address: SocketAddr,
    state: Arc<State>,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Drop for Receiver {
    /// All connections break, and the address is free.
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

#[derive(Default)]
struct State {
    answers: Mutex<VecDeque<Answer>>,
    taken: Mutex<Taken>,
}

impl Receiver {
    /// A collector at `address` (port 0: any). `answers` are for the first requests with spans; the others are taken.
    pub fn start(address: SocketAddr, answers: &[Answer]) -> Self {
        Self::start_with(address, answers, None)
    }

    /// The same, inside TLS.
    pub fn start_with(
        address: SocketAddr,
        answers: &[Answer],
        tls: Option<Arc<rustls::ServerConfig>>,
    ) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let state = Arc::new(State { answers: Mutex::new(answers.to_vec().into()), ..State::default() });
        let listener = std::net::TcpListener::bind(address).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let shared = state.clone();
        let accept = async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(accept_one(stream, shared.clone(), tls.clone()));
            }
        };
        let body = move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = stopped => {}
                    () = accept => {}
                }
            });
        };
        Self { address, state, stop: Some(stop), thread: Some(std::thread::spawn(body)) }
    }

    /// Ends it, and tells what came.
    pub fn end(self) -> Taken {
        let state = self.state.clone();
        drop(self);
        std::mem::take(&mut state.taken.lock().unwrap())
    }

    /// What came so far, once `enough`.
    pub fn wait(&self, enough: impl Fn(&Taken) -> bool) -> Taken {
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            let taken = self.state.taken.lock().unwrap().clone();
            if enough(&taken) {
                return taken;
            }
            assert!(Instant::now() < until, "not enough came: {} requests", taken.heads.len());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

async fn accept_one(
    stream: tokio::net::TcpStream,
    state: Arc<State>,
    tls: Option<Arc<rustls::ServerConfig>>,
) {
    let Some(tls) = tls else {
        let mut first = [0; 3];
        stream.peek(&mut first).await.unwrap();
        return serve(stream, &first == b"PRI", state).await;
    };
    match tokio_rustls::TlsAcceptor::from(tls).accept(stream).await {
        Ok(stream) => {
            let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            serve(stream, is_http2, state).await;
        }
        Err(_) => state.taken.lock().unwrap().failed_handshakes += 1,
    }
}

async fn serve(
    stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    is_http2: bool,
    state: Arc<State>,
) {
    let io = TokioIo::new(stream);
    let broken = Arc::<Notify>::default();
    let notify = broken.clone();
    let service = service_fn(move |request| answer(request, state.clone(), notify.clone()));
    let served = async {
        if is_http2 {
            let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            let _ = builder.serve_connection(io, service).await;
        } else {
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(io, service).await;
        }
    };
    tokio::select! {
        () = served => {}
        () = broken.notified() => {}
    }
}

type Body = http_body_util::combinators::BoxBody<Bytes, Infallible>;

async fn answer(
    request: Request<Incoming>,
    state: Arc<State>,
    broken: Arc<Notify>,
) -> Result<Response<Body>, Infallible> {
    let path = request.uri().path().to_owned();
    let is_grpc = request.version() == hyper::Version::HTTP_2;
    let headers = request.headers().clone();
    assert_eq!(request.method(), "POST");
    let content = if is_grpc { "application/grpc" } else { "application/x-protobuf" };
    assert_eq!(headers["content-type"], content);
    assert!(headers["user-agent"].to_str().unwrap().contains("OTel-OTLP-Exporter-Rust/"));
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let message = if is_grpc { unframe(&headers, &body) } else { uncode(&headers, &body) };
    let is_traces = path.contains("trace");
    let mut told = None;
    if is_traces {
        state.taken.lock().unwrap().attempts.push(Instant::now());
        told = state.answers.lock().unwrap().pop_front();
    }
    let mut response = ExportTraceServiceResponse::default();
    match told {
        Some(Answer::Status(status, after)) => return Ok(refuse(status, after)),
        Some(Answer::Code(code)) => return Ok(grpc(Bytes::new(), code)),
        Some(Answer::Late(wait)) => tokio::time::sleep(wait).await,
        Some(Answer::Break) => return broken_off(&broken).await,
        Some(Answer::TakeAndBreak) => {
            take(&state, &path, &message, headers);
            return broken_off(&broken).await;
        }
        Some(Answer::Cut) => {
            take(&state, &path, &message, headers);
            return Ok(half(is_grpc, &response.encode_to_vec(), broken));
        }
        Some(Answer::Partly(rejected_spans)) => {
            let error_message = "too old".to_owned();
            response.partial_success = Some(ExportTracePartialSuccess { rejected_spans, error_message });
        }
        None => {}
    }
    take(&state, &path, &message, headers);
    let encoded = response.encode_to_vec();
    Ok(if is_grpc {
        grpc(frame(&encoded), 0)
    } else {
        Response::new(Full::new(Bytes::from(encoded)).boxed())
    })
}

/// The connection ends, and with it this.
async fn broken_off<T>(broken: &Notify) -> T {
    broken.notify_one();
    std::future::pending().await
}

/// The head of an answer, of whose body only a part comes before the connection breaks.
fn half(is_grpc: bool, encoded: &[u8], broken: Arc<Notify>) -> Response<Body> {
    let whole = if is_grpc { frame(encoded) } else { Bytes::from(encoded.to_vec()) };
    let part = whole.slice(..whole.len().min(3));
    let mut response = Response::new(Half { part: Some(part), broken }.boxed());
    let content = if is_grpc { "application/grpc" } else { "application/x-protobuf" };
    response.headers_mut().insert("content-type", HeaderValue::from_static(content));
    response
}

/// A body that never ends.
struct Half {
    part: Option<Bytes>,
    broken: Arc<Notify>,
}

impl hyper::body::Body for Half {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(part) = self.part.take() {
            return Poll::Ready(Some(Ok(Frame::data(part))));
        }
        // What was given is written before the connection breaks.
        let (broken, waker) = (self.broken.clone(), context.waker().clone());
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(5)).await;
            broken.notify_one();
            waker.wake();
        });
        Poll::Pending
    }
}

fn take(state: &State, path: &str, message: &[u8], headers: HeaderMap) {
    let mut taken = state.taken.lock().unwrap();
    taken.heads.push(headers);
    match path {
        "/v1/traces" | "/opentelemetry.proto.collector.trace.v1.TraceService/Export" => {
            taken.traces.push(Message::decode(message).unwrap());
        }
        "/v1/logs" | "/opentelemetry.proto.collector.logs.v1.LogsService/Export" => {
            taken.logs.push(Message::decode(message).unwrap());
        }
        "/v1/metrics" | "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export" => {
            taken.metrics.push(Message::decode(message).unwrap());
        }
        other => panic!("nothing is at {other}"),
    }
}

fn refuse(status: u16, after: Option<&'static str>) -> Response<Body> {
    let mut response = Response::new(Full::new(Bytes::new()).boxed());
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    if let Some(after) = after {
        response.headers_mut().insert("retry-after", HeaderValue::from_static(after));
    }
    response
}

fn grpc(body: Bytes, code: u8) -> Response<Body> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from(u16::from(code)));
    let body = Full::new(body).with_trailers(async { Some(Ok(trailers)) });
    let mut response = Response::new(body.boxed());
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    response
}

fn frame(message: &[u8]) -> Bytes {
    [&[0][..], &u32::try_from(message.len()).unwrap().to_be_bytes(), message].concat().into()
}

fn unframe(headers: &HeaderMap, body: &[u8]) -> Vec<u8> {
    let (head, message) = body.split_at(5);
    assert_eq!(u32::from_be_bytes(head[1..].try_into().unwrap()) as usize, message.len());
    if head[0] == 1 {
        assert_eq!(headers["grpc-encoding"], "gzip");
        return unzip(message);
    }
    message.to_vec()
}

fn uncode(headers: &HeaderMap, body: &[u8]) -> Vec<u8> {
    match headers.get("content-encoding") {
        Some(coding) => {
            assert_eq!(coding, "gzip");
            unzip(body)
        }
        None => body.to_vec(),
    }
}

fn unzip(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(bytes).read_to_end(&mut plain).unwrap();
    plain
}
