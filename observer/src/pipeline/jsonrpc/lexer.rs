//! An incremental JSON tokenizer: bytes in any portions, no memory of what is not asked for.
//!
//! The order of tokens is checked in full, except in what is skipped. Within a token it is lenient where that costs nothing to a reader of
//! known members: a number is any run of the characters of numbers, and strings may hold control characters and bytes
//! that are not UTF-8.

use super::block::{PART, first_of};
use super::skip::{Progress, Skip};
use super::text::Text;

/// What came next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// The bytes are used up.
    More,
    Key(Whole<'a>),
    /// An object begins.
    Object,
    /// An array begins.
    Array,
    /// The innermost object or array ends.
    Close,
    /// One that was skipped ends.
    SkippedClose,
    String(Whole<'a>),
    Number(Whole<'a>),
    True,
    False,
    Null,
    /// Something behind the end of the document.
    Trailing,
    /// Nested too deeply.
    TooDeep,
    /// This is not JSON.
    Bad,
}

/// The text of a key, string or number that came in one piece and as it is. Of any other as much is collected as is
/// wanted, see [`Lexer::bytes`] and [`Lexer::text`].
pub(super) type Whole<'a> = Option<&'a [u8]>;

/// The tokenizer of one document at a time.
#[derive(Debug)]
pub(super) struct Lexer {
    state: State,
    nesting: Nesting,
    text: Text,
    longest_key: usize,
    /// How much is kept of the next string or number; nothing if zero.
    wanted: usize,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// A value must follow.
    Value,
    /// A value or the end of the array.
    FirstItem,
    /// A key must follow.
    Key,
    /// A key or the end of the object.
    FirstKey,
    Colon,
    /// A comma or the end of the object or array.
    Comma,
    InKey,
    InString,
    InNumber,
    /// What is still to come of a literal, and what it means.
    InLiteral(&'static [u8], Token<'static>),
    /// In an object or array of which nothing is wanted.
    Skipping(Skip),
    Done,
}

impl Lexer {
    /// Before a document nested at most `most` deep, of which keys up to `longest_key` bytes matter.
    pub(super) fn new(most: usize, longest_key: usize) -> Self {
        let nesting = Nesting { objects: Vec::new(), depth: 0, most };
        let text = Text::default();
        Self { state: State::Value, nesting, text, longest_key, wanted: 0 }
    }

    /// Begins another document.
    pub(super) fn restart(&mut self) {
        self.state = State::Value;
        self.nesting.depth = 0;
        self.wanted = 0;
    }

    /// Whether the document is complete.
    pub(super) const fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Of the strings and numbers to come, `limit` bytes are wanted.
    pub(super) const fn want(&mut self, limit: usize) {
        self.wanted = limit;
    }

    /// Nothing is wanted of the object or array that has just begun.
    pub(super) const fn skip(&mut self) {
        self.state = State::Skipping(Skip::new());
    }

    /// What is behind the object that has just begun, if its end is in `rest`.
    pub(super) fn behind_object<'a>(&self, mut rest: &'a [u8]) -> Option<&'a [u8]> {
        let most = (self.nesting.most + 1).saturating_sub(self.nesting.depth);
        (Skip::new().push(&mut rest, most) == Progress::Done).then_some(rest)
    }

    /// The object that has just begun has been read.
    pub(super) fn leave_object(&mut self) {
        self.nesting.close();
        self.value_end();
    }

    /// The text of a key, string or number; not of one that is longer than any that matters.
    pub(super) fn bytes<'a>(&'a self, whole: Whole<'a>) -> Option<&'a [u8]> {
        whole.or_else(|| self.text.uncut())
    }

    /// The text of the string or number, as much of it as is wanted.
    pub(super) fn text(&mut self, whole: Whole<'_>) -> Box<str> {
        match whole {
            Some(text) if text.len() <= self.wanted => match std::str::from_utf8(text) {
                Ok(text) => text.into(),
                Err(_) => String::from_utf8_lossy(text).into(),
            },
            Some(text) => {
                self.text.begin(self.wanted);
                self.text.add(text);
                self.text.read()
            }
            None => self.text.read(),
        }
    }

    /// Reads up to the next token.
    #[inline(always)]
    pub(super) fn next<'a>(&mut self, rest: &mut &'a [u8]) -> Token<'a> {
        loop {
            let token = match self.state {
                State::InKey => self.string(rest, Token::Key(None)),
                State::InString => self.string(rest, Token::String(None)),
                State::InNumber => self.number(rest),
                State::InLiteral(expected, token) => self.literal(rest, expected, token),
                State::Skipping(skip) => self.skipped(rest, skip),
                _ => self.punctuation(rest),
            };
            if let Some(token) = token {
                return token;
            }
        }
    }

    fn skipped(&mut self, rest: &mut &[u8], mut skip: Skip) -> Option<Token<'static>> {
        // Its own bracket is one of those that are open.
        let most = (self.nesting.most + 1).saturating_sub(self.nesting.depth);
        match skip.push(rest, most) {
            Progress::More => {
                self.state = State::Skipping(skip);
                Some(Token::More)
            }
            Progress::TooDeep => Some(Token::TooDeep),
            Progress::Done => {
                self.nesting.close();
                self.value_end();
                Some(Token::SkippedClose)
            }
        }
    }

    fn punctuation<'a>(&mut self, rest: &mut &'a [u8]) -> Option<Token<'a>> {
        let (byte, all) = loop {
            let all = *rest;
            let Some((&byte, behind)) = all.split_first() else { return Some(Token::More) };
            *rest = behind;
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                break (byte, all);
            }
        };
        match (self.state, byte) {
            (State::Value | State::FirstItem, _) => return self.value(byte, all, rest),
            (State::Key | State::FirstKey, b'"') => {
                if let Some(key) = whole_string(rest) {
                    self.state = State::Colon;
                    if let [b':', behind @ ..] = rest {
                        (*rest, self.state) = (behind, State::Value);
                    }
                    return Some(Token::Key(Some(key)));
                }
                self.text.begin(self.longest_key);
                self.state = State::InKey;
            }
            (State::Colon, b':') => self.state = State::Value,
            (State::Comma, b',') => {
                self.state = if self.nesting.in_object() { State::Key } else { State::Value };
            }
            (State::FirstKey, b'}') => return self.close(),
            (State::Comma, b'}') if self.nesting.in_object() => return self.close(),
            (State::Comma, b']') if !self.nesting.in_object() => return self.close(),
            (State::Done, _) => return Some(Token::Trailing),
            _ => return Some(Token::Bad),
        }
        None
    }

    /// A value begins with `byte`, the first of `all`.
    fn value<'a>(&mut self, byte: u8, all: &'a [u8], rest: &mut &'a [u8]) -> Option<Token<'a>> {
        match byte {
            b'"' => {
                if let Some(text) = whole_string(rest) {
                    return self.end(Token::String(Some(text)));
                }
                self.text.begin(self.wanted);
                self.state = State::InString;
            }
            b'{' | b'[' => return self.open(byte == b'{'),
            b'-' | b'0'..=b'9' => {
                if let Some(number) = whole_number(all) {
                    *rest = all.get(number.len()..).unwrap_or_default();
                    return self.end(Token::Number(Some(number)));
                }
                self.text.begin(self.wanted);
                self.text.add(&[byte]);
                self.state = State::InNumber;
            }
            b't' => self.state = State::InLiteral(b"rue", Token::True),
            b'f' => self.state = State::InLiteral(b"alse", Token::False),
            b'n' => self.state = State::InLiteral(b"ull", Token::Null),
            b']' if matches!(self.state, State::FirstItem) => return self.close(),
            _ => return Some(Token::Bad),
        }
        None
    }

    fn open(&mut self, object: bool) -> Option<Token<'static>> {
        if !self.nesting.open(object) {
            return Some(Token::TooDeep);
        }
        self.state = if object { State::FirstKey } else { State::FirstItem };
        Some(if object { Token::Object } else { Token::Array })
    }

    fn close(&mut self) -> Option<Token<'static>> {
        self.nesting.close();
        self.value_end();
        Some(Token::Close)
    }

    const fn value_end(&mut self) {
        self.state = if self.nesting.depth == 0 { State::Done } else { State::Comma };
    }

    fn end<'a>(&mut self, token: Token<'a>) -> Option<Token<'a>> {
        self.value_end();
        Some(token)
    }

    fn string(&mut self, rest: &mut &[u8], token: Token<'static>) -> Option<Token<'static>> {
        while self.text.is_escaping() {
            let Some((&byte, behind)) = rest.split_first() else { return Some(Token::More) };
            *rest = behind;
            if !self.text.escaped(byte) {
                return Some(Token::Bad);
            }
        }
        let Some((plain, behind)) = find_special(rest).and_then(|at| rest.split_at_checked(at)) else {
            self.text.add(rest);
            *rest = &[];
            return Some(Token::More);
        };
        self.text.add(plain);
        let (&byte, behind) = behind.split_first()?;
        *rest = behind;
        if byte == b'\\' {
            self.text.begin_escape();
            return None;
        }
        if matches!(token, Token::Key(_)) {
            self.state = State::Colon;
            return Some(token);
        }
        self.end(token)
    }

    fn number(&mut self, rest: &mut &[u8]) -> Option<Token<'static>> {
        let end = rest.iter().position(|byte| !is_of_number(*byte));
        let (run, behind) = rest.split_at_checked(end.unwrap_or(rest.len()))?;
        self.text.add(run);
        *rest = behind;
        if end.is_none() {
            return Some(Token::More);
        }
        self.end(Token::Number(None))
    }

    fn literal(
        &mut self,
        rest: &mut &[u8],
        mut expected: &'static [u8],
        token: Token<'static>,
    ) -> Option<Token<'static>> {
        while let Some((wanted, left)) = expected.split_first() {
            let Some((byte, behind)) = rest.split_first() else {
                self.state = State::InLiteral(expected, token);
                return Some(Token::More);
            };
            if byte != wanted {
                return Some(Token::Bad);
            }
            (*rest, expected) = (behind, left);
        }
        self.end(token)
    }
}

/// The text up to the closing quote, if that is there and nothing is escaped before it.
fn whole_string<'a>(rest: &mut &'a [u8]) -> Whole<'a> {
    let (text, behind) = rest.split_at_checked(find_special(rest)?)?;
    *rest = behind.strip_prefix(b"\"")?;
    Some(text)
}

/// The number at the start, if its end is there.
fn whole_number(bytes: &[u8]) -> Whole<'_> {
    bytes.get(..bytes.iter().position(|byte| !is_of_number(*byte))?)
}

const fn is_of_number(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'.' | b'-' | b'+' | b'e' | b'E')
}

/// The next quote or backslash. Most keys and many values are short: they are not worth a call.
fn find_special(bytes: &[u8]) -> Option<usize> {
    match bytes.split_first_chunk::<PART>() {
        None => bytes.iter().position(|byte| matches!(byte, b'"' | b'\\')),
        Some((start, rest)) => {
            first_of(start, b'"', b'\\').or_else(|| memchr::memchr2(b'"', b'\\', rest).map(|at| at + PART))
        }
    }
}

/// Which of the open levels are objects, one bit each.
#[derive(Debug)]
struct Nesting {
    objects: Vec<u64>,
    depth: usize,
    most: usize,
}

impl Nesting {
    /// Returns whether there is room for another level.
    fn open(&mut self, object: bool) -> bool {
        if self.depth >= self.most {
            return false;
        }
        let (word, bit) = (self.depth / 64, 1 << (self.depth % 64));
        if word >= self.objects.len() {
            self.objects.push(0);
        }
        if let Some(word) = self.objects.get_mut(word) {
            *word = if object { *word | bit } else { *word & !bit };
        }
        self.depth += 1;
        true
    }

    const fn close(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }

    fn in_object(&self) -> bool {
        let level = self.depth.wrapping_sub(1);
        self.objects.get(level / 64).is_some_and(|word| word & 1 << (level % 64) != 0)
    }
}
