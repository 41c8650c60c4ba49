//! Every member of the JSON lines, for the reference. The lines of all recordings are checked against it.

/// A member of a line.
#[derive(Clone, Copy, Debug)]
pub struct Member {
    /// Its name.
    pub name: &'static str,
    /// The types of the lines that may have it; none: all.
    pub of: &'static [&'static str],
    /// What it means.
    pub help: &'static str,
}

/// The types of lines, with what each tells.
pub const TYPES: &[(&str, &str)] = &[
    ("ready", "Every probe is attached; of `watch` alone."),
    ("call", "A request and how it ended."),
    ("notification", "A message that wants no answer."),
    ("task_ended", "A task has ended."),
    ("session_started", "A session began."),
    ("session_ended", "A session ended."),
    ("server_started", "A process was recognised as an MCP server."),
    ("server_stopped", "The process of an MCP server has ended."),
    ("server_usage", "What a server's process takes."),
    ("tools_listed", "A server has listed its tools."),
    ("tool_changed", "A server tells something else of a tool than before."),
    ("protocol_step", "How long a client took from one step of the protocol to the next."),
    ("auth", "A request was not let in."),
    ("unanswerable", "An answer without its request, which was sent before the observer came, or lost."),
    ("loss", "Records were lost."),
    ("blind_spot", "Something cannot be seen."),
];

macro_rules! members {
    ($table:ident; $($name:literal [$($of:literal)*] $help:literal;)*) => {
        /// Members, in the order of the reference.
        pub const $table: &[Member] = &[$(Member { name: $name, of: &[$($of),*], help: $help }),*];
    };
}

members! { MEMBERS;
    "type" [] "What the line tells; always first.";
    "time" [] "When, UTC, in nanoseconds: of a call, when the first byte of the request was sent or first seen.";
    "mode" ["ready"] "How the kernel is hooked.";
    "probes" ["ready"] "Probes that are attached.";
    "kernel" ["ready"] "Release of the kernel.";
    "version" ["ready"] "Version of the observer.";
    "libraries" ["ready"] "TLS libraries with probes.";
    "features" ["ready"] "What this kernel offers.";
    "method" ["call" "notification" "task_ended"] "JSON-RPC method.";
    "tool" ["call" "task_ended" "tool_changed"] "Name of the tool.";
    "prompt" ["call" "task_ended"] "Name of the prompt.";
    "resource" ["call" "task_ended"] "URI of the resource; with `--payloads` alone.";
    "id" ["call" "task_ended" "unanswerable"] "JSON-RPC id, number or string as on the wire.";
    "direction" ["call" "notification" "task_ended"] "`client_to_server` or `server_to_client`.";
    "transport" ["call" "notification" "task_ended" "session_started" "session_ended" "server_started"
        "server_stopped" "tools_listed" "tool_changed" "protocol_step" "auth" "unanswerable"]
        "`stdio`, `streamable_http`, `http_sse` or `websocket`.";
    "tls" ["call"] "The TLS library in which it was read.";
    "revision" ["call" "task_ended" "session_started" "session_ended"] "Protocol revision.";
    "status" ["task_ended" "auth"] "Of a task, how it ended; of a request, the HTTP status.";
    "outcome" ["call" "task_ended"]
        "`ok`, `tool_error`, `rpc_error`, `http_error`, `cancelled`, `abandoned`, `expired`, `input_required` or `task`.";
    "error_code" ["call"] "JSON-RPC code or HTTP status.";
    "duration_ms" ["call" "task_ended" "session_ended" "protocol_step"]
        "Of a call, the client's view where it is known, else the server's.";
    "server_duration_ms" ["call"] "From receiving the request to sending the last byte of the answer.";
    "client_duration_ms" ["call"] "From sending the request to reading the last byte of the answer.";
    "first_answer_ms" ["call"] "To the first byte of the answer or the first progress.";
    "request_bytes" ["call"] "Size of the request's text.";
    "response_bytes" ["call"] "Size of the answer's text.";
    "progress" ["call"] "Progress notifications.";
    "rounds" ["call"] "Of the last of several rounds of one call: how many there were.";
    "logical_duration_ms" ["call"] "From the first round's request to the last one's answer.";
    "working_ms" ["call"] "The rounds' own durations together.";
    "notifications" ["call"] "Of `subscriptions/listen`: how many came on it.";
    "subscription" ["notification"] "The id of the `subscriptions/listen` that it came on.";
    "polls" ["task_ended"] "How often the task's state was asked for.";
    "session" ["call" "task_ended" "session_started" "session_ended"] "A hash of the session's id, never the id itself.";
    "trace" ["call" "task_ended"] "W3C context of the request: `trace_id`, `parent_span_id`, `sampled`.";
    "relay" ["call"] "The call that this hop passes on: its `id` and `time`, and `certainty` where no process ties them.";
    "hops" ["call"] "The calls that pass this one on: `server`, `transport`, `duration_ms` of each.";
    "client" ["call" "notification" "task_ended" "session_started" "session_ended" "tools_listed" "tool_changed"
        "protocol_step" "auth" "loss"] "The MCP client, see below.";
    "server" ["call" "notification" "task_ended" "session_started" "session_ended" "server_started"
        "server_stopped" "server_usage" "tools_listed" "tool_changed" "protocol_step" "auth" "loss"]
        "The MCP server, see below.";
    "from" ["unanswerable"] "Who sent it, see below.";
    "to" ["unanswerable"] "Who read it, see below.";
    "certainty" ["call"] "`whole`, `times_only` (bytes are missing, the times are right) or `inferred`.";
    "attributes" ["call"] "The user's own, by `--attribute`.";
    "arguments" ["call"] "With `--payloads` alone.";
    "result" ["call" "auth"] "Of a call, with `--payloads` alone; of a request, `unauthorized` or `forbidden`.";
    "probe" ["server_started" "server_stopped"] "A host only asked it what it is.";
    "was_running" ["server_started"] "It ran before the observer did.";
    "reason" ["server_stopped" "blind_spot"] "Why: of a server `exit_0`, `exit_error` or `signal_NAME`.";
    "exit_code" ["server_stopped"] "How the process ended.";
    "signal" ["server_stopped"] "The signal that ended it.";
    "uptime_seconds" ["server_usage"] "How long it has run.";
    "memory_bytes" ["server_usage"] "Resident memory.";
    "cpu_seconds" ["server_usage"] "Processor time.";
    "count" ["tools_listed"] "How many.";
    "tools" ["tools_listed"] "Their names.";
    "before" ["tool_changed"] "A hash of what the server told of it.";
    "after" ["tool_changed"] "A hash of what it tells now.";
    "step" ["protocol_step"] "`initialize_to_list`, `list_to_call`, `initialize_to_call` or `discover_to_call`.";
    "scheme" ["auth"] "Of `Authorization`, never its value.";
    "cause" ["loss"] "Why.";
    "records" ["loss"] "How many.";
    "bytes" ["loss"] "Of how many bytes.";
    "stream" ["loss"] "The stream with the hole, if it is one in a stream with MCP.";
    "kind" ["blind_spot"] "What kind.";
    "pid" ["blind_spot"] "Process id.";
    "exe" ["blind_spot"] "Path of the executable.";
}

members! { PEER_MEMBERS;
    "name" [] "The name that it gave itself.";
    "version" [] "The version that it gave itself.";
    "pid" [] "Process id.";
    "exe" [] "Path of the executable.";
    "command" [] "The program and, of an interpreter, the script; with `--payloads` the whole command line.";
    "address" [] "Address and port, of TCP.";
    "container" [] "Container id.";
    "container_name" [] "The container's name.";
    "image" [] "The container's image.";
    "runtime" [] "What runs the container.";
    "pod" [] "Kubernetes pod.";
    "pod_uid" [] "The pod's id.";
    "qos" [] "The pod's class of service.";
    "namespace" [] "Kubernetes namespace.";
    "workload" [] "What the pod belongs to.";
    "unit" [] "Unit of systemd.";
    "uid" [] "User id.";
    "user" [] "Name of the user.";
    "inherited" [] "Where it runs, and its user, are its parent's: it was gone before it could be looked at.";
}
