//! How much memory this process has.

/// Memory that it has now, in bytes.
pub fn resident_bytes() -> u64 {
    status("VmRSS:")
}

/// The most that it ever had, in bytes.
pub fn peak_bytes() -> u64 {
    status("VmHWM:")
}

fn status(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a size");
    line.trim().trim_end_matches("kB").trim().parse::<u64>().expect("a number") << 10
}
