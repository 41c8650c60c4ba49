//! Who the processes are.
//!
//! In: process facts. Out: [`Process`]es as they are shown: executable, safe command, container.

use std::sync::Arc;

use super::input::{ProcessFacts, ProcessId};
use super::limits::Table;
use super::private::Private;

/// A process as it is shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Process {
    /// Its identity.
    pub id: ProcessId,
    /// Path of the executable; empty if it was never known.
    pub exe: Box<str>,
    /// What it runs: the program and, for an interpreter, the script: `python3 server.py`.
    pub command: Box<str>,
    /// The script's or the program's name alone: `server.py`.
    pub short_name: Box<str>,
    /// The whole command line.
    pub arguments: Private<Vec<String>>,
    /// Container id.
    pub container: Option<Box<str>>,
}

/// The processes of the host, as far as they were seen.
#[derive(Debug)]
pub struct Processes {
    known: Table<ProcessId, Arc<Process>>,
}

impl Processes {
    /// For at most so many processes.
    pub fn new(limit: usize) -> Self {
        Self { known: Table::new(limit) }
    }

    /// Takes facts in; later ones replace earlier ones (an `exec` changes the program).
    pub fn see(&mut self, id: ProcessId, facts: ProcessFacts) {
        let arguments = Vec::from(facts.arguments);
        let (command, short_name) = describe(&facts.exe, &arguments);
        let process = Process {
            id,
            exe: facts.exe.into(),
            command: command.into(),
            short_name: short_name.into(),
            arguments: Private::new(arguments),
            container: facts.container.map(Into::into),
        };
        let _ = self.known.insert(id, Arc::new(process));
    }

    /// The process `id`; without a name if nothing is known of it.
    pub fn process(&self, id: ProcessId) -> Arc<Process> {
        self.known.value(&id).cloned().unwrap_or_else(|| {
            Arc::new(Process {
                id,
                exe: "".into(),
                command: "".into(),
                short_name: "".into(),
                arguments: Private::new(Vec::new()),
                container: None,
            })
        })
    }

    /// Forgets a process that has ended.
    pub fn forget(&mut self, id: ProcessId) {
        self.known.remove(&id);
    }
}

/// Programs whose first plain argument is a script that says more than the program's name. With the options of
/// each that take a value of their own.
const INTERPRETERS: &[(&str, &[&str])] = &[
    ("python", &["-W", "-X", "--check-hash-based-pycs"]),
    ("node", &["-r", "--require", "--import", "--loader", "-C", "--conditions"]),
    ("bun", &["-r", "--preload", "--cwd"]),
    ("deno", &[]),
    ("ruby", &["-r", "-I"]),
    ("perl", &["-I"]),
    ("php", &["-d", "-c"]),
    ("java", &["-cp", "-classpath", "--class-path", "--module-path"]),
    ("bash", &["-o", "-O"]),
    ("sh", &["-o"]),
];

/// The command as it may be shown, and its short name. Only the program and an interpreter's script are shown:
/// other arguments may be secrets.
fn describe(exe: &str, arguments: &[String]) -> (String, String) {
    let first = arguments.first().map_or(exe, String::as_str);
    let program = base_name(if first.is_empty() { exe } else { first });
    match script(base_name(exe), arguments).or_else(|| script(program, arguments)) {
        Some(script) => {
            let name = base_name(script);
            (format!("{program} {name}"), name.to_owned())
        }
        None => (program.to_owned(), program.to_owned()),
    }
}

fn script<'a>(program: &str, arguments: &'a [String]) -> Option<&'a str> {
    let (_, with_value) = INTERPRETERS.iter().find(|(name, _)| {
        // python3, python3.11, node20
        let rest = program.strip_prefix(name);
        rest.is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit() || c == '.'))
    })?;
    let mut rest = arguments.iter().skip(1);
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "-c" | "-e" | "--eval" | "-p" | "--print" => return None, // program text
            "-m" | "-jar" => return rest.next().map(String::as_str),
            option if with_value.contains(&option) => {
                rest.next();
            }
            option if option.starts_with('-') => {}
            script => return Some(script),
        }
    }
    None
}

fn base_name(path: &str) -> &str {
    path.rsplit('/').find(|part| !part.is_empty()).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::describe;

    fn command(exe: &str, line: &str) -> String {
        describe(exe, &line.split(' ').map(str::to_owned).collect::<Vec<_>>()).0
    }

    #[test]
    fn shows_the_script_and_never_another_argument() {
        assert_eq!(
            command("/usr/bin/python3.11", "python3 -u srv/server.py --token s3cret"),
            "python3 server.py"
        );
        assert_eq!(command("/usr/bin/node", "/usr/bin/node -r x.js /app/index.mjs stdio"), "node index.mjs");
        assert_eq!(
            command("/usr/bin/python3", "python -m mcp_server_time --key k"),
            "python mcp_server_time"
        );
        assert_eq!(command("/usr/bin/python3", "python -c print('s3cret')"), "python");
        assert_eq!(command("/opt/server", "./server --password s3cret"), "server");
        assert_eq!(command("/opt/server", ""), "server");
    }
}
