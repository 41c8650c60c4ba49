//! Each official SDK's client with each official SDK's server.

use anyhow::Result;
use live::scene::{STEPS, Scene};
use peers::sdk::{Sdk, Transport};

#[test]
fn over_stdio() -> Result<()> {
    each_pair(Transport::Stdio)?.check("stdio", None).map(drop)
}

#[test]
fn over_http() -> Result<()> {
    each_pair(Transport::Http)?.check("streamable_http", None).map(drop)
}

#[test]
fn over_https() -> Result<()> {
    each_pair(Transport::Https)?.check("streamable_http", Some("openssl")).map(drop)
}

#[test]
fn over_the_two_endpoints_of_2024() -> Result<()> {
    each_pair(Transport::Sse)?.check("http_sse", None).map(drop)
}

fn each_pair(transport: Transport) -> Result<Scene> {
    let mut scene = Scene::start()?;
    for server in Sdk::ALL.into_iter().filter(|sdk| sdk.speaks(transport)) {
        for client in Sdk::ALL.into_iter().filter(|sdk| sdk.speaks(transport)) {
            scene.talk(transport, server, client, &STEPS)?;
        }
    }
    Ok(scene)
}
