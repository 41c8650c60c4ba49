//! Payload leaves the process only when it was asked for.

use std::fs;
use std::path::Path;
use std::process::Command;

use replay::cases::{CASES, SECRET};

#[test]
fn no_output_shows_payload_that_was_not_asked_for() {
    for (case, _) in CASES {
        for output in ["text", "json"] {
            let shown = replay(case, &["--output", output, "--metrics"]);
            assert!(!shown.contains(SECRET), "{case} as {output}");
        }
    }
}

#[test]
fn the_secret_is_there_to_be_shown() {
    for output in ["text", "json"] {
        let shown = replay("stdio_pipes", &["--output", output, "--payloads"]);
        let of_arguments = shown.contains(&format!(r#"{{"text":"{SECRET}"}}"#));
        let of_a_result = shown.contains(&format!(r#"{{"type":"text","text":"{SECRET}"}}"#));
        let of_a_resource = shown.contains(&format!("file:///{SECRET}"));
        assert_eq!([of_arguments, of_a_result, of_a_resource], [true; 3], "{output}: {shown}");
    }
}

#[test]
fn a_damaged_file_is_refused_without_a_word_of_its_payload() {
    let whole = fs::read(capture("stdio_pipes")).unwrap();
    let path = std::env::temp_dir().join(format!("mcp-observer-damaged-{}.mcpcap", std::process::id()));
    for at in (28..whole.len()).step_by(97) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0xff;
        fs::write(&path, damaged).unwrap();
        let shown = run(path.to_str().unwrap(), &["--output", "json"]);
        assert!(!shown.contains(SECRET), "damaged at {at}");
    }
    fs::remove_file(path).unwrap();
}

fn replay(case: &str, flags: &[&str]) -> String {
    run(&capture(case), flags)
}

/// Standard output and standard error.
fn run(file: &str, flags: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mcp-observer-replay"));
    let output = command.args(["replay", file]).args(flags).env("RUST_BACKTRACE", "full").output().unwrap();
    let both = [output.stdout, output.stderr].concat();
    String::from_utf8(both).unwrap()
}

fn capture(case: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures").join(case).join("capture.mcpcap");
    path.to_str().unwrap().to_owned()
}
