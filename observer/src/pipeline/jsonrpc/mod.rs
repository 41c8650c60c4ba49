//! From message texts to JSON-RPC messages.
//!
//! In: the bytes of one text, as they come. Out: [`Message`]s with only the members that MCP needs. No message is
//! held in memory, see [`skim`].

mod block;
mod definition;
mod digest;
mod draft;
mod lexer;
pub mod names;
mod paths;
pub mod skim;
mod skip;
mod spelling;
mod tail;
mod text;
mod values;

use super::private::Private;

/// A JSON-RPC message, or what is known of one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Message {
    /// Whether `jsonrpc` is `"2.0"`.
    pub says_jsonrpc: bool,
    /// `method`, cut to the kept length.
    pub method: Option<Box<str>>,
    /// `id`.
    pub id: MessageId,
    /// Whether `result` is present.
    pub has_result: bool,
    /// Whether `error` is present and an object.
    pub has_error: bool,
    /// Whether `params` is absent or an object, as MCP has it.
    pub params_are_object: bool,
    /// The `id` was found only at the end of a text with a hole, see [`skim`]. It is the id of whatever message
    /// ended there: on a stream where the hole may have swallowed a message boundary, perhaps of another one.
    pub id_inferred: bool,
    /// Other kept members, in the order of the text, each once: the last one counts.
    pub members: Vec<(Member, Kept)>,
    /// `result.tools`, as far as it was read.
    pub tools: Vec<ListedTool>,
    /// Whether no byte of it was missing and its syntax was right.
    pub whole: bool,
}

/// The `id` member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum MessageId {
    /// There is none.
    #[default]
    Absent,
    /// It is `null`.
    Null,
    /// It is a number or a string.
    Id(Id),
}

/// An id, compared by type and by the text of the token: `1` is not `"1"`, and large numbers lose nothing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Id {
    /// A number, as written.
    Number(Box<str>),
    /// A string, unescaped.
    String(Box<str>),
}

/// What kind of message it is, by the tests of the JSON-RPC 2.0 grammar in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// `method` and an `id` that is not null.
    Request,
    /// `method` and no `id`.
    Notification,
    /// `result`.
    Success,
    /// `error`.
    Error,
    /// None of these.
    Unknown,
}

impl Message {
    /// What kind of message it is.
    pub const fn shape(&self) -> Shape {
        match (&self.method, &self.id) {
            (Some(_), MessageId::Id(_)) => Shape::Request,
            (Some(_), _) => Shape::Notification,
            (None, _) if self.has_result => Shape::Success,
            (None, _) if self.has_error => Shape::Error,
            (None, _) => Shape::Unknown,
        }
    }

    /// The first kept value of `member`.
    pub fn member(&self, member: Member) -> Option<&Kept> {
        self.members.iter().find(|(name, _)| *name == member).map(|(_, kept)| kept)
    }

    /// The digest kept of `member`.
    pub fn digest(&self, member: Member) -> Option<u64> {
        match self.member(member)? {
            Kept::Digest(digest) => Some(*digest),
            _ => None,
        }
    }

    /// The first kept value of `member`, if it is a string.
    pub fn string(&self, member: Member) -> Option<&str> {
        match self.member(member)? {
            Kept::String(text) => Some(text),
            _ => None,
        }
    }
}

/// An element of `result.tools`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedTool {
    /// `name`, cut to the kept length.
    pub name: Box<str>,
    /// A hash of what is told of the tool: title, description, schemas, annotations. The same for texts that mean
    /// the same. None if it is too large.
    pub definition: Option<u128>,
}

/// The value of a kept member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// A string, unescaped, cut to the kept length.
    String(Box<str>),
    /// A number, as written.
    Number(Box<str>),
    /// `true` or `false`.
    Bool(bool),
    /// `null`.
    Null,
    /// An object or array: only that it was there.
    Structure,
    /// The raw text of a payload member, cut to the payload length.
    Raw(Private<Box<[u8]>>),
    /// A number that is the same for the same value, or for the same names of members.
    Digest(u64),
}

/// A member that is kept, named by its path. Adding one: a line here and a line in `paths::PATHS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Member {
    /// `params.name`.
    Name,
    /// `params.uri`.
    Uri,
    /// `params.arguments`, raw, only when payloads are kept.
    Arguments,
    /// `params.protocolVersion`.
    WantedVersion,
    /// `params.clientInfo.name`.
    ClientName,
    /// `params.clientInfo.version`.
    ClientVersion,
    /// `params.requestId`: the call that `notifications/cancelled` ends.
    CancelledId,
    /// `params.progressToken`, or `params._meta.progressToken` of a request.
    ProgressToken,
    /// `params.task`: the request asks for a task (2025-11-25).
    Task,
    /// `params.arguments`, as a digest, unless it is long.
    ArgumentsDigest,
    /// `params.requestState`, as a digest: a repeated request of the 2026-07-28 revision.
    RequestState,
    /// The names in `params.inputResponses`, as a digest: what a repeated request brings.
    InputResponses,
    /// `params.taskId`, in `tasks/*` and in notifications of a task.
    TaskOf,
    /// `params._meta["io.modelcontextprotocol/subscriptionId"]`: the id of a `subscriptions/listen`.
    Subscription,
    /// `params._meta.traceparent`.
    TraceParent,
    /// `params._meta.tracestate`.
    TraceState,
    /// `params._meta["io.modelcontextprotocol/protocolVersion"]`.
    MetaVersion,
    /// `params._meta["io.modelcontextprotocol/clientInfo"].name`.
    MetaClientName,
    /// `params._meta["io.modelcontextprotocol/clientInfo"].version`.
    MetaClientVersion,
    /// `params.processId`, `params.rootUri`: a language server, not MCP.
    LanguageServer,
    /// `params.clientCapabilities`, `result.agentCapabilities`, `result.agentInfo`: an agent of the Agent Client
    /// Protocol, not MCP.
    AgentClient,
    /// `result`, raw, only when payloads are kept.
    Result,
    /// `result.isError`.
    IsError,
    /// `result.resultType`.
    ResultType,
    /// `result.protocolVersion`.
    Version,
    /// `result.serverInfo.name`.
    ServerName,
    /// `result.serverInfo.version`.
    ServerVersion,
    /// `result._meta["io.modelcontextprotocol/serverInfo"].name`.
    MetaServerName,
    /// `result._meta["io.modelcontextprotocol/serverInfo"].version`.
    MetaServerVersion,
    /// `result.supportedVersions`.
    SupportedVersions,
    /// `params.cursor`: a list goes on.
    Cursor,
    /// `result.nextCursor`: there is more of a list.
    NextCursor,
    /// `result.task.taskId` (2025-11-25) or `result.taskId`.
    TaskId,
    /// `result.requestState`, as a digest: what the repeated request is to bring back.
    ResultState,
    /// The names in `result.inputRequests`, as a digest.
    InputRequests,
    /// Of a task: `result.task.status`, `result.status`, or `params.status` of a notification.
    TaskStatus,
    /// Of a task: `result.result.isError`, or `params.result.isError` of a notification (2026-07-28).
    TaskIsError,
    /// Of a task: `result.error.code`, or `params.error.code` of a notification (2026-07-28).
    TaskError,
    /// `error.code`.
    ErrorCode,
    /// `error.message`: payload, it often quotes an argument.
    ErrorMessage,
}
