//! Observes every MCP call of a host from the kernel. `ARCHITECTURE.md` shows the way of the data.
#![forbid(unsafe_code)]

pub mod agent;
pub mod capture;
pub mod cli;
pub mod config;
pub mod error;
pub mod export;
pub mod expressions;
pub mod pipeline;
pub mod reference;
