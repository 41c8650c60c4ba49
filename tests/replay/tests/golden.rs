//! Every fixture is observed as its expected files say. `BLESS=1` rewrites them; review the difference like code.

use std::fs;
use std::path::{Path, PathBuf};

use replay::captures::Capture;
use replay::cases::{CASES, Case};
use replay::observe::observe;
use replay::revisions;

#[test]
fn fixtures_are_observed_as_expected() {
    let mut wrong: Vec<String> = cases().filter_map(differs_from_its_case).collect();
    for folder in fixtures() {
        let seen = observe(&Capture::read(&folder.join("capture.mcpcap")));
        wrong.extend(differs(&folder.join("expected.jsonl"), &seen.lines));
        wrong.extend(differs(&folder.join("expected.prom"), &metrics(&folder, &seen.metrics)));
        if !folder.join("about.md").exists() {
            wrong.push(format!("{} has no about.md that says what it shows", folder.display()));
        }
    }
    assert!(wrong.is_empty(), "{}\nBLESS=1 accepts the new output", wrong.join("\n"));
}

fn cases() -> impl Iterator<Item = &'static Case> {
    CASES.iter().chain(revisions::CASES)
}

/// A change of a case is a change of a fixture, and to be seen as such.
fn differs_from_its_case((name, case): &Case) -> Option<String> {
    let folder = root().join(name);
    let path = folder.join("capture.mcpcap");
    if is_blessed() {
        fs::create_dir_all(&folder).unwrap();
        case().write(&path);
    }
    let is_same = path.exists() && Capture::read(&path) == case();
    (!is_same).then(|| format!("{} is not what its case writes", path.display()))
}

fn differs(path: &Path, actual: &str) -> Option<String> {
    if is_blessed() {
        fs::write(path, actual).unwrap();
    }
    let expected = fs::read_to_string(path).unwrap_or_default();
    let (expected, actual): (Vec<_>, Vec<_>) = (expected.lines().collect(), actual.lines().collect());
    let line = expected.iter().zip(&actual).position(|(expected, actual)| expected != actual);
    let line = line.or((expected.len() != actual.len()).then_some(expected.len().min(actual.len())))?;
    let at = |lines: &[&str]| lines.get(line).copied().unwrap_or("nothing").to_owned();
    Some(format!("{} line {}:\n- {}\n+ {}", path.display(), line + 1, at(&expected), at(&actual)))
}

/// Without the version. What a bucket and a comment look like the cases that were written by hand show.
fn metrics(folder: &Path, metrics: &str) -> String {
    let by_hand = cases().any(|(name, _)| folder.ends_with(name));
    let shows = |line: &&str| by_hand || !(line.starts_with('#') || line.contains("_bucket{"));
    let lines = metrics.lines().filter(|line| !line.contains("mcp_observer_build_info")).filter(shows);
    lines.map(|line| format!("{line}\n")).collect()
}

fn fixtures() -> Vec<PathBuf> {
    let entries = fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().path());
    let mut folders: Vec<_> = entries.filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures")
}

fn is_blessed() -> bool {
    std::env::var_os("BLESS").is_some_and(|value| value == "1")
}
