//! The two rings: waiting for records, and reading them out of shared memory.

use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Duration;

use aya::Ebpf;
use aya::maps::{Map, MapData, RingBuf};
use observer_common::record::RecordHeader;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::capture::Record;
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
        if let Some(Record { header, payload }) = Record::in_ring(&item) {
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
