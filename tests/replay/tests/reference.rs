//! The pages in `docs/` are what the program prints, and they name everything that the code writes.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use mcp_observer::export::json_members::{MEMBERS, PEER_MEMBERS, TYPES};
use mcp_observer::export::span_attributes::ATTRIBUTES;
use mcp_observer::reference::PAGES;

const PROGRAM: &str = env!("CARGO_BIN_EXE_mcp-observer-replay");

#[test]
fn the_pages_are_up_to_date() {
    let bless = std::env::var_os("BLESS").is_some();
    for page in PAGES {
        let output = Command::new(PROGRAM).args(["reference", page.name]).output().unwrap();
        assert!(output.status.success());
        let path = repository().join("docs").join(format!("{}.md", page.name));
        if bless {
            fs::write(&path, &output.stdout).unwrap();
        }
        let committed = fs::read(&path).unwrap_or_default();
        assert!(
            committed == output.stdout,
            "{} is out of date: BLESS=1 cargo test -p replay",
            path.display()
        );
    }
}

#[test]
fn every_member_of_a_recorded_line_is_in_the_reference() {
    let mut seen = 0;
    for case in fs::read_dir(repository().join("tests/fixtures")).unwrap() {
        let lines = fs::read_to_string(case.unwrap().path().join("expected.jsonl")).unwrap();
        for line in lines.lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            let r#type = line["type"].as_str().unwrap();
            assert!(TYPES.iter().any(|(known, _)| *known == r#type), "{type}");
            for (name, value) in line.as_object().unwrap() {
                let known = |it: &&mcp_observer::export::json_members::Member| {
                    it.name == name && (it.of.is_empty() || it.of.contains(&r#type))
                };
                assert!(MEMBERS.iter().any(|it| known(&it)), "`{name}` of `{type}`");
                if matches!(name.as_str(), "client" | "server" | "from" | "to") {
                    for name in value.as_object().unwrap().keys() {
                        assert!(PEER_MEMBERS.iter().any(|it| it.name == name), "`{name}` of a peer");
                    }
                }
                seen += 1;
            }
        }
    }
    assert!(seen > 1000, "{seen}");
}

#[test]
fn every_member_that_the_code_writes_is_in_the_reference() {
    let members: BTreeSet<&str> = MEMBERS.iter().chain(PEER_MEMBERS).map(|it| it.name).collect();
    let inner = ["trace_id", "parent_span_id", "sampled"]; // of `trace`
    let written =
        literals("json_lines", &["put(\"", "put_known(\"", "put_object(\"", "put_array(\"", "begin(\""]);
    assert!(written.len() > 50, "{written:?}");
    for name in &written {
        let is_type = TYPES.iter().any(|(known, _)| known == name);
        assert!(members.contains(name.as_str()) || is_type || inner.contains(&name.as_str()), "`{name}`");
    }
}

#[test]
fn every_attribute_that_the_code_sends_is_in_the_reference() {
    let sent =
        literals("otlp", &["text(\"", "known(\"", "number(\"", "texts(\"", "add(\"", "put(\"", "(\"host."]);
    for name in sent.iter().filter(|name| name.contains('.')) {
        assert!(ATTRIBUTES.iter().any(|it| it.name == name), "`{name}`");
    }
}

/// The texts behind these calls in the shipped code of an exporter, a file or a folder.
fn literals(exporter: &str, calls: &[&str]) -> BTreeSet<String> {
    let folder = repository().join("observer/src/export");
    let inside = fs::read_dir(folder.join(exporter)).into_iter().flatten().map(|file| file.unwrap().path());
    let files = inside.chain([folder.join(format!("{exporter}.rs"))]);
    let mut found = BTreeSet::new();
    for file in files.filter(|file| !file.ends_with("tests.rs")) {
        let text = fs::read_to_string(file).unwrap_or_default();
        let shipped = text.split("#[cfg(test)]").next().unwrap();
        for call in calls {
            for (at, _) in shipped.match_indices(call) {
                let rest = &shipped[at..];
                found.insert(rest.split('"').nth(1).unwrap().to_owned());
            }
        }
    }
    found
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
