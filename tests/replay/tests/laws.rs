//! Three laws that hold for every fixture.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use observer_common::record::RecordKind;
use replay::captures::{Capture, OwnedRecord, carries_bytes};
use replay::observe::{Seen, observe};
use serde_json::Value;

/// Records of one fixture that are lost, one after the other; larger fixtures are sampled.
const MOST_LOSSES: usize = 300;

#[test]
fn the_same_bytes_in_other_calls_are_the_same_observations() {
    let mut wrong = Vec::new();
    for (path, capture) in fixtures() {
        let whole = observe(&capture).lines;
        for longest in [1, 2, 7, 64, 1000] {
            let mut random = Random(longest as u64);
            let pieces = capture.resplit(|_| 1 + random.below(longest));
            let seen = observe(&pieces).lines;
            if let Some(difference) = first_difference(&whole, &seen) {
                wrong.push(format!(
                    "{}, cut into pieces of at most {longest} bytes:\n{difference}",
                    path.display()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_later_run_gives_the_same_observations_later() {
    for (path, capture) in fixtures() {
        let seen = observe(&capture);
        for by_ns in [1, 999_999_999, 86_400_000_000_000] {
            let later = observe(&capture.shifted(by_ns));
            let different = |one: &str, other: &str| first_difference(one, other).unwrap_or_default();
            let (lines, metrics) =
                (different(&seen.lines, &later.lines), different(&seen.metrics, &later.metrics));
            assert!(later == seen, "{} shifted by {by_ns} ns:\n{lines}\n{metrics}", path.display());
        }
    }
}

#[test]
fn a_lost_record_is_counted_and_never_pairs_wrongly() {
    let mut wrong = Vec::new();
    for (path, capture) in fixtures() {
        let whole = observe(&capture);
        let places: Vec<usize> = (0..capture.records.len()).collect();
        for &place in places.iter().step_by(places.len() / MOST_LOSSES + 1) {
            let lost = &capture.records[place];
            let what = format!("{} without record {place} (kind {})", path.display(), lost.header.kind);
            let seen = observe(&capture.without(place));
            wrong.extend(wrong_pair(&whole, &seen, carries_bytes(lost), &what));
            if carries_bytes(lost) && !lost.payload.is_empty() && has_later_bytes(&capture, place) {
                wrong.extend(missed_in_silence(&whole, &seen, &what));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The first lines that are not the same.
fn first_difference(whole: &str, seen: &str) -> Option<String> {
    let (mut whole, mut seen) = (whole.lines(), seen.lines());
    loop {
        match (whole.next(), seen.next()) {
            (None, None) => return None,
            (one, other) if one == other => {}
            (one, other) => return Some(format!("- {}\n+ {}", one.unwrap_or("end"), other.unwrap_or("end"))),
        }
    }
}

/// An answer that is shown belongs to the request that it is shown with. Without the record that joins its two ends
/// a call may be shown once for each.
fn wrong_pair(whole: &Seen, lossy: &Seen, once: bool, what: &str) -> Option<String> {
    let mut expected = counted(whole, answered);
    for call in lossy.calls().iter().filter(|call| call["certainty"] == "whole") {
        let Some(key) = answered(call) else { continue };
        match expected.get_mut(&key).filter(|left| **left > 0) {
            Some(left) => *left -= usize::from(once),
            None => return Some(format!("{what}: {call} did not happen")),
        }
    }
    None
}

/// Each call is shown, or a counter says that something is missing.
fn missed_in_silence(whole: &Seen, lossy: &Seen, what: &str) -> Option<String> {
    let shown = counted(lossy, |call| Some(request(call)));
    let missed = counted(whole, |call| Some(request(call)))
        .into_iter()
        .find(|(key, count)| shown.get(key).copied().unwrap_or(0) < *count);
    let (key, _) = missed?;
    let unanswerable = lossy.of_type("unanswerable").len() > whole.of_type("unanswerable").len();
    let told = lossy.troubles > whole.troubles || unanswerable;
    (!told).then(|| format!("{what}: the call {key} is gone and nothing was counted"))
}

/// Whether bytes that come later show the hole. Where none do, only the kernel's own count tells of the loss.
fn has_later_bytes(capture: &Capture, place: usize) -> bool {
    let way = |record: &OwnedRecord| (record.header.stream, record.header.kind);
    let (before, after) = capture.records.split_at(place + 1);
    let lost = before.last().map(way);
    after.iter().any(|record| Some(way(record)) == lost)
}

fn counted<K: Ord>(seen: &Seen, key: impl Fn(&Value) -> Option<K>) -> BTreeMap<K, usize> {
    let mut counts = BTreeMap::new();
    seen.calls().iter().filter_map(key).for_each(|key| *counts.entry(key).or_default() += 1);
    counts
}

fn request(call: &Value) -> String {
    format!("{} {} of {} to {}", call["method"], call["id"], call["client"]["pid"], call["server"]["pid"])
}

fn answered(call: &Value) -> Option<String> {
    let outcome = call["outcome"].as_str()?;
    let ended = ["ok", "tool_error", "rpc_error", "http_error"].contains(&outcome);
    let tool = &call["tool"];
    ended.then(|| format!("{} {} {tool} {outcome} {}", call["method"], call["id"], call["error_code"]))
}

fn fixtures() -> Vec<(PathBuf, Capture)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures");
    let mut found: Vec<_> = fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().path().join("capture.mcpcap"))
        .filter(|path| path.exists())
        .map(|path| (path.clone(), Capture::read(&path)))
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    let has_bytes = |(_, capture): &(PathBuf, Capture)| {
        capture.records.iter().any(|record| record.header.kind == RecordKind::Received as u16)
    };
    assert!(found.iter().any(has_bytes), "no fixture with bytes");
    found
}

/// A small generator (xorshift): the same cuts in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}
