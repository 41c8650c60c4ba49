//! Flags that several commands share.

use std::io::{self, BufWriter};
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::{Args, ValueEnum};

use super::host::HostFlags;
use crate::capture::host;
use crate::capture::kernel::{DEFAULT_RING_BYTES, ModeChoice};
use crate::config::{self, Bounds, Filter};
use crate::error::Error;
use crate::export::Exporter;
use crate::export::json_lines::JsonLines;
use crate::export::terminal::Terminal;
use crate::expressions::Expressions;

/// Which observations are shown.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Filters (each repeatable; none means everything)")]
pub struct FilterFlags {
    /// Only calls of which the client or the server is this process.
    #[arg(long, env = "MCP_OBSERVER_PID", value_delimiter = ',')]
    pid: Vec<u32>,
    /// Only calls of which the client or the server runs this executable (a path, or a file name alone).
    #[arg(long, env = "MCP_OBSERVER_EXE", value_delimiter = ',')]
    exe: Vec<PathBuf>,
    /// Only calls of which the client or the server is in this container (a name, an id or its beginning).
    #[arg(long, env = "MCP_OBSERVER_CONTAINER", value_delimiter = ',')]
    container: Vec<String>,
    /// Only calls of which the client or the server is in this pod (a name or a unique id).
    #[arg(long, env = "MCP_OBSERVER_POD", value_delimiter = ',')]
    pod: Vec<String>,
    /// Only calls of which the client or the server is in this namespace of the cluster.
    #[arg(long, env = "MCP_OBSERVER_NAMESPACE", value_delimiter = ',')]
    namespace: Vec<String>,
    /// Only calls to the server of this name.
    #[arg(long, env = "MCP_OBSERVER_SERVER", value_delimiter = ',')]
    server: Vec<String>,
    /// Only calls of the tool of this name.
    #[arg(long, env = "MCP_OBSERVER_TOOL", value_delimiter = ',')]
    tool: Vec<String>,
}

impl FilterFlags {
    /// What they mean. A relative path means the file that it names now.
    pub fn filter(self) -> Result<Filter, Error> {
        let exes = self.exe.into_iter().map(|exe| {
            if exe.components().count() < 2 {
                return Ok(exe);
            }
            exe.canonicalize().map_err(|error| Error::Usage(format!("--exe {}: {error}", exe.display())))
        });
        Ok(Filter {
            pids: self.pid,
            exes: exes.collect::<Result<_, _>>()?,
            containers: self.container,
            pods: self.pod,
            namespaces: self.namespace,
            servers: self.server,
            tools: self.tool,
        })
    }
}

/// What users compute themselves.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Expressions (CEL; each repeatable, in the environment one per line)")]
pub struct ExpressionFlags {
    /// Only what this is true for: `duration_ms > 1000.0 && tool.startsWith('db_')`. docs/expressions.md has the names.
    #[arg(long, env = "MCP_OBSERVER_FILTER", value_name = "EXPR", value_delimiter = '\n')]
    filter: Vec<String>,
    /// Gives each call an attribute: `tenant=headers['x-tenant']`. `Authorization` and cookies cannot be read.
    #[arg(long, env = "MCP_OBSERVER_ATTRIBUTE", value_name = "NAME=EXPR", value_delimiter = '\n')]
    attribute: Vec<String>,
}

impl ExpressionFlags {
    /// What they mean. `payloads`: whether the user asked for these too.
    pub fn expressions(&self, payloads: bool) -> Result<Option<Expressions>, Error> {
        let written = |lines: &[String]| -> Vec<String> {
            lines.iter().filter(|line| !line.trim().is_empty()).cloned().collect()
        };
        Expressions::read(&written(&self.filter), &written(&self.attribute), payloads)
    }
}

/// How to capture, and for how long.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Capture")]
pub struct CaptureFlags {
    /// How to hook the kernel; auto takes the first that works.
    #[arg(long, env = "MCP_OBSERVER_MODE", value_enum, default_value = "auto")]
    mode: Mode,
    /// End after this time: 250ms, 10s, 5m, 1h.
    #[arg(long, env = "MCP_OBSERVER_DURATION", value_parser = config::duration)]
    duration: Option<Duration>,
    /// End after this many calls.
    #[arg(long, env = "MCP_OBSERVER_COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Size of the ring between kernel and agent, a power of two. Tests make it small to see what is lost.
    #[arg(long, env = "MCP_OBSERVER_RING_BYTES", hide = true, default_value_t = DEFAULT_RING_BYTES)]
    ring_bytes: u32,
    #[command(flatten)]
    host: HostFlags,
}

impl CaptureFlags {
    /// The mode that was asked for.
    pub const fn mode(&self) -> ModeChoice {
        match self.mode {
            Mode::Auto => ModeChoice::Auto,
            Mode::Fexit => ModeChoice::Fexit,
            Mode::Kprobe => ModeChoice::Kprobe,
            Mode::Syscall => ModeChoice::Syscall,
        }
    }

    /// How much the ring between kernel and agent holds.
    pub const fn ring_bytes(&self) -> u32 {
        self.ring_bytes
    }

    /// What is to be known of the host.
    pub fn host(&self) -> host::Options {
        self.host.options()
    }

    /// When to end.
    pub const fn bounds(&self) -> Bounds {
        Bounds { duration: self.duration, calls: self.count }
    }
}

/// How to hook the kernel.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Mode {
    Auto,
    Fexit,
    Kprobe,
    Syscall,
}

/// How to show.
#[derive(Args, Clone, Debug)]
pub struct OutputFlags {
    /// For people, or one JSON object per line.
    #[arg(long, env = "MCP_OBSERVER_OUTPUT", value_enum, default_value = "text")]
    pub output: Format,
}

/// How to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Text,
    Json,
}

/// Whether payloads leave the process.
#[derive(Args, Clone, Copy, Debug)]
pub struct PayloadFlags {
    /// Show arguments, results, resource addresses and whole command lines. They may hold secrets.
    #[arg(long, env = "MCP_OBSERVER_PAYLOADS", value_parser = BoolishValueParser::new())]
    pub payloads: bool,
}

impl OutputFlags {
    /// The exporter on standard output.
    pub fn exporter(&self, payloads: bool) -> Box<dyn Exporter> {
        let output = BufWriter::with_capacity(1 << 16, io::stdout());
        match self.output {
            Format::Text => Box::new(Terminal::new(output, payloads)),
            Format::Json => Box::new(JsonLines::new(output, payloads)),
        }
    }

    /// Whether people read it.
    pub fn is_text(&self) -> bool {
        self.output == Format::Text
    }
}
