//! A short number for a JSON value, equal for the same value however it is written: other white space, escapes or
//! order of members. It ties messages to each other and is never shown.

use std::fmt;
use std::hash::Hasher;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The digest of the whole value. None of a text that is not one whole value.
pub(super) fn of_value(json: &[u8]) -> Option<u64> {
    serde_json::from_slice::<Value>(json).ok().map(|value| value.0)
}

/// The digest of the names of an object's members.
pub(super) fn of_names(json: &[u8]) -> Option<u64> {
    serde_json::from_slice::<Names>(json).ok().map(|names| names.0)
}

/// The digest of a text, such as a string that was cut.
pub(super) fn of_bytes(bytes: &[u8]) -> u64 {
    let mut hasher = rustc_hash::FxHasher::default();
    hasher.write(bytes);
    mix(hasher.finish())
}

struct Value(u64);
struct Names(u64);
struct Walk;
struct WalkNames;

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Walk).map(Self)
    }
}

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(WalkNames).map(Self)
    }
}

impl<'de> Visitor<'de> for Walk {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<u64, E> {
        Ok(mix(1))
    }

    fn visit_bool<E>(self, value: bool) -> Result<u64, E> {
        Ok(mix(2 + u64::from(value)))
    }

    // Writers differ in `1` and `1.0`.
    fn visit_u64<E>(self, value: u64) -> Result<u64, E> {
        Ok(mix((value as f64).to_bits()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<u64, E> {
        Ok(mix((value as f64).to_bits()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<u64, E> {
        Ok(mix(value.to_bits()))
    }

    fn visit_str<E>(self, value: &str) -> Result<u64, E> {
        Ok(of_bytes(value.as_bytes()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<u64, A::Error> {
        let mut digest = 4;
        while let Some(Value(item)) = items.next_element()? {
            digest = mix(digest ^ item);
        }
        Ok(mix(digest))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<u64, A::Error> {
        let mut digest = 5_u64;
        while let Some(Value(name)) = members.next_key()? {
            let Value(value) = members.next_value()?;
            digest = digest.wrapping_add(mix(name.rotate_left(1) ^ value));
        }
        Ok(mix(digest))
    }
}

impl<'de> Visitor<'de> for WalkNames {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<u64, A::Error> {
        let mut digest = 6_u64;
        while let Some(Value(name)) = members.next_key()? {
            let IgnoredAny = members.next_value()?;
            digest = digest.wrapping_add(name);
        }
        Ok(mix(digest))
    }
}

/// Spreads every bit over all others (the finalizer of SplitMix64).
const fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::{of_names, of_value};

    fn digest(json: &str) -> u64 {
        of_value(json.as_bytes()).unwrap()
    }

    #[test]
    fn how_a_value_is_written_does_not_matter() {
        let one = digest(r#"{"a":"é/","b":[1,{"c":null}],"d":1.0}"#);
        assert_eq!(one, digest(r#"{ "d": 1, "b": [1, {"c": null}], "a": "\u00e9\/" }"#));
    }

    #[test]
    fn what_it_says_does() {
        let texts = [
            r#"{}"#,
            r#"[]"#,
            r#"null"#,
            r#"{"a":"b","c":"d"}"#,
            r#"{"a":"d","c":"b"}"#,
            r#"{"a":{"c":"b"}}"#,
            r#"["a","b"]"#,
            r#"["b","a"]"#,
            r#"true"#,
            r#""""#,
            r#"[[]]"#,
            r#"{"b":"a","c":"d"}"#,
        ];
        let all: std::collections::BTreeSet<u64> = texts.iter().map(|text| digest(text)).collect();
        assert_eq!(all.len(), texts.len());
    }

    #[test]
    fn a_part_of_a_value_has_none() {
        assert_eq!(of_value(br#"{"a":1"#), None);
        assert_eq!(of_value(&[b'['; 1 << 20]), None, "nested without end");
    }

    #[test]
    fn names_are_a_set() {
        let names = |json: &str| of_names(json.as_bytes());
        assert_eq!(names(r#"{"a":1,"b":{"method":"x"}}"#), names(r#"{"b":2,"a":[]}"#));
        assert_ne!(names(r#"{"a":1}"#), names(r#"{"b":1}"#));
        assert_eq!(names("[]"), None);
    }
}
