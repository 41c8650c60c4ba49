//! The command `mcp-observer`.

use std::process::ExitCode;

fn main() -> ExitCode {
    mcp_observer::cli::run()
}
