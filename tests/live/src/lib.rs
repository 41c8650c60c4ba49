//! Starts the observer on this host's own kernel, lets real peers talk, and compares what both tell.
//!
//! Everything here needs root; a test that cannot run fails.
#![forbid(unsafe_code)]

pub mod agent;
pub mod collector;
pub mod comparison;
pub mod conformance;
pub mod containers;
pub mod deployed;
pub mod namespaces;
pub mod observer;
pub mod programs;
pub mod prometheus;
pub mod rounds;
pub mod scene;
pub mod timed;
