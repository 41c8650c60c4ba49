//! Traffic that is not MCP gives no calls.

use anyhow::Result;
use live::scene::Scene;

fn not_a_call(protocol: &str) -> Result<()> {
    let mut scene = Scene::start()?;
    scene.raw(&["lookalike", protocol, "--calls", "50"])?;
    // What came before this session has been worked through when its calls are seen.
    scene.raw(&["stdio", "--calls", "3"])?;
    scene.check("stdio", None).map(drop)
}

#[test]
fn language_server_protocol() -> Result<()> {
    not_a_call("lsp")
}

#[test]
fn agent_client_protocol() -> Result<()> {
    not_a_call("acp")
}

#[test]
fn ethereum_over_http() -> Result<()> {
    not_a_call("ethereum")
}

#[test]
fn log_lines_that_tell_of_calls() -> Result<()> {
    not_a_call("log")
}
