//! Observes every MCP call of a host from the kernel. `ARCHITECTURE.md` shows the way of the data.
#![forbid(unsafe_code)]

pub mod capture;
pub mod error;
pub mod pipeline;
