//! What the values of kept members mean for the message that is being read.

use super::definition::ToolText;
use super::digest::{self, Digester};
use super::lexer::Token;
use super::paths::{Keep, Place};
use super::skim::Skim;
use super::{Id, Kept, Member, MessageId};

impl Skim {
    /// The value at `place` is an object or array.
    pub(super) fn structure(&mut self, place: Place, object: bool, end: usize) {
        let message = &mut self.message.message;
        match place.keep() {
            Some(Keep::Version) => message.says_jsonrpc = false,
            Some(Keep::Id) => message.id = MessageId::Absent,
            Some(Keep::Method) => message.method = None,
            Some(Keep::Params) => message.params_are_object = object,
            Some(Keep::Result) => message.has_result = true,
            Some(Keep::Error) => message.has_error = object,
            Some(Keep::Member(member)) => self.member(member, Kept::Structure),
            Some(Keep::Tool) if object => {
                self.message.begin_tool();
                self.tool = Some(ToolText::new(end.saturating_sub(1)));
            }
            Some(Keep::ToolName) => self.message.name_tool(None),
            Some(Keep::Tool) | None => {}
        }
    }

    /// The value at `self.place` is neither.
    pub(super) fn scalar(&mut self, token: Token<'_>) {
        let Some(place) = self.place else { return };
        if place == Place::MESSAGE {
            return self.no_object();
        }
        let Some(keep) = place.keep() else { return };
        let message = &mut self.message.message;
        match keep {
            Keep::Version => {
                message.says_jsonrpc = match token {
                    Token::String(Some(text)) => text == b"2.0",
                    Token::String(None) => &*self.lexer.text(None) == "2.0",
                    _ => false,
                }
            }
            Keep::Id => {
                message.id = match token {
                    Token::String(text) => MessageId::Id(Id::String(self.lexer.text(text))),
                    Token::Number(text) => MessageId::Id(Id::Number(self.lexer.text(text))),
                    Token::Null => MessageId::Null,
                    _ => MessageId::Absent,
                }
            }
            Keep::Method => {
                message.method = match token {
                    Token::String(text) => Some(self.lexer.text(text)),
                    _ => None,
                }
            }
            Keep::Params => message.params_are_object = false,
            Keep::Result => message.has_result = true,
            Keep::Error => message.has_error = false,
            Keep::ToolName => {
                let name = match token {
                    Token::String(text) => Some(self.lexer.text(text)),
                    _ => None,
                };
                self.message.name_tool(name);
            }
            Keep::Tool => {}
            Keep::Member(member) => {
                let kept = match token {
                    Token::String(text) => Kept::String(self.lexer.text(text)),
                    Token::Number(text) => Kept::Number(self.lexer.text(text)),
                    Token::True => Kept::Bool(true),
                    Token::False => Kept::Bool(false),
                    _ => Kept::Null,
                };
                self.member(member, kept);
            }
        }
    }

    fn member(&mut self, member: Member, kept: Kept) {
        match member {
            Member::Arguments | Member::Result => {}
            _ if digested_as(member).is_some() => {} // its text is not kept
            _ => self.message.keep(member, kept),
        }
    }

    /// What should be a message is something else.
    pub(super) fn no_object(&mut self) {
        self.found.fault.get_or_insert("no_object");
    }
}

/// Under which name a digest of this member is kept.
pub(super) const fn digested_as(member: Member) -> Option<Member> {
    match member {
        Member::Arguments => Some(Member::ArgumentsDigest),
        Member::RequestState | Member::ResultState | Member::InputRequests | Member::InputResponses => {
            Some(member)
        }
        _ => None,
    }
}

pub(super) fn digest_of(digester: &mut Digester, member: Member, json: &[u8]) -> Option<u64> {
    match member {
        Member::InputRequests | Member::InputResponses => digester.of_names(json),
        // A long one was cut: its beginning stands for it.
        Member::RequestState | Member::ResultState => {
            digester.of_value(json).or_else(|| Some(digest::of_bytes(json)))
        }
        _ => digester.of_value(json),
    }
}
