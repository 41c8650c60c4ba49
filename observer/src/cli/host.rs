//! Flags on the host that an agent runs on, where it cannot find out by itself.

use std::path::PathBuf;

use clap::Args;

use crate::capture::host;

/// What is to be known of the host.
#[derive(Args, Clone, Debug)]
pub struct HostFlags {
    /// Where the host's root folder is, for the names of users, containers and pods; the root of process 1 unless
    /// this is given.
    #[arg(long, env = "MCP_OBSERVER_HOST_ROOT")]
    host_root: Option<PathBuf>,
    /// What the cluster calls this node; the host's name unless this is given.
    #[arg(long, env = "MCP_OBSERVER_NODE_NAME")]
    node_name: Option<String>,
}

impl HostFlags {
    /// What they mean.
    pub fn options(&self) -> host::Options {
        host::Options { root: self.host_root.clone(), node: self.node_name.clone() }
    }
}
