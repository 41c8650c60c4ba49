//! Which members of a message are kept: the table, and the tree that the skimmer walks.

use super::Member;
use super::names::{SLOTS, START, put, slot, start_of};

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
        self.node().is_some_and(|node| node.has_more)
    }

    /// What is kept here.
    pub(super) fn keep(self) -> Option<Keep> {
        self.node()?.keep
    }

    fn child(self, segment: &[u8]) -> Option<Self> {
        let start = start_of(segment);
        let mut at = slot(self.0, start, segment);
        loop {
            let child = Self(*PLACES.get(at % SLOTS)?);
            let node = child.node().filter(|_| child != Self::MESSAGE)?;
            // Most others are told by a comparison of two words.
            if node.parent == self.0
                && node.start == start
                && node.segment.len() == segment.len()
                && (segment.len() <= START || node.segment.as_bytes() == segment)
            {
                return Some(child);
            }
            at += 1;
        }
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
    /// The place whose member or item it is.
    parent: u8,
    /// Whether anything below it matters.
    has_more: bool,
}

/// All places; the first is the message itself.
static TREE: [Node; ROOM] = tree();
/// The places by their [`slot`]s; the message, which is in none, stands where there is no place.
static PLACES: [u8; SLOTS] = places();
const ITEM: &str = "[]";
/// One place more than needed would do no harm: unused ones are not reachable.
const ROOM: usize = 96;

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, where a wrong index is an error")]
const fn tree() -> [Node; ROOM] {
    let mut nodes = [Node { segment: "", start: 0, keep: None, parent: 0, has_more: false }; ROOM];
    let mut used = 1;
    let mut at = 0;
    while at < PATHS.len() {
        let (path, keep) = PATHS[at];
        let mut parent = 0;
        let mut depth = 0;
        while depth < path.len() {
            let segment = path[depth].as_bytes();
            let mut child = 1;
            while child < used
                && !(nodes[child].parent as usize == parent && same(nodes[child].segment.as_bytes(), segment))
            {
                child += 1;
            }
            if child == used {
                used += 1;
                nodes[parent].has_more = true;
                nodes[child].segment = path[depth];
                nodes[child].start = start_of(segment);
                nodes[child].parent = parent as u8;
            }
            parent = child;
            depth += 1;
        }
        nodes[parent].keep = Some(keep);
        at += 1;
    }
    nodes
}

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, where a wrong index is an error")]
const fn places() -> [u8; SLOTS] {
    let mut places = [0; SLOTS];
    let mut at = 1;
    while at < ROOM && !TREE[at].segment.is_empty() {
        let node = TREE[at];
        put(&mut places, slot(node.parent, node.start, node.segment.as_bytes()), at as u8);
        at += 1;
    }
    places
}

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
