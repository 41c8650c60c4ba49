//! Writes a capture file. It holds what processes told each other, so only its owner may read it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use observer_common::record::LAYOUT;

use super::{BYTE_ORDER, Head, MAGIC, VERSION, header_to_bytes, refused};
use crate::capture::Record;
use crate::error::Error;

/// A capture file that is being written.
#[derive(Debug)]
pub struct Writer<W: Write = BufWriter<File>> {
    path: PathBuf,
    file: W,
}

impl Writer {
    /// Creates the file and writes its head.
    ///
    /// # Errors
    /// It cannot be created, or is there already and `force` is not set.
    pub fn create(path: &Path, head: &Head, force: bool) -> Result<Self, Error> {
        if force {
            remove_regular(path)?;
        }
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let file = file.map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists if !force => refused(path, "exists already; --force replaces it"),
            _ => Error::Io { act: format!("create {}", path.display()), source },
        })?;
        Self::new(path, BufWriter::with_capacity(1 << 18, file), head)
    }
}

impl<W: Write> Writer<W> {
    /// Writes the head to `file`; `path` is for messages.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn new(path: &Path, file: W, head: &Head) -> Result<Self, Error> {
        let mut writer = Self { path: path.to_owned(), file };
        writer.write_head(head).map_err(|source| writer.failed(source))?;
        Ok(writer)
    }

    /// Appends one record.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&mut self, record: &Record<'_>) -> Result<(), Error> {
        self.write_record(record).map_err(|source| self.failed(source))
    }

    /// Hands everything to the file system.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn flush(&mut self) -> Result<(), Error> {
        self.file.flush().map_err(|source| self.failed(source))
    }

    /// Ends the file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn finish(mut self) -> Result<W, Error> {
        self.flush()?;
        Ok(self.file)
    }

    fn write_head(&mut self, head: &Head) -> io::Result<()> {
        let facts = serde_json::to_vec(&head.facts)?;
        let facts_len = u32::try_from(facts.len()).map_err(io::Error::other)?;
        self.file.write_all(&MAGIC)?;
        self.file.write_all(&BYTE_ORDER.to_ne_bytes())?;
        self.file.write_all(&VERSION.to_ne_bytes())?;
        self.file.write_all(&LAYOUT.to_ne_bytes())?;
        self.file.write_all(&head.clock.unix_ns_at_boot.to_ne_bytes())?;
        self.file.write_all(&facts_len.to_ne_bytes())?;
        self.file.write_all(&facts)
    }

    fn write_record(&mut self, record: &Record<'_>) -> io::Result<()> {
        self.file.write_all(&header_to_bytes(&record.header))?;
        self.file.write_all(record.payload)
    }

    fn failed(&self, source: io::Error) -> Error {
        Error::Io { act: format!("write {}", self.path.display()), source }
    }
}

/// `--force` replaces a file, never writes into a device or through a link.
fn remove_regular(path: &Path) -> Result<(), Error> {
    let failed = |source| Error::Io { act: format!("replace {}", path.display()), source };
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_file() => fs::remove_file(path).map_err(failed),
        Ok(_) => Err(refused(path, "is not a regular file and is not replaced")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed(error)),
    }
}
