//! What ties a request or an answer to other messages: rounds of one call, tasks, the same call on its way through
//! several processes. Digests and ids that are never shown.

use super::meta::as_text;
use crate::pipeline::jsonrpc::{Kept, Member, Message};

/// What a request brings with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestTies {
    /// Digest of `params.arguments`.
    pub arguments: Option<u64>,
    /// What says that it continues an earlier call.
    pub continues: Option<Token>,
    /// The task that it asks about.
    pub task: Option<Box<str>>,
}

/// What an answer leaves behind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnswerTies {
    /// What the request that continues the call will bring.
    pub continued_by: Option<Token>,
    /// What it says of a task.
    pub task: Option<TaskState>,
}

/// What two rounds of one call have in common (2026-07-28, multi round-trip requests).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Token {
    /// The opaque state that the server hands out and the client brings back.
    State(u64),
    /// Where there is none, the names of what was asked for.
    Names(u64),
}

/// What a message says of a task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskState {
    /// Its id, if the message has it.
    pub id: Option<Box<str>>,
    /// Its status.
    pub status: Option<TaskStatus>,
    /// The result that it holds is the failure of a tool.
    pub is_error: bool,
    /// It holds a JSON-RPC error (2026-07-28; in 2025-11-25 that comes with `tasks/result`).
    pub has_error: bool,
}

/// The status of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TaskStatus {
    /// It goes on.
    Working,
    /// It waits for input.
    InputRequired,
    /// It has a result.
    Completed,
    /// It has an error, or (2025-11-25) a result that is the failure of a tool.
    Failed,
    /// It was taken back.
    Cancelled,
}

impl RequestTies {
    /// What the request `message` brings.
    pub fn read(message: &Message) -> Self {
        let state = message.digest(Member::RequestState).map(Token::State);
        let names = || message.digest(Member::InputResponses).map(Token::Names);
        Self {
            arguments: message.digest(Member::ArgumentsDigest),
            continues: state.or_else(names),
            task: as_text(message, Member::TaskOf),
        }
    }
}

impl AnswerTies {
    /// What the answer `message` leaves behind.
    pub fn read(message: &Message) -> Self {
        let state = message.digest(Member::ResultState).map(Token::State);
        let names = || message.digest(Member::InputRequests).map(Token::Names);
        Self { continued_by: state.or_else(names), task: TaskState::read(message, Member::TaskId) }
    }
}

impl TaskState {
    /// What `message` says of a task, whose id is in `id`.
    pub fn read(message: &Message, id: Member) -> Option<Self> {
        let id = as_text(message, id);
        let status = message.string(Member::TaskStatus).and_then(TaskStatus::of_name);
        let is_error = message.member(Member::TaskIsError) == Some(&Kept::Bool(true));
        let has_error = message.member(Member::TaskError).is_some();
        (id.is_some() || status.is_some()).then_some(Self { id, status, is_error, has_error })
    }
}

impl TaskStatus {
    /// The value on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Working => "working",
            Self::InputRequired => "input_required",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether the task is over.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }

    fn of_name(name: &str) -> Option<Self> {
        [Self::Working, Self::InputRequired, Self::Completed, Self::Failed, Self::Cancelled]
            .into_iter()
            .find(|status| status.name() == name)
    }
}
