//! A collector behind TLS: whom we trust, who we are, and what is said where that does not fit.

use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

use super::super::portion::Request;
use super::super::verdict::Verdict;
use super::*;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;

/// PEM files of one authority; they go with it.
struct Authority {
    folder: PathBuf,
}

impl Authority {
    /// An authority with a certificate for a server on the loopback address and one for a client.
    fn make(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("mcp-observer-tls-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let authority = Self { folder };
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.write("ca.pem", &params.self_signed(&key).unwrap().pem());
        let issuer = Issuer::new(params, key);
        for (role, names) in [("server", &["127.0.0.1", "localhost"][..]), ("client", &["observer"])] {
            let key = KeyPair::generate().unwrap();
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
            authority.write(&format!("{role}.pem"), &certificate.pem());
            authority.write(&format!("{role}.key"), &key.serialize_pem());
        }
        authority
    }

    fn write(&self, file: &str, text: &str) {
        std::fs::write(self.folder.join(file), text).unwrap();
    }

    fn path(&self, file: &str) -> String {
        self.folder.join(file).to_str().unwrap().to_owned()
    }

    /// A server with this authority's certificate; with `clients`, only these clients are let in.
    fn server(&self, clients: Option<&Self>, protocol: &str) -> Arc<ServerConfig> {
        let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(CertificateDer::from_pem_file(authority.path("ca.pem")).unwrap()).unwrap();
                let provider = Arc::new(default_provider());
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        let chain = vec![CertificateDer::from_pem_file(self.path("server.pem")).unwrap()];
        let key = PrivateKeyDer::from_pem_file(self.path("server.key")).unwrap();
        let mut config = builder.with_single_cert(chain, key).unwrap();
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        Arc::new(config)
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        // What cannot be removed does no harm.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Both protocols, each with what its client must agree on with the server.
const PROTOCOLS: [(&str, &str); 2] = [("grpc", "h2"), ("http/protobuf", "http/1.1")];

const AUTHORITY: &str = "OTEL_EXPORTER_OTLP_CERTIFICATE";
const CERTIFICATE: &str = "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE";
const KEY: &str = "OTEL_EXPORTER_OTLP_CLIENT_KEY";

/// What ten calls become on their way to `receiver`.
fn sent(receiver: &Receiver, protocol: &str, files: &[(&str, &str)]) -> Otlp {
    let endpoint = format!("https://{}", receiver.address);
    let own = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &*endpoint),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "10"),
    ];
    let mut exporter = exporter(receiver, &[&ONLY_TRACES[..], &own, files].concat(), Choice::default());
    (0..10).for_each(|number| export(&mut exporter, numbered(number)));
    exporter
}

#[test]
fn the_authority_is_the_one_that_was_named() {
    let authority = Authority::make("trusted");
    for (protocol, agreed) in PROTOCOLS {
        let receiver = Receiver::start_with(ANYWHERE.into(), &[], Some(authority.server(None, agreed)));
        let mut exporter = sent(&receiver, protocol, &[(AUTHORITY, &authority.path("ca.pem"))]);
        let taken = receiver.wait(|taken| !taken.traces.is_empty());
        assert_eq!((ids(&taken).len(), taken.failed_handshakes), (10, 0), "{protocol}");
        exporter.finish();
        assert_eq!(exporter.counts.lost(), 0);
    }
}

#[test]
fn both_show_who_they_are() {
    let (servers, clients) = (Authority::make("servers"), Authority::make("clients"));
    for (protocol, agreed) in PROTOCOLS {
        let tls = servers.server(Some(&clients), agreed);
        let receiver = Receiver::start_with(ANYWHERE.into(), &[], Some(tls));
        let trusted = servers.path("ca.pem");
        let files = [
            (AUTHORITY, &*trusted),
            (CERTIFICATE, &clients.path("client.pem")),
            (KEY, &clients.path("client.key")),
        ];
        let mut known = sent(&receiver, protocol, &files);
        let taken = receiver.wait(|taken| !taken.traces.is_empty());
        assert_eq!((ids(&taken).len(), taken.failed_handshakes), (10, 0), "{protocol}");
        known.finish();

        let mut unknown = sent(&receiver, protocol, &[(AUTHORITY, &trusted)]);
        receiver.wait(|taken| taken.failed_handshakes >= 2);
        unknown.finish();
        assert_eq!(
            unknown.counts.lost(),
            20,
            "{protocol}: who shows nothing is not let in, which is counted"
        );
        assert_eq!(receiver.wait(|_| true).traces.len(), 1, "{protocol}");
    }
}

#[test]
fn a_collector_of_another_authority_is_told_of_and_tried_again() {
    let (own, other) = (Authority::make("own"), Authority::make("other"));
    for (protocol, agreed) in PROTOCOLS {
        let receiver = Receiver::start_with(ANYWHERE.into(), &[], Some(other.server(None, agreed)));
        let trusted = own.path("ca.pem");
        let mut exporter = sent(&receiver, protocol, &[(AUTHORITY, &trusted)]);
        receiver.wait(|taken| taken.failed_handshakes >= 2);
        exporter.finish();
        exporter.account(&mut Health::default());
        assert_eq!(exporter.counts.lost(), 20);
        let failed = accounting::counted(
            &exporter.registry,
            "mcp_observer_export_requests_total",
            &["traces", "failed"],
        );
        assert!(failed >= 2, "{protocol}: {failed}");
        let reason = reason::<ExportTraceServiceRequest>(&receiver, protocol, &trusted);
        assert!(reason.contains("certificate") && reason.contains("UnknownIssuer"), "{protocol}: {reason}");
    }
}

/// What is said where a request fails.
fn reason<R: Request>(receiver: &Receiver, protocol: &str, trusted: &str) -> String {
    let endpoint = format!("https://{}", receiver.address);
    let look_up = |name: &str| match name {
        "OTEL_EXPORTER_OTLP_ENDPOINT" => Some(endpoint.clone()),
        "OTEL_EXPORTER_OTLP_PROTOCOL" => Some(protocol.to_owned()),
        AUTHORITY => Some(trusted.to_owned()),
        _ => None,
    };
    let target = Settings::read(&look_up, &Wishes::default()).unwrap().traces.unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let collector = Collector::new(target).unwrap();
        match collector.send::<R>(prost::Message::encode_to_vec(&R::default()).into()).await {
            Verdict::Again { reason, .. } => reason,
            other => panic!("{other:?}"),
        }
    })
}

#[test]
fn files_that_do_not_fit_are_refused_at_the_start() {
    let authority = Authority::make("refused");
    let receiver = Receiver::start(ANYWHERE.into(), &[]);
    let start = |files: &[(&str, String)]| {
        let look_up = |name: &str| {
            let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("https://{}", receiver.address));
            [files, &[endpoint]].concat().into_iter().find(|(known, _)| *known == name).map(|(_, it)| it)
        };
        let settings = Settings::read(&look_up, &Wishes::default()).unwrap();
        let error = Otlp::start(settings, Choice::default(), Registry::default()).unwrap_err();
        std::error::Error::source(&error).map_or_else(String::new, ToString::to_string) + &error.to_string()
    };
    let certificate = authority.path("client.pem");
    let alone = start(&[(AUTHORITY, authority.path("ca.pem")), (CERTIFICATE, certificate.clone())]);
    assert!(alone.contains("OTEL_EXPORTER_OTLP_CLIENT_KEY"), "{alone}");
    let absent = start(&[(AUTHORITY, authority.path("absent.pem"))]);
    assert!(absent.contains("absent.pem"), "{absent}");
    let no_certificate = start(&[(AUTHORITY, authority.path("client.key"))]);
    assert!(no_certificate.contains("there is no certificate in it"), "{no_certificate}");
    let of_another = [
        (AUTHORITY, authority.path("ca.pem")),
        (CERTIFICATE, certificate),
        (KEY, authority.path("server.key")),
    ];
    let of_another = start(&of_another);
    assert!(of_another.contains("client.pem"), "{of_another}");
}
