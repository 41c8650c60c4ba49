//! The two rings: waiting for records, and reading them out of shared memory.

use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Duration;

use aya::Ebpf;
use aya::maps::{Map, MapData, RingBuf};
use observer_common::record::{HEADER_LEN, LAYOUT, RecordHeader};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::capture::host::processes::TICK_NS;
use crate::error::Error;

/// One ring.
pub(super) struct Ring {
    ring: RingBuf<MapData>,
    /// Made when it is first waited for: it needs the runtime.
    ready: Option<AsyncFd<OwnedFd>>,
}

impl Ring {
    /// The ring with this map name.
    pub fn take(ebpf: &mut Ebpf, name: &str) -> Result<Self, Error> {
        let ring = take_map(ebpf, name)?;
        let ring = RingBuf::try_from(ring).map_err(|error| map_error(name, &error))?;
        Ok(Self { ring, ready: None })
    }

    /// Hands the next record to `sink`. Returns its size, none if there is none.
    pub fn next(&mut self, sink: &mut dyn FnMut(RecordHeader, &[u8])) -> Option<usize> {
        let item = self.ring.next()?;
        if let Some((header, payload)) = split(&item) {
            sink(header, payload);
        }
        Some(item.len())
    }

    /// Waits until there may be records.
    pub async fn readable(&mut self) {
        if self.ready.is_none() {
            self.ready = self.ring.as_fd().try_clone_to_owned().and_then(watch).ok();
        }
        let Some(ready) = &self.ready else {
            // No room for one more descriptor: look from time to time.
            return tokio::time::sleep(POLL).await;
        };
        if let Ok(mut guard) = ready.readable().await {
            guard.clear_ready();
        }
    }

    /// Records wake nobody until the ring is waited for again.
    pub fn leave(&mut self) {
        self.ready = None;
    }
}

#[expect(
    deprecated,
    reason = "unsound only for types that may change their descriptor; its successor is unsafe"
)]
fn watch(descriptor: OwnedFd) -> std::io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(descriptor, Interest::READABLE)
}

/// How often a ring is looked at that cannot be waited for.
const POLL: Duration = Duration::from_millis(20);

/// Header and payload of a record. The ring's memory is larger than what counts of it.
fn split(record: &[u8]) -> Option<(RecordHeader, &[u8])> {
    let (header, rest) = record.split_first_chunk::<HEADER_LEN>()?;
    let mut header = RecordHeader::from_bytes(header);
    // The programs leave this to us: a division costs them more.
    header.process.started_ns -= header.process.started_ns % TICK_NS;
    if header.layout != LAYOUT {
        return None;
    }
    Some((header, rest.get(..header.payload_len as usize)?))
}

/// Takes a map out of the loaded object.
pub(super) fn take_map(ebpf: &mut Ebpf, name: &str) -> Result<Map, Error> {
    ebpf.take_map(name).ok_or_else(|| Error::Kernel {
        act: format!("open map {name}"),
        reason: "it is not there".to_owned(),
    })
}

/// A map that could not be used.
pub(super) fn map_error(name: &str, error: &aya::maps::MapError) -> Error {
    Error::Kernel { act: format!("open map {name}"), reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payload_is_what_the_header_says() {
        let mut record = vec![0; HEADER_LEN + 192];
        record[..2].copy_from_slice(&LAYOUT.to_ne_bytes());
        record[4..8].copy_from_slice(&3u32.to_ne_bytes());
        record[HEADER_LEN..HEADER_LEN + 3].copy_from_slice(b"abc");
        let (header, payload) = split(&record).unwrap();
        assert_eq!((header.payload_len, payload), (3, b"abc".as_slice()));
    }

    #[test]
    fn a_record_that_claims_more_than_it_has_is_refused() {
        let mut record = vec![0; HEADER_LEN + 8];
        record[..2].copy_from_slice(&LAYOUT.to_ne_bytes());
        record[4..8].copy_from_slice(&9u32.to_ne_bytes());
        assert!(split(&record).is_none());
        assert!(split(&record[..HEADER_LEN - 1]).is_none());
    }
}
