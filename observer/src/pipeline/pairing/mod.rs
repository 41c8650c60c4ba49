//! From MCP messages to calls: which answer belongs to which request.
//!
//! In: requests and answers with their scopes. Out: the [`OpenCall`] that an answer ends. A call ends with its
//! answer, its cancellation, its connection, its process, or a limit far beyond any client's time-out; see
//! [`expiry`].

pub mod expiry;
pub mod ids;
pub mod outcome;
pub mod scope;

use std::sync::Arc;

use super::jsonrpc::Id;
use super::limits::Table;
use super::mcp::meta::{Subject, TraceContext};
use super::mcp::method::CallDirection;
use super::mcp::span_facts::SpanFacts;
use super::mcp::ties::RequestTies;
use super::private::Private;
use super::reassembly::Mark;
use super::reassembly::twin::{ConnectionId, End};
use super::time::Timestamp;
use super::transport::{ChosenHeaders, RequestHead, Transport};
use outcome::Outcome;
use scope::CallKey;

/// Names an open call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub u64);

/// The call that another one passes on.
#[derive(Clone, Debug)]
pub struct Relayed {
    /// Its name while it is open.
    pub call: CallId,
    /// When it began.
    pub at: Timestamp,
    /// Its JSON-RPC id.
    pub id: Id,
    /// No process ties them: they are the same in all that they say.
    pub inferred: bool,
}

/// A request that has no answer yet. It goes through many hands, and is large: mostly it is in a box.
#[derive(Clone, Debug)]
pub struct OpenCall {
    /// Its name; given by [`Calls::open`].
    pub number: CallId,
    /// Where its answer may look for it.
    pub keys: Vec<CallKey>,
    /// The connection that carried the request.
    pub connection: ConnectionId,
    /// The end that asked.
    pub asker: End,
    /// The HTTP exchange that carried the request.
    pub exchange: Option<u64>,
    /// The head of its HTTP request, where its answer may come on an event stream that was not seen to begin.
    pub posted_to: Option<Box<RequestHead>>,
    /// JSON-RPC method.
    pub method: Box<str>,
    /// JSON-RPC id.
    pub id: Id,
    /// What it is about.
    pub subject: Option<Subject>,
    /// Who asked whom.
    pub direction: CallDirection,
    /// How it travels.
    pub transport: Transport,
    /// Revision that the request itself states.
    pub revision: Option<Arc<str>>,
    /// Hash of its session's id.
    pub session: Option<u64>,
    /// Trace context.
    pub trace: Option<TraceContext>,
    /// First byte of the request, as the read copy has it.
    pub first_byte: Mark,
    /// When the asker sent the first byte.
    pub sent_at: Option<Timestamp>,
    /// When the asked process had received the last byte.
    pub received_at: Option<Timestamp>,
    /// Size of the request's text.
    pub request_bytes: u64,
    /// Whether every byte of the request was seen.
    pub whole: bool,
    /// The id was found behind a hole: what is in front of it may be of another request.
    pub inferred: bool,
    /// When the first sign of an answer came.
    pub first_answer_at: Option<Timestamp>,
    /// The token under which progress is reported.
    pub progress_token: Option<Id>,
    /// Progress notifications so far.
    pub progress: u32,
    /// When the asked process had read that the call was taken back.
    pub cancelled_at: Option<Timestamp>,
    /// When and how the call ends unless it is answered.
    pub doom: (Timestamp, Outcome),
    /// What only spans tell of it.
    pub span: SpanFacts,
    /// Headers of its HTTP request that the user asks for.
    pub headers: Private<ChosenHeaders>,
    /// What ties it to other messages.
    pub ties: RequestTies,
    /// Notifications that came on it, of `subscriptions/listen`.
    pub notifications: u32,
    /// How many calls pass it on.
    pub hops: u32,
    /// The call that this one passes on.
    pub relayed: Option<Relayed>,
    /// It asks for more of a list.
    pub goes_on: bool,
    /// Raw arguments, if payloads are kept.
    pub arguments: Option<Private<Box<[u8]>>>,
}

/// All open calls.
#[derive(Debug)]
pub struct Calls {
    open: Table<CallId, Box<OpenCall>>,
    by_key: Table<CallKey, CallId>,
    due: expiry::Due<CallId>,
    next: u64,
}

impl OpenCall {
    /// How it ends without an answer, `outcome` being what ends it: one that was taken back stays so, and a
    /// subscription ends when nobody listens any more.
    pub fn outcome_without_answer(&self, outcome: Outcome) -> Outcome {
        if self.doom.1 == Outcome::Cancelled || self.is_subscription() { Outcome::Cancelled } else { outcome }
    }

    /// Whether it is answered by a stream that lasts as long as somebody listens (2026-07-28).
    pub fn is_subscription(&self) -> bool {
        is_subscription(&self.method)
    }
}

/// Whether calls of this method are subscriptions.
pub fn is_subscription(method: &str) -> bool {
    method == "subscriptions/listen"
}

impl Calls {
    /// For at most so many calls.
    pub fn new(limit: usize) -> Self {
        // A call has at most four keys.
        Self { open: Table::new(limit), by_key: Table::new(limit * 4), due: Default::default(), next: 0 }
    }

    /// Takes a call in. Returns its name, and the calls that it ends: those with a key of its own (the id was
    /// used again), and at the limit the oldest.
    pub fn open(&mut self, mut call: Box<OpenCall>) -> (CallId, Vec<(CallId, Box<OpenCall>)>) {
        let mut ended = Vec::new();
        for key in call.keys.iter().filter(|key| !key.progress) {
            let before = self.by_key.value(key).copied();
            ended.extend(before.and_then(|id| Some((id, self.close(id)?))));
        }
        let id = CallId(self.next);
        self.next += 1;
        call.number = id;
        for key in &call.keys {
            let _ = self.by_key.insert(*key, id);
        }
        self.due.set(id, call.doom.0);
        if let Some((oldest, call)) = self.open.insert(id, call) {
            self.forget_keys(oldest, &call);
            ended.push((oldest, call));
        }
        (id, ended)
    }

    /// The open call under `key` with this id.
    pub fn find(&self, key: &CallKey, id: &Id) -> Option<CallId> {
        let call = *self.by_key.value(key)?;
        let open = self.open.value(&call)?;
        let own = if key.progress { open.progress_token.as_ref()? } else { &open.id };
        (own == id).then_some(call)
    }

    /// An open call.
    pub fn call(&self, id: CallId) -> Option<&OpenCall> {
        self.open.value(&id).map(|call| &**call)
    }

    /// All of them, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &OpenCall> {
        self.open.keys().filter_map(|id| self.call(*id))
    }

    /// An open call, to be changed.
    pub fn call_mut(&mut self, id: CallId) -> Option<&mut OpenCall> {
        self.open.value_mut(&id).map(|call| &mut **call)
    }

    /// Lets a call end at `at` with `outcome` unless it is answered before or ends earlier.
    pub fn doom(&mut self, id: CallId, at: Timestamp, outcome: Outcome) {
        if let Some(call) = self.open.value_mut(&id)
            && at < call.doom.0
        {
            self.due.clear(id, call.doom.0);
            call.doom = (at, call.outcome_without_answer(outcome));
            self.due.set(id, at);
        }
    }

    /// Takes a call out.
    pub fn close(&mut self, id: CallId) -> Option<Box<OpenCall>> {
        let call = self.open.remove(&id)?;
        self.forget_keys(id, &call);
        Some(call)
    }

    fn forget_keys(&mut self, id: CallId, call: &OpenCall) {
        for key in &call.keys {
            if self.by_key.value(key) == Some(&id) {
                self.by_key.remove(key);
            }
        }
        self.due.clear(id, call.doom.0);
    }

    /// When the next call ends by itself.
    pub fn deadline(&self) -> Option<Timestamp> {
        self.due.first()
    }

    /// Takes out a call whose time has come.
    pub fn pop_due(&mut self, now: Timestamp) -> Option<(CallId, Box<OpenCall>)> {
        let id = self.due.pop(now)?;
        Some((id, self.close(id)?))
    }

    /// Takes out the oldest call.
    pub fn pop_oldest(&mut self) -> Option<(CallId, Box<OpenCall>)> {
        let id = *self.open.oldest()?.0;
        Some((id, self.close(id)?))
    }
}
