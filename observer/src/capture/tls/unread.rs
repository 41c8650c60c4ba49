//! Why the TLS of a process is not read, as far as the files that it maps tell.

/// Libraries that are known by the names of their files and have no probes.
const BY_NAME: [(&str, &str); 4] =
    [("libgnutls", "GnuTLS"), ("libssl3.so", "NSS"), ("libmbedtls", "Mbed TLS"), ("libwolfssl", "wolfSSL")];

/// A sentence for the operator, from the paths of the files that a process maps as code.
pub fn reason<'a>(mapped: impl Iterator<Item = &'a str>) -> String {
    let mut libraries: Vec<&str> = mapped.filter_map(library).collect();
    libraries.sort_unstable();
    libraries.dedup();
    if libraries.is_empty() {
        return "The process moves TLS records, and no TLS library that can be probed is mapped in it. It may be \
                linked into the program without symbols (BoringSSL), or written in its language (Go, rustls, Java)."
            .to_owned();
    }
    format!("The process moves TLS records, and maps {}, which has no probes.", libraries.join(" and "))
}

fn library(path: &str) -> Option<&'static str> {
    let name = path.rsplit('/').next()?;
    BY_NAME.iter().find(|(start, _)| name.starts_with(start)).map(|&(_, library)| library)
}

#[cfg(test)]
mod tests {
    use super::reason;

    #[test]
    fn names_what_is_mapped() {
        let mapped =
            ["/usr/bin/wget", "/lib/libgnutls.so.30.34.3", "/lib/libgnutls.so.30.34.3", "/lib/libc.so.6"];
        assert!(reason(mapped.into_iter()).contains("maps GnuTLS, which"));
        assert!(reason(["/usr/bin/agent"].into_iter()).contains("linked into the program"));
    }
}
