//! Why the program cannot go on, one variant per act that failed, with what the operator can do about it.

use std::io;
use std::path::PathBuf;

/// An error that ends the program.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The user asked for something that makes no sense.
    #[error("{0}")]
    Usage(String),
    /// This host or these privileges cannot do it.
    #[error("{what}\n{mend}")]
    Unable {
        /// What is missing.
        what: String,
        /// The command that mends it, in a sentence.
        mend: String,
    },
    /// Whoever read our standard output has gone: it has seen enough.
    #[error("standard output was closed")]
    OutputClosed,
    /// A capture file is not one, or of another version.
    #[error("{}: {reason}", path.display())]
    CaptureFile {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A file, socket or ring could not be used.
    #[error("{act}: {source}")]
    Io {
        /// What was attempted.
        act: String,
        /// Why it failed.
        source: io::Error,
    },
    /// The kernel programs could not be loaded or attached.
    #[error("{act}: {reason}\n`mcp-observer doctor` tells what this host supports.")]
    Kernel {
        /// What was attempted.
        act: String,
        /// What the kernel said.
        reason: String,
    },
}

impl Error {
    /// What a failed write to standard output means.
    pub fn from_output(source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::BrokenPipe => Self::OutputClosed,
            _ => Self::Io { act: "write to standard output".into(), source },
        }
    }

    /// The exit code: 0 done, 1 failed while running, 2 wrong usage, 3 cannot be done here.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::OutputClosed => 0,
            Self::Usage(_) => 2,
            // Kernel programs are loaded and attached at the start only: a kernel that refuses them cannot do it.
            Self::Unable { .. } | Self::Kernel { .. } => 3,
            Self::CaptureFile { .. } | Self::Io { .. } => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Error;
    use std::io;

    #[test]
    fn a_kernel_that_refuses_the_programs_cannot_do_it() {
        let refused =
            Error::Kernel { act: "load the kernel programs".into(), reason: "unknown map type".into() };
        assert_eq!(refused.exit_code(), 3);
        assert!(refused.to_string().contains("mcp-observer doctor"));
    }

    #[test]
    fn a_closed_pipe_is_success_and_a_full_disk_is_not() {
        let code = |kind: io::ErrorKind| Error::from_output(kind.into()).exit_code();
        assert_eq!(code(io::ErrorKind::BrokenPipe), 0);
        assert_eq!(code(io::ErrorKind::StorageFull), 1);
    }
}
