//! Two network namespaces of this host, joined by a pair of virtual Ethernet devices.

use std::ffi::OsStr;
use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// The namespaces. They go with this.
#[derive(Debug)]
pub struct Namespaces {
    client: String,
    server: String,
}

/// The server's address.
pub const SERVER: &str = "192.0.2.2";
/// An address that is translated to the server's, as that of a service in a cluster.
pub const SERVICE: &str = "198.51.100.1";

const CLIENT: &str = "192.0.2.1";
/// The address that a client of the service seems to have.
const TRANSLATED: &str = "192.0.2.3";

impl Namespaces {
    /// Makes them.
    pub fn make() -> Result<Self> {
        let own = std::process::id();
        let made = Self { client: format!("observed-{own}-c"), server: format!("observed-{own}-s") };
        let (client, server) = (&made.client, &made.server);
        ip(&["netns", "add", client])?;
        ip(&["netns", "add", server])?;
        ip(&["-n", client, "link", "add", "far", "type", "veth", "peer", "name", "far", "netns", server])?;
        for (namespace, address) in [(client, CLIENT), (client, TRANSLATED), (server, SERVER)] {
            ip(&["-n", namespace, "address", "add", &format!("{address}/24"), "dev", "far"])?;
            ip(&["-n", namespace, "link", "set", "far", "up"])?;
            ip(&["-n", namespace, "link", "set", "lo", "up"])?;
        }
        Ok(made)
    }

    /// Lets the service's address stand for this port of the server, and hides the client's address and port.
    pub fn translate(&self, port: u16) -> Result<()> {
        ip(&["-n", &self.client, "route", "add", SERVICE, "via", SERVER])?;
        let rules = format!(
            "table ip service {{
                chain out {{
                    type nat hook output priority -100;
                    ip daddr {SERVICE} tcp dport 80 dnat to {SERVER}:{port}
                }}
                chain post {{
                    type nat hook postrouting priority 100;
                    ct original ip daddr {SERVICE} meta l4proto tcp snat to {TRANSLATED}:20000-29999
                }}
            }}"
        );
        let mut nft = Command::new("ip")
            .args(["netns", "exec", &self.client, "nft", "-f", "-"])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start ip")?;
        nft.stdin.take().context("no input")?.write_all(rules.as_bytes())?;
        succeeded("nft (Debian and Ubuntu: package nftables)", &nft.wait_with_output()?)
    }

    /// Runs a command where the client is.
    pub fn at_client(&self, command: &Command) -> Command {
        inside(&self.client, command)
    }

    /// Runs a command where the server is.
    pub fn at_server(&self, command: &Command) -> Command {
        inside(&self.server, command)
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        for namespace in [&self.client, &self.server] {
            // One that was not made is not there to go.
            let _ = ip(&["netns", "delete", namespace]);
        }
    }
}

/// The same command, its process in the namespace: `ip` becomes the program.
fn inside(namespace: &str, command: &Command) -> Command {
    let mut inside = Command::new("ip");
    inside.args(["netns", "exec", namespace]).arg(command.get_program()).args(command.get_args());
    let set = command.get_envs().filter_map(|(name, value)| Some((name, value?)));
    inside.envs(set.collect::<Vec<(&OsStr, &OsStr)>>());
    inside
}

fn ip(arguments: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(arguments).output();
    let output = output.context("cannot start ip (Debian and Ubuntu: package iproute2)")?;
    succeeded(&format!("ip {}", arguments.join(" ")), &output)
}

fn succeeded(what: &str, output: &std::process::Output) -> Result<()> {
    if !output.status.success() {
        bail!("{what}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
