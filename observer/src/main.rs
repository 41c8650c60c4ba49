//! The command `mcp-observer`.

fn main() {}
