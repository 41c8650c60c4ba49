//! Attributes, within their limits.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue};

use super::settings::AttributeLimits;

/// Version 1.44: the last one in which the attribute of the JSON-RPC error code has the name that
/// instrumentations of MCP give it.
pub const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.44.0";

/// Who made the spans: this tells them apart from those of the observed processes themselves.
pub fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: "mcp-observer".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    }
}

/// A list of attributes.
#[derive(Debug)]
pub struct Attributes {
    list: Vec<KeyValue>,
    limits: AttributeLimits,
    dropped: u32,
}

impl Attributes {
    /// None yet.
    pub const fn new(limits: AttributeLimits) -> Self {
        Self { list: Vec::new(), limits, dropped: 0 }
    }

    /// Adds one.
    pub fn put(&mut self, key: &str, value: Value) {
        if self.list.len() >= self.limits.count {
            self.dropped += 1;
        } else {
            let value = Some(AnyValue { value: Some(cut(value, self.limits.length)) });
            self.list.push(KeyValue { key: key.to_owned(), value, ..KeyValue::default() });
        }
    }

    /// Adds a text, unless it is empty.
    pub fn text(&mut self, key: &str, text: &str) {
        if !text.is_empty() {
            self.put(key, Value::StringValue(text.to_owned()));
        }
    }

    /// Adds a text that is known.
    pub fn known(&mut self, key: &str, text: Option<&str>) {
        self.text(key, text.unwrap_or_default());
    }

    /// Adds a number.
    pub fn number(&mut self, key: &str, number: impl TryInto<i64>) {
        self.put(key, Value::IntValue(number.try_into().unwrap_or(i64::MAX)));
    }

    /// Adds a list of texts.
    pub fn texts(&mut self, key: &str, texts: &[String]) {
        let value = |text: &String| AnyValue { value: Some(Value::StringValue(text.clone())) };
        self.put(key, Value::ArrayValue(ArrayValue { values: texts.iter().map(value).collect() }));
    }

    /// Whether there is one with this key.
    pub fn has(&self, key: &str) -> bool {
        self.list.iter().any(|known| known.key == key)
    }

    /// The list, and how many are not in it.
    pub fn finish(self) -> (Vec<KeyValue>, u32) {
        (self.list, self.dropped)
    }
}

/// A value of which no text is longer than `length` characters.
fn cut(value: Value, length: usize) -> Value {
    match value {
        Value::StringValue(mut text) => {
            // No text has more characters than bytes.
            if text.len() > length
                && let Some((end, _)) = text.char_indices().nth(length)
            {
                text.truncate(end);
            }
            Value::StringValue(text)
        }
        Value::ArrayValue(list) => {
            let cut_one = |value: AnyValue| AnyValue { value: value.value.map(|value| cut(value, length)) };
            Value::ArrayValue(ArrayValue { values: list.values.into_iter().map(cut_one).collect() })
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_hold() {
        let mut attributes = Attributes::new(AttributeLimits { length: 2, count: 2 });
        attributes.text("empty", "");
        attributes.text("a", "äöü");
        attributes.texts("b", &["xyz".into(), "z".into()]);
        attributes.number("c", 1);
        let (list, dropped) = attributes.finish();
        assert_eq!((list.len(), dropped), (2, 1));
        assert_eq!(list[0].value.as_ref().unwrap().value, Some(Value::StringValue("äö".into())));
        let Some(Value::ArrayValue(texts)) = list[1].value.clone().unwrap().value else { panic!() };
        assert_eq!(texts.values[0].value, Some(Value::StringValue("xy".into())));
    }
}
