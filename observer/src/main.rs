//! The command `mcp-observer`.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// The start reads types and symbols of many megabytes; this allocator gives their memory back.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    mcp_observer::cli::run()
}
