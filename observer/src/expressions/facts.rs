//! The names that expressions may use, and what each means for an observation.

use std::borrow::Cow;
use std::time::Duration;

use crate::pipeline::observation::{
    Call, CallDirection, Observation, Peer, Process, Subject as CallSubject, Transport,
};

/// A name that expressions may use.
#[derive(Clone, Copy, Debug)]
pub struct Name {
    /// As it is written; of a peer, what stands behind `client.` or `server.`.
    pub name: &'static str,
    /// What its values are.
    pub kind: Kind,
    /// What it means.
    pub help: &'static str,
}

/// What the values of a name are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text, empty where it is not known.
    Text,
    /// A whole number.
    Int,
    /// A number.
    Double,
}

/// What a name stands for on one observation.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact<'a> {
    /// Text.
    Text(Cow<'a, str>),
    /// A whole number.
    Int(i64),
    /// A number.
    Double(f64),
}

/// What expressions are about: an observation, as far as it has what they ask for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Subject<'a> {
    pub(super) call: Option<&'a Call>,
    method: &'a str,
    direction: Option<CallDirection>,
    transport: Option<Transport>,
    revision: Option<&'a str>,
    session: Option<u64>,
    client: Option<&'a Peer>,
    server: Option<&'a Peer>,
}

/// Makes a table of names and, from the same lines, the function that finds their values.
macro_rules! names {
    ($table:ident, $find:ident($subject:ident: $of:ty);
        $($name:literal $kind:ident $help:literal $value:expr;)*) => {
        /// Names, in the order of the reference.
        pub const $table: &[Name] = &[$(Name { name: $name, kind: Kind::$kind, help: $help }),*];

        fn $find<'a>(name: &str, $subject: $of) -> Option<Fact<'a>> {
            match name {
                $($name => $value,)*
                _ => None,
            }
        }
    };
}

names! { NAMES, of_call(it: Subject<'a>);
    "method" Text "JSON-RPC method, as `tools/call`." text(it.method);
    "tool" Text "Name of the tool that is called." match it.call.and_then(|call| call.subject.as_ref()) {
        Some(CallSubject::Tool(name)) => text(name),
        _ => text(""),
    };
    "prompt" Text "Name of the prompt that is asked for." match it.call.and_then(|call| call.subject.as_ref()) {
        Some(CallSubject::Prompt(name)) => text(name),
        _ => text(""),
    };
    "resource" Text "URI of the resource that is read; only with `--payloads`."
        match it.call.and_then(|call| call.subject.as_ref()) {
            Some(CallSubject::Resource(uri)) => text(uri.reveal()),
            _ => text(""),
        };
    "outcome" Text "How the call ended, as `ok` or `tool_error`." text(it.call.map_or("", |call| call.outcome.name()));
    "error_code" Int "JSON-RPC error code or HTTP status." it.call?.error_code.map(Fact::Int);
    "direction" Text "`client_to_server` or `server_to_client`." text(it.direction.map_or("", CallDirection::name));
    "transport" Text "`stdio`, `streamable_http`, `http_sse` or `websocket`."
        text(it.transport.map_or("", Transport::name));
    "tls" Text "The TLS library in which it was read."
        text(it.call.and_then(|call| call.tls).map_or("", |library| library.name()));
    "revision" Text "Protocol revision." text(it.revision.unwrap_or_default());
    "session" Text "Hash of the session's id, 16 hexadecimal digits; never the id itself."
        Some(Fact::Text(it.session.map(|hash| format!("{hash:016x}")).unwrap_or_default().into()));
    "certainty" Text "`whole`, `times_only` or `inferred`." text(it.call.map_or("", |call| call.certainty.name()));
    "duration_ms" Double "The client's view where it is known, else the server's." milliseconds(it.call?.duration());
    "client_duration_ms" Double "From sending the request to the last byte of the answer."
        milliseconds(it.call?.client_duration);
    "server_duration_ms" Double "From receiving the request to the last byte of the answer."
        milliseconds(it.call?.server_duration);
    "first_answer_ms" Double "To the first byte of the answer or the first progress."
        milliseconds(it.call?.first_answer);
    "request_bytes" Int "Size of the request's text." int(it.call?.request_bytes);
    "response_bytes" Int "Size of the answer's text." int(it.call?.response_bytes);
    "progress" Int "Progress notifications." int(it.call?.progress);
}

names! { PEER_NAMES, of_peer(it: Option<&'a Peer>);
    "name" Text "The name that it gave itself, else that of its script or program."
        text(it.and_then(Peer::label).unwrap_or_default());
    "version" Text "The version that it gave itself." text(it.and_then(|it| it.version.as_deref()).unwrap_or_default());
    "pid" Int "Process id." int(process(it)?.id.pid);
    "exe" Text "Path of the executable." text(process(it).map_or("", |process| &process.exe));
    "command" Text "The program and, of an interpreter, the script."
        text(process(it).map_or("", |process| &process.command));
    "address" Text "Address and port, of TCP." Some(Fact::Text(
        it.and_then(|it| it.address).map(|address| address.to_string()).unwrap_or_default().into(),
    ));
    "container" Text "Container id." text(process(it).and_then(|it| it.container.as_deref()).unwrap_or_default());
    "container_name" Text "The container's name, where its runtime tells it."
        text(process(it).and_then(Process::container_name).unwrap_or_default());
    "image" Text "The container's image." text(process(it).and_then(Process::image).unwrap_or_default());
    "pod" Text "Kubernetes pod." text(process(it).and_then(Process::pod).unwrap_or_default());
    "namespace" Text "Kubernetes namespace." text(process(it).and_then(Process::namespace).unwrap_or_default());
    "workload" Text "What the pod belongs to, as `deployment/shop`." Some(Fact::Text(
        process(it).and_then(Process::workload).map(|workload| workload.to_string()).unwrap_or_default().into(),
    ));
    "unit" Text "Unit of systemd." text(process(it).and_then(|it| it.home.unit.as_deref()).unwrap_or_default());
    "user" Text "Name of the user." text(process(it).and_then(|it| it.home.user.as_deref()).unwrap_or_default());
}

impl Kind {
    /// CEL's own word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "string",
            Self::Int => "int",
            Self::Double => "double",
        }
    }

    /// A value of this kind, to try expressions out.
    pub fn sample(self) -> Fact<'static> {
        match self {
            Self::Text => Fact::Text("1".into()),
            Self::Int => Fact::Int(1),
            Self::Double => Fact::Double(1.0),
        }
    }
}

/// The name in the tables: `tool`, `client.pid`.
pub fn named(name: &str) -> Option<&'static Name> {
    let (table, name) = match name.split_once('.') {
        Some(("client" | "server", member)) => (PEER_NAMES, member),
        _ => (NAMES, name),
    };
    table.iter().find(|known| known.name == name)
}

impl<'a> Subject<'a> {
    /// What expressions can say of an observation. `None`: it tells of missing data and is always wanted.
    pub fn of(observation: &'a Observation) -> Option<Self> {
        let [client, server] = observation.parties();
        let of_parties = Self { client, server, ..Self::default() };
        let of = |transport| Self { transport: Some(transport), ..of_parties };
        Some(match observation {
            Observation::Call(it) => Self {
                call: Some(it),
                method: &it.method,
                direction: Some(it.direction),
                revision: it.revision.as_deref(),
                session: it.session,
                ..of(it.transport)
            },
            Observation::TaskEnded(it) => Self {
                method: &it.method,
                direction: Some(it.direction),
                revision: it.revision.as_deref(),
                session: it.session,
                ..of(it.transport)
            },
            Observation::Notification(it) => {
                Self { method: &it.method, direction: Some(it.direction), ..of(it.transport) }
            }
            Observation::SessionStarted(it) | Observation::SessionEnded(it) => {
                Self { revision: it.revision.as_deref(), session: it.session, ..of(it.transport) }
            }
            Observation::Unanswerable(it) => of(it.transport),
            Observation::ToolsListed(it) => of(it.transport),
            Observation::ToolChanged(it) => of(it.transport),
            Observation::ProtocolStep(it) => of(it.transport),
            Observation::Auth(it) => of(it.transport),
            Observation::ServerStarted(it) | Observation::ServerStopped(it) => of(it.transport),
            Observation::ServerUsage(_) => of_parties,
            Observation::InFlight(_) | Observation::Loss(_) | Observation::BlindSpot(_) => return None,
        })
    }

    /// What the name stands for. `None`: it is not known here.
    pub fn fact(self, name: &str) -> Option<Fact<'a>> {
        match name.split_once('.') {
            Some(("client", member)) => of_peer(member, self.client),
            Some(("server", member)) => of_peer(member, self.server),
            _ => of_call(name, self),
        }
    }
}

fn text(text: &str) -> Option<Fact<'_>> {
    Some(Fact::Text(text.into()))
}

fn int<'a>(number: impl TryInto<i64>) -> Option<Fact<'a>> {
    number.try_into().ok().map(Fact::Int)
}

fn milliseconds<'a>(duration: Option<Duration>) -> Option<Fact<'a>> {
    Some(Fact::Double(duration?.as_nanos() as f64 / 1e6))
}

fn process(peer: Option<&Peer>) -> Option<&Process> {
    peer?.process.as_deref()
}
