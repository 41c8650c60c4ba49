//! Reads the `OTEL_*` variables one by one, by the rules of OpenTelemetry's specification.
//!
//! An empty value is as good as none. A number or a word that means nothing is told of, and the default is used. What
//! leaves no default that could be meant (an address, a certificate, a header) ends the program with a sentence.

use std::time::Duration;

/// Variables, and what was wrong with them.
pub struct Environment<'a> {
    look_up: &'a dyn Fn(&str) -> Option<String>,
    /// Sentences on values that mean nothing.
    pub complaints: Vec<String>,
}

impl<'a> Environment<'a> {
    /// The variables that `look_up` knows.
    pub fn new(look_up: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { look_up, complaints: Vec::new() }
    }

    /// The value of `name`, unless it is empty.
    pub fn text(&self, name: &str) -> Option<String> {
        let value = (self.look_up)(name)?;
        let value = value.trim();
        (!value.is_empty()).then(|| value.to_owned())
    }

    /// Whether `name` says `true`.
    pub fn is_true(&mut self, name: &str) -> bool {
        let Some(value) = self.text(name) else { return false };
        let is_true = value.eq_ignore_ascii_case("true");
        if !is_true && !value.eq_ignore_ascii_case("false") {
            self.complain(name, &value, "neither true nor false", "false");
        }
        is_true
    }

    /// A number of at least `least`.
    pub fn number(&mut self, name: &str, least: usize, default: usize) -> usize {
        let Some(value) = self.text(name) else { return default };
        match value.parse::<usize>() {
            Ok(number) if number >= least => number,
            _ => {
                let wanted = format!("no whole number from {least} on");
                self.complain(name, &value, &wanted, &default.to_string());
                default
            }
        }
    }

    /// A number of milliseconds, more than none.
    pub fn milliseconds(&mut self, name: &str, default: u32) -> Duration {
        let default = usize::try_from(default).unwrap_or(usize::MAX);
        Duration::from_millis(self.number(name, 1, default) as u64)
    }

    /// One of the words of a list, by its place in it; the first is the default.
    pub fn word<T: Copy>(&mut self, name: &str, words: &[(&str, T)], default: T) -> T {
        let Some(value) = self.text(name) else { return default };
        if let Some((_, meaning)) = words.iter().find(|(word, _)| *word == value) {
            return *meaning;
        }
        let known = words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
        self.complaints.push(format!("{name}={value} is not one of {known}; the default is used"));
        default
    }

    /// `name=value` pairs with commas between them, percent-decoded. `None`: something is wrong with them.
    pub fn pairs(text: &str) -> Option<Vec<(String, String)>> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let pair = |part: &str| {
            let (name, value) = part.split_once('=')?;
            let name = decode(name.trim())?;
            (!name.is_empty()).then_some((name, decode(value.trim())?))
        };
        parts.map(pair).collect()
    }

    /// Notes a value that means nothing.
    pub fn complain(&mut self, name: &str, value: &str, what: &str, used: &str) {
        self.complaints.push(format!("{name}={value} is {what}; {used} is used"));
    }
}

/// Undoes percent-encoding. `None`: it is broken, or no text comes out.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                u8::try_from(digit()? << 4 | digit()?).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_by_the_rules() {
        let look_up = |name: &str| match name {
            "EMPTY" => Some(String::new()),
            "NUMBER" => Some(" 42 ".into()),
            "WRONG" => Some("soon".into()),
            "YES" => Some("True".into()),
            _ => None,
        };
        let mut environment = Environment::new(&look_up);
        assert_eq!(environment.text("EMPTY"), None);
        assert_eq!(environment.number("NUMBER", 1, 7), 42);
        assert!(environment.is_true("YES") && !environment.is_true("EMPTY"));
        assert!(environment.complaints.is_empty());
        assert_eq!(environment.milliseconds("WRONG", 7), Duration::from_millis(7));
        assert_eq!(environment.word("WRONG", &[("a", 1), ("b", 2)], 2), 2);
        assert_eq!(
            environment.complaints,
            [
                "WRONG=soon is no whole number from 1 on; 7 is used",
                "WRONG=soon is not one of a, b; the default is used"
            ]
        );
    }

    #[test]
    fn pairs_are_decoded_and_one_wrong_one_spoils_all() {
        let pairs = |text| Environment::pairs(text);
        let own =
            |pairs: &[(&str, &str)]| Some(pairs.iter().map(|(a, b)| ((*a).into(), (*b).into())).collect());
        assert_eq!(pairs("a=1, b = x%2Cy%3D ,"), own(&[("a", "1"), ("b", "x,y=")]));
        assert_eq!(pairs(""), own(&[]));
        for wrong in ["a", "=1", "a=%4", "a=%zz", "a=%ff"] {
            assert_eq!(pairs(wrong), None, "{wrong}");
        }
    }
}
