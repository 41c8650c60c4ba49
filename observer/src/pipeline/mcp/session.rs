//! What two parties have said of themselves: names, versions, and the revision that they speak.
//!
//! The revision is what the server answered, or what a request of the stateless era states, never what a client
//! proposed in `initialize`.

use std::sync::Arc;

use crate::pipeline::jsonrpc::{Member, Message};

/// A self-declared name with its version. Untrusted text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Declared {
    /// `name`.
    pub name: Option<Arc<str>>,
    /// `version`; some servers send an empty one, which is none.
    pub version: Option<Arc<str>>,
}

impl Declared {
    fn read(message: &Message, name: Member, version: Member) -> Option<Self> {
        let text = |member| message.string(member).filter(|text| !text.is_empty()).map(Arc::<str>::from);
        text(name).map(|name| Self { name: Some(name), version: text(version) })
    }
}

/// What is known of the two parties of a conversation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parties {
    /// The client.
    pub client: Declared,
    /// The server.
    pub server: Declared,
    /// The revision that they speak.
    pub revision: Option<Arc<str>>,
}

impl Parties {
    /// Learns from a request.
    pub fn hear_request(&mut self, message: &Message) {
        let declared = Declared::read(message, Member::MetaClientName, Member::MetaClientVersion)
            .or_else(|| Declared::read(message, Member::ClientName, Member::ClientVersion));
        if let Some(declared) = declared {
            self.client = declared;
        }
        if let Some(revision) = message.string(Member::MetaVersion) {
            self.revision = Some(revision.into());
        }
    }

    /// Learns from an answer of the server.
    pub fn hear_answer(&mut self, message: &Message) {
        let declared = Declared::read(message, Member::MetaServerName, Member::MetaServerVersion)
            .or_else(|| Declared::read(message, Member::ServerName, Member::ServerVersion));
        if let Some(declared) = declared {
            self.server = declared;
        }
        if let Some(revision) = message.string(Member::Version) {
            self.revision = Some(revision.into());
        }
    }

    /// Takes what `other` knows where this knows nothing.
    pub fn fill_from(&mut self, other: &Self) {
        if self.client.name.is_none() {
            self.client = other.client.clone();
        }
        if self.server.name.is_none() {
            self.server = other.server.clone();
        }
        if self.revision.is_none() {
            self.revision.clone_from(&other.revision);
        }
    }
}
