//! What the replay tests share: scenarios written by hand, captures in memory, and what the observer says of them.

pub mod captures;
pub mod cases;
pub mod isolate;
pub mod memory;
pub mod messages;
pub mod model;
pub mod observe;
pub mod promql;
pub mod revisions;
pub mod scenario;
pub mod wire;
