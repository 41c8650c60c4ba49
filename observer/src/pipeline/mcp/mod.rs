//! From JSON-RPC messages to MCP messages: what is MCP at all, and what it is about.
//!
//! In: [`Message`](super::jsonrpc::Message)s. Out: their method, subject, trace context, what ties them to other messages, and
//! the evidence that they give for or against MCP. No state: who remembers it is [`session`] and the pairing.

pub mod evidence;
pub mod inventory;
pub mod meta;
pub mod method;
pub mod session;
pub mod span_facts;
pub mod step;
pub mod ties;
