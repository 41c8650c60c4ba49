//! A bounded queue between the capture's thread and the exporter's. Pushing never waits and rarely wakes anybody.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;
use tokio::sync::mpsc::{self, Receiver, Sender};

use super::counts::Cause;
use super::item::Item;
use super::settings::Batch;

/// All that waits of one signal, in bytes. Payloads, which are what is large, are there only where asked for.
const MOST_BYTES: usize = 16 << 20;

/// A portion with more is sent: collectors take 4 MiB at once, and a call has two spans.
const PORTION_BYTES: usize = 1 << 20;

/// Where calls go in.
#[derive(Debug)]
pub struct Inlet {
    sender: Sender<Arc<Item>>,
    shared: Arc<Shared>,
    size: usize,
}

/// Where calls come out, in portions.
#[derive(Debug)]
pub struct Outlet {
    receiver: Receiver<Arc<Item>>,
    shared: Arc<Shared>,
    size: usize,
}

#[derive(Debug, Default)]
struct Shared {
    /// A portion is there.
    portion: Notify,
    bytes: AtomicUsize,
}

/// A queue as `batch` has it.
pub fn queue(batch: Batch) -> (Inlet, Outlet) {
    let (sender, receiver) = mpsc::channel(batch.queue);
    let shared = Arc::<Shared>::default();
    (
        Inlet { sender, shared: shared.clone(), size: batch.size },
        Outlet { receiver, shared, size: batch.size },
    )
}

impl Inlet {
    /// Puts a call in, if there is room; else waits for it, or gives up.
    ///
    /// # Errors
    /// There is none.
    pub fn push(&self, item: Arc<Item>, waits: bool) -> Result<(), Cause> {
        let bytes = item.bytes();
        // One thread pushes: nobody else can fill the room in between.
        if self.shared.bytes.load(Ordering::Relaxed).saturating_add(bytes) > MOST_BYTES {
            return Err(Cause::QueueBytes);
        }
        if waits {
            self.sender.blocking_send(item).map_err(|_| Cause::QueueFull)?;
        } else {
            self.sender.try_send(item).map_err(|_| Cause::QueueFull)?;
        }
        self.shared.bytes.fetch_add(bytes, Ordering::Relaxed);
        if self.sender.max_capacity() - self.sender.capacity() >= self.size {
            self.shared.portion.notify_one();
        }
        Ok(())
    }
}

impl Outlet {
    /// Waits until a portion is full.
    pub async fn full(&self) {
        self.shared.portion.notified().await;
    }

    /// Whether a portion is full.
    pub fn is_full(&self) -> bool {
        self.receiver.len() >= self.size
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.receiver.is_empty()
    }

    /// Takes a portion out, or what there is. Its bytes count until it is [`done`](Self::done).
    pub fn take(&mut self) -> Vec<Arc<Item>> {
        let mut portion = Vec::with_capacity(self.receiver.len().min(self.size));
        let mut bytes = 0;
        while portion.len() < self.size
            && bytes < PORTION_BYTES
            && let Ok(item) = self.receiver.try_recv()
        {
            bytes += item.bytes();
            portion.push(item);
        }
        portion
    }

    /// A portion is no longer kept.
    pub fn done(&self, portion: &[Arc<Item>]) {
        let bytes = portion.iter().map(|item| item.bytes()).sum();
        self.shared.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}
