//! The streams: two ends, and what the kernel calls them.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};
use rustix::fs::{CWD, FileType, Mode, OFlags, fcntl_setfl, fstat, mknodat, open};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use serde::{Deserialize, Serialize};

/// What joins the two ends.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Anonymous pipe.
    Pipe,
    /// Named pipe.
    Fifo,
    /// Unix stream socket pair.
    Unix,
    /// TCP over 127.0.0.1.
    Tcp4,
    /// TCP over ::1.
    Tcp6,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Pipe, Self::Fifo, Self::Unix, Self::Tcp4, Self::Tcp6];

    /// Whether socket calls work on it.
    pub fn is_socket(self) -> bool {
        !matches!(self, Self::Pipe | Self::Fifo)
    }
}

/// How the kernel, and so a capture, names one end.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Name {
    /// A pipe or FIFO, whichever end.
    Pipe {
        /// Its inode.
        inode: u64,
    },
    /// One end of a Unix socket pair.
    Unix {
        /// Inode of this end's socket.
        inode: u64,
    },
    /// One end of a TCP connection.
    Tcp {
        /// Port of this end.
        local_port: u16,
        /// Port of the other end.
        peer_port: u16,
    },
}

/// A connected stream.
#[derive(Debug)]
pub struct Stream {
    /// Where bytes go in.
    pub sender: OwnedFd,
    /// Where they come out.
    pub receiver: OwnedFd,
    /// The sender's end.
    pub sending: Name,
    /// The receiver's end.
    pub receiving: Name,
}

impl Stream {
    /// Makes one. A FIFO stays in `dir`, so that no two have the same inode.
    pub fn connect(kind: Kind, dir: &Path) -> Result<Self> {
        match kind {
            Kind::Pipe => {
                let (receiver, sender) = std::io::pipe()?;
                Self::pipe(sender.into(), receiver.into())
            }
            Kind::Fifo => fifo(dir),
            Kind::Unix => {
                let (sender, receiver) =
                    socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
                let name = |end: &OwnedFd| Ok::<_, anyhow::Error>(Name::Unix { inode: fstat(end)?.st_ino });
                Ok(Self { sending: name(&sender)?, receiving: name(&receiver)?, sender, receiver })
            }
            Kind::Tcp4 => tcp((Ipv4Addr::LOCALHOST, 0).into()),
            Kind::Tcp6 => tcp((Ipv6Addr::LOCALHOST, 0).into()),
        }
    }

    fn pipe(sender: OwnedFd, receiver: OwnedFd) -> Result<Self> {
        let name = Name::Pipe { inode: fstat(&sender)?.st_ino };
        Ok(Self { sender, receiver, sending: name, receiving: name })
    }
}

fn fifo(dir: &Path) -> Result<Stream> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let path = &dir.join(format!("fifo{}", NUMBER.fetch_add(1, Ordering::Relaxed)));
    let _ = std::fs::remove_file(path);
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).context("cannot make a FIFO")?;
    // Without a writer only a non-blocking open for reading returns.
    let receiver = open(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())?;
    let sender = open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    fcntl_setfl(&receiver, OFlags::empty())?;
    Stream::pipe(sender, receiver)
}

fn tcp(address: SocketAddr) -> Result<Stream> {
    let listener = TcpListener::bind(address)?;
    let sender = TcpStream::connect(listener.local_addr()?)?;
    let (receiver, peer) = listener.accept()?;
    let (sending, receiving) = (peer.port(), receiver.local_addr()?.port());
    Ok(Stream {
        sender: sender.into(),
        receiver: receiver.into(),
        sending: Name::Tcp { local_port: sending, peer_port: receiving },
        receiving: Name::Tcp { local_port: receiving, peer_port: sending },
    })
}

/// Makes calls on a descriptor return at once.
pub fn set_nonblocking(end: impl AsFd) -> Result<()> {
    let flags = rustix::fs::fcntl_getfl(&end)?;
    Ok(fcntl_setfl(&end, flags | OFlags::NONBLOCK)?)
}
