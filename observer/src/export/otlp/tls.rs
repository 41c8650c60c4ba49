//! Whom we trust and who we are, towards a collector.

use std::io;
use std::path::Path;
use std::sync::Arc;

use hyper_rustls::ConfigBuilderExt;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use super::settings::Target;
use crate::error::Error;

/// The configuration of TLS for `target`. Where no TLS is spoken, nothing is read.
pub fn config(target: &Target) -> Result<ClientConfig, Error> {
    let failed = |what: &str, why: &dyn std::fmt::Display| Error::Io {
        act: what.to_owned(),
        source: io::Error::other(why.to_string()),
    };
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| failed("set up TLS", &error))?;
    if target.endpoint.scheme_str() != Some("https") {
        return Ok(builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth());
    }
    let trusting = match &target.files.authority {
        Some(path) => builder.with_root_certificates(authority(path)?),
        None => builder.with_native_roots().map_err(|error| {
            failed("read this system's certificates (OTEL_EXPORTER_OTLP_CERTIFICATE names others)", &error)
        })?,
    };
    match (&target.files.certificate, &target.files.key) {
        (None, None) => Ok(trusting.with_no_client_auth()),
        (Some(certificate), Some(key)) => {
            let own = certificates(certificate)?;
            let key = PrivateKeyDer::from_pem_file(key).map_err(|error| unreadable(key, &error))?;
            trusting
                .with_client_auth_cert(own, key)
                .map_err(|error| failed(&format!("use the certificate {}", certificate.display()), &error))
        }
        _ => Err(Error::Usage(
            "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and OTEL_EXPORTER_OTLP_CLIENT_KEY: one needs the other"
                .into(),
        )),
    }
}

fn authority(path: &Path) -> Result<RootCertStore, Error> {
    let mut store = RootCertStore::empty();
    for certificate in certificates(path)? {
        store.add(certificate).map_err(|error| unreadable(path, &error))?;
    }
    Ok(store)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let read = CertificateDer::pem_file_iter(path).map_err(|error| unreadable(path, &error))?;
    let read = read.collect::<Result<Vec<_>, _>>().map_err(|error| unreadable(path, &error))?;
    if read.is_empty() { Err(unreadable(path, &"there is no certificate in it")) } else { Ok(read) }
}

fn unreadable(path: &Path, why: &dyn std::fmt::Display) -> Error {
    let source = io::Error::other(why.to_string());
    Error::Io { act: format!("read {} for OTLP export", path.display()), source }
}
