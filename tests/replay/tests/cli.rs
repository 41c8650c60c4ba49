//! The real program: exit codes, messages, closed pipes.

use std::ffi::OsStr;
use std::fs;
use std::io::pipe;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const PROGRAM: &str = env!("CARGO_BIN_EXE_mcp-observer-replay");

#[test]
fn wrong_usage_is_2() {
    let wrong: &[&[&str]] = &[
        &[],
        &["unheard-of"],
        &["replay"],
        &["replay", "a", "--unheard-of"],
        &["watch", "--duration", "soon"],
        &["watch", "--duration", "0s"],
        &["watch", "--pid", "me"],
        &["watch", "--count", "0"],
        &["watch", "--mode", "magic"],
        &["watch", "--exe", "./no/such/program"],
        &["run", "--listen", "nowhere"],
        &["record"],
        &["replay", "a", "--filter", "tol == 'x'"],
        &["replay", "a", "--attribute", "tool"],
        &["watch", "--filter", "arguments.x == 1"],
        &["run", "--attribute", "key=headers['authorization']"],
    ];
    for &arguments in wrong {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", stderr(&output));
        assert!(output.stdout.is_empty(), "{arguments:?}");
        assert!(!output.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn help_and_version_are_0() {
    for arguments in [["--help"].as_slice(), &["--version"], &["watch", "--help"]] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert!(stdout(&output).contains("mcp-observer"), "{arguments:?}");
    }
}

#[test]
fn flags_are_environment_variables_too() {
    let output =
        command(["replay", &fixture("stdio_pipes")]).env("MCP_OBSERVER_OUTPUT", "json").output().unwrap();
    assert!(stdout(&output).starts_with('{'), "{}", stdout(&output));
    let output = command(["watch"]).env("MCP_OBSERVER_DURATION", "soon").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_missing_or_foreign_file_is_1_with_its_name() {
    let folder = Folder::new("foreign");
    let foreign = folder.0.join("foreign");
    fs::write(&foreign, "not a capture").unwrap();
    for path in [folder.0.join("missing"), foreign] {
        let output = run([OsStr::new("replay"), path.as_os_str()]);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains(path.to_str().unwrap()), "{}", stderr(&output));
        assert_eq!(stderr(&output).lines().count(), 1, "{}", stderr(&output));
    }
}

#[test]
fn a_torn_file_is_replayed_and_told() {
    let folder = Folder::new("torn");
    let torn = folder.0.join("torn.mcpcap");
    let whole = fs::read(fixture("stdio_pipes")).unwrap();
    fs::write(&torn, &whole[..whole.len() - 5]).unwrap();
    let output = run([OsStr::new("replay"), torn.as_os_str()]);
    assert_eq!(output.status.code(), Some(0));
    assert!(stderr(&output).contains("torn"), "{}", stderr(&output));
    let output = run([OsStr::new("replay"), torn.as_os_str(), OsStr::new("--metrics")]);
    let counted = r#"mcp_observer_faults_total{cause="torn_record",stage="input"} 1"#;
    assert!(stdout(&output).contains(counted), "{}", stdout(&output));
}

#[test]
fn a_closed_pipe_is_success() {
    for output in ["text", "json"] {
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        let ended = command(["replay", &fixture("stdio_pipes"), "--output", output, "--metrics"])
            .stdout(writer)
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        assert_eq!(ended.status.code(), Some(0), "{}", stderr(&ended));
        assert_eq!(stderr(&ended), "", "nothing to complain of");
    }
}

#[test]
fn a_full_disk_is_a_failure() {
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let ended =
        command(["replay", &fixture("stdio_pipes")]).stdout(full).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(ended.status.code(), Some(1));
    assert!(stderr(&ended).contains("standard output"), "{}", stderr(&ended));
}

#[test]
fn the_count_and_the_filters_hold() {
    let calls = |flags: &[&str]| {
        let file = fixture("stdio_pipes");
        let output = run([&["replay", &file, "--output", "json"], flags].concat());
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        stdout(&output).lines().filter(|line| line.starts_with(r#"{"type":"call""#)).count()
    };
    let all = calls(&[]);
    assert!(all > 3, "{all}");
    assert_eq!(calls(&["--count", "2"]), 2);
    assert_eq!(calls(&["--tool", "echo"]), 1);
    assert_eq!(calls(&["--tool", "echo", "--tool", "divide"]), 2);
    assert_eq!(calls(&["--tool", "echo", "--server", "another"]), 0);
    assert_eq!(calls(&["--server", "stdio-server"]), all);
    assert_eq!(calls(&["--exe", "node"]), all);
    assert_eq!(calls(&["--pid", "1"]), 0);
}

#[test]
fn expressions_choose_calls_and_add_attributes() {
    let file = fixture("sdk_python_v2_http");
    let call = |flags: &[&str]| {
        let output = run([&["replay", &file, "--output", "json", "--metrics"], flags].concat());
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let text = stdout(&output);
        text.lines()
            .filter(|line| line.starts_with(r#"{"type":"call""#))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let all = call(&[]);
    let echoes = call(&["--filter", "tool == 'echo'", "--attribute", "agent=headers['User-Agent']"]);
    assert!(!echoes.is_empty() && echoes.len() < all.len(), "{} of {}", echoes.len(), all.len());
    for line in &echoes {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["tool"], "echo");
        assert_eq!(line["attributes"]["agent"], "python-httpx2/2.16.2");
    }
    assert!(all.iter().all(|line| !line.contains("attributes")));
    let written = "slow=duration_ms > 0.0\nsize=request_bytes";
    let output =
        command(["replay", &file, "--output", "json"]).env("MCP_OBSERVER_ATTRIBUTE", written).output();
    assert!(stdout(&output.unwrap()).contains(r#""attributes":{"slow":true,"size":"#));
}

#[test]
fn a_failing_expression_is_counted() {
    let file = fixture("stdio_pipes");
    let output = run(["replay", &file, "--metrics", "--attribute", "it=100 / progress"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let counted = r#"mcp_observer_faults_total{cause="attribute",stage="expression"}"#;
    assert!(stdout(&output).contains(counted), "{}", stdout(&output));
}

#[test]
fn a_taken_address_is_1_and_names_the_flag() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = run(["run", "--listen", &address]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains(&address) && stderr(&output).contains("--listen"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn doctor_needs_nothing() {
    let output = run(["doctor"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(!output.stdout.is_empty());
    let output = run(["doctor", "--output", "json"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap();
}

fn command<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(arguments).stdin(Stdio::null());
    command
}

fn run<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Output {
    command(arguments).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn fixture(case: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures").join(case).join("capture.mcpcap");
    path.to_str().unwrap().to_owned()
}

/// A folder that goes with its test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("mcp-observer-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
