//! What servers list: the names of their tools, and whether what they tell of a tool has changed.
//!
//! In: the pages of `tools/list` answers. Out: the changed definitions of each page, and whole lists. Definitions are
//! compared under the server and the tool's name. Within a conversation every change counts. Between conversations
//! only a definition counts that the tool has not had of late: two versions of a server may be in use side by side,
//! and a server may tell each of its users something else.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::pipeline::jsonrpc::ListedTool;
use crate::pipeline::limits::{Limits, Table};

/// The inventories of all servers.
#[derive(Debug)]
pub struct Inventory {
    /// What was last told of each tool, by server and name.
    definitions: Table<(u64, u64), Definitions>,
    /// Lists of which there is more to come, by conversation.
    lists: Table<u64, List>,
    /// Bytes of the names in `lists`.
    list_bytes: usize,
    most_list_bytes: usize,
    /// The list that was last shown of each server.
    shown: Table<u64, u64>,
}

/// A page of a list.
#[derive(Clone, Copy, Debug)]
pub struct Page<'a> {
    /// The server.
    pub server: u64,
    /// The conversation in which it was asked.
    pub conversation: u64,
    /// Which process or address answered: what is listed is shown for each of them.
    pub answerer: u64,
    /// Whether it goes on with an earlier page.
    pub goes_on: bool,
    /// Whether there is more to come.
    pub has_more: bool,
    /// Whether all of it was read.
    pub whole: bool,
    /// What it lists.
    pub tools: &'a [ListedTool],
}

/// What a page tells that is new.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct News {
    /// Tools of which something else is told than before.
    pub changed: Vec<Changed>,
    /// The names of a whole list, if it is not the one that was last shown.
    pub listed: Option<Vec<Arc<str>>>,
    /// Something had to be given up.
    pub shed: Vec<&'static str>,
}

/// A tool of which something else is told than before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// Its name.
    pub tool: Arc<str>,
    /// Hash of what was told before.
    pub before: u128,
    /// Hash of what is told now.
    pub after: u128,
}

/// The definitions of one tool, the latest first.
#[derive(Clone, Copy, Debug)]
struct Definitions {
    latest: [u128; REMEMBERED],
    conversation: u64,
}

/// A list that is being read.
#[derive(Debug, Default)]
struct List {
    names: Vec<Arc<str>>,
    bytes: usize,
    /// Of all names and definitions, in whatever order.
    hash: u64,
    /// A page was not read in full, or there was no room.
    is_torn: bool,
}

/// Definitions of one tool that are remembered: more versions of a server than are in use at once.
const REMEMBERED: usize = 4;

impl Inventory {
    /// Nothing was listed.
    pub fn new(limits: &Limits) -> Self {
        Self {
            definitions: Table::new(limits.definitions),
            lists: Table::new(limits.inventories),
            list_bytes: 0,
            most_list_bytes: limits.list_bytes,
            shown: Table::new(limits.inventories),
        }
    }

    /// Takes a page.
    pub fn take(&mut self, page: &Page<'_>) -> News {
        let mut news = News::default();
        for tool in page.tools {
            let name: Arc<str> = (&*tool.name).into();
            if let Some(after) = tool.definition {
                let before = self.define(page, &name, after, &mut news);
                let changed = before.map(|before| Changed { tool: name, before, after });
                news.changed.extend(changed);
            }
        }
        self.list(page, &mut news);
        news
    }

    /// Takes a definition. Returns the one before, if this is a change.
    fn define(&mut self, page: &Page<'_>, name: &str, after: u128, news: &mut News) -> Option<u128> {
        let key = (page.server, hash(&name));
        let Some(known) = self.definitions.value_mut(&key) else {
            let new = Definitions { latest: [after; REMEMBERED], conversation: page.conversation };
            if self.definitions.insert(key, new).is_some() {
                news.shed.push("definitions");
            }
            return None;
        };
        let [before, ..] = known.latest;
        let is_same_conversation =
            std::mem::replace(&mut known.conversation, page.conversation) == page.conversation;
        let seat = known.latest.iter().position(|earlier| *earlier == after);
        if let Some(latest) = known.latest.get_mut(..=seat.unwrap_or(REMEMBERED - 1)) {
            latest.rotate_right(1);
        }
        if let Some(first) = known.latest.first_mut() {
            *first = after;
        }
        let is_change = seat.is_none() || seat > Some(0) && is_same_conversation;
        is_change.then_some(before)
    }

    /// Adds a page to its list, and shows the list where it ends.
    fn list(&mut self, page: &Page<'_>, news: &mut News) {
        let mut list = self.lists.remove(&page.conversation).unwrap_or_default();
        self.list_bytes = self.list_bytes.saturating_sub(list.bytes);
        if !page.goes_on {
            list = List::default();
        } else if list.names.is_empty() {
            list.is_torn = true; // its beginning was not seen
        }
        list.is_torn |= !page.whole;
        if list.is_torn {
            list = List { is_torn: true, ..List::default() };
        } else {
            page.tools.iter().for_each(|tool| list.add(tool));
        }
        if !page.has_more {
            if !list.is_torn && self.is_new(page, &list) {
                news.listed = Some(list.names);
            }
            return;
        }
        // The oldest goes first: its bytes are free for this one.
        if self.lists.is_full()
            && let Some((_, dropped)) = self.lists.pop_oldest()
        {
            self.list_bytes = self.list_bytes.saturating_sub(dropped.bytes);
            news.shed.push("lists");
        }
        if self.list_bytes + list.bytes > self.most_list_bytes {
            list = List { is_torn: true, ..List::default() };
            news.shed.push("lists");
        }
        self.list_bytes += list.bytes;
        let _ = self.lists.insert(page.conversation, list);
    }

    /// Whether the list is another one than was last shown of its server.
    fn is_new(&mut self, page: &Page<'_>, list: &List) -> bool {
        let (key, now) = (hash(&(page.server, page.answerer)), list.hash);
        if self.shown.value(&key) == Some(&now) {
            self.shown.renew(&key);
            return false;
        }
        let _ = self.shown.insert(key, now);
        true
    }
}

impl List {
    fn add(&mut self, tool: &ListedTool) {
        self.bytes += tool.name.len() + size_of::<Arc<str>>() + 16;
        self.hash = self.hash.wrapping_add(hash(&(&tool.name, tool.definition)));
        self.names.push((&*tool.name).into());
    }
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = rustc_hash::FxHasher::default();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tool(name: &str, definition: u128) -> ListedTool {
        ListedTool { name: name.into(), definition: Some(definition) }
    }

    fn page(conversation: u64, tools: &[ListedTool]) -> Page<'_> {
        Page { server: 1, conversation, answerer: 1, goes_on: false, has_more: false, whole: true, tools }
    }

    fn changes(news: &News) -> Vec<(&str, u128, u128)> {
        news.changed.iter().map(|it| (&*it.tool, it.before, it.after)).collect()
    }

    #[test]
    fn in_one_conversation_every_change_counts() {
        let mut inventory = Inventory::new(&Limits::default());
        let mut seen = |definition| changes(&inventory.take(&page(1, &[tool("a", definition)]))).len();
        assert_eq!([1, 1, 2, 2, 1, 2].map(&mut seen), [0, 0, 1, 0, 1, 1]);
    }

    #[test]
    fn between_conversations_only_what_was_never_told_counts() {
        let mut inventory = Inventory::new(&Limits::default());
        let mut seen = |(conversation, definition)| {
            changes(&inventory.take(&page(conversation, &[tool("a", definition)]))).len()
        };
        assert_eq!([(1, 1), (2, 2), (3, 1), (4, 2), (5, 3), (6, 1)].map(&mut seen), [0, 1, 0, 0, 1, 0]);
        let more = [(7, 4), (8, 5), (9, 6), (10, 7), (11, 1)].map(&mut seen);
        assert_eq!(more, [1; 5], "only so many are known");
    }

    #[test]
    fn servers_and_tools_are_kept_apart() {
        let mut inventory = Inventory::new(&Limits::default());
        inventory.take(&page(1, &[tool("a", 1), tool("b", 2)]));
        assert_eq!(changes(&inventory.take(&Page { server: 2, ..page(2, &[tool("a", 9)]) })), []);
        let news = inventory.take(&page(1, &[tool("a", 1), tool("b", 3), tool("c", 4)]));
        assert_eq!(changes(&news), [("b", 2, 3)]);
    }

    #[test]
    fn pages_are_one_list() {
        let mut inventory = Inventory::new(&Limits::default());
        let (first, last) = ([tool("a", 1)], [tool("b", 2)]);
        let first = Page { has_more: true, ..page(1, &first) };
        let last = Page { goes_on: true, ..page(1, &last) };
        assert_eq!(inventory.take(&first).listed, None);
        assert_eq!(inventory.take(&last).listed, Some(vec!["a".into(), "b".into()]));
        let other_order = [tool("b", 2), tool("a", 1)];
        assert_eq!(inventory.take(&page(1, &other_order)).listed, None, "the same list");
        assert!(inventory.take(&Page { answerer: 2, ..page(1, &other_order) }).listed.is_some());
        assert_eq!(inventory.take(&last).listed, None, "without its beginning it is no list");
        assert_eq!(inventory.take(&Page { whole: false, ..page(1, &[]) }).listed, None);
        assert_eq!(inventory.take(&page(1, &[])).listed, Some(vec![]), "no tools any more");
        assert_eq!(inventory.list_bytes, 0);
    }

    #[test]
    fn lists_and_definitions_are_bounded() {
        let limits = Limits { definitions: 2, inventories: 2, list_bytes: 90, ..Limits::default() };
        let mut inventory = Inventory::new(&limits);
        let many = [tool("a", 1), tool("b", 2), tool("c", 3)];
        let open = |conversation, tools| Page { has_more: true, ..page(conversation, tools) };
        assert_eq!(inventory.take(&open(1, &many)).shed, ["definitions", "lists"], "too many names");
        assert_eq!(inventory.definitions.len(), 2);
        for conversation in 2..9 {
            inventory.take(&open(conversation, &many[..1]));
        }
        assert_eq!((inventory.lists.len(), inventory.list_bytes), (2, 66));
    }
}
