//! Why the TLS of a process is not read, as far as the files that it maps tell.

use serde::Serialize;

use crate::capture::host::libraries::mappings;
use crate::capture::host::processes;

/// A process that maps a library without probes: what it moves through that is not read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unread {
    /// What is not seen, as in observations.
    pub kind: &'static str,
    /// The process.
    pub pid: u32,
    /// Its program.
    pub exe: String,
    /// Why.
    pub reason: String,
}

/// The kind of blind spot.
pub const KIND: &str = "tls_without_probe";

/// Libraries that are known by the names of their files and have no probes.
const BY_NAME: [(&str, &str); 4] =
    [("libgnutls", "GnuTLS"), ("libssl3.so", "NSS"), ("libmbedtls", "Mbed TLS"), ("libwolfssl", "wolfSSL")];

/// Processes that run now and map a library without probes, as far as this process may look.
pub fn processes_with_unread() -> Vec<Unread> {
    let unread = |pid| {
        let mapped = mappings(pid);
        let libraries = libraries(mapped.iter().map(|mapping| mapping.path.as_str()));
        let exe = processes::exe(pid).unwrap_or_default();
        let reason = format!("The process maps {}, which has no probes.", libraries.join(" and "));
        (!libraries.is_empty()).then_some(Unread { kind: KIND, pid, exe, reason })
    };
    processes::all().into_iter().filter_map(unread).collect()
}

/// A sentence for the operator, from the paths of the files that a process maps as code.
pub fn reason<'a>(mapped: impl Iterator<Item = &'a str>) -> String {
    let libraries = libraries(mapped);
    if libraries.is_empty() {
        return "The process moves TLS records, and no TLS library that can be probed is mapped in it. It may be \
                linked into the program without symbols (BoringSSL), or written in its language (Go, rustls, Java)."
            .to_owned();
    }
    format!("The process moves TLS records, and maps {}, which has no probes.", libraries.join(" and "))
}

fn libraries<'a>(mapped: impl Iterator<Item = &'a str>) -> Vec<&'static str> {
    let mut libraries: Vec<&str> = mapped.filter_map(library).collect();
    libraries.sort_unstable();
    libraries.dedup();
    libraries
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
