//! Reads JSON-RPC messages without holding them: bytes in any portions, memory only for the kept members.
//!
//! What counts:
//! * Of duplicate keys the last one, as with `serde_json`; but the members of duplicate objects are put together.
//! * After a gap nothing is trusted: what was known before it stays. If then neither `id` nor `method` is known, the
//!   text may be a response whose writer puts the `id` last (the TypeScript SDK): it is taken from the last bytes of
//!   the text and marked [`Message::id_inferred`].
//! * A text that is not JSON gives no message, unless the `id` was seen before the fault. A text with anything behind
//!   its document gives none at all: it is the tail of another message, or of another protocol.
//! * A text that ends too early is treated like one with a gap at its end.

use super::lexer::{Lexer, Token};
use super::paths::{Keep, LONGEST_KEY, Place};
use super::tail::Tail;
use super::{Id, Kept, Member, Message, MessageId};
use crate::pipeline::limits::Limits;
use crate::pipeline::private::Private;

/// What was found in one text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Skimmed {
    /// The message, or those of a batch.
    pub messages: Vec<Message>,
    /// The text is an array.
    pub batch: bool,
    /// What was wrong first; a counter's label: `syntax`, `gap`, `cut` (ended too early), `nesting`, `no_object`,
    /// `batch_limit`, `tools_limit`.
    pub fault: Option<&'static str>,
    /// Length of the text, unknown bytes included.
    pub bytes: u64,
}

/// The reader of one text after the other.
#[derive(Debug)]
pub struct Skim {
    bounds: Bounds,
    lexer: Lexer,
    /// The open objects and arrays that may hold kept members.
    path: Vec<Level>,
    /// Where the next value is, if it matters.
    place: Option<Place>,
    /// Nothing more of this text can be trusted.
    lost: bool,
    /// What was read is not JSON.
    malformed: bool,
    message: Draft,
    raw: Option<Raw>,
    tail: Tail,
    found: Skimmed,
}

#[derive(Debug)]
struct Bounds {
    payloads: bool,
    batch: usize,
    kept_bytes: usize,
    payload_bytes: usize,
    listed_tools: usize,
}

#[derive(Clone, Copy, Debug)]
enum Level {
    /// An object at this place.
    Object(Place),
    /// An array whose elements are at this place.
    Array(Place),
}

/// The message that is being read.
#[derive(Debug)]
struct Draft {
    message: Message,
    open: bool,
    tools: usize,
    /// Where in `message.members` each member is.
    seats: [Option<u32>; MEMBERS],
}

/// A payload member that is being read.
#[derive(Debug)]
struct Raw {
    member: Member,
    /// How many levels are open around it.
    level: usize,
    /// From where on the bytes of this push belong to it.
    from: usize,
    bytes: Vec<u8>,
}

impl Skim {
    /// Before a text. With `payloads`, arguments and results are kept too.
    pub fn new(limits: &Limits, payloads: bool) -> Self {
        Self {
            bounds: Bounds {
                payloads,
                batch: limits.batch,
                kept_bytes: limits.kept_bytes,
                payload_bytes: limits.payload_bytes,
                listed_tools: limits.listed_tools,
            },
            lexer: Lexer::new(limits.nesting, LONGEST_KEY),
            path: Vec::new(),
            place: Some(Place::MESSAGE),
            lost: false,
            malformed: false,
            message: Draft::new(),
            raw: None,
            tail: Tail::default(),
            found: Skimmed::default(),
        }
    }

    /// Takes the next bytes of the text.
    pub fn push(&mut self, bytes: &[u8]) {
        self.found.bytes = self.found.bytes.saturating_add(bytes.len() as u64);
        let mut rest = bytes;
        while !self.lost {
            match self.lexer.next(&mut rest) {
                Token::More => break,
                token => self.token(token, bytes, bytes.len() - rest.len()),
            }
        }
        if self.lost {
            self.tail.add(rest);
        } else if let Some(raw) = &mut self.raw {
            raw.add(bytes.get(raw.from..), self.bounds.payload_bytes);
            raw.from = 0;
        }
    }

    /// So many bytes of the text are not known.
    pub fn gap(&mut self, missing: u64) {
        self.found.bytes = self.found.bytes.saturating_add(missing);
        self.tail.clear();
        if self.lexer.is_done() {
            // The end of the text is not where the document ended, so its time is not the message's.
            self.found.messages.last_mut().into_iter().for_each(|message| message.whole = false);
        }
        self.lose("gap");
    }

    /// The text is over: what was found. Ready for the next one.
    pub fn finish(&mut self) -> Skimmed {
        let mut found = Skimmed::default();
        self.finish_into(&mut found);
        found
    }

    /// As [`finish`](Self::finish), with the memory of an earlier result.
    pub fn finish_into(&mut self, found: &mut Skimmed) {
        if !self.lost && self.found.bytes > 0 && !self.lexer.is_done() {
            self.lose("cut");
        }
        if self.message.open {
            self.finish_damaged();
        }
        std::mem::swap(found, &mut self.found);
        self.restart();
    }

    fn restart(&mut self) {
        self.found.messages.clear();
        (self.found.batch, self.found.fault, self.found.bytes) = (false, None, 0);
        self.lexer.restart();
        self.path.clear();
        self.place = Some(Place::MESSAGE);
        (self.lost, self.malformed) = (false, false);
        self.raw = None;
        self.tail.clear();
    }

    /// A message that did not come to its end.
    fn finish_damaged(&mut self) {
        let mut message = self.message.close();
        let unnamed = message.id == MessageId::Absent && message.method.is_none();
        if self.malformed && !matches!(message.id, MessageId::Id(_)) {
            return;
        }
        if unnamed
            && !self.found.batch
            && let Some(id) = self.tail.id()
        {
            message.id = MessageId::Id(id);
            message.id_inferred = true;
        }
        self.add_message(message);
    }

    fn lose(&mut self, cause: &'static str) {
        self.found.fault.get_or_insert(cause);
        self.lost = true;
        self.raw = None;
    }

    fn refuse(&mut self) {
        self.malformed = true;
        self.lose("syntax");
    }

    /// A token that ends behind `end` of the pushed `bytes`.
    fn token(&mut self, token: Token, bytes: &[u8], end: usize) {
        match token {
            Token::More => {}
            Token::Key => self.key(end),
            Token::Object | Token::Array => self.open(token == Token::Object),
            Token::Close => {
                if let Some(Level::Object(Place::MESSAGE)) = self.path.pop() {
                    self.end_message();
                }
                self.value_end(bytes, end);
            }
            Token::SkippedClose => self.value_end(bytes, end),
            Token::String | Token::Number | Token::True | Token::False | Token::Null => {
                self.scalar(token);
                self.value_end(bytes, end);
            }
            Token::Trailing => {
                self.found.messages.clear();
                self.refuse();
            }
            Token::TooDeep => self.lose("nesting"),
            Token::Bad => self.refuse(),
        }
    }

    fn key(&mut self, end: usize) {
        self.place = match (self.path.last(), self.lexer.key()) {
            (Some(Level::Object(place)), Some(key)) => place.member(key),
            _ => None,
        };
        self.expect_value();
        let member = match self.place.and_then(Place::keep) {
            Some(Keep::Member(Member::Arguments)) => Member::Arguments,
            Some(Keep::Result) => Member::Result,
            _ => return,
        };
        if self.bounds.payloads {
            self.raw = Some(Raw { member, level: self.path.len(), from: end, bytes: Vec::new() });
        }
    }

    /// Asks for the text of the next value if it is to be kept.
    fn expect_value(&mut self) {
        let kept = self.place.and_then(Place::keep).is_some();
        self.lexer.want(if kept { self.bounds.kept_bytes } else { 0 });
    }

    /// An object or array begins at `self.place`.
    fn open(&mut self, object: bool) {
        match (self.place, self.path.is_empty()) {
            (Some(Place::MESSAGE), true) if !object => {
                self.found.batch = true;
                return self.enter(Level::Array(Place::MESSAGE));
            }
            (Some(Place::MESSAGE), _) if object => self.message.begin(),
            (Some(Place::MESSAGE), _) => self.no_object(),
            (Some(place), _) => self.structure(place, object),
            (None, _) => {}
        }
        let level = match self.place {
            Some(place) if object && place.has_more() => Some(Level::Object(place)),
            Some(place) if !object => place.item().map(Level::Array),
            _ => None,
        };
        match level {
            Some(level) => self.enter(level),
            None => self.lexer.skip(),
        }
    }

    fn enter(&mut self, level: Level) {
        self.path.push(level);
        self.next_place();
    }

    /// Where the value is that comes without a key.
    fn next_place(&mut self) {
        self.place = match self.path.last() {
            Some(Level::Array(item)) => Some(*item),
            Some(Level::Object(_)) | None => None,
        };
        self.expect_value();
    }

    fn value_end(&mut self, bytes: &[u8], end: usize) {
        if let Some(raw) = self.raw.take_if(|raw| raw.level == self.path.len()) {
            let (member, kept) = raw.finish(bytes, end, self.bounds.payload_bytes);
            self.message.keep(member, kept);
        }
        self.next_place();
    }

    /// The value at `place` is an object or array.
    fn structure(&mut self, place: Place, object: bool) {
        let message = &mut self.message.message;
        match place.keep() {
            Some(Keep::Version) => message.says_jsonrpc = false,
            Some(Keep::Id) => message.id = MessageId::Absent,
            Some(Keep::Method) => message.method = None,
            Some(Keep::Params) => message.params_are_object = object,
            Some(Keep::Result) => message.has_result = true,
            Some(Keep::Error) => message.has_error = object,
            Some(Keep::Member(member)) => self.member(member, Kept::Structure),
            None => {}
        }
    }

    /// The value at `self.place` is neither.
    fn scalar(&mut self, token: Token) {
        let Some(place) = self.place else { return };
        if place == Place::MESSAGE {
            return self.no_object();
        }
        let Some(keep) = place.keep() else { return };
        let message = &mut self.message.message;
        match keep {
            Keep::Version => {
                message.says_jsonrpc = token == Token::String && &*self.lexer.text() == "2.0";
            }
            Keep::Id => {
                message.id = match token {
                    Token::String => MessageId::Id(Id::String(self.lexer.text())),
                    Token::Number => MessageId::Id(Id::Number(self.lexer.text())),
                    Token::Null => MessageId::Null,
                    _ => MessageId::Absent,
                }
            }
            Keep::Method => message.method = (token == Token::String).then(|| self.lexer.text()),
            Keep::Params => message.params_are_object = false,
            Keep::Result => message.has_result = true,
            Keep::Error => message.has_error = false,
            Keep::Member(member) => {
                let kept = match token {
                    Token::String => Kept::String(self.lexer.text()),
                    Token::Number => Kept::Number(self.lexer.text()),
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
            Member::ToolName if self.message.tools >= self.bounds.listed_tools => {
                self.found.fault.get_or_insert("tools_limit");
            }
            Member::ToolName => {
                self.message.tools += 1;
                self.message.message.members.push((member, kept));
            }
            _ => self.message.keep(member, kept),
        }
    }

    /// What should be a message is something else.
    fn no_object(&mut self) {
        self.found.fault.get_or_insert("no_object");
    }

    fn end_message(&mut self) {
        let mut message = self.message.close();
        message.whole = true;
        self.add_message(message);
    }

    fn add_message(&mut self, message: Message) {
        if self.found.messages.len() < self.bounds.batch {
            self.found.messages.push(message);
        } else {
            self.found.fault.get_or_insert("batch_limit");
        }
    }
}

impl Draft {
    fn new() -> Self {
        Self { message: Message::default(), open: false, tools: 0, seats: [None; MEMBERS] }
    }

    fn begin(&mut self) {
        *self = Self { open: true, ..Self::new() };
        self.message.params_are_object = true;
    }

    fn close(&mut self) -> Message {
        self.open = false;
        std::mem::take(&mut self.message)
    }

    /// Keeps the value of a member, instead of an earlier one.
    fn keep(&mut self, member: Member, kept: Kept) {
        let Some(seat) = self.seats.get_mut(member as usize) else { return };
        if let Some((_, earlier)) = seat.and_then(|seat| self.message.members.get_mut(seat as usize)) {
            *earlier = kept;
            return;
        }
        *seat = u32::try_from(self.message.members.len()).ok();
        self.message.members.push((member, kept));
    }
}

impl Raw {
    /// Adds the next bytes, without what is between the key and the value.
    fn add(&mut self, bytes: Option<&[u8]>, limit: usize) {
        let mut bytes = bytes.unwrap_or_default();
        if self.bytes.is_empty() {
            let between =
                bytes.iter().take_while(|byte| matches!(byte, b':' | b' ' | b'\t' | b'\r' | b'\n')).count();
            bytes = bytes.get(between..).unwrap_or_default();
        }
        let room = limit.saturating_sub(self.bytes.len());
        self.bytes.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
    }

    fn finish(mut self, bytes: &[u8], end: usize, limit: usize) -> (Member, Kept) {
        self.add(bytes.get(self.from..end), limit);
        (self.member, Kept::Raw(Private::new(self.bytes.into())))
    }
}

/// Number of variants of [`Member`].
const MEMBERS: usize = Member::ErrorCode as usize + 1;
