//! Which names become label values, so that no peer can make up series without end.
//!
//! A name is admitted when a call that bears it was answered with a result, and from then on. Before that, and
//! past a cap, it is [`OTHER`]. What a cap turned away is counted.

use std::collections::{BTreeMap, BTreeSet};

/// Stands for every name that is not admitted.
pub const OTHER: &str = "_other";

/// Longest label value, in characters: the longest tool name that MCP's guidance allows.
const MOST_CHARACTERS: usize = 128;
/// Tools of one server. The largest servers list about a hundred.
const MOST_TOOLS_PER_SERVER: usize = 200;
/// Tools of all servers: 17 series of a histogram each.
const MOST_TOOLS: usize = 2000;
/// Names of servers, and as many of clients: a node runs some dozens.
const MOST_PEERS: usize = 500;
/// Addresses of servers, protocol revisions and prompts: each far below that.
const MOST_VALUES: usize = 200;

/// The admitted names.
#[derive(Debug, Default)]
pub struct Labels {
    tools: BTreeMap<Box<str>, BTreeSet<Box<str>>>,
    tool_count: usize,
    names: BTreeMap<Family, BTreeSet<Box<str>>>,
    turned_away: BTreeMap<&'static str, u64>,
}

/// Names that are capped together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// Names of servers.
    Server,
    /// Names of clients.
    Client,
    /// Names of prompts.
    Prompt,
    /// Addresses of servers.
    Address,
    /// Protocol revisions.
    Revision,
}

impl Family {
    const fn cap(self) -> usize {
        match self {
            Self::Server | Self::Client => MOST_PEERS,
            Self::Prompt | Self::Address | Self::Revision => MOST_VALUES,
        }
    }

    /// The `cause` under which names past the cap are counted.
    const fn cause(self) -> &'static str {
        match self {
            Self::Server => "server_names",
            Self::Client => "client_names",
            Self::Prompt => "prompt_names",
            Self::Address => "addresses",
            Self::Revision => "revisions",
        }
    }
}

impl Labels {
    /// The label value for `name`. It is admitted if `answered`.
    pub fn name<'a>(&mut self, family: Family, name: &'a str, answered: bool) -> &'a str {
        let name = cut(name);
        let admitted = self.names.entry(family).or_default();
        if name.is_empty() || admitted.contains(name) {
            return name;
        }
        if !answered {
            return OTHER;
        }
        if admitted.len() >= family.cap() {
            *self.turned_away.entry(family.cause()).or_default() += 1;
            return OTHER;
        }
        admitted.insert(name.into());
        name
    }

    /// The label value for `tool` of the server whose label value is `server`. It is admitted if `answered`.
    pub fn tool<'a>(&mut self, server: &str, tool: &'a str, answered: bool) -> &'a str {
        let tool = cut(tool);
        let of_server = self.tools.get(server);
        if tool.is_empty() || of_server.is_some_and(|tools| tools.contains(tool)) {
            return tool;
        }
        if !answered {
            return OTHER;
        }
        let cause = match of_server.map_or(0, BTreeSet::len) {
            MOST_TOOLS_PER_SERVER.. => Some("tools_of_a_server"),
            _ if self.tool_count >= MOST_TOOLS => Some("tools"),
            _ => None,
        };
        if let Some(cause) = cause {
            *self.turned_away.entry(cause).or_default() += 1;
            return OTHER;
        }
        self.tool_count += 1;
        self.tools.entry(server.into()).or_default().insert(tool.into());
        tool
    }

    /// What caps have turned away so far, by cause.
    pub fn turned_away(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.turned_away.iter().map(|(&cause, &count)| (cause, count))
    }
}

fn cut(name: &str) -> &str {
    let end = name.char_indices().nth(MOST_CHARACTERS).map_or(name.len(), |(at, _)| at);
    name.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_counts_once_it_was_answered() {
        let mut labels = Labels::default();
        assert_eq!(labels.tool("s", "made_up", false), OTHER);
        assert_eq!(labels.tool("s", "echo", true), "echo");
        assert_eq!(labels.tool("s", "echo", false), "echo", "a later failure keeps the name");
        assert_eq!(labels.tool("other", "echo", false), OTHER, "of that server only");
        assert_eq!(labels.name(Family::Server, "everything", false), OTHER);
        assert_eq!(labels.name(Family::Server, "everything", true), "everything");
        assert_eq!(labels.name(Family::Client, "everything", false), OTHER, "of that family only");
        assert_eq!(labels.name(Family::Client, "", false), "", "absent is not other");
        assert_eq!(labels.turned_away().count(), 0);
    }

    #[test]
    fn a_server_has_its_cap_and_all_together_have_one() {
        let mut labels = Labels::default();
        let mut admitted = 0;
        for server in 0..20 {
            for tool in 0..201 {
                let tool = format!("tool{tool}");
                admitted += usize::from(labels.tool(&server.to_string(), &tool, true) == tool);
            }
        }
        assert_eq!(admitted, MOST_TOOLS);
        assert_eq!(
            labels.turned_away().collect::<Vec<_>>(),
            [("tools", 10 * 201), ("tools_of_a_server", 10)]
        );
    }

    #[test]
    fn long_names_are_cut_between_characters() {
        let mut labels = Labels::default();
        let long = "ä".repeat(200);
        assert_eq!(labels.name(Family::Server, &long, true), "ä".repeat(128));
    }

    #[test]
    fn names_past_the_cap_are_counted() {
        let mut labels = Labels::default();
        for number in 0..=MOST_VALUES {
            labels.name(Family::Address, &number.to_string(), true);
        }
        assert_eq!(labels.turned_away().collect::<Vec<_>>(), [("addresses", 1)]);
    }
}
