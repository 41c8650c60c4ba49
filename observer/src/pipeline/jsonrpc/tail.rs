//! The last bytes of a text with a hole, in which the `id` may be found: some writers put it last.

use super::Id;

/// Keeps the end of what comes.
#[derive(Debug, Default)]
pub(super) struct Tail(Vec<u8>);

impl Tail {
    /// Adds the next bytes.
    pub(super) fn add(&mut self, bytes: &[u8]) {
        let surplus = (self.0.len() + bytes.len()).saturating_sub(LENGTH);
        self.0.drain(..surplus.min(self.0.len()));
        self.0.extend_from_slice(bytes.get(bytes.len().saturating_sub(LENGTH)..).unwrap_or(bytes));
    }

    /// Forgets all: what comes does not follow directly.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// The id, if the text ends in `,"id":7}` or `,"id":7,"jsonrpc":"2.0"}`. That brace closes the message itself,
    /// so the member is the message's own.
    pub(super) fn id(&self) -> Option<Id> {
        let text = self.0.trim_ascii_end().strip_suffix(b"}")?;
        let key = memchr::memmem::rfind(text, KEY)?;
        text.get(..key)?.trim_ascii_end().strip_suffix(b",")?;
        let value = text.get(key + KEY.len()..)?.trim_ascii_start().strip_prefix(b":")?.trim_ascii();
        let value = without_version(value).unwrap_or(value);
        if value.first() == Some(&b'"') {
            return serde_json::from_slice::<Box<str>>(value).ok().map(Id::String);
        }
        serde_json::from_slice::<serde_json::Number>(value).ok()?;
        std::str::from_utf8(value).ok().map(|number| Id::Number(number.into()))
    }
}

fn without_version(text: &[u8]) -> Option<&[u8]> {
    let text = text.strip_suffix(b"\"2.0\"")?.trim_ascii_end().strip_suffix(b":")?.trim_ascii_end();
    Some(text.strip_suffix(b"\"jsonrpc\"")?.trim_ascii_end().strip_suffix(b",")?.trim_ascii_end())
}

const KEY: &[u8] = b"\"id\"";
/// Room for both members, with an id as long as a UUID and a prefix.
const LENGTH: usize = 96;

#[cfg(test)]
mod tests {
    use super::{Id, Tail};

    fn id(text: &str) -> Option<Id> {
        let mut tail = Tail::default();
        for part in text.as_bytes().chunks(7) {
            tail.add(part);
        }
        tail.id()
    }

    #[test]
    fn the_last_member_is_found() {
        let number = |text: &str| Some(Id::Number(text.into()));
        let filler = "x".repeat(200);
        assert_eq!(id(&format!(r#"{filler}"}}]}},"jsonrpc":"2.0","id":42}}"#)), number("42"));
        assert_eq!(id(r#"}, "id" : -7 , "jsonrpc" : "2.0" } "#), number("-7"));
        assert_eq!(id(r#"},"jsonrpc":"2.0","id":"a\u00e9"}"#), Some(Id::String("aé".into())));
    }

    #[test]
    fn other_ends_give_none() {
        for text in [
            r#"{"id":5}}"#,
            r#""a","id":5}}"#,
            r#","id":null}"#,
            r#","id":5"#,
            r#","id":5]"#,
            r#","id":{"id":5}"#,
            r#"\"id\":5}"#,
            r#","id":5,"x":1}"#,
            r#","id":"5}"#,
            "",
        ] {
            assert_eq!(id(text), None, "{text}");
        }
    }
}
