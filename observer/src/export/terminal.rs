//! Observations for people: a line for each call as it ends, and for all that was missed.

use std::fmt;
use std::io::{self, Write};
use std::time::Duration;

use super::{Exporter, Vitals};
use crate::capture::kernel::StartFacts;
use crate::pipeline::observation::{AuthResult, BlindSpot, Call, CallDirection, Observation, Peer, Subject};
use crate::pipeline::private::Private;
use crate::pipeline::time::{Rfc3339, Timestamp, WallClock};

/// The exporter. `output` should be buffered: a line is several writes.
#[derive(Debug)]
pub struct Terminal<W: Write> {
    output: W,
    payloads: bool,
    has_heading: bool,
}

impl<W: Write> Terminal<W> {
    /// Lines to `output`; with arguments and results if the user asked for `payloads`.
    pub const fn new(output: W, payloads: bool) -> Self {
        Self { output, payloads, has_heading: false }
    }

    fn heading(&mut self) -> io::Result<()> {
        if std::mem::replace(&mut self.has_heading, true) {
            return Ok(());
        }
        let [time, duration, peers, what] = ["TIME (UTC)", "DURATION", "CLIENT → SERVER", "CALL"];
        writeln!(self.output, "{time:<12}  {duration:>9}  {peers:<36}  {what:<36}  OUTCOME")
    }

    fn call(&mut self, call: &Call, clock: WallClock) -> io::Result<()> {
        self.heading()?;
        let duration = call.duration().map(shown_duration).unwrap_or_default();
        let peers = peers(call).to_string();
        let what = self.what(call);
        let outcome = match call.error_code {
            Some(code) => format!("{} {code}", call.outcome.name()),
            None => call.outcome.name().to_owned(),
        };
        let time = time_of_day(call.at, clock);
        let (asked, answered) = (shown_size(call.request_bytes), shown_size(call.response_bytes));
        write!(self.output, "{time:<12}  {duration:>9}  {peers:<36}  {what:<36}  {outcome:<10}  ")?;
        writeln!(self.output, "{asked} → {answered}")?;
        self.payload("arguments", call.arguments.as_ref())?;
        self.payload("result", call.result.as_ref())
    }

    fn what(&self, call: &Call) -> String {
        let method = Clean(&call.method);
        match &call.subject {
            Some(Subject::Tool(name) | Subject::Prompt(name)) => format!("{method} {}", Clean(name)),
            Some(Subject::Resource(uri)) if self.payloads => format!("{method} {}", Clean(uri.reveal())),
            Some(Subject::Resource(_)) | None => method.to_string(),
        }
    }

    fn payload(&mut self, name: &str, payload: Option<&Private<Box<[u8]>>>) -> io::Result<()> {
        match payload {
            Some(payload) if self.payloads => {
                writeln!(self.output, "    {name}: {}", Clean(&String::from_utf8_lossy(payload.reveal())))
            }
            _ => Ok(()),
        }
    }

    fn note(&mut self, at: Timestamp, clock: WallClock, note: fmt::Arguments<'_>) -> io::Result<()> {
        self.heading()?;
        writeln!(self.output, "{:<12}  {note}", time_of_day(at, clock))
    }
}

impl<W: Write> Exporter for Terminal<W> {
    fn ready(&mut self, _facts: &StartFacts) -> io::Result<()> {
        self.heading()
    }

    fn export(&mut self, observation: &Observation, clock: WallClock) -> io::Result<()> {
        match observation {
            Observation::Call(call) => self.call(call, clock),
            Observation::ServerStarted(it) => {
                self.note(it.at, clock, format_args!("server started: {}", Clean(label(&it.server))))
            }
            Observation::ServerStopped(it) => {
                self.note(it.at, clock, format_args!("server stopped: {}", Clean(label(&it.server))))
            }
            Observation::Unanswerable(it) => {
                let (from, to) = (Clean(label(&it.from)), Clean(label(&it.to)));
                self.note(it.at, clock, format_args!("an answer without its request: {from} → {to}"))
            }
            Observation::Loss(it) => {
                let (records, bytes) = (it.records, it.bytes);
                match &it.stream {
                    None => self.note(
                        it.at,
                        clock,
                        format_args!("LOST {records} records, {bytes} bytes: {}", it.cause),
                    ),
                    Some(hole) => {
                        let (client, server) = (Clean(label(&hole.client)), Clean(label(&hole.server)));
                        let what = format_args!("MISSING {bytes} bytes of {client} → {server}");
                        self.note(it.at, clock, what)
                    }
                }
            }
            Observation::BlindSpot(it) => {
                let (place, reason) = (place(it), Clean(&it.facts.reason));
                self.note(it.at, clock, format_args!("CANNOT SEE {place}: {reason}"))
            }
            Observation::TaskEnded(it) => {
                let (client, server) = (Clean(label(&it.client)), Clean(label(&it.server)));
                let (status, lasted) = (it.status.name(), shown_duration(it.duration));
                let what = format_args!("a task of {client} → {server} is {status} after {lasted}");
                self.note(it.at, clock, what)
            }
            Observation::ToolChanged(it) => {
                let (server, tool) = (Clean(label(&it.server)), Clean(&it.changed.tool));
                self.note(
                    it.at,
                    clock,
                    format_args!("TOOL CHANGED: {server} describes {tool} in another way"),
                )
            }
            Observation::Auth(it) if it.result != AuthResult::Accepted => {
                let (client, server) = (Clean(label(&it.client)), Clean(label(&it.server)));
                let (status, scheme) = (it.status, it.scheme.name());
                let what = format_args!("refused with {status}: {client} → {server}, authorization {scheme}");
                self.note(it.at, clock, what)
            }
            // Of interest to programs, noise to people who watch calls.
            Observation::Notification(_)
            | Observation::SessionStarted(_)
            | Observation::SessionEnded(_)
            | Observation::ToolsListed(_)
            | Observation::ProtocolStep(_)
            | Observation::Auth(_)
            | Observation::ServerUsage(_)
            | Observation::InFlight(_) => Ok(()),
        }
    }

    fn turn(&mut self, _vitals: &Vitals<'_>) -> io::Result<()> {
        self.output.flush()
    }
}

/// Text from outside that cannot move the cursor, colour the screen or reorder its line.
#[derive(Clone, Copy, Debug)]
pub struct Clean<'a>(pub &'a str);

impl fmt::Display for Clean<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let acts = |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        self.0.chars().try_for_each(|c| fmt::Write::write_char(f, if acts(c) { ' ' } else { c }))
    }
}

/// What cannot be seen into: an executable or a file, of one process or of all; else the kind alone.
pub fn place(spot: &BlindSpot) -> String {
    let pid = spot.process.pid;
    match (&*spot.facts.exe, pid) {
        ("", 0) => Clean(&spot.facts.kind).to_string(),
        ("", pid) => format!("process {pid}"),
        (exe, 0) => Clean(exe).to_string(),
        (exe, pid) => format!("{} of process {pid}", Clean(exe)),
    }
}

fn peers(call: &Call) -> impl fmt::Display {
    let arrow = match call.direction {
        CallDirection::ClientToServer => '→',
        CallDirection::ServerToClient => '←',
    };
    format!("{} {arrow} {}", Clean(label(&call.client)), Clean(label(&call.server)))
}

fn label(peer: &Peer) -> &str {
    peer.label().unwrap_or("?")
}

fn time_of_day(at: Timestamp, clock: WallClock) -> String {
    let whole = Rfc3339(clock.unix_ns(at)).to_string();
    whole.get(11..23).unwrap_or(&whole).to_owned()
}

fn shown_duration(duration: Duration) -> String {
    match duration.as_secs_f64() {
        seconds @ 10.0.. => format!("{seconds:.1} s"),
        seconds @ 1.0.. => format!("{seconds:.2} s"),
        seconds @ 0.01.. => format!("{:.1} ms", seconds * 1e3),
        seconds => format!("{:.2} ms", seconds * 1e3),
    }
}

fn shown_size(bytes: u64) -> String {
    match bytes {
        0..1000 => format!("{bytes} B"),
        1000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::testing::{CLOCK, SECRET, call};
    use crate::pipeline::observation::{Hole, Loss, Outcome};

    fn shown(observation: Observation, payloads: bool) -> String {
        let mut terminal = Terminal::new(Vec::new(), payloads);
        terminal.export(&observation, CLOCK).unwrap();
        let text = String::from_utf8(terminal.output).unwrap();
        text.split_once('\n').unwrap().1.to_owned()
    }

    #[test]
    fn a_call_is_one_aligned_line() {
        let expected = "10:00:00.123    12.3 ms  mcp → everything                      \
                        tools/call echo                       ok          118 B → 20.1 kB\n";
        assert_eq!(shown(Observation::Call(Box::new(call())), false), expected);
    }

    #[test]
    fn a_failure_says_its_code() {
        let failed = Call { outcome: Outcome::RpcError, error_code: Some(-32602), ..call() };
        assert!(shown(Observation::Call(Box::new(failed)), false).contains("  rpc_error -32602  "));
    }

    #[test]
    fn payloads_are_shown_when_asked_for_and_only_then() {
        let arguments = Some(Private::new(SECRET.as_bytes().into()));
        let with = Observation::Call(Box::new(Call { arguments, ..call() }));
        assert!(!shown(with.clone(), false).contains(SECRET));
        assert!(shown(with, true).contains(&format!("\n    arguments: {SECRET}\n")));
    }

    #[test]
    fn losses_are_between_the_calls() {
        let loss = Loss { at: Timestamp::default(), cause: "ring_full", records: 2, bytes: 9, stream: None };
        let line = shown(Observation::Loss(loss), false);
        assert_eq!(line, "10:00:00.000  LOST 2 records, 9 bytes: ring_full\n");
        let hole = Some(Box::new(Hole { stream: 7, client: call().client, server: call().server }));
        let loss = Loss { at: Timestamp::default(), cause: Loss::HOLE, records: 2, bytes: 9, stream: hole };
        let line = shown(Observation::Loss(loss), false);
        assert_eq!(line, "10:00:00.000  MISSING 9 bytes of mcp → everything\n");
    }

    #[test]
    fn names_cannot_act_on_the_terminal() {
        let mean = Subject::Tool("e\x1b[2Jcho\n\u{202e}x\u{7}".into());
        let line = shown(Observation::Call(Box::new(Call { subject: Some(mean), ..call() })), false);
        assert!(line.contains("tools/call e [2Jcho  x "), "{line:?}");
    }
}
