//! A file as the rules see it: its text, and for Rust the same text with comments and literals blanked out.

/// One file.
pub struct Source<'a> {
    /// From the workspace's root, with `/`.
    pub path: &'a str,
    /// All of it.
    pub text: &'a str,
    /// Rust code alone: comments, strings and characters are spaces, lines stay where they are. Empty for other
    /// files.
    pub code: String,
    /// How many lines stand before the tests.
    pub lines_before_tests: usize,
}

impl<'a> Source<'a> {
    /// Reads `text` as the content of `path`.
    pub fn new(path: &'a str, text: &'a str) -> Self {
        let code = if path.ends_with(".rs") { blank(text) } else { String::new() };
        let tests = code.lines().position(|line| line.trim() == "#[cfg(test)]");
        let lines_before_tests = tests.unwrap_or_else(|| text.lines().count());
        Self { path, text, code, lines_before_tests }
    }

    /// Whether this is Rust.
    pub fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Whether the whole file is test code of a package.
    pub fn is_test(&self) -> bool {
        self.path.ends_with("/tests.rs") || self.path.contains("/tests/")
    }

    /// The numbered lines of code that ships.
    pub fn shipped_code(&self) -> impl Iterator<Item = (usize, &str)> {
        numbered(&self.code).take(self.lines_before_tests)
    }

    /// The numbered lines of the text.
    pub fn lines(&self) -> impl Iterator<Item = (usize, &'a str)> {
        numbered(self.text)
    }
}

fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(at, line)| (at + 1, line))
}

/// Replaces comments, strings and characters by spaces, newlines excepted.
fn blank(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    let mut previous = ' ';
    while let Some(first) = rest.chars().next() {
        let inside_word = previous.is_alphanumeric() || previous == '_';
        let length = literal_or_comment(rest, inside_word);
        let (taken, left) = rest.split_at(length.max(first.len_utf8()));
        match length {
            0 => code.push(first),
            _ => code.extend(taken.chars().map(|c| if c == '\n' { '\n' } else { ' ' })),
        }
        previous = if length == 0 { first } else { ' ' };
        rest = left;
    }
    code
}

/// How many bytes of `text` are a comment or literal that begins at its start, 0 if none does.
fn literal_or_comment(text: &str, inside_word: bool) -> usize {
    if text.starts_with("//") {
        return text.find('\n').unwrap_or(text.len());
    }
    if text.starts_with("/*") {
        return block_comment(text);
    }
    if text.starts_with('\'') {
        return character(text);
    }
    if let Some(body) = text.strip_prefix('"') {
        return 1 + quoted(body, '"');
    }
    if inside_word {
        return 0;
    }
    let prefix = ["br", "cr", "r", "b", "c"].into_iter().find(|prefix| opens_string(text, prefix));
    let Some(prefix) = prefix else { return 0 };
    let body = &text[prefix.len()..];
    if !prefix.ends_with('r') {
        return prefix.len() + 1 + quoted(&body[1..], '"');
    }
    let hashes = body.bytes().take_while(|byte| *byte == b'#').count();
    let close = format!("\"{}", "#".repeat(hashes));
    let inner = &body[hashes + 1..];
    let end = inner.find(&close).map_or(inner.len(), |at| at + close.len());
    prefix.len() + hashes + 1 + end
}

fn opens_string(text: &str, prefix: &str) -> bool {
    let Some(body) = text.strip_prefix(prefix) else { return false };
    let body = if prefix.ends_with('r') { body.trim_start_matches('#') } else { body };
    body.starts_with('"')
}

/// Block comments nest.
fn block_comment(text: &str) -> usize {
    let mut depth = 0_usize;
    let bytes = text.as_bytes();
    let mut at = 0;
    while at + 1 < bytes.len() {
        match &bytes[at..at + 2] {
            b"/*" => depth += 1,
            b"*/" => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

/// A character, unless the quote begins a lifetime.
fn character(text: &str) -> usize {
    let body = &text[1..];
    let closes = body.starts_with('\\') || body.chars().nth(1) == Some('\'');
    if closes { 1 + quoted(body, '\'') } else { 0 }
}

/// Bytes up to and with the closing quote.
fn quoted(body: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in body.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    body.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_blanked_and_code_stays() {
        let text = "let a = \"x // y\"; // unwrap()\nlet b = r#\"a \" b\"#; /* c /* d */ e */ f()";
        let code = blank(text);
        assert_eq!(code.len(), text.len());
        let words: Vec<_> = code.split_whitespace().collect();
        assert_eq!(words, ["let", "a", "=", ";", "let", "b", "=", ";", "f()"]);
    }

    #[test]
    fn characters_are_blanked_and_lifetimes_stay() {
        let code = blank(r"fn f<'a>(x: &'a str) { x.split('\'').chain('\n').any('é') } // '");
        assert_eq!(
            code.trim_end(),
            r"fn f<'a>(x: &'a str) { x.split(    ).chain(    ).any(   ) }".trim_end()
        );
    }

    #[test]
    fn a_name_that_ends_in_a_prefix_is_no_string() {
        assert_eq!(blank("attr\"x\"; b\"y\"; cr#\"z\"#"), "attr   ;     ;        ");
    }

    #[test]
    fn the_tests_begin_at_their_marker() {
        let source = Source::new("a.rs", "//! A.\nfn f() {}\n#[cfg(test)]\nmod tests {}\n");
        assert_eq!(source.lines_before_tests, 2);
        assert_eq!(source.shipped_code().count(), 2);
    }
}
