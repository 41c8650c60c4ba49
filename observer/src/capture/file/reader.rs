//! Reads a capture file, record by record.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use observer_common::record::{HEADER_LEN, LAYOUT, RecordHeader};

use super::{BYTE_ORDER, HEAD_LEN, Head, HostFacts, MAGIC, MOST_FACTS, MOST_PAYLOAD, VERSION, refused, take};
use crate::capture::Record;
use crate::error::Error;
use crate::pipeline::time::WallClock;

/// An open capture file.
///
/// A recorder that was killed leaves a torn last record: it is left out, and [`torn_bytes`](Self::torn_bytes)
/// tells so.
#[derive(Debug)]
pub struct Reader<R = BufReader<File>> {
    path: PathBuf,
    file: R,
    head: Head,
    payload: Vec<u8>,
    torn_bytes: u64,
}

impl Reader {
    /// Opens the file and reads its head.
    ///
    /// # Errors
    /// It cannot be read, or is no capture file of this version.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::Io { act: format!("open {}", path.display()), source };
        Self::new(path, BufReader::new(File::open(path).map_err(failed)?))
    }
}

impl<R: Read> Reader<R> {
    /// Reads the head from `file`; `path` is for messages.
    ///
    /// # Errors
    /// It cannot be read, or is no capture file of this version.
    pub fn new(path: &Path, mut file: R) -> Result<Self, Error> {
        let head = read_head(path, &mut file)?;
        Ok(Self { path: path.to_owned(), file, head, payload: Vec::new(), torn_bytes: 0 })
    }

    /// What stands in front of the records.
    pub const fn head(&self) -> &Head {
        &self.head
    }

    /// The next record.
    ///
    /// # Errors
    /// The file cannot be read, or what follows is no record.
    #[expect(clippy::should_implement_trait, reason = "a record borrows the reader; iterators cannot say so")]
    pub fn next(&mut self) -> Result<Option<Record<'_>>, Error> {
        let mut bytes = [0; HEADER_LEN];
        let found = self.fill(&mut bytes)?;
        if found < HEADER_LEN {
            self.torn_bytes = found as u64;
            return Ok(None);
        }
        let header = RecordHeader::from_bytes(&bytes);
        if header.layout != LAYOUT {
            return Err(refused(&self.path, other_layout(header.layout)));
        }
        if header.payload_len > MOST_PAYLOAD {
            return Err(refused(&self.path, "damaged: a record is longer than any record can be"));
        }
        let wanted = u64::from(header.payload_len);
        self.payload.clear();
        // `take` bounds the memory by what the file has, not by what a damaged header claims.
        let found = (&mut self.file).take(wanted).read_to_end(&mut self.payload);
        let found = found.map_err(|source| unreadable(&self.path, source))? as u64;
        if found < wanted {
            self.torn_bytes = HEADER_LEN as u64 + found;
            return Ok(None);
        }
        Ok(Some(Record { header, payload: &self.payload }))
    }

    /// Bytes of a torn record at the end, known once [`next`](Self::next) has given nothing.
    pub const fn torn_bytes(&self) -> u64 {
        self.torn_bytes
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<usize, Error> {
        fill(&mut self.file, bytes).map_err(|source| unreadable(&self.path, source))
    }
}

fn read_head(path: &Path, file: &mut impl Read) -> Result<Head, Error> {
    let mut bytes = [0; HEAD_LEN];
    let found = fill(file, &mut bytes).map_err(|source| unreadable(path, source))?;
    let mut rest = bytes.as_slice();
    if found < HEAD_LEN || take::<8>(&mut rest) != MAGIC {
        return Err(refused(path, "not a capture file; `mcp-observer record -o FILE` writes one"));
    }
    if u32::from_ne_bytes(take(&mut rest)) != BYTE_ORDER {
        return Err(refused(path, "recorded on a machine of the other byte order; replay it on such a one"));
    }
    let version = u16::from_ne_bytes(take(&mut rest));
    if version != VERSION {
        return Err(refused(
            path,
            format!("a capture file of version {version}, this program reads {VERSION}"),
        ));
    }
    let layout = u16::from_ne_bytes(take(&mut rest));
    if layout != LAYOUT {
        return Err(refused(path, other_layout(layout)));
    }
    let clock = WallClock { unix_ns_at_boot: i64::from_ne_bytes(take(&mut rest)) };
    let facts = read_facts(path, file, u32::from_ne_bytes(take(&mut rest)))?;
    Ok(Head { clock, facts })
}

fn read_facts(path: &Path, file: &mut impl Read, len: u32) -> Result<HostFacts, Error> {
    let mut json = Vec::new();
    file.take(u64::from(len.min(MOST_FACTS)))
        .read_to_end(&mut json)
        .map_err(|source| unreadable(path, source))?;
    serde_json::from_slice(&json).map_err(|_| refused(path, "damaged: its head cannot be read"))
}

/// Reads until `bytes` is full or the file ends.
fn fill(file: &mut impl Read, bytes: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read(rest) {
            Ok(0) => break,
            Ok(found) => filled += found,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

fn other_layout(layout: u16) -> String {
    format!(
        "records of layout {layout}, this program reads {LAYOUT}; replay it with the version that recorded it"
    )
}

fn unreadable(path: &Path, source: io::Error) -> Error {
    Error::Io { act: format!("read {}", path.display()), source }
}
