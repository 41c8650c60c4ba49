//! TLS that no probe reads is told of, and TLS that one reads is not.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use live::observer::Observer;
use live::programs::programs;
use serde_json::Value;

/// A server with OpenSSL that accepts and never answers.
const SERVER: &str = "
import socket, ssl, sys
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[2], sys.argv[3])
listener = socket.create_server(('127.0.0.1', int(sys.argv[1])))
print('listening', flush=True)
connection = context.wrap_socket(listener.accept()[0], server_side=True)
while connection.recv(4096):
    pass
";

/// As a program begins that has its TLS linked in without symbols.
const UNKNOWN: &str = r"
import socket, sys
connection = socket.create_connection(('127.0.0.1', int(sys.argv[1])))
connection.sendall(b'\x16\x03\x01\x00\x05hello')
connection.recv(1)
";

#[test]
fn a_client_with_gnutls() -> Result<()> {
    let certificates = &programs()?.certificates.0;
    let mut observer = Observer::start(&[])?;
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    let mut server = python(SERVER);
    server.arg(port.to_string()).args([certificates.join("cert.pem"), certificates.join("key.pem")]);
    let mut server = Guard(server.stdout(Stdio::piped()).spawn().context("cannot start python3")?);
    let mut output = server.0.stdout.take().context("no output")?;
    output.read_exact(&mut [0; 9])?;
    let client = Command::new("wget")
        .args(["--quiet", "--no-check-certificate", "--tries=1", "--output-document=/dev/null"])
        .arg(format!("https://localhost:{port}/"))
        .spawn();
    let client = Guard(client.context("cannot start wget")?);
    let spot = told_of(&mut observer, client.0.id())?;
    ensure!(spot["reason"].as_str().is_some_and(|reason| reason.contains("GnuTLS")), "{spot}");
    ensure!(spot["exe"].as_str().is_some_and(|exe| exe.ends_with("/wget")), "{spot}");
    let (lines, _) = observer.interrupt()?;
    ensure!(spots_of(&lines, client.0.id()).count() == 1, "told more than once");
    ensure!(spots_of(&lines, server.0.id()).count() == 0, "the server's library has probes");
    Ok(())
}

#[test]
fn a_program_of_which_nothing_is_known() -> Result<()> {
    let mut observer = Observer::start(&[])?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let client = python(UNKNOWN).arg(listener.local_addr()?.port().to_string()).spawn();
    let client = Guard(client.context("cannot start python3")?);
    let (mut stream, _) = listener.accept()?;
    stream.read_exact(&mut [0; 10])?;
    let spot = told_of(&mut observer, client.0.id())?;
    ensure!(spot["reason"].as_str().is_some_and(|reason| reason.contains("linked into")), "{spot}");
    stream.write_all(b"x")?;
    observer.interrupt().map(drop)
}

fn python(program: &str) -> Command {
    let mut command = Command::new("python3");
    command.args(["-c", program]);
    command
}

fn told_of(observer: &mut Observer, pid: u32) -> Result<Value> {
    observer.wait_for("the blind spot", |lines| spots_of(lines, pid).next().is_some())?;
    spots_of(observer.lines(), pid).next().cloned().context("it was there")
}

fn spots_of(lines: &[Value], pid: u32) -> impl Iterator<Item = &Value> {
    lines.iter().filter(move |line| line["kind"] == "tls_without_probe" && line["pid"] == pid)
}

/// Ends with this.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        // An error here means that it has ended already, which is what is wanted.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
