//! The table of a whole run, with the machine that it is of.

use anyhow::{Context as _, Result};

use super::{Bench, Figures, Measurement};
use crate::workspace;

/// Figures that have a goal, and what it is.
const GOALS: [(&str, &str); 9] = [
    ("stdio_added_p50_over_floor", "at most 1.5"),
    ("agent_cpu_us_per_call_1000", "at most 15"),
    ("missed_at_10000", "0"),
    ("lost_at_10000", "0"),
    ("rest_cpu_percent", "under 0.2"),
    ("rest_rss_mb", "at most 40"),
    ("replay_small_messages_per_s", "at least 500,000"),
    ("replay_large_bytes_per_s", "at least 1,000,000,000"),
    ("replay_large_tools_bytes_per_s", "at least 1,000,000,000"),
];

/// Writes `docs/performance.md`.
pub fn write(bench: &Bench, all: &[(&Measurement, Figures)]) -> Result<()> {
    let folder = workspace::root().join("docs");
    std::fs::create_dir_all(&folder)?;
    let file = folder.join("performance.md");
    std::fs::write(&file, page(bench, all)?).with_context(|| format!("writing {}", file.display()))
}

fn page(bench: &Bench, all: &[(&Measurement, Figures)]) -> Result<String> {
    let mut page = String::from(
        "# Performance\n\nWritten by `cargo xtask bench`, which measures on whatever machine it runs on. All conditions \
         of one comparison take\nturns within one run.\n\n",
    );
    page += &format!("* Machine: {}\n", machine()?);
    page += &format!("* Mode: `{}`\n", bench.mode.name());
    let priority = if bench.real_time { "real-time, so that other work does not count" } else { "as usual" };
    page += &format!("* Priority of the agent and of peers in closed loops: {priority}\n");
    for (measurement, figures) in all {
        page += &format!("\n## {}\n\n{}\n\n", title(measurement.name), measurement.about);
        page += "| Figure | Value | Goal |\n| --- | ---: | --- |\n";
        for (name, value) in figures.0.iter().filter(|(name, _)| !name.ends_with("_spread")) {
            let goal = GOALS.iter().find(|(of, _)| of == name).map_or("", |(_, goal)| goal);
            page += &format!("| `{name}` | {} | {goal} |\n", number(*value));
        }
    }
    Ok(page)
}

fn title(name: &str) -> String {
    let (first, rest) = name.split_at(1);
    first.to_uppercase() + rest
}

/// Processor, how many, kernel.
fn machine() -> Result<String> {
    let info = std::fs::read_to_string("/proc/cpuinfo")?;
    let values = |key: &str| {
        let lines = info.lines().filter_map(move |line| line.split_once(':'));
        let key = key.to_owned();
        lines.filter(move |(name, _)| name.trim() == key).map(|(_, value)| value.trim().to_owned())
    };
    let model = values("model name").next().unwrap_or_else(|| "unknown processor".to_owned());
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let guest =
        if values("flags").any(|flags| flags.contains("hypervisor")) { " in a virtual machine" } else { "" };
    Ok(format!("{} x {model}{guest}, Linux {}", values("processor").count(), release.trim()))
}

/// Large values with commas, small ones with decimals.
fn number(value: f64) -> String {
    if !value.is_finite() {
        return "none".to_owned();
    }
    if value.abs() < 100.0 {
        return if value.fract() == 0.0 { format!("{value}") } else { format!("{value:.2}") };
    }
    let digits = format!("{:.0}", value.abs());
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if value < 0.0 { format!("-{grouped}") } else { grouped }
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn numbers_are_readable() {
        let written = [0.0, 1.234, -5.0, 1234.5, 1_000_000.0, -123_456.0, f64::NAN].map(number);
        assert_eq!(written, ["0", "1.23", "-5", "1,234", "1,000,000", "-123,456", "none"]);
    }
}
