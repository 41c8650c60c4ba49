//! An OpenTelemetry collector that prints the spans that it takes.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use peers::install::install_collector;
use rustix::process::{Pid, Signal, kill_process};

use crate::programs::programs;

/// A collector. It ends with this.
#[derive(Debug)]
pub struct Collector {
    child: Child,
    addresses: Addresses,
    printed: PathBuf,
}

/// A collector ended before it had printed all that it had taken.
#[derive(Clone, Copy, Debug)]
pub struct Hasty;

impl std::fmt::Display for Hasty {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("the collector ended before it had printed all that it had taken")
    }
}

impl std::error::Error for Hasty {}

/// Where a collector listens.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// OTLP over gRPC.
    pub grpc: SocketAddr,
    /// OTLP over HTTP.
    pub http: SocketAddr,
}

/// A span, as far as the tests look at it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Of its trace.
    pub trace_id: String,
    /// Its own id.
    pub id: String,
    /// Its parent's.
    pub parent: String,
    /// Its name.
    pub name: String,
    /// `SPAN_KIND_CLIENT` or `SPAN_KIND_SERVER`.
    pub kind: String,
    /// JSON-RPC id.
    pub request_id: String,
}

impl Addresses {
    /// Addresses that nobody has.
    pub fn free() -> Result<Self> {
        let listeners = [0, 0].map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)));
        let [grpc, http] = listeners.map(|listener| listener.and_then(|it| it.local_addr()));
        Ok(Self { grpc: grpc?, http: http? })
    }
}

impl Collector {
    /// Starts it and waits until it listens. What it prints goes to `printed`.
    pub fn start(addresses: Addresses, printed: &Path) -> Result<Self> {
        let output = File::create(printed)?;
        let child = Command::new(install_collector(&programs()?.peers.programs)?)
            .args(["start", "--exporter", "blackhole"])
            .args(["--debug-log", "traces", "--debug-log-verbosity", "detailed"])
            .args(["--otlp-grpc-endpoint", &addresses.grpc.to_string()])
            .args(["--otlp-http-endpoint", &addresses.http.to_string()])
            .env("NO_COLOR", "1")
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .context("cannot start the collector")?;
        let mut collector = Self { child, addresses, printed: printed.to_owned() };
        let end = Instant::now() + DEADLINE;
        while [addresses.grpc, addresses.http].iter().any(|address| TcpStream::connect(address).is_err()) {
            if let Some(status) = collector.child.try_wait()? {
                bail!("the collector ended with {status}");
            }
            ensure!(Instant::now() < end, "the collector does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(collector)
    }

    /// The spans that it has printed.
    pub fn spans(&self) -> Result<Vec<Span>> {
        read(&self.printed)
    }

    /// Ends it. What it has taken, it prints before: for that it gives itself a second, which on a busy machine may
    /// not be enough. Then it has lost something of its own, and says so.
    pub fn end(&mut self) -> Result<Vec<Span>> {
        self.signal(Signal::TERM)?;
        let status = self.child.wait()?;
        let gave_up = std::fs::read_to_string(&self.printed)?.contains("did not exit on channel close");
        if gave_up || !status.success() {
            bail!(Hasty);
        }
        self.spans()
    }

    /// Stops it: from now on it reads nothing, but its connections stay.
    pub fn freeze(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Whether something was sent to it that it has not read.
    pub fn has_unread(&self) -> Result<bool> {
        let ports =
            [self.addresses.grpc, self.addresses.http].map(|address| format!(":{:04X}", address.port()));
        let table = std::fs::read_to_string("/proc/net/tcp")?;
        // Its own address, the other's, the state, then bytes not yet acknowledged and bytes not yet read.
        let mut sockets = table.lines().map(|line| line.split_whitespace().skip(1).collect::<Vec<_>>());
        Ok(sockets.any(|fields| match fields[..] {
            [own, _, ESTABLISHED, bytes, ..] => {
                ports.iter().any(|port| own.ends_with(port)) && !bytes.ends_with(":00000000")
            }
            _ => false,
        }))
    }

    /// Ends it without a chance to answer anybody.
    pub fn kill(&mut self) -> Result<Vec<Span>> {
        self.child.kill()?;
        self.child.wait()?;
        self.spans()
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.child.id())?).context("no process id")?;
        Ok(kill_process(pid, signal)?)
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        // An error here means that it has ended already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const DEADLINE: Duration = Duration::from_secs(30);
/// A state of `/proc/net/tcp`.
const ESTABLISHED: &str = "01";

fn read(printed: &Path) -> Result<Vec<Span>> {
    let text = std::fs::read_to_string(printed)?;
    // The first part is what stands before the first span, the last one may not be whole yet.
    Ok(text.split("\nSpan #").skip(1).map(span).filter(|span| !span.request_id.is_empty()).collect())
}

fn span(text: &str) -> Span {
    let pairs = text.lines().filter_map(|line| line.split_once(": "));
    let mut values = BTreeMap::new();
    for (name, value) in pairs {
        values.entry(name.trim().trim_start_matches("-> ").trim()).or_insert(value.trim());
    }
    let value = |name: &str| values.get(name).copied().unwrap_or_default().to_owned();
    let request_id = value("jsonrpc.request.id");
    let request_id = request_id.trim_start_matches("Str(").trim_end_matches(')').to_owned();
    Span {
        trace_id: value("Trace ID"),
        id: value("ID"),
        parent: value("Parent ID"),
        name: value("Name"),
        kind: value("Kind"),
        request_id,
    }
}
