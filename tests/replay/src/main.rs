//! The command `mcp-observer`, as it is shipped, for the tests of this package.

use std::process::ExitCode;

fn main() -> ExitCode {
    mcp_observer::cli::run()
}
