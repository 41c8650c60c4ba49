//! How to start a server or a client of each official SDK; all take the same arguments and print alike.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::install::{Installed, sources};

/// An official SDK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sdk {
    /// `rmcp`.
    Rust,
    /// `@modelcontextprotocol/sdk`.
    Node,
    /// `mcp`.
    Python,
    /// `@modelcontextprotocol/client` and `server`.
    NodeV2,
    /// `mcp` from 2.0 on.
    PythonV2,
    /// `fastmcp`, on top of `mcp` 2.
    FastMcp,
}

/// How client and server talk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Standard input and output of the server.
    Stdio,
    /// Streamable HTTP.
    Http,
    /// Streamable HTTP inside TLS.
    Https,
    /// The two endpoints of 2024.
    Sse,
}

impl Sdk {
    /// Those that open a session by `initialize`.
    pub const WITH_SESSIONS: [Self; 3] = [Self::Rust, Self::Node, Self::Python];
    /// Those that first ask the server what it speaks, and need no session with one that speaks 2026-07-28.
    pub const MODERN: [Self; 3] = [Self::NodeV2, Self::PythonV2, Self::FastMcp];

    /// Whether there are clients for this transport.
    pub fn asks_over(self, transport: Transport) -> bool {
        transport != Transport::Sse || self != Self::Rust
    }

    /// Whether there are servers for it. The second TypeScript SDK has kept the endpoints of 2024 for clients only.
    pub fn serves_over(self, transport: Transport) -> bool {
        transport != Transport::Sse || !matches!(self, Self::Rust | Self::NodeV2)
    }

    /// A server that prints where it listens, or one for standard input and output.
    pub fn server(self, installed: &Installed, transport: Transport, tls: &Certificates) -> Command {
        let mut command = self.program(installed, "server");
        match transport {
            Transport::Stdio => command.arg("stdio"),
            Transport::Http => command.arg("http"),
            Transport::Sse => command.arg("sse"),
            Transport::Https => command
                .args(["https", "--cert"])
                .arg(tls.file("cert.pem"))
                .arg("--key")
                .arg(tls.file("key.pem")),
        };
        command
    }

    /// A client that starts `server` itself.
    pub fn stdio_client(self, installed: &Installed, steps: &[String], server: &Command) -> Command {
        let mut command = self.client(installed, steps);
        command.arg("--stdio").arg("--").arg(server.get_program()).args(server.get_args());
        command
    }

    /// A client of a server that listens on `port`.
    pub fn http_client(
        self,
        installed: &Installed,
        steps: &[String],
        (transport, port): (Transport, u16),
        tls: &Certificates,
    ) -> Command {
        let mut command = self.client(installed, steps);
        command.arg("--url");
        match transport {
            Transport::Sse => command.arg(format!("http://127.0.0.1:{port}/sse")).arg("--sse"),
            Transport::Https => command.arg(format!("https://localhost:{port}/mcp")),
            Transport::Http | Transport::Stdio => command.arg(format!("http://127.0.0.1:{port}/mcp")),
        };
        let ca = tls.file("ca.pem");
        match self {
            Self::Rust if transport == Transport::Https => command.arg("--ca").arg(ca),
            Self::Rust => &mut command,
            Self::Node | Self::NodeV2 => command.env("NODE_EXTRA_CA_CERTS", ca),
            Self::Python | Self::PythonV2 | Self::FastMcp => command.env("SSL_CERT_FILE", ca),
        };
        command
    }

    fn client(self, installed: &Installed, steps: &[String]) -> Command {
        let mut command = self.program(installed, "client");
        for step in steps {
            command.arg("--call").arg(step);
        }
        command
    }

    fn program(self, installed: &Installed, role: &str) -> Command {
        match self {
            Self::Rust => Command::new(installed.programs.join(format!("peer-{role}"))),
            Self::Node => script("node".as_ref(), &installed.node.join(format!("{role}.mjs"))),
            Self::Python => script(&installed.python, &sources().join(format!("python/{role}.py"))),
            Self::NodeV2 => script("node".as_ref(), &installed.node_v2.join(format!("v2_{role}.mjs"))),
            Self::PythonV2 => v2_script(installed, role),
            Self::FastMcp => {
                let mut command = v2_script(installed, role);
                command.arg("--fastmcp");
                command
            }
        }
    }
}

fn v2_script(installed: &Installed, role: &str) -> Command {
    script(&installed.python_v2, &sources().join(format!("recorded/v2_{role}.py")))
}

fn script(interpreter: &Path, script: &Path) -> Command {
    let mut command = Command::new(interpreter);
    // The scripts run where they are kept; no compiled files are to be left there.
    command.arg(script).env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// A folder that [`crate::certificate::make`] has filled.
#[derive(Clone, Debug)]
pub struct Certificates(pub PathBuf);

impl Certificates {
    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}
