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
    #[error("{act}: {reason}")]
    Kernel {
        /// What was attempted.
        act: String,
        /// What the kernel said.
        reason: String,
    },
}

impl Error {
    /// The exit code: 1 failed while running, 2 wrong usage, 3 cannot be done here.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Unable { .. } => 3,
            Self::CaptureFile { .. } | Self::Io { .. } | Self::Kernel { .. } => 1,
        }
    }
}
