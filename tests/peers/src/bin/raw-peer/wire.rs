//! Two descriptors between a client and the server that it started.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use clap::ValueEnum;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

/// What the two ends are joined by.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Kind {
    /// Two pipes.
    Pipe,
    /// A Unix socket pair each way, as Node makes them.
    Socketpair,
}

/// One end.
pub struct Wire {
    reader: BufReader<File>,
    writer: File,
}

impl Wire {
    /// The end that a server gets as its standard input and output.
    pub fn standard(high: bool) -> Result<Self> {
        let input = std::io::stdin().as_fd().try_clone_to_owned()?;
        let output = std::io::stdout().as_fd().try_clone_to_owned()?;
        if !high {
            return Ok(Self::new(input, output));
        }
        let wire = Self::new(moved_up(input)?, moved_up(output)?);
        let null = File::options().read(true).write(true).open("/dev/null")?;
        rustix::stdio::dup2_stdin(&null)?;
        rustix::stdio::dup2_stdout(&null)?;
        Ok(wire)
    }

    /// The end of a client that has just started `command`.
    pub fn spawn(command: &mut Command, kind: Kind, high: bool) -> Result<(Child, Self)> {
        let ((input, to_server), (from_server, output)) = match kind {
            Kind::Pipe => (pipe()?, pipe()?),
            Kind::Socketpair => (socket_pair()?, socket_pair()?),
        };
        let child = command
            .stdin(Stdio::from(input))
            .stdout(Stdio::from(output))
            .spawn()
            .context("cannot start the server")?;
        // The command still owns the server's ends; without this the client would never see the server's end.
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let wire = match high {
            true => Self::new(moved_up(from_server)?, moved_up(to_server)?),
            false => Self::new(from_server, to_server),
        };
        Ok((child, wire))
    }

    fn new(input: OwnedFd, output: OwnedFd) -> Self {
        Self { reader: BufReader::with_capacity(READ_BYTES, input.into()), writer: output.into() }
    }

    /// Writes `text` and the line's end, in writes of `chunk` bytes, or at once if that is 0.
    pub fn write_line(&mut self, text: &str, chunk: usize) -> Result<()> {
        self.write(format!("{text}\n").as_bytes(), chunk)
    }

    /// Writes bytes, in writes of `chunk` bytes, or at once if that is 0.
    pub fn write(&mut self, bytes: &[u8], chunk: usize) -> Result<()> {
        for part in bytes.chunks(if chunk == 0 { bytes.len().max(1) } else { chunk }) {
            self.writer.write_all(part)?;
        }
        Ok(())
    }

    /// The next line, or none at the end.
    pub fn read_line(&mut self) -> Result<Option<String>> {
        let mut line = Vec::new();
        let read = self.reader.read_until(b'\n', &mut line)?;
        Ok((read > 0).then(|| String::from_utf8_lossy(&line).into_owned()))
    }

    /// Where bytes come from, for framings that are not lines.
    pub fn reader(&mut self) -> &mut impl BufRead {
        &mut self.reader
    }

    /// Both directions apart, so that two threads can use them.
    pub fn split(self) -> (BufReader<File>, File) {
        (self.reader, self.writer)
    }
}

/// This program with another subcommand.
pub fn myself(arguments: &[&str]) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(arguments);
    Ok(command)
}

fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = std::io::pipe()?;
    Ok((reader.into(), writer.into()))
}

fn socket_pair() -> Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?)
}

fn moved_up(low: OwnedFd) -> Result<OwnedFd> {
    Ok(rustix::io::fcntl_dupfd_cloexec(&low, HIGH)?)
}

/// The lowest number for a wire that leaves the standard descriptors.
const HIGH: i32 = 200;
/// As much as a full pipe holds, as Node reads.
const READ_BYTES: usize = 65536;
