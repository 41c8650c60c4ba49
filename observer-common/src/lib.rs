//! What crosses the boundary between the kernel programs and the agent, and nothing else.
//!
//! Every type here is `repr(C)` without padding, in the byte order of the host: both sides run on the same
//! machine. A capture file stores the same bytes, with the byte order in its head.
//! [`record::LAYOUT`] changes when any of them does.
#![no_std]
#![forbid(unsafe_code)]

pub mod control;
pub mod loss;
pub mod process;
pub mod record;
pub mod settings;
pub mod stream;
pub mod table;
