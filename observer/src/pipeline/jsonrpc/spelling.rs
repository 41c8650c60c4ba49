//! A value in one spelling: the same bytes for texts that mean the same.

use std::fmt;
use std::ops::Range;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The members of an object that are in `names`, in the order of their names. None of a text that cannot be read.
pub(super) fn of_members(text: &[u8], names: &[&str]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut reader = serde_json::Deserializer::from_slice(text);
    let told = |name: &[u8]| names.iter().any(|told| told.as_bytes() == name);
    Spell { out: &mut out, wanted: &told }.deserialize(&mut reader).ok()?;
    Some(out)
}

/// Writes the value that comes.
struct Spell<'a> {
    out: &'a mut Vec<u8>,
    /// Whether a member of this name is written.
    wanted: &'a dyn Fn(&[u8]) -> bool,
}

/// Writes the name that comes, behind its length.
struct Name<'a>(&'a mut Vec<u8>);

/// Where a member was written.
struct Member {
    name: Range<usize>,
    end: usize,
}

impl Spell<'_> {
    fn number<E: Error>(self, number: impl serde::Serialize) -> Result<(), E> {
        self.out.push(b'n');
        serde_json::to_writer(&mut *self.out, &number).map_err(E::custom)
    }
}

impl<'de> DeserializeSeed<'de> for Spell<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Spell<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.out.push(b'0');
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.out.push(if value { b't' } else { b'f' });
        Ok(())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.number(value)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.number(value)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.number(value)
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        self.out.push(b's');
        write_text(self.out, value);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        self.out.push(b'[');
        while items.next_element_seed(Spell { out: &mut *self.out, wanted: &|_| true })?.is_some() {}
        self.out.push(b']');
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut source: A) -> Result<(), A::Error> {
        self.out.push(b'{');
        let begin = self.out.len();
        let mut members = Vec::new();
        loop {
            let at = self.out.len();
            let Some(()) = source.next_key_seed(Name(self.out))? else { break };
            let name = at + size_of::<u64>()..self.out.len();
            if self.out.get(name.clone()).is_some_and(|name| (self.wanted)(name)) {
                source.next_value_seed(Spell { out: &mut *self.out, wanted: &|_| true })?;
                members.push(Member { name, end: self.out.len() });
            } else {
                let IgnoredAny = source.next_value()?;
                self.out.truncate(at);
            }
        }
        sort(self.out, begin, &mut members);
        self.out.push(b'}');
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<(), E> {
        write_text(self.0, name);
        Ok(())
    }
}

/// The length keeps a text apart from what follows.
fn write_text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&(text.len() as u64).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// Puts the members that are written from `begin` on into the order of their names. Of two with one name the last
/// counts.
fn sort(out: &mut Vec<u8>, begin: usize, members: &mut Vec<Member>) {
    let name = |member: &Member| out.get(member.name.clone()).unwrap_or_default();
    if members.is_sorted_by(|one, other| name(one) < name(other)) {
        return;
    }
    members.reverse();
    members.sort_by(|one, other| name(one).cmp(name(other)));
    members.dedup_by(|later, kept| name(later) == name(kept));
    let mut sorted = Vec::with_capacity(out.len() - begin);
    for member in members {
        let written = member.name.start - size_of::<u64>()..member.end;
        sorted.extend_from_slice(out.get(written).unwrap_or_default());
    }
    out.truncate(begin);
    out.append(&mut sorted);
}

#[cfg(test)]
mod tests {
    use super::of_members;

    fn spell(text: &str) -> Vec<u8> {
        of_members(text.as_bytes(), &["a", "b"]).unwrap()
    }

    #[test]
    fn members_are_sorted_and_the_last_of_a_name_counts() {
        assert_eq!(spell(r#"{"a":{"d":1,"c":[2]},"b":3}"#), spell(r#"{ "b":3, "a":{"c":[2],"d":1} }"#));
        assert_eq!(spell(r#"{"a":1,"b":2,"a":{"x":1,"x":2}}"#), spell(r#"{"b":2,"a":{"x":2}}"#));
        assert_ne!(spell(r#"{"a":1,"a":2}"#), spell(r#"{"a":2,"a":1}"#));
    }

    #[test]
    fn only_what_is_asked_for_counts() {
        assert_eq!(spell(r#"{"c":[{}],"a":{"c":1},"d":"x"}"#), spell(r#"{"a":{"c":1}}"#));
        assert_ne!(spell(r#"{"a":{"c":1}}"#), spell(r#"{"a":{"c":2}}"#), "within, all is");
    }

    #[test]
    fn what_cannot_be_read_has_none() {
        for text in ["{\"a\":1", "{\"a\":\"\\ud83d\"}", ""] {
            assert_eq!(of_members(text.as_bytes(), &["a"]), None, "{text}");
        }
    }
}
