//! The message that is being read, and the payload member of it that is being kept.

use std::borrow::Cow;

use super::{Kept, ListedTool, Member, Message};
use crate::pipeline::private::Private;

/// The message that is being read.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) message: Message,
    /// Whether one has begun.
    pub(super) open: bool,
    /// The name of the element of a list of tools that is being read.
    tool: Option<Box<str>>,
    /// Where in `message.members` each member is, counted from 1; 0 for those that are not there.
    seats: [u8; MEMBERS],
}

/// A payload member that is being read.
#[derive(Debug)]
pub(super) struct Raw {
    member: Member,
    /// How many levels are open around it.
    level: usize,
    /// From where on the bytes of this push belong to it.
    from: usize,
    bytes: Vec<u8>,
}

impl Draft {
    /// None has begun.
    pub(super) fn new() -> Self {
        Self { message: Message::default(), open: false, tool: None, seats: [0; MEMBERS] }
    }

    /// A message begins.
    pub(super) fn begin(&mut self) {
        self.message = Message { params_are_object: true, ..Message::default() };
        self.open = true;
        self.tool = None;
        self.seats.fill(0);
    }

    /// The message is over.
    pub(super) fn close(&mut self) -> Message {
        self.open = false;
        std::mem::take(&mut self.message)
    }

    /// An element of a list of tools begins.
    pub(super) fn begin_tool(&mut self) {
        self.tool = None;
    }

    /// Its name.
    pub(super) fn name_tool(&mut self, name: Option<Box<str>>) {
        self.tool = name;
    }

    /// The element is over. Returns whether there was room for it.
    pub(super) fn end_tool(&mut self, most: usize, definition: impl FnOnce(&str) -> Option<u128>) -> bool {
        let Some(name) = self.tool.take() else { return true };
        let fits = self.message.tools.len() < most;
        if fits {
            let definition = definition(&name);
            self.message.tools.push(ListedTool { name, definition });
        }
        fits
    }

    /// Keeps the value of a member, instead of an earlier one.
    pub(super) fn keep(&mut self, member: Member, kept: Kept) {
        let Some(seat) = self.seats.get_mut(member as usize) else { return };
        if let Some(index) = seat.checked_sub(1)
            && let Some((_, earlier)) = self.message.members.get_mut(usize::from(index))
        {
            *earlier = kept;
            return;
        }
        self.message.members.push((member, kept));
        *seat = self.message.members.len() as u8; // each member is there once
    }
}

impl Raw {
    /// Behind the key of `member`, which ends at `from` of the pushed bytes.
    pub(super) const fn new(member: Member, level: usize, from: usize) -> Self {
        Self { member, level, from, bytes: Vec::new() }
    }

    /// How many levels are open around it.
    pub(super) const fn level(&self) -> usize {
        self.level
    }

    /// It goes on to the end of the pushed `bytes`, and beyond.
    pub(super) fn push(&mut self, bytes: &[u8], limit: usize) {
        self.add(bytes.get(self.from..), limit);
        self.from = 0;
    }

    /// Adds the next bytes, without what is between the key and the value.
    fn add(&mut self, bytes: Option<&[u8]>, limit: usize) {
        let mut bytes = bytes.unwrap_or_default();
        if self.bytes.is_empty() {
            bytes = without_start(bytes);
        }
        let room = limit.saturating_sub(self.bytes.len());
        self.bytes.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
    }

    /// It ends behind `end` of the pushed `bytes`.
    pub(super) fn finish(self, bytes: &[u8], end: usize, limit: usize) -> (Member, Kept) {
        let (member, bytes) = self.into_bytes(bytes, end, limit);
        (member, Kept::Raw(Private::new(bytes.into())))
    }

    /// As [`finish`](Self::finish); what came in one piece is not copied.
    pub(super) fn into_bytes(mut self, bytes: &[u8], end: usize, limit: usize) -> (Member, Cow<'_, [u8]>) {
        let last = bytes.get(self.from..end);
        if self.bytes.is_empty() {
            let last = without_start(last.unwrap_or_default());
            return (self.member, last.get(..limit).unwrap_or(last).into());
        }
        self.add(last, limit);
        (self.member, self.bytes.into())
    }
}

/// A text from its value on, without what is between the key and the value.
fn without_start(bytes: &[u8]) -> &[u8] {
    let between = bytes.iter().take_while(|byte| matches!(byte, b':' | b' ' | b'\t' | b'\r' | b'\n')).count();
    bytes.get(between..).unwrap_or_default()
}

/// Number of variants of [`Member`].
const MEMBERS: usize = Member::ErrorMessage as usize + 1;
const _: () = assert!(MEMBERS <= u8::MAX as usize);
