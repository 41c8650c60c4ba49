//! A certificate authority of the test's own and a leaf for the loopback names.

use std::path::Path;

use anyhow::{Context, Result};
use openssl::asn1::Asn1Time;
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::x509::extension::{BasicConstraints, KeyUsage, SubjectAlternativeName};
use openssl::x509::{X509, X509Builder, X509Name, X509NameRef};

/// Writes `ca.pem`, `cert.pem` and `key.pem` into `dir`.
pub fn make(dir: &Path) -> Result<()> {
    std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let ca_key = key()?;
    let ca = authority(&ca_key)?;
    let leaf_key = key()?;
    let leaf = leaf(&leaf_key, &ca, &ca_key)?;
    write(dir, "ca.pem", &ca.to_pem()?)?;
    write(dir, "cert.pem", &leaf.to_pem()?)?;
    write(dir, "key.pem", &leaf_key.private_key_to_pem_pkcs8()?)
}

fn write(dir: &Path, name: &str, pem: &[u8]) -> Result<()> {
    let path = dir.join(name);
    std::fs::write(&path, pem).with_context(|| format!("cannot write {}", path.display()))
}

fn key() -> Result<PKey<Private>> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
    Ok(PKey::from_ec_key(EcKey::generate(&group)?)?)
}

fn authority(key: &PKey<Private>) -> Result<X509> {
    let name = name("mcp-observer test authority")?;
    let mut builder = begun(&name, &name, key)?;
    builder.append_extension(BasicConstraints::new().critical().ca().build()?)?;
    builder.append_extension(KeyUsage::new().critical().key_cert_sign().crl_sign().build()?)?;
    builder.sign(key, MessageDigest::sha256())?;
    Ok(builder.build())
}

fn leaf(key: &PKey<Private>, ca: &X509, ca_key: &PKey<Private>) -> Result<X509> {
    let subject = name("localhost")?;
    let mut builder = begun(&subject, ca.subject_name(), key)?;
    builder.append_extension(BasicConstraints::new().critical().build()?)?;
    let names = SubjectAlternativeName::new()
        .dns("localhost")
        .ip("127.0.0.1")
        .ip("::1")
        .build(&builder.x509v3_context(Some(ca), None))?;
    builder.append_extension(names)?;
    builder.sign(ca_key, MessageDigest::sha256())?;
    Ok(builder.build())
}

fn begun(subject: &X509NameRef, issuer: &X509NameRef, key: &PKey<Private>) -> Result<X509Builder> {
    let mut serial = BigNum::new()?;
    serial.rand(127, MsbOption::MAYBE_ZERO, false)?;
    let mut builder = X509::builder()?;
    builder.set_version(2)?;
    builder.set_serial_number(&*serial.to_asn1_integer()?)?;
    builder.set_subject_name(subject)?;
    builder.set_issuer_name(issuer)?;
    builder.set_pubkey(key)?;
    builder.set_not_before(&*Asn1Time::days_from_now(0)?)?;
    builder.set_not_after(&*Asn1Time::days_from_now(VALID_DAYS)?)?;
    Ok(builder)
}

fn name(common: &str) -> Result<X509Name> {
    let mut builder = X509Name::builder()?;
    builder.append_entry_by_nid(Nid::COMMONNAME, common)?;
    Ok(builder.build())
}

const VALID_DAYS: u32 = 30;
