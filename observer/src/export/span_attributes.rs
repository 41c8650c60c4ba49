//! Every attribute of spans, log records and resources, for the reference. What OTLP sends is checked against it.

/// An attribute that is exported.
#[derive(Clone, Copy, Debug)]
pub struct Attribute {
    /// Its name.
    pub name: &'static str,
    /// What has it.
    pub on: On,
    /// When it is there.
    pub when: &'static str,
    /// What it means.
    pub help: &'static str,
}

/// What has an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// The spans of a call, and its log record.
    Call,
    /// Its log record alone.
    Record,
    /// The events of a span.
    Event,
    /// The resource.
    Resource,
}

macro_rules! attributes {
    ($($on:ident $name:literal $when:literal $help:literal;)*) => {
        /// All of them, in the order of the reference.
        pub const ATTRIBUTES: &[Attribute] =
            &[$(Attribute { name: $name, on: On::$on, when: $when, help: $help }),*];
    };
}

attributes! {
    Call "mcp.method.name" "always" "JSON-RPC method.";
    Call "error.type" "failed" "JSON-RPC code, HTTP status, or a word for how it ended.";
    Call "gen_ai.tool.name" "of tools" "Name of the tool.";
    Call "gen_ai.prompt.name" "of prompts" "Name of the prompt.";
    Call "gen_ai.operation.name" "of tools" "`execute_tool`.";
    Call "gen_ai.tool.call.arguments" "`--payloads`" "Arguments.";
    Call "gen_ai.tool.call.result" "`--payloads`" "Result.";
    Call "jsonrpc.request.id" "always" "JSON-RPC id.";
    Call "mcp.protocol.version" "known" "Protocol revision.";
    Call "mcp.session.id" "of sessions" "A hash of the session's id: the id itself would let its reader take the session over.";
    Call "mcp.resource.uri" "`--payloads`" "URI of the resource.";
    Call "rpc.response.status_code" "failed" "JSON-RPC code.";
    Call "rpc.status_code" "asked for" "The same by its newer name, as `OTEL_SEMCONV_STABILITY_OPT_IN` says.";
    Call "network.transport" "always" "`pipe` or `tcp`.";
    Call "network.protocol.name" "always" "`http`, or empty.";
    Call "network.protocol.version" "of HTTP" "Version of HTTP.";
    Call "server.address" "of CLIENT" "Host that is asked.";
    Call "server.port" "of CLIENT" "Its port.";
    Call "client.address" "of SERVER" "Address of the client.";
    Call "client.port" "of SERVER" "Its port.";
    Call "mcp_observer.transport" "always" "`stdio`, `streamable_http`, `http_sse` or `websocket`.";
    Call "mcp_observer.tls" "inside TLS" "The library in which it was read.";
    Call "mcp_observer.direction" "always" "`client_to_server` or `server_to_client`.";
    Call "mcp_observer.outcome" "always" "How it ended.";
    Call "mcp_observer.certainty" "always" "`whole`, `times_only` or `inferred`.";
    Call "mcp_observer.request.size" "always" "Bytes of the request's text.";
    Call "mcp_observer.response.size" "always" "Bytes of the answer's text.";
    Call "mcp_observer.progress" "if there was any" "Progress notifications.";
    Call "mcp_observer.relay" "of hops" "It passes another call on, which is exported too.";
    Call "mcp_observer.client.name" "known" "The name that the client gave itself.";
    Call "mcp_observer.client.version" "known" "The version that the client gave itself.";
    Call "mcp_observer.server.name" "known" "The name that the server gave itself.";
    Call "mcp_observer.server.version" "known" "The version that the server gave itself.";
    Record "mcp_observer.client.duration" "known" "Seconds, as the client sees it.";
    Record "mcp_observer.server.duration" "known" "Seconds, as the server sees it.";
    Event "mcp.method.name" "always" "Method of the notification.";
    Event "mcp_observer.direction" "always" "Who told whom.";
    Resource "service.name" "always" "Name of the observed service.";
    Resource "service.version" "known" "Its version.";
    Resource "service.namespace" "in pods" "Namespace of its pod.";
    Resource "service.instance.id" "on this host" "The same for one process however often it is asked for.";
    Resource "process.pid" "on this host" "Process id.";
    Resource "process.creation.time" "on this host" "When it started.";
    Resource "process.executable.path" "on this host" "Path of the executable.";
    Resource "process.executable.name" "on this host" "Its last part.";
    Resource "process.command" "on this host" "The program and, of an interpreter, the script.";
    Resource "process.command_args" "`--payloads`" "The whole command line.";
    Resource "process.owner" "outside of containers" "Name of its user.";
    Resource "mcp_observer.inherited" "gone early" "True: where it ran, and its user, are its parent's, because it was gone before it could be looked at.";
    Resource "container.id" "in containers" "Container id.";
    Resource "container.name" "in containers" "Name of the container, outside of pods.";
    Resource "container.runtime.name" "in containers" "What runs the container.";
    Resource "container.image.name" "in containers" "The image that it was made from.";
    Resource "k8s.node.name" "in pods" "The node, as `--node-name` has it, else by the host's name.";
    Resource "k8s.namespace.name" "in pods" "Namespace of the pod.";
    Resource "k8s.pod.name" "in pods" "Name of the pod.";
    Resource "k8s.pod.uid" "in pods" "Unique id of the pod.";
    Resource "k8s.container.name" "in pods" "Name of the container.";
    Resource "k8s.deployment.name" "in pods" "What keeps the pod running; likewise of the other kinds of workload.";
    Resource "host.name" "on this host" "Name of the host.";
    Resource "host.id" "on this host" "Machine id.";
    Resource "host.arch" "on this host" "Architecture.";
    Resource "os.type" "on this host" "`linux`.";
    Resource "telemetry.sdk.name" "always" "`mcp-observer`.";
    Resource "telemetry.sdk.language" "always" "`rust`.";
    Resource "telemetry.sdk.version" "always" "Version of the observer.";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::semconv;

    #[test]
    fn what_the_conventions_name_is_in_the_table() {
        for known in semconv::OPERATION {
            assert!(ATTRIBUTES.iter().any(|it| it.on == On::Call && it.name == known.name), "{}", known.name);
        }
    }

    #[test]
    fn no_attribute_is_there_twice() {
        for (index, it) in ATTRIBUTES.iter().enumerate() {
            let same = |other: &&Attribute| other.name == it.name && other.on == it.on;
            assert_eq!(ATTRIBUTES.iter().filter(same).count(), 1, "{index} {}", it.name);
        }
    }
}
