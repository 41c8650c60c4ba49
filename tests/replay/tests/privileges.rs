//! Without privileges the program says so, and what mends it. Alone in its file: a program that was just copied
//! cannot run while another thread starts one.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// The user that owns nothing.
const NOBODY: u32 = 65534;

#[test]
fn without_privileges_it_is_3_and_says_what_mends_it() {
    let folder = std::env::temp_dir().join(format!("mcp-observer-privileges-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
    let program = folder.join("mcp-observer");
    fs::copy(env!("CARGO_BIN_EXE_mcp-observer-replay"), &program).unwrap();
    let file = folder.join("file.mcpcap");
    let attempts: [&[&str]; 3] =
        [&["watch"], &["run", "--listen", "127.0.0.1:0"], &["record", "-o", file.to_str().unwrap()]];
    let outputs = attempts.map(|arguments| (arguments, attempt(&program, arguments)));
    let recorded = file.exists();
    fs::remove_dir_all(&folder).unwrap();
    for (arguments, (code, message)) in outputs {
        assert_eq!(code, Some(3), "{arguments:?}: {message}");
        let error = message.split_once("error: ").unwrap().1;
        assert!(error.lines().count() >= 2, "{arguments:?}: no word on what mends it: {message}");
    }
    assert!(!recorded, "nothing was recorded, so there is no file");
}

fn attempt(program: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(program);
    command.args(arguments).current_dir("/").env_clear();
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    if is_root {
        command.uid(NOBODY).gid(NOBODY);
    }
    let output = command.output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}
