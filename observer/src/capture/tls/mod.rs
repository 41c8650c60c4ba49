//! TLS libraries: which functions take and give plaintext, and where they are in a file.
//!
//! To add a library: a file with its table of functions, and a line in [`LIBRARIES`].

pub mod finder;
mod openssl;
pub mod unread;

use observer_common::settings::TlsFunction;
use observer_common::stream::TlsLibrary;

/// A library's functions, by name.
pub struct Library {
    /// Which one.
    pub library: TlsLibrary,
    /// Names of functions, and what each does.
    pub functions: &'static [(&'static str, TlsFunction)],
}

/// All libraries that can be read.
pub const LIBRARIES: [&Library; 1] = [&openssl::OPENSSL];
