//! Facts of processes, from `/proc`.

use std::fs;

use observer_common::process::ProcessKey;
use rustc_hash::FxHashMap;

use super::homes::Homes;
use crate::pipeline::input::ProcessFacts;

/// Length of a clock tick of `/proc`: 100 a second on every architecture with BPF.
pub const TICK_NS: u64 = 10_000_000;

/// All processes that there are now, in the order of their numbers.
pub fn all() -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let mut pids: Vec<u32> =
        entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    pids.sort_unstable();
    pids
}

/// The process with this number, if there is one: its key and its parent.
pub fn key(pid: u32) -> Option<(ProcessKey, u32)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (parent, started_ns) = parent_and_start(&stat)?;
    Some((ProcessKey { pid, tid: 0, started_ns }, parent))
}

/// Facts of a process that runs, as far as this agent may read them.
pub fn facts(pid: u32, parent: u32, homes: &mut Homes) -> ProcessFacts {
    let exe = exe(pid).unwrap_or_default();
    let mut facts = ProcessFacts { parent, exe, arguments: arguments(pid).into(), ..ProcessFacts::default() };
    facts.gone = !homes.complete(pid, &mut facts);
    facts
}

/// Path of the program that a process runs.
pub fn exe(pid: u32) -> Option<String> {
    let path = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    let path = path.to_string_lossy();
    Some(path.strip_suffix(" (deleted)").unwrap_or(&path).to_owned())
}

/// A process's arguments.
pub fn arguments(pid: u32) -> Vec<String> {
    fs::read(format!("/proc/{pid}/cmdline")).map(|bytes| split_arguments(&bytes)).unwrap_or_default()
}

/// Whether there is a process with this number.
pub fn is_alive(pid: u32) -> bool {
    fs::exists(format!("/proc/{pid}")).unwrap_or(true)
}

/// Inodes of the pipes and sockets that a process has open.
pub fn open_inodes(pid: u32) -> Vec<u64> {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else { return Vec::new() };
    let links = entries.flatten().filter_map(|entry| fs::read_link(entry.path()).ok());
    links.filter_map(|link| inode_in(link.to_str()?)).collect()
}

/// The inode in the text of a descriptor's link: `pipe:[42]`, `socket:[42]`.
fn inode_in(link: &str) -> Option<u64> {
    let rest = link.strip_prefix("pipe:[").or_else(|| link.strip_prefix("socket:["))?;
    rest.strip_suffix(']')?.parse().ok()
}

/// Processes asked about in one sweep, each once.
#[derive(Default)]
pub struct Asked {
    alive: FxHashMap<u32, bool>,
    open: FxHashMap<u32, Vec<u64>>,
}

impl Asked {
    /// Whether there is a process with this number.
    pub fn lives(&mut self, pid: u32) -> bool {
        *self.alive.entry(pid).or_insert_with(|| is_alive(pid))
    }

    /// Whether the process has this pipe or socket open.
    pub fn holds(&mut self, pid: u32, inode: u64) -> bool {
        self.open.entry(pid).or_insert_with(|| open_inodes(pid)).contains(&inode)
    }
}

/// Arguments, each of which a zero byte ends.
pub fn split_arguments(bytes: &[u8]) -> Vec<String> {
    let bytes = bytes.strip_suffix(b"\0").unwrap_or(bytes);
    if bytes.is_empty() {
        return Vec::new();
    }
    bytes.split(|&byte| byte == 0).map(|part| String::from_utf8_lossy(part).into_owned()).collect()
}

/// Parent and start time out of the text of `/proc/PID/stat`. The program's name stands in parentheses and may
/// hold anything, so counting begins behind the last one.
fn parent_and_start(stat: &str) -> Option<(u32, u64)> {
    let mut fields = stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace();
    let parent = fields.nth(1)?.parse().ok()?;
    // The 22nd field; state, the first after the name, is the third.
    let ticks: u64 = fields.nth(17)?.parse().ok()?;
    Some((parent, ticks * TICK_NS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_behind_a_name_with_spaces_and_parentheses() {
        let stat = "42 (a) b (c) S 7 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 12345 1000 10 1844";
        assert_eq!(parent_and_start(stat), Some((7, 123_450_000_000)));
    }

    #[test]
    fn a_stat_that_is_cut_tells_nothing() {
        assert_eq!(parent_and_start("42 (a) S 7 42"), None);
        assert_eq!(parent_and_start(""), None);
    }

    #[test]
    fn knows_this_process() {
        let (key, parent) = key(std::process::id()).unwrap();
        assert_eq!(parent, std::os::unix::process::parent_id());
        assert!(key.started_ns > 0 && key.started_ns % TICK_NS == 0);
        assert!(all().contains(&std::process::id()));
    }

    #[test]
    fn knows_what_this_process_has_open() {
        let (reader, _writer) = std::io::pipe().unwrap();
        let link =
            fs::read_link(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&reader))).unwrap();
        let inode = inode_in(link.to_str().unwrap()).unwrap();
        assert!(Asked::default().holds(std::process::id(), inode));
        drop((reader, _writer));
        assert!(!Asked::default().holds(std::process::id(), inode));
    }

    #[test]
    fn arguments_end_with_a_zero_byte_each() {
        assert_eq!(split_arguments(b"a\0b c\0\0"), ["a", "b c", ""]);
        assert_eq!(split_arguments(b"a"), ["a"]);
        assert!(split_arguments(b"").is_empty());
    }
}
