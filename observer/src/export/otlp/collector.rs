//! One collector: a request goes there over gRPC or HTTP, once; what its answer means is told.
//!
//! Both protocols share one connector, and a request is encoded once for all its attempts.

use std::future::Future;
use std::io::Write;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::SystemTime;

use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::{BodyExt, Full, Limited};
use hyper::Uri;
use hyper::body::Incoming;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, USER_AGENT};
use hyper::http::uri::PathAndQuery;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use prost::Message;
use prost::bytes::{Buf, BufMut, Bytes};
use tonic::body::Body;
use tonic::client::{Grpc, GrpcService};
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::{Code, Status};

use super::portion::Request;
use super::settings::{Protocol, Target};
use super::tls;
use super::verdict::Verdict;
use crate::error::Error;

/// A collector.
#[derive(Clone, Debug)]
pub struct Collector {
    target: Target,
    client: Client<HttpsConnector<HttpConnector>, Body>,
}

/// Who we are, with the part that OTLP recommends.
const AGENT: HeaderValue = HeaderValue::from_static(concat!(
    "mcp-observer/",
    env!("CARGO_PKG_VERSION"),
    " OTel-OTLP-Exporter-Rust/",
    env!("CARGO_PKG_VERSION")
));
/// The specification's guidance for answers.
const MOST_ANSWER_BYTES: usize = 4 << 20;

impl Collector {
    /// The collector at `target`. It need not be there yet.
    ///
    /// # Errors
    /// A certificate cannot be read.
    pub fn new(target: Target) -> Result<Self, Error> {
        let builder = HttpsConnectorBuilder::new().with_tls_config(tls::config(&target)?).https_or_http();
        let grpc = target.protocol == Protocol::Grpc;
        let connector = if grpc { builder.enable_http2().build() } else { builder.enable_http1().build() };
        let client = Client::builder(TokioExecutor::new()).http2_only(grpc).build(connector);
        Ok(Self { target, client })
    }

    /// Where it is.
    pub const fn endpoint(&self) -> &Uri {
        &self.target.endpoint
    }

    /// Sends an encoded `R` once.
    pub async fn send<R: Request>(&self, encoded: Bytes) -> Verdict {
        let attempt = async {
            match self.target.protocol {
                Protocol::Grpc => self.call::<R>(encoded).await,
                Protocol::Http => self.post::<R>(encoded).await,
            }
        };
        let timeout = self.target.timeout;
        tokio::time::timeout(timeout, attempt).await.unwrap_or_else(|_| Verdict::Again {
            after: None,
            reason: format!("no answer within {} ms", timeout.as_millis()),
        })
    }

    async fn call<R: Request>(&self, encoded: Bytes) -> Verdict {
        let wire = Wire { client: self.client.clone(), headers: self.target.headers.clone() };
        let mut grpc = Grpc::with_origin(wire, self.target.endpoint.clone())
            .max_decoding_message_size(MOST_ANSWER_BYTES)
            .accept_compressed(CompressionEncoding::Gzip);
        if self.target.gzip {
            grpc = grpc.send_compressed(CompressionEncoding::Gzip);
        }
        let mut request = tonic::Request::new(encoded);
        request.set_timeout(self.target.timeout);
        match grpc.unary(request, PathAndQuery::from_static(R::METHOD), AsItIs).await {
            Ok(answer) => taken::<R>(answer.into_inner()),
            Err(status) => Verdict::of_grpc(&status),
        }
    }

    async fn post<R: Request>(&self, encoded: Bytes) -> Verdict {
        let body = if self.target.gzip { gzip(&encoded) } else { encoded };
        let mut request = hyper::Request::new(Body::new(Full::new(body)));
        *request.method_mut() = hyper::Method::POST;
        *request.uri_mut() = self.target.endpoint.clone();
        let headers = request.headers_mut();
        headers.insert(USER_AGENT, AGENT);
        headers.extend(self.target.headers.clone());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        if self.target.gzip {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        let response = match self.client.request(request).await {
            Ok(response) => response,
            Err(error) => return Verdict::of_transport(&error),
        };
        let (head, body) = response.into_parts();
        if !head.status.is_success() {
            return Verdict::of_http(head.status, &head.headers, SystemTime::now());
        }
        // It was taken, whatever becomes of the words about it.
        let body = Limited::new(body, MOST_ANSWER_BYTES).collect().await;
        taken::<R>(body.map(|body| body.to_bytes()).unwrap_or_default())
    }
}

fn taken<R: Request>(answer: Bytes) -> Verdict {
    let answer = R::Response::decode(answer).unwrap_or_default();
    let (rejected, message) = R::rejected(&answer).unwrap_or_default();
    Verdict::Taken { rejected: rejected.try_into().unwrap_or_default(), message: message.to_owned() }
}

fn gzip(bytes: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), Compression::fast());
    // Writing to memory does not fail.
    let _ = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default().into()
}

/// The connection below gRPC. What breaks here is worth another attempt.
struct Wire {
    client: Client<HttpsConnector<HttpConnector>, Body>,
    headers: HeaderMap,
}

impl GrpcService<Body> for Wire {
    type ResponseBody = Incoming;
    type Error = Status;
    type Future = Pin<Box<dyn Future<Output = Result<hyper::Response<Incoming>, Status>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: hyper::Request<Body>) -> Self::Future {
        let headers = request.headers_mut();
        headers.insert(USER_AGENT, AGENT);
        headers.extend(self.headers.clone());
        let response = self.client.request(request);
        Box::pin(async {
            response.await.map_err(|error| {
                let mut status = Status::new(Code::Unavailable, "");
                status.set_source(Arc::new(error));
                status
            })
        })
    }
}

/// Messages that are encoded already.
#[derive(Clone, Copy, Debug, Default)]
struct AsItIs;

impl Codec for AsItIs {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for AsItIs {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for AsItIs {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}
