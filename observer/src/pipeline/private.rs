//! Payload that must not leave the process unless the user asked for it.

use std::fmt;

/// A value whose debug output shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Private<T>(T);

impl<T> Private<T> {
    /// Marks `value` as payload.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The payload, for an exporter whose user asked for it (`--payloads`).
    pub const fn reveal(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Private<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<private>")
    }
}

#[cfg(test)]
mod tests {
    use super::Private;

    #[test]
    fn debug_output_shows_nothing() {
        assert_eq!(format!("{:?}", Private::new("secret")), "<private>");
    }
}
