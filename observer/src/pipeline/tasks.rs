//! Tasks of both kinds: the answer to the request that makes one is not its end. That is told when a final status is
//! first seen: in the answer to a poll, in a notification, or (2025-11-25) in the answer to `tasks/result`.
//!
//! Sources: 2025-11-25 `basic/utilities/tasks`; the extension `io.modelcontextprotocol/tasks` (SEP-2663).

use super::Pipeline;
use super::completion::Ended;
use super::health::Stage;
use super::jsonrpc::{Member, Message};
use super::limits::Table;
use super::mcp::ties::{TaskState, TaskStatus};
use super::observation::{Call, CallDirection, Observation, Outcome, Peer, TaskEnded};
use super::pairing::scope::hash;
use super::parties::whereabouts;
use super::time::Timestamp;

/// Tasks, by their id and who has them. Those that have ended stay for a while: they are still asked about.
#[derive(Debug)]
pub(super) struct Tasks(Table<u64, Task>);

/// A task.
#[derive(Debug)]
struct Task {
    /// The call that made it; none once its end was told.
    made_by: Option<Box<Call>>,
    polls: u32,
}

impl Tasks {
    /// For at most so many.
    pub(super) fn new(limit: usize) -> Self {
        Self(Table::new(limit))
    }
}

impl Pipeline {
    /// Heeds what a call says of a task: that there is one now, or what has become of it.
    pub(super) fn follow_task(&mut self, ended: &Ended) {
        let call = &ended.call;
        let state = ended.answer.task.as_ref();
        if call.outcome == Outcome::Task {
            let id = state.and_then(|state| state.id.as_deref());
            return id.into_iter().for_each(|id| self.begin_task(call, id));
        }
        let Some(id) = ended.request.task.as_deref() else { return };
        let end = match (&*call.method, call.outcome) {
            ("tasks/get" | "tasks/cancel", Outcome::Ok) => state.and_then(outcome_of),
            ("tasks/result", Outcome::Ok) => Some((TaskStatus::Completed, Outcome::Ok)),
            ("tasks/result", Outcome::ToolError) => Some((TaskStatus::Failed, Outcome::ToolError)),
            ("tasks/result", Outcome::RpcError) => Some((TaskStatus::Failed, Outcome::RpcError)),
            _ => None,
        };
        let key = key(id, call.direction, &call.client, &call.server);
        let Some(task) = self.tasks.0.value_mut(&key) else {
            // It was made before the observer came, or its making was lost.
            return end.into_iter().for_each(|_| self.health.fault(Stage::Mcp, "task_unknown"));
        };
        task.polls = task.polls.saturating_add(u32::from(&*call.method == "tasks/get"));
        let at = call.at.after(call.duration().unwrap_or_default());
        end.into_iter().for_each(|end| self.end_task(key, at, end));
    }

    /// Heeds a notification of a task's status, `notifications/tasks/status` or `notifications/tasks`.
    pub(super) fn heed_task(
        &mut self,
        message: &Message,
        at: Timestamp,
        direction: CallDirection,
        [client, server]: [&Peer; 2],
    ) {
        if !message.method.as_deref().is_some_and(|method| method.starts_with("notifications/tasks")) {
            return;
        }
        let Some(state) = TaskState::read(message, Member::TaskOf) else { return };
        let (Some(id), Some(end)) = (state.id.as_deref(), outcome_of(&state)) else { return };
        // The side that has the task tells of it: the one that was asked.
        let asked = match direction {
            CallDirection::ServerToClient => CallDirection::ClientToServer,
            CallDirection::ClientToServer => CallDirection::ServerToClient,
        };
        let key = key(id, asked, client, server);
        if self.tasks.0.value(&key).is_some() {
            self.end_task(key, at, end);
        } else {
            self.health.fault(Stage::Mcp, "task_unknown");
        }
    }

    fn begin_task(&mut self, call: &Call, id: &str) {
        let key = key(id, call.direction, &call.client, &call.server);
        let made_by = Call { arguments: None, result: None, ..call.clone() };
        let task = Task { made_by: Some(Box::new(made_by)), polls: 0 };
        if let Some((_, forgotten)) = self.tasks.0.insert(key, task)
            && forgotten.made_by.is_some()
        {
            self.health.shed(Stage::Mcp, "tasks");
        }
    }

    fn end_task(&mut self, key: u64, at: Timestamp, (status, outcome): (TaskStatus, Outcome)) {
        let Some(task) = self.tasks.0.value_mut(&key) else { return };
        let Some(call) = task.made_by.take() else { return };
        if !call.is_counted() {
            return; // the task of the call that it passes on is told
        }
        let ended = TaskEnded {
            at,
            duration: at.since(call.at),
            method: call.method,
            subject: call.subject,
            id: call.id,
            direction: call.direction,
            transport: call.transport,
            revision: call.revision,
            status,
            outcome,
            polls: task.polls,
            session: call.session,
            trace: call.trace,
            client: call.client,
            server: call.server,
        };
        self.observations.push_back(Observation::TaskEnded(Box::new(ended)));
    }
}

/// How a task in this state has ended, if it has. A tool's own failure is `failed` in 2025-11-25, and in the extension
/// `completed` with a result that says so, where `failed` is a JSON-RPC error.
fn outcome_of(state: &TaskState) -> Option<(TaskStatus, Outcome)> {
    let status = state.status.filter(|status| status.is_final())?;
    let outcome = match status {
        TaskStatus::Cancelled => Outcome::Cancelled,
        TaskStatus::Failed if state.has_error => Outcome::RpcError,
        TaskStatus::Failed => Outcome::ToolError,
        _ if state.is_error => Outcome::ToolError,
        _ => Outcome::Ok,
    };
    Some((status, outcome))
}

/// Task ids are the asked side's: they outlive connections and the processes that ask about them.
fn key(id: &str, direction: CallDirection, client: &Peer, server: &Peer) -> u64 {
    let asked = match direction {
        CallDirection::ClientToServer => whereabouts(server, true),
        CallDirection::ServerToClient => whereabouts(client, false),
    };
    hash(&(id, direction, asked))
}
