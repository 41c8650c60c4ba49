//! Within what an id means something. Ids are never compared across scopes: every client counts from 0 or 1.

use std::hash::{BuildHasher as _, Hash};
use std::sync::LazyLock;

use crate::pipeline::jsonrpc::Id;
use crate::pipeline::reassembly::twin::{ConnectionId, End};

/// What an id is unique in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// The connection on which the request was sent (stdio, line framing).
    Connection(ConnectionId),
    /// One HTTP request with its response.
    Exchange(ConnectionId, u64),
    /// An HTTP session; the number is a hash of the server and the session's id.
    Session(u64),
}

/// Who asked, in a scope that both parties ask in. Their ids are independent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AskedBy {
    /// The process at this end of the connection.
    End(End),
    /// The HTTP client.
    Client,
    /// The HTTP server.
    Server,
}

/// Where an answer finds its call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallKey {
    /// Within what.
    pub scope: Scope,
    /// Asked by whom.
    pub asked_by: AskedBy,
    /// Whether it is the progress token's key: tokens are a number space of their own.
    pub progress: bool,
    /// Hash of the id, type included. The call holds the id itself, and the answer's is compared with it.
    id: u64,
}

impl CallKey {
    /// The key of the call with this id.
    pub fn new(scope: Scope, asked_by: AskedBy, id: &Id) -> Self {
        Self { scope, asked_by, progress: false, id: hash(id) }
    }

    /// The key of the call with this progress token.
    pub fn of_progress(scope: Scope, asked_by: AskedBy, token: &Id) -> Self {
        Self { scope, asked_by, progress: true, id: hash(token) }
    }
}

/// A hash that is the same in every run and on every host, to be shown in place of a name.
pub fn shared_hash(name: &str) -> u64 {
    rustc_hash::FxBuildHasher.hash_one(name)
}

/// A hash that stands for what it is of. Whoever writes ids and names does not know the key, and so cannot make two that
/// are taken for one.
pub fn hash(value: &impl Hash) -> u64 {
    static KEY: LazyLock<foldhash::quality::RandomState> = LazyLock::new(Default::default);
    KEY.hash_one(value)
}
