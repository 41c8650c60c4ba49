//! Observations as JSON lines: one object per line, `type` first, absent facts absent.

mod servers;

use std::io::{self, Write};
use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;

use super::{Exporter, Vitals};
use crate::capture::kernel::StartFacts;
use crate::pipeline::jsonrpc::Id;
use crate::pipeline::observation::{
    AuthResult, BlindSpot, Call, Hop, Loss, Notification, Observation, Peer, Process, Session, Subject,
    TaskEnded, TraceContext, Unanswerable,
};
use crate::pipeline::private::Private;
use crate::pipeline::time::{Rfc3339, Timestamp, WallClock};

/// The exporter. `output` should be buffered: each line is one write.
#[derive(Debug)]
pub struct JsonLines<W: Write> {
    output: W,
    payloads: bool,
}

impl<W: Write> JsonLines<W> {
    /// Lines to `output`; with arguments and results if the user asked for `payloads`.
    pub const fn new(output: W, payloads: bool) -> Self {
        Self { output, payloads }
    }

    fn write(&mut self, object: Object) -> io::Result<()> {
        self.output.write_all(&object.line()?)
    }
}

impl<W: Write> Exporter for JsonLines<W> {
    fn ready(&mut self, facts: &StartFacts) -> io::Result<()> {
        let mut line = Object::new("ready");
        line.put("mode", &facts.mode);
        line.put("probes", facts.attached_probes);
        line.put("kernel", &facts.kernel);
        line.put("version", env!("CARGO_PKG_VERSION"));
        line.put("libraries", facts.libraries);
        line.put("features", &facts.features);
        self.write(line)
    }

    fn export(&mut self, observation: &Observation, clock: WallClock) -> io::Result<()> {
        let view = View { clock, payloads: self.payloads };
        self.write(match observation {
            Observation::Call(call) => view.call(call),
            Observation::Notification(it) => view.notification(it),
            Observation::SessionStarted(it) => view.session("session_started", it),
            Observation::SessionEnded(it) => view.session("session_ended", it),
            Observation::ServerStarted(it) => view.server("server_started", it),
            Observation::ServerStopped(it) => view.server("server_stopped", it),
            Observation::TaskEnded(it) => view.task_ended(it),
            Observation::Unanswerable(it) => view.unanswerable(it),
            Observation::Loss(it) => view.loss(it),
            Observation::BlindSpot(it) => view.blind_spot(it),
            Observation::ToolsListed(it) => view.tools_listed(it),
            Observation::ToolChanged(it) => view.tool_changed(it),
            Observation::ProtocolStep(it) => view.step(it),
            Observation::Auth(it) if it.result != AuthResult::Accepted => view.auth(it),
            Observation::ServerUsage(it) => view.usage(it),
            // Requests that are let in are many, and told of as calls; calls in flight are a gauge.
            Observation::Auth(_) | Observation::InFlight(_) => return Ok(()),
        })
    }

    fn turn(&mut self, _vitals: &Vitals<'_>) -> io::Result<()> {
        self.output.flush()
    }
}

/// How observations become lines. The members are in the order of the contract.
#[derive(Clone, Copy)]
struct View {
    clock: WallClock,
    payloads: bool,
}

impl View {
    fn call(self, call: &Call) -> Object {
        let mut line = self.begin("call", call.at);
        line.put("method", &call.method);
        self.subject(&mut line, call.subject.as_ref());
        line.put("id", id(&call.id));
        line.put("direction", call.direction.name());
        line.put("transport", call.transport.name());
        line.put_known("tls", call.tls.map(|library| library.name()));
        line.put_known("revision", call.revision.as_deref());
        line.put("outcome", call.outcome.name());
        line.put_known("error_code", call.error_code);
        line.put_known("duration_ms", call.duration().map(milliseconds));
        line.put_known("server_duration_ms", call.server_duration.map(milliseconds));
        line.put_known("client_duration_ms", call.client_duration.map(milliseconds));
        line.put_known("first_answer_ms", call.first_answer.map(milliseconds));
        line.put("request_bytes", call.request_bytes);
        line.put("response_bytes", call.response_bytes);
        line.put("progress", call.progress);
        if let Some(rounds) = &call.links.rounds {
            line.put("rounds", rounds.count);
            line.put("logical_duration_ms", milliseconds(rounds.logical));
            line.put("working_ms", milliseconds(rounds.working));
        }
        line.put_known("notifications", Some(call.links.notifications).filter(|count| *count > 0));
        line.put_known("session", call.session.map(hex));
        line.trace(call.trace.as_ref());
        self.peers(&mut line, &call.client, &call.server);
        if let Some(relay) = &call.links.relay {
            line.put_object("relay", |line| {
                line.put("id", id(&relay.id));
                line.put("time", self.time(relay.at));
                line.put_known("certainty", relay.inferred.then_some("inferred"));
            });
        }
        self.hops(&mut line, &call.links.hops);
        line.put("certainty", call.certainty.name());
        if !call.attributes.is_empty() {
            line.put_object("attributes", |line| {
                call.attributes.iter().for_each(|it| line.put(&it.name, &it.value));
            });
        }
        line.put_known("arguments", self.payload(call.arguments.as_ref()));
        line.put_known("result", self.payload(call.result.as_ref()));
        line
    }

    fn subject(self, line: &mut Object, subject: Option<&Subject>) {
        match subject {
            Some(Subject::Tool(name)) => line.put("tool", &**name),
            Some(Subject::Prompt(name)) => line.put("prompt", &**name),
            Some(Subject::Resource(uri)) if self.payloads => line.put("resource", &**uri.reveal()),
            Some(Subject::Resource(_)) | None => {}
        }
    }

    fn hops(self, line: &mut Object, hops: &[Hop]) {
        if hops.is_empty() {
            return;
        }
        line.put_array("hops", hops, |line, hop| {
            line.put("transport", hop.transport.name());
            line.put_known("duration_ms", hop.duration.map(milliseconds));
            self.peer(line, "server", &hop.server);
        });
    }

    fn task_ended(self, it: &TaskEnded) -> Object {
        let mut line = self.begin("task_ended", it.at);
        line.put("method", &it.method);
        self.subject(&mut line, it.subject.as_ref());
        line.put("id", id(&it.id));
        line.put("direction", it.direction.name());
        line.put("transport", it.transport.name());
        line.put_known("revision", it.revision.as_deref());
        line.put("status", it.status.name());
        line.put("outcome", it.outcome.name());
        line.put("duration_ms", milliseconds(it.duration));
        line.put("polls", it.polls);
        line.put_known("session", it.session.map(hex));
        line.trace(it.trace.as_ref());
        self.peers(&mut line, &it.client, &it.server);
        line
    }

    fn notification(self, it: &Notification) -> Object {
        let mut line = self.begin("notification", it.at);
        line.put("method", &it.method);
        line.put("direction", it.direction.name());
        line.put("transport", it.transport.name());
        line.put_known("subscription", it.subscription.as_ref().map(id));
        self.peers(&mut line, &it.client, &it.server);
        line
    }

    fn session(self, r#type: &str, it: &Session) -> Object {
        let mut line = self.begin(r#type, it.at);
        line.put("transport", it.transport.name());
        line.put_known("revision", it.revision.as_deref());
        line.put_known("session", it.session.map(hex));
        line.put_known("duration_ms", it.duration.map(milliseconds));
        self.peers(&mut line, &it.client, &it.server);
        line
    }

    fn unanswerable(self, it: &Unanswerable) -> Object {
        let mut line = self.begin("unanswerable", it.at);
        line.put_known("id", it.id.as_ref().map(id));
        line.put("transport", it.transport.name());
        self.peer(&mut line, "from", &it.from);
        self.peer(&mut line, "to", &it.to);
        line
    }

    fn loss(self, it: &Loss) -> Object {
        let mut line = self.begin("loss", it.at);
        line.put("cause", it.cause);
        line.put("records", it.records);
        line.put("bytes", it.bytes);
        if let Some(hole) = &it.stream {
            line.put("stream", hex(hole.stream));
            self.peers(&mut line, &hole.client, &hole.server);
        }
        line
    }

    fn blind_spot(self, it: &BlindSpot) -> Object {
        let mut line = self.begin("blind_spot", it.at);
        line.put("kind", &it.facts.kind);
        line.put_known("pid", Some(it.process.pid).filter(|pid| *pid != 0));
        line.put_known("exe", non_empty(&it.facts.exe));
        line.put("reason", &it.facts.reason);
        line
    }

    fn begin(self, r#type: &str, at: Timestamp) -> Object {
        let mut line = Object::new(r#type);
        line.put("time", self.time(at));
        line
    }

    fn time(self, at: Timestamp) -> String {
        Rfc3339(self.clock.unix_ns(at)).to_string()
    }

    fn peers(self, line: &mut Object, client: &Peer, server: &Peer) {
        self.peer(line, "client", client);
        self.peer(line, "server", server);
    }

    fn peer(self, line: &mut Object, name: &str, peer: &Peer) {
        if *peer == Peer::default() {
            return;
        }
        line.put_object(name, |line| {
            line.put_known("name", peer.name.as_deref());
            line.put_known("version", peer.version.as_deref());
            if let Some(process) = peer.process.as_deref() {
                line.put("pid", process.id.pid);
                line.put_known("exe", non_empty(&process.exe));
                line.put_known("command", non_empty(&self.command(process)));
            }
            line.put_known("address", peer.address);
            peer.process.as_deref().into_iter().for_each(|process| place(line, process));
        });
    }

    fn command(self, process: &Process) -> String {
        match process.arguments.reveal().as_slice() {
            arguments @ [_, ..] if self.payloads => arguments.join(" "),
            _ => process.command.to_string(),
        }
    }

    /// A whole payload is JSON and stays so; one that was cut is shown as text.
    fn payload(self, payload: Option<&Private<Box<[u8]>>>) -> Option<Value> {
        let bytes = payload.filter(|_| self.payloads)?.reveal();
        let text = String::from_utf8_lossy(bytes);
        // Line ends in JSON stand between its parts only: within strings they are escaped.
        let one_line = text.replace(['\n', '\r'], " ");
        Some(Value::json(one_line).unwrap_or_else(|| Value::Text(text.into())))
    }
}

/// Where a process runs and for whom.
fn place(line: &mut Object, process: &Process) {
    line.put_known("container", process.container.as_deref());
    line.put_known("container_name", process.container_name());
    line.put_known("image", process.image());
    line.put_known("runtime", process.runtime());
    line.put_known("pod", process.pod());
    line.put_known("pod_uid", process.pod_uid());
    line.put_known("qos", process.home.qos.as_deref());
    line.put_known("namespace", process.namespace());
    line.put_known("workload", process.workload().map(ToString::to_string));
    line.put_known("unit", process.home.unit.as_deref());
    line.put_known("uid", process.home.uid);
    line.put_known("user", process.home.user.as_deref());
    line.put_known("inherited", process.home.is_inherited.then_some(true));
}

/// A value as it was on the wire, or text.
#[derive(Serialize)]
#[serde(untagged)]
enum Value {
    Json(Box<RawValue>),
    Text(String),
}

impl Value {
    fn json(text: String) -> Option<Self> {
        RawValue::from_string(text).ok().map(Self::Json)
    }
}

fn id(id: &Id) -> Value {
    match id {
        Id::Number(text) => Value::json(text.to_string()).unwrap_or_else(|| Value::Text(text.to_string())),
        Id::String(text) => Value::Text(text.to_string()),
    }
}

/// Exact for every duration below eleven days.
fn milliseconds(duration: Duration) -> f64 {
    duration.as_nanos() as f64 / 1e6
}

/// As text: a JSON number of 64 bits does not survive every reader.
fn hex(hash: u64) -> String {
    format!("{hash:016x}")
}

fn non_empty(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

/// A JSON object that is written member by member, in order.
struct Object {
    json: Vec<u8>,
    failed: Option<serde_json::Error>,
}

impl Object {
    fn new(r#type: &str) -> Self {
        let mut object = Self { json: b"{".to_vec(), failed: None };
        object.put("type", r#type);
        object
    }

    fn put(&mut self, name: &str, value: impl Serialize) {
        self.name(name);
        self.value(&value);
    }

    fn put_known(&mut self, name: &str, value: Option<impl Serialize>) {
        if let Some(value) = value {
            self.put(name, value);
        }
    }

    fn put_object(&mut self, name: &str, members: impl FnOnce(&mut Self)) {
        self.name(name);
        self.json.push(b'{');
        members(self);
        self.json.push(b'}');
    }

    fn put_array<T>(&mut self, name: &str, items: &[T], mut members: impl FnMut(&mut Self, &T)) {
        self.name(name);
        for (index, item) in items.iter().enumerate() {
            self.json.extend_from_slice(if index == 0 { b"[{" } else { b",{" });
            members(self, item);
            self.json.push(b'}');
        }
        self.json.extend_from_slice(if items.is_empty() { b"[]" } else { b"]" });
    }

    fn trace(&mut self, context: Option<&TraceContext>) {
        if let Some(context) = context {
            self.put_object("trace", |trace| {
                trace.put("trace_id", format!("{:032x}", context.trace_id));
                trace.put("parent_span_id", hex(context.parent_span_id));
                trace.put("sampled", context.sampled);
            });
        }
    }

    fn line(mut self) -> io::Result<Vec<u8>> {
        self.json.extend_from_slice(b"}\n");
        self.failed.map_or(Ok(self.json), |error| Err(error.into()))
    }

    fn name(&mut self, name: &str) {
        if !self.json.ends_with(b"{") {
            self.json.push(b',');
        }
        self.value(&name);
        self.json.push(b':');
    }

    fn value(&mut self, value: &impl Serialize) {
        if let Err(error) = serde_json::to_writer(&mut self.json, value) {
            self.failed = Some(error);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::testing::{CLOCK, SECRET, call, ended};
    use crate::pipeline::input::{BlindSpotFacts, ProcessId};
    use crate::pipeline::observation::{Hole, Links, Relay, Rounds, Server};

    fn line(observation: Observation, payloads: bool) -> String {
        let mut lines = JsonLines::new(Vec::new(), payloads);
        lines.export(&observation, CLOCK).unwrap();
        String::from_utf8(lines.output).unwrap()
    }

    fn line_of(call: Call, payloads: bool) -> String {
        line(Observation::Call(Box::new(call)), payloads)
    }

    #[test]
    fn a_call_is_as_in_the_contract() {
        let expected = concat!(
            r#"{"type":"call","time":"2026-11-21T10:00:00.123456789Z","method":"tools/call","tool":"echo","id":3,"#,
            r#""direction":"client_to_server","transport":"stdio","revision":"2025-11-25","outcome":"ok","#,
            r#""duration_ms":12.345,"server_duration_ms":12.101,"client_duration_ms":12.345,"#,
            r#""first_answer_ms":12.3,"request_bytes":118,"response_bytes":20140,"progress":0,"#,
            r#""client":{"name":"mcp","version":"0.1.0","pid":4242,"exe":"/usr/bin/python3","#,
            r#""command":"python3 client.py"},"#,
            r#""server":{"name":"everything","version":"1.0","pid":4243,"exe":"/usr/bin/node","#,
            r#""command":"node server.js"},"certainty":"whole"}"#,
            "\n"
        );
        assert_eq!(line_of(call(), false), expected);
    }

    #[test]
    fn what_belongs_to_a_call_is_told_with_it() {
        let rounds =
            Rounds { count: 3, logical: Duration::from_secs(60), working: Duration::from_millis(1500) };
        let hop = Hop {
            server: Peer { name: Some("far".into()), ..Peer::default() },
            transport: call().transport,
            duration: Some(Duration::from_millis(4)),
        };
        let relay = Relay { at: Timestamp::default(), id: Id::Number("7".into()), inferred: true };
        let links = Links { rounds: Some(rounds), notifications: 2, relay: Some(relay), hops: vec![hop] };
        let shown = line_of(Call { links, ..call() }, false);
        for part in [
            r#""rounds":3,"logical_duration_ms":60000.0,"working_ms":1500.0,"notifications":2,"#,
            r#""relay":{"id":7,"time":"2026-11-21T10:00:00.000000000Z","certainty":"inferred"},"#,
            r#""hops":[{"transport":"stdio","duration_ms":4.0,"server":{"name":"far"}}],"certainty""#,
        ] {
            assert!(shown.contains(part), "{part} in {shown}");
        }
    }

    #[test]
    fn optional_members_have_their_forms() {
        let trace = TraceContext { trace_id: 0xab, parent_span_id: 0xcd, sampled: true };
        let some = Call {
            id: Id::String("a\"1".into()),
            session: Some(0x1f),
            trace: Some(trace),
            client: Peer { address: Some(([127, 0, 0, 1], 9).into()), ..Peer::default() },
            server: Peer::default(),
            ..call()
        };
        let line = line_of(some, false);
        assert!(line.contains(r#""id":"a\"1","#), "{line}");
        assert!(line.contains(r#""session":"000000000000001f","#), "{line}");
        let trace = r#""trace":{"trace_id":"000000000000000000000000000000ab","parent_span_id":"00000000000000cd","sampled":true},"#;
        assert!(line.contains(trace), "{line}");
        assert!(line.contains(r#""client":{"address":"127.0.0.1:9"},"certainty""#), "{line}");
    }

    #[test]
    fn what_is_known_of_a_parent_alone_says_so() {
        let with = |is_inherited| {
            let mut client = call().client.process.as_deref().unwrap().clone();
            client.home.is_inherited = is_inherited;
            line_of(
                Call {
                    client: Peer { process: Some(std::sync::Arc::new(client)), ..Peer::default() },
                    ..call()
                },
                false,
            )
        };
        assert!(with(true).contains(r#""inherited":true}"#), "{}", with(true));
        assert!(!with(false).contains("inherited"));
    }

    #[test]
    fn payloads_are_shown_when_asked_for_and_only_then() {
        let of = |arguments: &str| Call {
            arguments: Some(Private::new(arguments.as_bytes().into())),
            subject: Some(Subject::Resource(Private::new(SECRET.into()))),
            ..call()
        };
        let pretty = format!("{{\n  \"a\": \"{SECRET}\"\n}}");
        assert!(!line_of(of(&pretty), false).contains(SECRET));
        let shown = line_of(of(&pretty), true);
        assert!(shown.contains(&format!(r#""arguments":{{   "a": "{SECRET}" }}"#)), "{shown}");
        assert!(shown.contains(&format!(r#""resource":"{SECRET}""#)), "{shown}");
        assert!(shown.contains(&format!("python3 client.py --token {SECRET}")), "{shown}");
        assert_eq!(shown.matches('\n').count(), 1);
        let cut = line_of(of("{\"a\":\n"), true);
        assert!(cut.contains(r#""arguments":"{\"a\":\n""#), "{cut}");
    }

    #[test]
    fn what_was_missed_is_a_line_too() {
        let at = Timestamp::from_nanos(0);
        let loss = Loss { at, cause: "ring_full", records: 2, bytes: 9, stream: None };
        assert_eq!(
            line(Observation::Loss(loss), false),
            "{\"type\":\"loss\",\"time\":\"2026-11-21T10:00:00.000000000Z\",\"cause\":\"ring_full\",\"records\":2,\"bytes\":9}\n"
        );
        let hole = Hole { stream: 7, client: call().client, server: call().server };
        let loss = Loss { at, cause: Loss::HOLE, records: 1, bytes: 9, stream: Some(Box::new(hole)) };
        let told = line(Observation::Loss(loss), false);
        assert!(told.contains("\"bytes\":9,\"stream\":\"0000000000000007\",\"client\":{"), "{told}");
        assert!(told.contains("\"server\":{\"name\":\"everything\""), "{told}");
        let facts = BlindSpotFacts { kind: "io_uring".into(), exe: String::new(), reason: "why".into() };
        let spot = BlindSpot { at, process: ProcessId { pid: 7, started_ns: 0 }, facts };
        let line = line(Observation::BlindSpot(Box::new(spot)), false);
        assert!(line.ends_with("\"kind\":\"io_uring\",\"pid\":7,\"reason\":\"why\"}\n"), "{line}");
    }

    #[test]
    fn the_end_of_a_server_says_how() {
        let end = |status| {
            let server = Server { server: Peer::default(), ..ended(Timestamp::from_nanos(0), status) };
            line(Observation::ServerStopped(Box::new(server)), false)
        };
        let failed = end(Some(3 << 8));
        assert!(
            failed.contains(r#"Z","transport":"stdio","reason":"exit_error","exit_code":3}"#),
            "{failed}"
        );
        let killed = end(Some(0x80 | 9));
        assert!(killed.contains(r#""reason":"signal_kill","signal":9}"#), "dumped core or not: {killed}");
        assert!(end(None).ends_with("\"transport\":\"stdio\"}\n"));
    }
}
