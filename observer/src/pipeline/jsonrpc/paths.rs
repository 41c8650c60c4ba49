//! Which members of a message are kept: the table, and the tree that the skimmer walks.

use super::Member;

/// What a member is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    Version,
    Id,
    Method,
    Params,
    Result,
    Error,
    Member(Member),
    /// An element of the list of tools.
    Tool,
    /// Its name.
    ToolName,
}

/// The kept members by path. `[]` stands for any element of an array. A member may have several paths.
pub(super) const PATHS: &[(&[&str], Keep)] = &[
    (&["jsonrpc"], Keep::Version),
    (&["id"], Keep::Id),
    (&["method"], Keep::Method),
    (&["result"], Keep::Result),
    (&["error"], Keep::Error),
    (&["error", "code"], Keep::Member(Member::ErrorCode)),
    (&["error", "message"], Keep::Member(Member::ErrorMessage)),
    (&["params"], Keep::Params),
    (&["params", "name"], Keep::Member(Member::Name)),
    (&["params", "uri"], Keep::Member(Member::Uri)),
    (&["params", "arguments"], Keep::Member(Member::Arguments)),
    (&["params", "protocolVersion"], Keep::Member(Member::WantedVersion)),
    (&["params", "clientInfo", "name"], Keep::Member(Member::ClientName)),
    (&["params", "clientInfo", "version"], Keep::Member(Member::ClientVersion)),
    (&["params", "requestId"], Keep::Member(Member::CancelledId)),
    (&["params", "cursor"], Keep::Member(Member::Cursor)),
    (&["params", "progressToken"], Keep::Member(Member::ProgressToken)),
    (&["params", "task"], Keep::Member(Member::Task)),
    (&["params", "requestState"], Keep::Member(Member::RequestState)),
    (&["params", "inputResponses"], Keep::Member(Member::InputResponses)),
    (&["params", "taskId"], Keep::Member(Member::TaskOf)),
    (&["params", "status"], Keep::Member(Member::TaskStatus)),
    (&["params", "result", "isError"], Keep::Member(Member::TaskIsError)),
    (&["params", "error", "code"], Keep::Member(Member::TaskError)),
    (&["params", "processId"], Keep::Member(Member::LanguageServer)),
    (&["params", "rootUri"], Keep::Member(Member::LanguageServer)),
    (&["params", "clientCapabilities"], Keep::Member(Member::AgentClient)),
    (&["params", "_meta", "progressToken"], Keep::Member(Member::ProgressToken)),
    (&["params", "_meta", "traceparent"], Keep::Member(Member::TraceParent)),
    (&["params", "_meta", "tracestate"], Keep::Member(Member::TraceState)),
    (&["params", "_meta", VERSION], Keep::Member(Member::MetaVersion)),
    (&["params", "_meta", SUBSCRIPTION], Keep::Member(Member::Subscription)),
    (&["params", "_meta", CLIENT_INFO, "name"], Keep::Member(Member::MetaClientName)),
    (&["params", "_meta", CLIENT_INFO, "version"], Keep::Member(Member::MetaClientVersion)),
    (&["result", "isError"], Keep::Member(Member::IsError)),
    (&["result", "resultType"], Keep::Member(Member::ResultType)),
    (&["result", "protocolVersion"], Keep::Member(Member::Version)),
    (&["result", "serverInfo", "name"], Keep::Member(Member::ServerName)),
    (&["result", "serverInfo", "version"], Keep::Member(Member::ServerVersion)),
    (&["result", "_meta", SERVER_INFO, "name"], Keep::Member(Member::MetaServerName)),
    (&["result", "_meta", SERVER_INFO, "version"], Keep::Member(Member::MetaServerVersion)),
    (&["result", "supportedVersions"], Keep::Member(Member::SupportedVersions)),
    (&["result", "tools", "[]"], Keep::Tool),
    (&["result", "tools", "[]", "name"], Keep::ToolName),
    (&["result", "nextCursor"], Keep::Member(Member::NextCursor)),
    (&["result", "task", "taskId"], Keep::Member(Member::TaskId)),
    (&["result", "taskId"], Keep::Member(Member::TaskId)),
    (&["result", "task", "status"], Keep::Member(Member::TaskStatus)),
    (&["result", "status"], Keep::Member(Member::TaskStatus)),
    (&["result", "result", "isError"], Keep::Member(Member::TaskIsError)),
    (&["result", "error", "code"], Keep::Member(Member::TaskError)),
    (&["result", "requestState"], Keep::Member(Member::ResultState)),
    (&["result", "inputRequests"], Keep::Member(Member::InputRequests)),
    (&["result", "agentCapabilities"], Keep::Member(Member::AgentClient)),
    (&["result", "agentInfo"], Keep::Member(Member::AgentClient)),
];

const VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";
const CLIENT_INFO: &str = "io.modelcontextprotocol/clientInfo";
const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";

/// A place in a message that is on the way to a kept member, or one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place(u8);

impl Place {
    /// The message itself.
    pub(super) const MESSAGE: Self = Self(0);

    /// The place of the member `key`, if it matters.
    pub(super) fn member(self, key: &[u8]) -> Option<Self> {
        if key == ITEM.as_bytes() { None } else { self.child(key) }
    }

    /// The place of any element of this array, if it matters.
    pub(super) fn item(self) -> Option<Self> {
        self.child(ITEM.as_bytes())
    }

    /// Whether anything below this place matters.
    pub(super) fn has_more(self) -> bool {
        self.node().is_some_and(|node| node.first_child != 0)
    }

    /// What is kept here.
    pub(super) fn keep(self) -> Option<Keep> {
        self.node()?.keep
    }

    fn child(self, segment: &[u8]) -> Option<Self> {
        let (start, mut next) = (start_of(segment), self.node()?.first_child);
        while next != 0 {
            let child = Self(next);
            let node = child.node()?;
            // Most others are told by a comparison of two words.
            if node.start == start
                && node.segment.len() == segment.len()
                && (segment.len() <= START || node.segment.as_bytes() == segment)
            {
                return Some(child);
            }
            next = node.next_sibling;
        }
        None
    }

    fn node(self) -> Option<&'static Node> {
        TREE.get(usize::from(self.0))
    }
}

/// Bytes of the longest key in [`PATHS`]; longer ones need not be stored.
#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, where a wrong index is an error")]
pub(super) const LONGEST_KEY: usize = {
    let mut longest = 0;
    let mut at = 0;
    while at < TREE.len() {
        if TREE[at].segment.len() > longest {
            longest = TREE[at].segment.len();
        }
        at += 1;
    }
    longest
};

#[derive(Clone, Copy)]
struct Node {
    segment: &'static str,
    /// Its first bytes.
    start: u64,
    keep: Option<Keep>,
    /// Number of the first child, 0 for none: node 0 is nobody's child.
    first_child: u8,
    next_sibling: u8,
}

static TREE: [Node; ROOM] = tree();
const ITEM: &str = "[]";
/// One place more than needed would do no harm: unused ones are not reachable.
const ROOM: usize = 96;

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, where a wrong index is an error")]
const fn tree() -> [Node; ROOM] {
    let mut nodes = [Node { segment: "", start: 0, keep: None, first_child: 0, next_sibling: 0 }; ROOM];
    let mut used = 1;
    let mut at = 0;
    while at < PATHS.len() {
        let (path, keep) = PATHS[at];
        let mut parent = 0;
        let mut depth = 0;
        while depth < path.len() {
            let mut child = nodes[parent].first_child as usize;
            while child != 0 && !same(nodes[child].segment.as_bytes(), path[depth].as_bytes()) {
                child = nodes[child].next_sibling as usize;
            }
            if child == 0 {
                child = used;
                used += 1;
                nodes[child].segment = path[depth];
                nodes[child].start = start_of(path[depth].as_bytes());
                nodes[child].next_sibling = nodes[parent].first_child;
                nodes[parent].first_child = child as u8;
            }
            parent = child;
            depth += 1;
        }
        nodes[parent].keep = Some(keep);
        at += 1;
    }
    nodes
}

/// The first bytes of a key, as a number.
const fn start_of(mut key: &[u8]) -> u64 {
    if let Some(start) = key.first_chunk::<START>() {
        return u64::from_le_bytes(*start);
    }
    let mut start = 0;
    while let [rest @ .., last] = key {
        (start, key) = (start << 8 | *last as u64, rest);
    }
    start
}

/// Bytes of [`start_of`].
const START: usize = 8;

const fn same(mut a: &[u8], mut b: &[u8]) -> bool {
    while let ([first_a, rest_a @ ..], [first_b, rest_b @ ..]) = (a, b) {
        if *first_a != *first_b {
            return false;
        }
        (a, b) = (rest_a, rest_b);
    }
    a.is_empty() && b.is_empty()
}

#[cfg(test)]
mod tests {
    use super::{LONGEST_KEY, PATHS, Place};

    #[test]
    fn every_path_is_in_the_tree() {
        for (path, keep) in PATHS {
            let place = path.iter().try_fold(Place::MESSAGE, |place, segment| match *segment {
                "[]" => place.item(),
                key => place.member(key.as_bytes()),
            });
            assert_eq!(place.and_then(Place::keep), Some(*keep), "{path:?}");
        }
    }

    #[test]
    fn other_keys_are_not() {
        assert_eq!(Place::MESSAGE.member(b"[]"), None);
        assert_eq!(Place::MESSAGE.member(b"extra"), None);
        assert_eq!(Place::MESSAGE.item(), None);
        assert_eq!(LONGEST_KEY, "io.modelcontextprotocol/protocolVersion".len());
    }
}
