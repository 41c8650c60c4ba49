//! Every bound of the pipeline, with its default and its reason, and what keeps some of them.

use std::hash::BuildHasher as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use super::table::Table;

/// Most memory that hostile input makes the pipeline take, in bytes. What the bounds below add up to is more: no
/// input fills all of them at once. `tests/replay` measures it.
pub const HOSTILE_BYTES: usize = 256 << 20;

/// The bounds of one pipeline.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Streams known at once: a busy node has some ten thousand sockets. Those without MCP go first.
    pub streams: usize,
    /// Streams whose first sight is remembered: writer and reader may both tell of it.
    pub recent_streams: usize,
    /// How long after its first sight a stream told of again is the same. The kernel's side forgets none that was
    /// in use within the last minute.
    pub same_stream_for: Duration,
    /// Processes known at once: above the default `pid_max` of a small host, a few MB.
    pub processes: usize,
    /// Containers known at once: Kubernetes runs up to 110 pods on a node by default, in all some 500 containers.
    pub containers: usize,
    /// Pods known at once.
    pub pods: usize,
    /// Calls in flight at once, all connections together.
    pub calls: usize,
    /// Completed calls that wait for the other end's times.
    pub settling: usize,
    /// How long a completed call waits for the other end's times before it is shown without them.
    pub settling_for: Duration,
    /// How long a call may stay unanswered. Far beyond the longest default time-out of a client (300 s).
    pub call_age: Duration,
    /// The same for a subscription, which lasts as long as somebody listens.
    pub subscription_age: Duration,
    /// Times of sends remembered per flow until the receiver has read so far.
    pub send_marks: usize,
    /// How long the first answers on a connection wait for its client to be seen: longer than one that was kept from
    /// running takes to tell of its request. Calls from other hosts are shown so much later.
    pub client_for: Duration,
    /// How long the first requests wait for their server to be seen, if no answer comes: longer than a busy one takes
    /// to read them.
    pub server_for: Duration,
    /// Memory for such sends of one connection: a request of usual size. Of a larger one the sender's copy is read.
    pub early_bytes_each: usize,
    /// The same on all connections together.
    pub early_bytes: usize,
    /// Messages held on one stream until it is known whose answer they are.
    pub held_messages: usize,
    /// How long such a message is held.
    pub held_for: Duration,
    /// How long holes in messages are gathered before they are told of: as often as the kernel's own counts are.
    pub holes_for: Duration,
    /// How long an ended process is remembered: what it wrote may be read after its end.
    pub gone_for: Duration,
    /// How long a call waits after its HTTP response ended without an answer: in revisions up to 2025-11-25 the
    /// client may resume the stream. Also, how long a client may take to read what a server has left behind.
    pub resume_for: Duration,
    /// Bytes of a stream without any JSON-RPC message after which it is ignored.
    pub unread_bytes: u64,
    /// The same while one message is being read: the longest message that may be the first of its stream.
    pub unread_message_bytes: u64,
    /// Head of one HTTP message. Servers refuse more than 8 to 64 KiB.
    pub http_head_bytes: usize,
    /// Streams of one HTTP/2 connection with an unfinished body, in each direction. Servers allow 100 to 250.
    pub http2_streams: usize,
    /// Table of compressed headers, in each direction of an HTTP/2 connection. Browsers agree on 64 KiB, others on
    /// 4 KiB.
    pub hpack_table_bytes: usize,
    /// How many bytes may come out of each byte of a compressed body. Lists of tools shrink to a thirtieth.
    pub expansion: u64,
    /// Bytes that may come out of a compressed body whatever went in.
    pub unexpanded_bytes: u64,
    /// The largest window that a compressed body may ask for: the largest of `br`.
    pub decoder_window_bytes: u64,
    /// Memory of all decoders of compressed bodies together.
    pub decoders: Budget,
    /// Memory of all heads that are longer than usual, all streams with an unfinished body, and all tables of
    /// compressed headers that are larger than usual.
    pub buffers: Budget,
    /// HTTP requests on one connection that wait for their responses (pipelining).
    pub http_pipeline: usize,
    /// Messages in one JSON-RPC batch. The TypeScript SDK takes 100.
    pub batch: usize,
    /// A string kept from a message: method, name, version, trace context.
    pub kept_bytes: usize,
    /// An argument or result kept when the user asked for payloads.
    pub payload_bytes: usize,
    /// Of a value of which a digest is made: longer arguments have none.
    pub digested_bytes: usize,
    /// Names kept of one `tools/list` answer.
    pub listed_tools: usize,
    /// Text of one tool that is held while it is read, and of which a hash is made. The largest seen have some 20 KB.
    pub definition_bytes: usize,
    /// Names and hashes of tools, by their texts: most lists were seen before.
    pub known_definitions: Memo<(Box<str>, u128)>,
    /// Nesting of a message. The deepest real schema seen has 40 levels.
    pub nesting: usize,
    /// Processes that send spans of their own. Few of a host do.
    pub span_senders: usize,
    /// Calls that were asked for more input and may be continued, at once.
    pub rounds: usize,
    /// Tasks known at once, those that have ended for a while included.
    pub tasks: usize,
    /// Calls kept of one server that another one may pass on.
    pub relayed: usize,
    /// Hops shown of one call.
    pub hops: usize,
    /// Sessions known at once (HTTP), and conversations whose steps are measured.
    pub sessions: usize,
    /// Tools of which it is known what was told of them, all servers together: 100 bytes each.
    pub definitions: usize,
    /// Servers whose list of tools is known, and lists of which there is more to come.
    pub inventories: usize,
    /// Names in lists of which there is more to come.
    pub list_bytes: usize,
    /// Server processes whose memory and processor time are asked for.
    pub watched: usize,
    /// A server that was only asked what it is, and is gone within this time, was started to be asked.
    pub probe_for: Duration,
    /// How often it is told how many calls are in flight, at most.
    pub in_flight_every: Duration,
    /// Request headers kept for what the user asks of them, by their names in lower case: sixteen at most.
    pub kept_headers: Arc<[Box<str>]>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            streams: 65_536,
            recent_streams: 4096,
            same_stream_for: Duration::from_secs(10),
            processes: 32_768,
            containers: 4096,
            pods: 1024,
            calls: 65_536,
            settling: 16_384,
            settling_for: Duration::from_millis(500),
            call_age: Duration::from_secs(24 * 3600),
            subscription_age: Duration::from_secs(10 * 365 * 24 * 3600),
            send_marks: 256,
            client_for: Duration::from_millis(50),
            server_for: Duration::from_secs(2),
            early_bytes_each: 256 << 10,
            early_bytes: 16 << 20,
            held_messages: 64,
            held_for: Duration::from_secs(2),
            holes_for: Duration::from_secs(1),
            gone_for: Duration::from_secs(5),
            resume_for: Duration::from_secs(60),
            unread_bytes: 16 << 10,
            unread_message_bytes: 64 << 20,
            http_head_bytes: 128 << 10,
            http2_streams: 256,
            hpack_table_bytes: 64 << 10,
            expansion: 256,
            unexpanded_bytes: 1 << 20,
            decoder_window_bytes: 16 << 20,
            decoders: Budget::new(128 << 20),
            buffers: Budget::new(128 << 20),
            http_pipeline: 64,
            batch: 1024,
            kept_bytes: 1024,
            payload_bytes: 64 << 10,
            digested_bytes: 4 << 10,
            listed_tools: 4096,
            definition_bytes: 256 << 10,
            known_definitions: Memo::new(32_768),
            nesting: 512,
            span_senders: 4096,
            rounds: 4096,
            tasks: 16_384,
            relayed: 64,
            hops: 16,
            sessions: 16_384,
            definitions: 32_768,
            inventories: 4096,
            list_bytes: 4 << 20,
            watched: 1024,
            probe_for: Duration::from_secs(1),
            in_flight_every: Duration::from_secs(1),
            kept_headers: Arc::default(),
        }
    }
}

/// Bytes of memory that many have in common: copies share it.
#[derive(Clone, Debug)]
pub struct Budget(Arc<AtomicU64>);

/// A part of a [`Budget`], given back when it is dropped.
#[derive(Debug)]
pub struct Share {
    of: Budget,
    bytes: u64,
}

impl Budget {
    /// So many bytes, all free.
    pub fn new(bytes: u64) -> Self {
        Self(Arc::new(AtomicU64::new(bytes)))
    }

    /// Takes `bytes` out of it, if there are so many.
    pub fn take(&self, bytes: u64) -> Option<Share> {
        let less = |left: u64| left.checked_sub(bytes);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).ok()?;
        Some(Share { of: self.clone(), bytes })
    }

    /// What is free.
    pub fn free(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.of.0.fetch_add(self.bytes, Ordering::Relaxed);
    }
}

/// What was worked out of texts before, without the texts: copies share it.
#[derive(Clone, Debug)]
pub struct Memo<V> {
    known: Arc<Mutex<Table<u64, V>>>,
    /// Whoever writes the texts cannot know it, and so cannot make two that are taken for one.
    key: foldhash::quality::RandomState,
}

impl<V: Clone> Memo<V> {
    /// For at most so many texts.
    pub fn new(limit: usize) -> Self {
        Self { known: Arc::new(Mutex::new(Table::new(limit))), key: Default::default() }
    }

    /// What was worked out of this text.
    pub fn recall(&self, text: &[u8]) -> Option<V> {
        self.known().value(&self.key.hash_one(text)).cloned()
    }

    /// Keeps what was worked out of this text.
    pub fn keep(&self, text: &[u8], value: V) {
        let _ = self.known().insert(self.key.hash_one(text), value);
    }

    fn known(&self) -> MutexGuard<'_, Table<u64, V>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
