//! What a process takes: processor time and memory, as `/proc` tells them.

use anyhow::{Context as _, Result};

/// Processor time of all threads so far. Their own counts are in nanoseconds; those of the process are in ticks.
pub fn cpu_seconds(pid: u32) -> Result<f64> {
    let mut ns = 0.0;
    for task in std::fs::read_dir(format!("/proc/{pid}/task")).context("the process has ended")? {
        // A thread may end meanwhile.
        let text = std::fs::read_to_string(task?.path().join("schedstat")).unwrap_or_default();
        ns += text.split(' ').next().and_then(|ns| ns.parse::<f64>().ok()).unwrap_or(0.0);
    }
    Ok(ns / 1e9)
}

/// Resident memory of a process.
pub struct Resident {
    /// All but the rings that it shares with the kernel.
    pub without_rings_mb: f64,
    /// The rings: each page counts twice, as it is mapped twice.
    pub rings_mb: f64,
}

/// What is resident now, mapping by mapping.
pub fn resident(pid: u32) -> Result<Resident> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps")).context("reading the mappings")?;
    Ok(of_mappings(&text))
}

fn of_mappings(smaps: &str) -> Resident {
    let (mut is_ring, mut rings, mut others) = (false, 0.0, 0.0);
    for line in smaps.lines() {
        let first = line.split(' ').next().unwrap_or_default();
        if !first.ends_with(':') {
            is_ring = line.ends_with("bpf-map");
        } else if first == "Rss:" {
            let kb = line.split_whitespace().nth(1).and_then(|kb| kb.parse::<f64>().ok()).unwrap_or(0.0);
            *(if is_ring { &mut rings } else { &mut others }) += kb / 1024.0;
        }
    }
    Resident { without_rings_mb: others, rings_mb: rings }
}

#[cfg(test)]
mod tests {
    use super::of_mappings;

    #[test]
    fn the_rings_are_told_apart() {
        let smaps = "00400000-00500000 r-xp 00000000 08:01 1 /usr/bin/x\nSize: 1024 kB\nRss:                2048 kB\n\
                     7f0000000000-7f0004000000 r--s 00001000 00:0f 9 anon_inode:bpf-map\nRss: 65536 kB\nPss: 1 kB\n";
        let resident = of_mappings(smaps);
        assert_eq!((resident.without_rings_mb, resident.rings_mb), (2.0, 64.0));
    }
}
