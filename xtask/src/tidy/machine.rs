//! Rules against traces of one machine: its folders and its addresses.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::Finding;
use super::source::Source;

/// Folders that only one machine or one account has.
const FOLDERS: [&str; 3] = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/")];

/// A path of the machine on which something was written says nothing elsewhere.
pub fn no_path_of_a_machine(source: &Source) -> Vec<Finding> {
    let marked = source.lines().filter(|(_, line)| FOLDERS.iter().any(|folder| starts_a_path(line, folder)));
    marked.map(|(line, _)| Finding::refused(line, "names a folder of one machine")).collect()
}

/// Addresses are loopback's or those reserved for documentation.
pub fn no_address_of_a_host(source: &Source) -> Vec<Finding> {
    if source.path.ends_with(".lock") {
        return Vec::new();
    }
    let marked = source.lines().filter(|(_, line)| has_foreign_v4(line) || has_foreign_v6(line));
    marked.map(|(line, _)| Finding::refused(line, "names the address of a host")).collect()
}

/// Whether `folder` stands in `line` at the beginning of a path, and not inside one as in `/proc/1/root/`.
fn starts_a_path(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        before.is_none_or(|c| !c.is_alphanumeric() && !"_-.}>*$~/".contains(c))
    })
}

fn has_foreign_v4(line: &str) -> bool {
    let tokens = line.split(|c: char| !c.is_ascii_alphanumeric() && c != '.');
    tokens.filter_map(|token| token.trim_matches('.').parse().ok()).any(|address: Ipv4Addr| {
        let documentation = matches!(address.octets(), [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _]);
        !documentation && !address.is_loopback() && !address.is_unspecified() && !address.is_broadcast()
    })
}

fn has_foreign_v6(line: &str) -> bool {
    let tokens = line.split(|c: char| !c.is_ascii_alphanumeric() && c != ':' && c != '_');
    let candidates = tokens.filter(|token| token.bytes().any(|byte| byte.is_ascii_digit()));
    candidates.filter_map(|token| token.parse().ok()).any(|address: Ipv6Addr| {
        let documentation = matches!(address.segments(), [0x2001, 0xdb8, ..]);
        let mapped = address.to_ipv4_mapped().is_some();
        !documentation && !mapped && !address.is_loopback() && !address.is_unspecified()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(rule: crate::tidy::Rule, line: &str) -> bool {
        !rule(&Source::new("a.md", line)).is_empty()
    }

    #[test]
    fn a_folder_of_one_machine_is_refused() {
        for folder in FOLDERS {
            assert!(refused(no_path_of_a_machine, &format!("see {folder}x")), "{folder}");
            assert!(refused(no_path_of_a_machine, &format!("\"{folder}x\"")), "{folder}");
        }
        for fine in
            ["/proc/1/root/etc", "/proc/{pid}/root/etc", "PID/root/", "the work / the rest", "/usr/lib"]
        {
            assert!(!refused(no_path_of_a_machine, fine), "{fine}");
        }
    }

    #[test]
    fn the_address_of_a_host_is_refused() {
        // In pieces, because the rule reads this file too.
        let v4 = [concat!("at 10.", "0.0.1:80"), concat!("8.", "8.8.8")];
        let v6 = [concat!("fe80:", ":1"), concat!("http://[2001:4860:", ":88]/")];
        for foreign in v4.into_iter().chain(v6) {
            assert!(refused(no_address_of_a_host, foreign), "{foreign}");
        }
        for fine in
            ["127.0.0.1:80", "0.0.0.0", "192.0.2.7", "::1", "[2001:db8::2]:80", "1.98.0", "f32::MAX", "a::b"]
        {
            assert!(!refused(no_address_of_a_host, fine), "{fine}");
        }
    }
}
