//! Reads JSON-RPC messages without holding them: bytes in any portions, memory only for the kept members and one tool.
//!
//! What counts:
//! * Of duplicate keys the last one, as with `serde_json`; but the members of duplicate objects are put together.
//! * After a gap nothing is trusted: what was known before it stays. If then neither `id` nor `method` is known, the
//!   text may be a response whose writer puts the `id` last (the TypeScript SDK): it is taken from the last bytes of
//!   the text and marked [`Message::id_inferred`].
//! * A text that is not JSON gives no message, unless the `id` was seen before the fault. A text with anything behind
//!   its document gives none at all: it is the tail of another message, or of another protocol.
//! * A text that ends too early is treated like one with a gap at its end.

use super::definition::{Known, ToolText};
use super::digest::Digester;
use super::draft::{Draft, Raw};
use super::lexer::{Lexer, Token, Whole};
use super::paths::{Keep, LONGEST_KEY, Place};
use super::tail::Tail;
use super::values::{digest_of, digested_as};
use super::{Kept, Member, Message, MessageId};
use crate::pipeline::limits::{Budget, Limits};

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
    pub(super) lexer: Lexer,
    /// The open objects and arrays that may hold kept members.
    path: Vec<Level>,
    /// Where the next value is, if it matters.
    pub(super) place: Option<Place>,
    /// Nothing more of this text can be trusted.
    lost: bool,
    /// What was read is not JSON.
    malformed: bool,
    pub(super) message: Draft,
    raw: Option<Raw>,
    /// What a digest is made of.
    digested: Option<Raw>,
    digester: Digester,
    /// The text of the tool that is being read.
    pub(super) tool: Option<ToolText>,
    tail: Tail,
    pub(super) found: Skimmed,
}

#[derive(Debug)]
struct Bounds {
    payloads: bool,
    batch: usize,
    kept_bytes: usize,
    payload_bytes: usize,
    digested_bytes: usize,
    listed_tools: usize,
    definition_bytes: usize,
    definitions: Known,
    buffers: Budget,
}

#[derive(Clone, Copy, Debug)]
enum Level {
    /// An object at this place.
    Object(Place),
    /// An array whose elements are at this place.
    Array(Place),
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
                digested_bytes: limits.digested_bytes,
                listed_tools: limits.listed_tools,
                definition_bytes: limits.definition_bytes,
                definitions: limits.known_definitions.clone(),
                buffers: limits.buffers.clone(),
            },
            lexer: Lexer::new(limits.nesting, LONGEST_KEY),
            path: Vec::new(),
            place: Some(Place::MESSAGE),
            lost: false,
            malformed: false,
            message: Draft::new(),
            raw: None,
            digested: None,
            digester: Digester::new(),
            tool: None,
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
                token => self.token(token, bytes, &mut rest),
            }
        }
        if self.lost {
            self.tail.add(rest);
            return;
        }
        if let Some(raw) = &mut self.raw {
            raw.push(bytes, self.bounds.payload_bytes);
        }
        if let Some(digested) = &mut self.digested {
            digested.push(bytes, self.bounds.digested_bytes);
        }
        if let Some(tool) = &mut self.tool {
            tool.push(bytes, self.bounds.definition_bytes, &self.bounds.buffers);
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
        (self.raw, self.digested, self.tool) = (None, None, None);
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
        (self.raw, self.digested, self.tool) = (None, None, None);
    }

    fn refuse(&mut self) {
        self.malformed = true;
        self.lose("syntax");
    }

    /// A token of the pushed `bytes`, which ends before `rest`.
    fn token(&mut self, token: Token<'_>, bytes: &[u8], rest: &mut &[u8]) {
        let end = bytes.len() - rest.len();
        match token {
            Token::More => {}
            Token::Trailing => {
                self.found.messages.clear();
                self.refuse();
            }
            Token::TooDeep => self.lose("nesting"),
            Token::Bad => self.refuse(),
            Token::Key(key) => self.key(key, end),
            Token::Object | Token::Array => {
                let place = self.place;
                self.open(token == Token::Object, end);
                if token == Token::Object && place.and_then(Place::keep) == Some(Keep::Tool) {
                    self.recall_tool(bytes, rest);
                }
            }
            Token::Close => {
                match self.path.pop() {
                    Some(Level::Object(Place::MESSAGE)) => self.end_message(),
                    Some(Level::Object(place)) if place.keep() == Some(Keep::Tool) => {
                        self.end_tool(bytes, end);
                    }
                    _ => {}
                }
                self.value_end(bytes, end);
            }
            Token::SkippedClose => self.value_end(bytes, end),
            Token::String(_) | Token::Number(_) | Token::True | Token::False | Token::Null => {
                self.scalar(token);
                self.value_end(bytes, end);
            }
        }
    }

    /// A tool whose text was seen before is not read again, if all of it is here.
    fn recall_tool(&mut self, bytes: &[u8], rest: &mut &[u8]) {
        let begin = bytes.len() - rest.len() - 1;
        let Some(behind) = self.lexer.behind_object(rest) else { return };
        let end = bytes.len() - behind.len();
        let known = bytes.get(begin..end).and_then(|text| self.bounds.definitions.recall(text));
        let Some((name, definition)) = known else { return };
        *rest = behind;
        self.lexer.leave_object();
        self.path.pop();
        self.tool = None;
        self.message.name_tool(Some(name));
        self.add_tool(|_| Some(definition));
        self.value_end(bytes, end);
    }

    fn end_tool(&mut self, bytes: &[u8], end: usize) {
        let text = self.tool.take();
        let (most, known) = (self.bounds.definition_bytes, self.bounds.definitions.clone());
        self.add_tool(|name| text?.finish(bytes, end, most, name, &known));
    }

    fn add_tool(&mut self, definition: impl FnOnce(&str) -> Option<u128>) {
        if !self.message.end_tool(self.bounds.listed_tools, definition) {
            self.found.fault.get_or_insert("tools_limit");
        }
    }

    fn key(&mut self, key: Whole<'_>, end: usize) {
        self.place = match (self.path.last(), self.lexer.bytes(key)) {
            (Some(Level::Object(place)), Some(key)) => place.member(key),
            _ => None,
        };
        self.expect_value();
        let member = match self.place.and_then(Place::keep) {
            Some(Keep::Member(member)) => member,
            Some(Keep::Result) => Member::Result,
            _ => return,
        };
        if let Some(member) = digested_as(member) {
            self.digested = Some(Raw::new(member, self.path.len(), end));
        }
        if self.bounds.payloads && matches!(member, Member::Arguments | Member::Result) {
            self.raw = Some(Raw::new(member, self.path.len(), end));
        }
    }

    /// Asks for the text of the next value if it is to be kept.
    fn expect_value(&mut self) {
        let kept = self.place.and_then(Place::keep).is_some();
        self.lexer.want(if kept { self.bounds.kept_bytes } else { 0 });
    }

    /// An object or array begins at `self.place`, with the byte before `end`.
    fn open(&mut self, object: bool, end: usize) {
        match (self.place, self.path.is_empty()) {
            (Some(Place::MESSAGE), true) if !object => {
                self.found.batch = true;
                return self.enter(Level::Array(Place::MESSAGE));
            }
            (Some(Place::MESSAGE), _) if object => self.message.begin(),
            (Some(Place::MESSAGE), _) => self.no_object(),
            (Some(place), _) => self.structure(place, object, end),
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
        if let Some(raw) = self.raw.take_if(|raw| raw.level() == self.path.len()) {
            let (member, kept) = raw.finish(bytes, end, self.bounds.payload_bytes);
            self.message.keep(member, kept);
        }
        if let Some(digested) = self.digested.take_if(|digested| digested.level() == self.path.len()) {
            let (member, bytes) = digested.into_bytes(bytes, end, self.bounds.digested_bytes);
            if let Some(digest) = digest_of(&mut self.digester, member, &bytes) {
                self.message.keep(member, Kept::Digest(digest));
            }
        }
        self.next_place();
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::paths::{Keep, PATHS};
    use super::{Digester, Kept, Limits, Member, Message, MessageId, Skim, Skimmed, digest_of, digested_as};
    use crate::pipeline::jsonrpc::{Id, ListedTool, Shape};
    use crate::pipeline::transport::tests::Random;

    fn skim() -> Skim {
        Skim::new(&Limits::default(), false)
    }

    fn read(text: &str) -> Skimmed {
        let mut skim = skim();
        skim.push(text.as_bytes());
        skim.finish()
    }

    fn message(text: &str) -> Message {
        let mut skimmed = read(text);
        assert_eq!((skimmed.messages.len(), skimmed.fault), (1, None), "{text}");
        skimmed.messages.remove(0)
    }

    fn number(text: &str) -> MessageId {
        MessageId::Id(Id::Number(text.into()))
    }

    #[test]
    fn lines_of_real_peers() {
        let initialize = message(
            r#"{"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"roots":{"listChanged":true},"sampling":{},"elicitation":{}},"clientInfo":{"name":"c1","version":"0.1"}},"jsonrpc":"2.0","id":0}"#,
        );
        assert_eq!((initialize.shape(), &initialize.id), (Shape::Request, &number("0")));
        assert_eq!(initialize.string(Member::WantedVersion), Some("2025-11-25"));
        assert_eq!(initialize.string(Member::ClientName), Some("c1"));
        assert_eq!(initialize.string(Member::ClientVersion), Some("0.1"));
        let answer = message(
            r#"{"jsonrpc":"2.0","id":0,"result":{"capabilities":{},"protocolVersion":"2025-11-25","serverInfo":{"name":"py2srv","version":""}}}"#,
        );
        assert_eq!(answer.shape(), Shape::Success);
        assert_eq!(answer.string(Member::ServerVersion), Some(""));
        let list = message(
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"progressToken":0}}}"#,
        );
        assert_eq!(list.member(Member::ProgressToken), Some(&Kept::Number("0".into())));
        let discover = message(
            r#"{"result":{"supportedVersions":["2026-07-28"],"capabilities":{"tools":{"listChanged":true}},"resultType":"complete","ttlMs":0,"cacheScope":"private","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"ts2srv","version":"1.2.3"}}},"jsonrpc":"2.0","id":"server-discover-probe-1"}"#,
        );
        assert_eq!(discover.id, MessageId::Id(Id::String("server-discover-probe-1".into())));
        assert_eq!(discover.member(Member::SupportedVersions), Some(&Kept::Structure));
        assert_eq!(discover.string(Member::MetaServerName), Some("ts2srv"));
        let refusal = message(
            r#"{"jsonrpc":"2.0","id":"server-discover-probe-1","error":{"code":-32601,"message":"Method not found"}}"#,
        );
        assert_eq!(refusal.shape(), Shape::Error);
        assert_eq!(refusal.member(Member::ErrorCode), Some(&Kept::Number("-32601".into())));
    }

    #[test]
    fn tools_of_a_list_are_named_up_to_a_limit() {
        let limits = Limits { listed_tools: 2, ..Limits::default() };
        let mut skim = Skim::new(&limits, false);
        skim.push(br#"{"id":1,"result":{"tools":[{"name":"a","inputSchema":{"name":"x"}},{"description":"d","name":"b"},{"title":"nameless"},7,{"name":"c"}]}}"#);
        let skimmed = skim.finish();
        assert_eq!(skimmed.fault, Some("tools_limit"));
        let names: Vec<_> = skimmed.messages[0].tools.iter().map(|tool| &*tool.name).collect();
        assert_eq!(names, ["a", "b"]);
        assert!(skimmed.messages[0].whole);
    }

    #[test]
    fn a_batch_is_several_messages() {
        let skimmed =
            read(r#" [{"id":1,"method":"a"}, {"id":null,"error":{}} ,{"method":"c"},7,[{"id":8}]] "#);
        assert!(skimmed.batch);
        assert_eq!(skimmed.fault, Some("no_object"));
        let shapes: Vec<_> = skimmed.messages.iter().map(Message::shape).collect();
        assert_eq!(shapes, [Shape::Request, Shape::Error, Shape::Notification]);
        assert_eq!(skimmed.messages[1].id, MessageId::Null);
        let mut skim = Skim::new(&Limits { batch: 1, ..Limits::default() }, false);
        skim.push(br#"[{"id":1},{"id":2}]"#);
        let skimmed = skim.finish();
        assert_eq!((skimmed.messages.len(), skimmed.fault), (1, Some("batch_limit")));
    }

    #[test]
    fn of_duplicates_the_last_counts() {
        let twice = message(
            r#"{"id":1,"method":"a","params":{"name":"x"},"id":"2","method":"b","params":{"name":"y"}}"#,
        );
        assert_eq!((twice.id, twice.method.as_deref()), (MessageId::Id(Id::String("2".into())), Some("b")));
        assert_eq!(twice.members, [(Member::Name, Kept::String("y".into()))]);
        let undone = message(
            r#"{"id":1,"id":true,"method":"a","method":{},"params":{},"params":[],"error":{},"error":0}"#,
        );
        assert_eq!((undone.id, undone.method), (MessageId::Absent, None));
        assert!(!undone.params_are_object && !undone.has_error);
    }

    #[test]
    fn what_is_no_json_gives_no_message_unless_the_id_is_known() {
        for text in [
            "{]",
            r#"{"method":"a",}"#,
            r#"{"method" "a"}"#,
            "{,}",
            "[info] x]",
            r#"{"a":tru}"#,
            r#"{"a":"\q"}"#,
        ] {
            let skimmed = read(text);
            assert_eq!((skimmed.messages.len(), skimmed.fault), (0, Some("syntax")), "{text}");
        }
        let known = &read(r#"{"id":7,"result":{"a" 1}}"#).messages[0];
        assert_eq!((&known.id, known.whole), (&number("7"), false));
        let tail = read(r#"{"id":7,"method":"a"}]},"id":8}"#);
        assert_eq!((tail.messages.len(), tail.fault), (0, Some("syntax")), "a tail of something else");
        assert_eq!(read("3").fault, Some("cut"));
        assert_eq!(read(" true ").fault, Some("no_object"));
        assert_eq!(read(""), Skimmed::default());
    }

    #[test]
    fn nesting_has_a_limit() {
        let deep = |levels| format!(r#"{{"a":{}{},"id":5}}"#, "[".repeat(levels), "]".repeat(levels));
        assert_eq!(message(&deep(511)).id, number("5"));
        let skimmed = read(&deep(512));
        assert_eq!(skimmed.fault, Some("nesting"));
        assert_eq!(
            (&skimmed.messages[0].id, skimmed.messages[0].whole),
            (&number("5"), false),
            "its end is seen"
        );
        assert!(skimmed.messages[0].id_inferred);
    }

    #[test]
    fn what_was_known_before_a_gap_stays() {
        let mut skim = skim();
        skim.push(br#"{"jsonrpc":"2.0","id":4,"method":"tools/call","params":{"name":"big","argu"#);
        skim.gap(100);
        skim.push(br#"":{}},"id":9,"jsonrpc":"2.0","id":8}"#);
        let skimmed = skim.finish();
        assert_eq!((skimmed.fault, skimmed.bytes), (Some("gap"), 74 + 100 + 36));
        let message = &skimmed.messages[0];
        assert_eq!((&message.id, message.id_inferred, message.whole), (&number("4"), false, false));
        assert_eq!(
            (message.method.as_deref(), message.string(Member::Name)),
            (Some("tools/call"), Some("big"))
        );
    }

    #[test]
    fn a_value_that_a_gap_cuts_is_not_kept() {
        let mut skim = skim();
        for text in [r#"{"method":"tools/ca"#, r#"{"id":12"#, r#"{"id":"12"#, r#"{"method":"a","id":1"#] {
            skim.push(text.as_bytes());
            skim.gap(1);
            skim.push(br#"3","id":5}"#);
            let message = &skim.finish().messages[0];
            if message.method.is_none() {
                assert_eq!((&message.id, message.id_inferred), (&number("5"), true), "{text}");
            } else {
                assert_eq!(message.id, MessageId::Absent, "the end may be another message's: {text}");
            }
        }
    }

    #[test]
    fn the_id_of_a_damaged_result_is_taken_from_its_end() {
        let mut skim = skim();
        skim.push(br#"{"result":{"isError":true,"content":[{"type":"text","text":"aaaa"#);
        skim.gap(1 << 20);
        skim.push(br#"bbbb"}]},"jsonrpc":"2.0","#);
        skim.push(br#""id":31}"#);
        let message = &skim.finish().messages[0];
        assert_eq!(
            (&message.id, message.id_inferred, message.shape()),
            (&number("31"), true, Shape::Success)
        );
        skim.push(br#"{"result":{"#);
        skim.gap(1);
        skim.push(br#""},"id":3"#);
        skim.gap(1);
        skim.push(b"}");
        assert_eq!(skim.finish().messages[0].id, MessageId::Absent, "another gap inside the id");
        skim.push(br#"[{"result":{"#);
        skim.gap(1);
        skim.push(br#""},"jsonrpc":"2.0","id":31}"#);
        assert_eq!(skim.finish().messages[0].id, MessageId::Absent, "a batch");
    }

    #[test]
    fn a_gap_behind_the_document_spoils_it() {
        let mut skim = skim();
        skim.push(br#"{"id":1,"result":{}}"#);
        skim.gap(3);
        assert!(!skim.finish().messages[0].whole);
    }

    #[test]
    fn a_text_that_ends_early_is_not_whole() {
        let text = r#"{"id":1,"method":"ping","params":{"name":"x"}}"#;
        for end in 1..text.len() {
            let skimmed = read(&text[..end]);
            assert_eq!((skimmed.fault, skimmed.messages[0].whole), (Some("cut"), false), "cut at {end}");
        }
    }

    #[test]
    fn long_strings_are_cut() {
        let limits = Limits { kept_bytes: 4, ..Limits::default() };
        let mut skim = Skim::new(&limits, false);
        skim.push(
            r#"{"method":"aaaéé","id":123456,"params":{"name":"\ud83d\ude00\ud83d\ude00"}}"#.as_bytes(),
        );
        let message = &skim.finish().messages[0];
        assert_eq!((message.method.as_deref(), &message.id), (Some("aaa"), &number("1234")));
        assert_eq!(message.string(Member::Name), Some("😀"));
    }

    #[test]
    fn payloads_are_kept_raw_on_request() {
        let text = r#"[{"params":{"arguments" : {"a":[1, "}"]} ,"name":"x"}},{"result": [1 ],"id":1},{"result":"a\n","id":2},{"result":12}]"#;
        let raw = |message: &Message, member| match message.member(member) {
            Some(Kept::Raw(raw)) => String::from_utf8(raw.reveal().to_vec()).unwrap(),
            other => format!("{other:?}"),
        };
        for cut in 0..text.len() {
            let mut skim = Skim::new(&Limits::default(), true);
            skim.push(&text.as_bytes()[..cut]);
            skim.push(&text.as_bytes()[cut..]);
            let messages = skim.finish().messages;
            assert_eq!(raw(&messages[0], Member::Arguments), r#"{"a":[1, "}"]}"#, "cut at {cut}");
            assert_eq!(messages[0].string(Member::Name), Some("x"));
            let results: Vec<_> = messages[1..].iter().map(|message| raw(message, Member::Result)).collect();
            assert_eq!(results, ["[1 ]", r#""a\n""#, "12"], "cut at {cut}");
        }
        assert!(read(text).messages.iter().all(|message| message.member(Member::Result).is_none()));
        let mut skim = Skim::new(&Limits { payload_bytes: 5, ..Limits::default() }, true);
        skim.push(br#"{"result":{"isError":true,"a":1},"id":1}"#);
        let message = &skim.finish().messages[0];
        assert_eq!(raw(message, Member::Result), r#"{"isE"#);
        assert_eq!(message.member(Member::IsError), Some(&Kept::Bool(true)));
    }

    #[test]
    fn the_id_behind_256_mib_is_found() {
        let mut skim = skim();
        skim.push(br#"{"result":{"content":[{"type":"text","text":""#);
        let block = vec![b'x'; 1 << 20];
        for _ in 0..256 {
            skim.push(&block);
        }
        skim.push(br#""}]},"jsonrpc":"2.0","id":77}"#);
        let skimmed = skim.finish();
        assert_eq!((&skimmed.messages[0].id, skimmed.messages[0].whole), (&number("77"), true));
        assert_eq!(skimmed.bytes, (256 << 20) + 74);
    }

    /// The kept members of a document, as found in the tree that `serde_json` makes of it.
    fn by_tree(document: &Value) -> Message {
        let mut message = Message {
            method: document["method"].as_str().map(Into::into),
            id: match &document["id"] {
                Value::Number(number) => MessageId::Id(Id::Number(number.to_string().into())),
                Value::String(string) => MessageId::Id(Id::String((&**string).into())),
                Value::Null if document.get("id").is_some() => MessageId::Null,
                _ => MessageId::Absent,
            },
            has_result: document.get("result").is_some(),
            has_error: document["error"].is_object(),
            params_are_object: document.get("params").is_none_or(Value::is_object),
            whole: true,
            tools: document["result"]["tools"].as_array().into_iter().flatten().filter_map(tool).collect(),
            ..Message::default()
        };
        for (path, keep) in PATHS {
            let Keep::Member(member) = keep else { continue };
            let mut places = vec![document];
            for &segment in *path {
                places = match segment {
                    "[]" => places.iter().filter_map(|place| place.as_array()).flatten().collect(),
                    key => places.iter().filter_map(|place| place.get(key)).collect(),
                };
            }
            for value in places {
                if let Some(digested) = digested_as(*member) {
                    let digest = digest_of(&mut Digester::new(), digested, value.to_string().as_bytes());
                    message.members.extend(digest.map(|digest| (digested, Kept::Digest(digest))));
                    continue;
                }
                let kept = match value {
                    Value::Null => Kept::Null,
                    Value::Bool(bool) => Kept::Bool(*bool),
                    Value::Number(number) => Kept::Number(number.to_string().into()),
                    Value::String(string) => Kept::String((&**string).into()),
                    Value::Array(_) | Value::Object(_) => Kept::Structure,
                };
                message.members.push((*member, kept));
            }
        }
        message
    }

    /// A tool as the text says it that has its members in the order of their names.
    fn tool(value: &Value) -> Option<ListedTool> {
        let name = value.as_object()?.get("name")?.as_str()?;
        let parts = ["title", "description", "inputSchema", "outputSchema", "annotations"];
        let told = parts.into_iter().filter_map(|part| Some((part.to_owned(), value.get(part)?.clone())));
        let sorted: serde_json::Map<_, _> = told.chain([("name".to_owned(), json!("same"))]).collect();
        let text = json!({"id": 1, "result": {"tools": [sorted]}}).to_string();
        Some(ListedTool { name: name.into(), definition: read(&text).messages[0].tools[0].definition })
    }

    /// Writes documents that serializers would not: any order, blanks, escapes.
    struct Writer {
        random: Random,
        text: String,
    }

    impl Writer {
        fn blank(&mut self) {
            for _ in 0..self.random.below(6).saturating_sub(3) {
                self.text.push([' ', '\n', '\t', '\r'][self.random.below(4)]);
            }
        }

        fn string(&mut self, string: &str) {
            self.text.push('"');
            for char in string.chars() {
                match self.random.below(4) {
                    0 => {
                        let units = char.encode_utf16(&mut [0; 2]).to_vec();
                        self.text.extend(units.iter().map(|unit| format!("\\u{unit:04x}")));
                    }
                    1 if char == '/' => self.text.push_str("\\/"),
                    _ => {
                        let quoted = json!(char.to_string()).to_string();
                        self.text.push_str(&quoted[1..quoted.len() - 1]);
                    }
                }
            }
            self.text.push('"');
        }

        fn value(&mut self, value: &Value) {
            self.blank();
            match value {
                Value::Array(items) => {
                    self.text.push('[');
                    for (number, item) in items.iter().enumerate() {
                        self.separate(number);
                        self.value(item);
                    }
                    self.blank();
                    self.text.push(']');
                }
                Value::Object(members) => {
                    let mut members: Vec<_> = members.iter().collect();
                    for last in (1..members.len()).rev() {
                        members.swap(last, self.random.below(last + 1));
                    }
                    self.text.push('{');
                    for (number, (key, item)) in members.into_iter().enumerate() {
                        self.separate(number);
                        self.blank();
                        self.string(key);
                        self.blank();
                        self.text.push(':');
                        self.value(item);
                    }
                    self.blank();
                    self.text.push('}');
                }
                Value::String(string) => self.string(string),
                other => self.text.push_str(&other.to_string()),
            }
            self.blank();
        }

        fn separate(&mut self, number: usize) {
            if number > 0 {
                self.text.push(',');
            }
        }
    }

    fn any_value(random: &mut Random, depth: usize) -> Value {
        match random.below(if depth > 4 { 5 } else { 8 }) {
            0 => Value::Null,
            1 => json!(random.below(2) == 0),
            2 => json!(random.below(100_000) as i64 - 50_000),
            3 => json!(random.below(1000) as f64 / 8.0),
            4 => json!(["", "plain", "é\"\\/\n", "a😀b", "}],\"id\":5}", "\u{1}\u{7f}"][random.below(6)]),
            5 => (0..random.below(4)).map(|_| any_value(random, depth + 1)).collect(),
            _ => any_object(random, depth + 1),
        }
    }

    /// An object whose keys are likely to be those of kept members.
    fn any_object(random: &mut Random, depth: usize) -> Value {
        let mut object = serde_json::Map::new();
        for _ in 0..random.below(6) {
            let path = PATHS[random.below(PATHS.len())].0;
            let key = match random.below(4) {
                0 => "id\"",
                _ => path[random.below(path.len())],
            };
            object.insert(key.to_owned(), any_value(random, depth));
        }
        object.into()
    }

    /// A document with most of the kept members in their places.
    fn any_document(random: &mut Random) -> Value {
        let mut document = any_object(random, 1);
        for (path, _) in PATHS {
            if random.below(3) == 0 {
                put(&mut document, path, random);
            }
        }
        document
    }

    fn put(place: &mut Value, path: &[&str], random: &mut Random) {
        let Some((&segment, path)) = path.split_first() else {
            *place = any_value(random, 3);
            return;
        };
        if segment == "[]" {
            *place = (0..3).map(|_| any_object(random, 3)).collect();
            place.as_array_mut().unwrap().iter_mut().for_each(|item| put(item, path, random));
            return;
        }
        if !place.is_object() {
            *place = json!({});
        }
        put(place.as_object_mut().unwrap().entry(segment).or_insert(Value::Null), path, random);
    }

    /// Members with two paths hold the one that comes last in the text, which is any of them.
    fn comparable(message: &Message) -> Message {
        let twice = [
            Member::ProgressToken,
            Member::LanguageServer,
            Member::TaskId,
            Member::AgentClient,
            Member::TaskStatus,
            Member::TaskIsError,
            Member::TaskError,
        ];
        let mut message = message.clone();
        for (member, kept) in &mut message.members {
            if twice.contains(member) {
                *kept = Kept::Null;
            }
        }
        message.members.sort_by_key(|(member, _)| *member);
        message.members.dedup_by(|a, b| a.0 == b.0);
        message
    }

    #[test]
    fn the_same_is_found_as_in_a_tree_wherever_the_text_is_cut() {
        let mut random = Random(7);
        let mut members = 0;
        for round in 0..400 {
            let document = any_document(&mut random);
            let mut writer = Writer { random: Random(round + 1), text: String::new() };
            writer.value(&document);
            let text = writer.text;
            assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), document, "the writer is right");
            let expected = comparable(&by_tree(&document));
            members += expected.members.len();
            let whole = message(&text);
            assert_eq!(comparable(&whole), expected, "{text}");
            let mut skim = skim();
            let cuts = if round % 10 == 0 { text.len() } else { 20 };
            for cut in 0..=cuts {
                let cut = if cuts == text.len() { cut } else { random.below(text.len()) };
                let (head, tail) = text.as_bytes().split_at(cut);
                skim.push(head);
                skim.push(tail);
                assert_eq!(skim.finish().messages, std::slice::from_ref(&whole), "cut at {cut}: {text}");
            }
            text.as_bytes().chunks(1).for_each(|byte| skim.push(byte));
            assert_eq!(skim.finish().messages, [whole], "byte by byte: {text}");
        }
        assert!(members > 2000, "the documents have members to be found: {members}");
    }

    #[test]
    fn any_bytes_are_survived() {
        let mut random = Random(99);
        let seed = br#"{"id":1,"method":"a","params":{"name":"\u00e9"},"result":{"tools":[{"name":"x"}]}}"#;
        let mut skim = skim();
        for _ in 0..20_000 {
            let mut text = seed.to_vec();
            for _ in 0..=random.below(4) {
                let at = random.below(text.len());
                text[at] = [b'"', b'{', b'}', b'[', b']', b',', b':', b'\\', 0xFF, b'1'][random.below(10)];
            }
            let cut = random.below(text.len());
            skim.push(&text[..cut]);
            skim.push(&text[cut..]);
            let skimmed = skim.finish();
            let accepted = skimmed.fault.is_none() && skimmed.messages.iter().all(|message| message.whole);
            if let Ok(value) = serde_json::from_slice::<Value>(&text) {
                assert!(accepted || !value.is_object(), "{}", text.escape_ascii());
            }
        }
    }

    /// Not a test of anything: prints how fast texts are read (`cargo test --release bench_ -- --nocapture`).
    #[test]
    #[expect(
        clippy::disallowed_methods,
        clippy::print_stdout,
        reason = "measures, and shows what it measured"
    )]
    fn bench_skim() {
        let rounds: u32 = if cfg!(debug_assertions) { 1 } else { 1000 };
        let call = r#"{"method":"tools/call","params":{"name":"echo","arguments":{"text":"hello world"},"_meta":{"progressToken":3}},"jsonrpc":"2.0","id":3}"#;
        let line =
            "some text of a result, with \\\"quotes\\\" in it now and then and lines of fair length\\n";
        let large = format!(
            r#"{{"result":{{"content":[{{"type":"text","text":"{}"}}]}},"id":1}}"#,
            line.repeat(12_000)
        );
        let plain = format!(
            r#"{{"result":{{"content":[{{"type":"image","data":"{}"}}]}},"id":1}}"#,
            "QUJD".repeat(250_000)
        );
        let schema = r#"{"name":"t","inputSchema":{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"number"}}}},"#;
        let list = format!(r#"{{"id":1,"result":{{"tools":[{}{{}}]}}}}"#, schema.repeat(1000));
        let mut skim = skim();
        let mut found = Skimmed::default();
        for (name, text, times) in [
            ("small call", call, rounds * 1000),
            ("text result", &large, rounds),
            ("base64 result", &plain, rounds),
            ("tool list", &list, rounds),
        ] {
            let start = std::time::Instant::now();
            for _ in 0..times {
                skim.push(text.as_bytes());
                skim.finish_into(&mut found);
                assert!(found.messages[0].whole);
            }
            let seconds = start.elapsed().as_secs_f64();
            let (each, all) =
                (f64::from(times) / seconds, f64::from(times) * text.len() as f64 / seconds / 1e6);
            println!("{name:>14}: {each:>9.0} texts/s, {all:>6.0} MB/s");
        }
    }

    #[test]
    fn a_tool_that_was_seen_before_is_what_it_was() {
        let (limits, tool) =
            (Limits::default(), |name: &str| format!(r#"{{"title":"T","name":"{name}","a":[{{}}]}}"#));
        let tools = [&tool("one"), "{\"title\":\"none\"}", &tool("t\\u0077o"), &tool("one"), "7"].join(", ");
        let text = format!(r#"{{"id":1,"result":{{"tools":[{tools}],"nextCursor":"n"}},"jsonrpc":"2.0"}}"#);
        let read = |portion: usize| {
            let mut skim = Skim::new(&limits, true);
            text.as_bytes().chunks(portion).for_each(|part| skim.push(part));
            skim.finish()
        };
        let first = read(7);
        let names: Vec<&str> = first.messages[0].tools.iter().map(|tool| &*tool.name).collect();
        assert_eq!(names, ["one", "two", "one"]);
        assert_eq!(first.messages[0].string(Member::NextCursor), Some("n"));
        for portion in [text.len(), text.len(), 60, 1] {
            assert_eq!(read(portion), first, "in portions of {portion}");
        }
    }
}
