//! Real MCP servers and clients, and what they tell of the calls they made.
//!
//! Every client prints one JSON line per request that it made or answered, as it saw it at its own transport.
//! A test compares these lines with what the observer saw from the kernel.
#![forbid(unsafe_code)]

pub mod certificate;
pub mod install;
pub mod running;
pub mod script;
pub mod sdk;
pub mod tools;
pub mod truth;
pub mod witness;
