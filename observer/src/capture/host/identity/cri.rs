//! What runtimes tell by the Container Runtime Interface of Kubernetes, where their socket may be used.
//!
//! One call of it is needed, `ListContainers` for one id, so the few messages of that are written out here instead of
//! a crate that has them all and needs a compiler for them.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::runtime::Runtime;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};

use super::local::{Found, fill};
use crate::capture::host::root::HostRoot;

/// The runtimes of this host.
pub struct Runtimes {
    root: HostRoot,
    /// None if it could not be started; nobody is asked then.
    runtime: Option<Runtime>,
}

/// Where runtimes listen: containerd, that of k3s and microk8s, CRI-O, and Docker's adapter.
const SOCKETS: [&str; 5] = [
    "/run/containerd/containerd.sock",
    "/run/k3s/containerd/containerd.sock",
    "/var/snap/microk8s/common/run/containerd.sock",
    "/run/crio/crio.sock",
    "/run/cri-dockerd.sock",
];
/// A runtime that does not answer by then is busy with what matters more.
const PATIENCE: Duration = Duration::from_secs(2);

impl Runtimes {
    /// Of the host with this root.
    pub fn new(root: HostRoot) -> Self {
        Self { root, runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().ok() }
    }

    /// Asks each of them for the container until one knows it, and fills in what is missing.
    pub fn ask(&self, found: &mut Found) {
        let (Some(runtime), false) = (&self.runtime, found.container.id.is_empty()) else { return };
        for path in SOCKETS {
            let answer = runtime.block_on(async {
                let asked = list(&self.root, path, &found.container.id);
                tokio::time::timeout(PATIENCE, asked).await.ok()?
            });
            if let Some(container) = answer {
                return take(container, found);
            }
        }
    }
}

fn take(container: Container, found: &mut Found) {
    found.take_labels(&container.labels);
    fill(&mut found.container.name, container.metadata.map(|it| it.name).filter(|it| !it.is_empty()));
    let image = container.image.unwrap_or_default();
    let image = [image.user_specified_image, image.image].into_iter().find(|it| !it.is_empty());
    fill(&mut found.container.image, image);
}

/// The container with this id. None if there is no such socket, or it is no runtime's, or it knows of none.
async fn list(root: &HostRoot, path: &str, id: &str) -> Option<Container> {
    let (path, _open) = root.socket(path).ok()?;
    let address = format!("unix://{}", path.display());
    let channel = Endpoint::from_shared(address).ok()?.connect().await.ok()?;
    let mut client = tonic::client::Grpc::<Channel>::new(channel);
    client.ready().await.ok()?;
    let method = PathAndQuery::from_static("/runtime.v1.RuntimeService/ListContainers");
    let filter = ContainerFilter { id: id.to_owned() };
    let request = tonic::Request::new(ListContainersRequest { filter: Some(filter) });
    let codec = tonic_prost::ProstCodec::<_, ListContainersResponse>::default();
    let answer = client.unary(request, method, codec).await.ok()?.into_inner();
    answer.containers.into_iter().find(|container| container.id == id)
}

/// Members by their numbers in `runtime.v1`, as far as they are of use.
#[derive(Clone, PartialEq, prost::Message)]
struct ListContainersRequest {
    #[prost(message, optional, tag = "1")]
    filter: Option<ContainerFilter>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ContainerFilter {
    #[prost(string, tag = "1")]
    id: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ListContainersResponse {
    #[prost(message, repeated, tag = "1")]
    containers: Vec<Container>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Container {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(message, optional, tag = "3")]
    metadata: Option<ContainerMetadata>,
    #[prost(message, optional, tag = "4")]
    image: Option<ImageSpec>,
    #[prost(btree_map = "string, string", tag = "8")]
    labels: BTreeMap<String, String>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ContainerMetadata {
    #[prost(string, tag = "1")]
    name: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ImageSpec {
    #[prost(string, tag = "1")]
    image: String,
    /// As the pod's specification names it; `image` may be a digest.
    #[prost(string, tag = "18")]
    user_specified_image: String,
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::net::UnixListener;
    use std::thread;

    use hyper::body::Bytes;
    use prost::Message as _;

    use super::*;

    const ID: &str = "0123456789abcdef";

    /// Answers one call as a runtime does: a message behind its length, then the status.
    fn serve(
        listener: UnixListener,
        answer: ListContainersResponse,
    ) -> thread::JoinHandle<(String, Vec<u8>)> {
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let (stream, _) = listener.accept().unwrap();
                stream.set_nonblocking(true).unwrap();
                let stream = tokio::net::UnixStream::from_std(stream).unwrap();
                let mut connection = h2::server::handshake(stream).await.unwrap();
                let (request, mut respond) = connection.accept().await.unwrap().unwrap();
                let path = request.uri().path().to_owned();
                let mut body = request.into_body();
                let serving = tokio::spawn(async move { while connection.accept().await.is_some() {} });
                let mut asked = Vec::new();
                while let Some(Ok(data)) = body.data().await {
                    asked.extend(data);
                }
                let head = hyper::Response::builder().header("content-type", "application/grpc").body(());
                let mut send = respond.send_response(head.unwrap(), false).unwrap();
                let message = answer.encode_to_vec();
                let mut framed = vec![0];
                framed.extend((message.len() as u32).to_be_bytes());
                framed.extend(message);
                send.send_data(Bytes::from(framed), false).unwrap();
                let status = [("grpc-status", "0")]
                    .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
                send.send_trailers(status.into_iter().collect()).unwrap();
                let _ = serving.await;
                (path, asked)
            })
        })
    }

    #[test]
    fn a_runtime_that_knows_the_container_tells_its_pod() {
        let root = std::env::temp_dir().join(format!("cri-{}", std::process::id()));
        fs::create_dir_all(root.join("run/crio")).unwrap();
        // The first of the sockets is nobody's any more.
        fs::create_dir_all(root.join("run/containerd")).unwrap();
        drop(UnixListener::bind(root.join("run/containerd/containerd.sock")).unwrap());
        let listener = UnixListener::bind(root.join("run/crio/crio.sock")).unwrap();
        let labels =
            [("pod.name", "web-0"), ("pod.namespace", "shop"), ("pod.uid", "u1"), ("container.name", "app")];
        let container = Container {
            id: ID.to_owned(),
            metadata: Some(ContainerMetadata { name: "app".to_owned() }),
            image: Some(ImageSpec {
                image: "sha256:1".to_owned(),
                user_specified_image: "shop:1".to_owned(),
            }),
            labels: labels.map(|(key, value)| (format!("io.kubernetes.{key}"), value.to_owned())).into(),
        };
        let other = Container { id: "other".to_owned(), ..Container::default() };
        let server = serve(listener, ListContainersResponse { containers: vec![other, container] });
        let mut found = Found::default();
        found.container.id = ID.to_owned();
        Runtimes::new(HostRoot::new(Some(&root))).ask(&mut found);
        assert!(found.is_whole(), "{found:?}");
        assert_eq!((found.pod.uid.as_str(), found.pod.name.as_deref()), ("u1", Some("web-0")));
        assert_eq!(found.container.image.as_deref(), Some("shop:1"));
        let (path, asked) = server.join().unwrap();
        assert_eq!(path, "/runtime.v1.RuntimeService/ListContainers");
        let asked = ListContainersRequest::decode(&asked[5..]).unwrap();
        assert_eq!(asked.filter.unwrap().id, ID, "it asks for this one only");
        fs::remove_dir_all(root).unwrap();
    }
}
