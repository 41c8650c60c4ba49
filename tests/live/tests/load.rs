//! A thousand calls a second.

use anyhow::{Result, ensure};
use live::scene::Scene;

#[test]
fn a_thousand_calls_a_second_for_ten_seconds() -> Result<()> {
    let mut scene = Scene::start()?;
    scene.raw(&["load", "--rate", "1000", "--seconds", "10"])?;
    let calls = scene.check("stdio", None)?;
    let echoes = calls.iter().filter(|call| call.tool.as_deref() == Some("echo")).count();
    ensure!(echoes == 10_000, "{echoes} calls");
    Ok(())
}
