//! `isolate RAW FIXTURE [--process PID]... [--folder PATH=NAME]... [--forbid WORD]...`: a fixture from a recording.

use std::path::PathBuf;
use std::process::ExitCode;

use replay::captures::Capture;
use replay::isolate::Selection;

fn main() -> ExitCode {
    match isolate() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("isolate: {error}");
            ExitCode::FAILURE
        }
    }
}

fn isolate() -> Result<(), String> {
    let mut words = std::env::args().skip(1);
    let mut next = || words.next().ok_or("an argument is missing");
    let (raw, fixture) = (PathBuf::from(next()?), PathBuf::from(next()?));
    let mut selection = Selection::default();
    while let Some(flag) = words.next() {
        let value = words.next().ok_or("a flag has no value")?;
        match flag.as_str() {
            "--process" => {
                selection.processes.insert(value.parse().map_err(|_| "a process is a number")?);
            }
            "--folder" => {
                let (folder, name) = value.split_once('=').ok_or("a folder is PATH=NAME")?;
                selection.folders.push((folder.to_owned(), name.to_owned()));
            }
            "--forbid" => selection.forbidden.push(value),
            _ => return Err(format!("unknown flag {flag}")),
        }
    }
    selection.isolate(Capture::read(&raw))?.write(&fixture);
    Ok(())
}
