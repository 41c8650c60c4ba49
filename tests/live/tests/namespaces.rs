//! A client and a server in two network namespaces of this host: one call, both processes, all times.

use std::process::Command;

use anyhow::{Result, ensure};
use live::comparison::Observed;
use live::namespaces::{Namespaces, SERVER, SERVICE};
use live::programs::programs;
use live::scene::{STEPS, Scene};
use peers::running::Running;
use peers::sdk::{Sdk, Transport};

#[test]
fn through_a_pair_of_virtual_devices() -> Result<()> {
    let namespaces = Namespaces::make()?;
    let mut scene = Scene::start()?;
    for server in [Sdk::Python, Sdk::Node] {
        for keep_alive in [false, true] {
            let (mut server, port) = server_in(&namespaces, server)?;
            let url = format!("http://{SERVER}:{port}/mcp");
            talk(&namespaces, &mut scene, &mut server, &url, keep_alive)?;
        }
    }
    has_both_ends(&scene.check("streamable_http", None)?)
}

#[test]
fn through_address_translation() -> Result<()> {
    let mut scene = Scene::start()?;
    for keep_alive in [false, true] {
        let namespaces = Namespaces::make()?;
        let (mut server, port) = server_in(&namespaces, Sdk::Python)?;
        namespaces.translate(port)?;
        talk(&namespaces, &mut scene, &mut server, &format!("http://{SERVICE}/mcp"), keep_alive)?;
    }
    has_both_ends(&scene.check("streamable_http", None)?)
}

fn server_in(namespaces: &Namespaces, sdk: Sdk) -> Result<(Running, u16)> {
    let programs = programs()?;
    let mut command = sdk.server(&programs.peers, Transport::Http, &programs.certificates);
    command.args(["--host", SERVER]);
    let mut server: Running = Running::start(&mut namespaces.at_server(&command))?;
    let port = server.port()?;
    Ok((server, port))
}

/// Without `keep_alive` each request has a connection of its own, all of it at its very beginning.
fn talk(
    namespaces: &Namespaces,
    scene: &mut Scene,
    server: &mut Running,
    url: &str,
    keep_alive: bool,
) -> Result<()> {
    let mut client = Command::new(programs()?.peers.programs.join("peer-client"));
    client.args(["--url", url]);
    for step in STEPS {
        client.args(["--call", step]);
    }
    if keep_alive {
        client.arg("--keep-alive");
    }
    let lines = Running::start(&mut namespaces.at_client(&client))?.finish()?;
    scene.add(&lines, Some(server.pid()), url);
    Ok(())
}

fn has_both_ends(calls: &[Observed]) -> Result<()> {
    let one_sided = calls.iter().find(|call| {
        let pids = [call.client.pid, call.server.pid];
        pids.contains(&None) || call.client_duration_ms.is_none() || call.server_duration_ms.is_none()
    });
    ensure!(one_sided.is_none(), "seen at one end only: {one_sided:?}");
    Ok(())
}
