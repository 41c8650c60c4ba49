//! Which way an HTTP request shows who asks: what the shape of its `Authorization` header tells, and nothing of its
//! value.

/// How a request shows who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// A token with the three parts of a JSON Web Token.
    BearerJwt,
    /// Any other token.
    Bearer,
    /// Name and password.
    Basic,
    /// Another scheme.
    Other,
    /// Not at all.
    None,
}

impl Scheme {
    /// The value of `scheme`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::BearerJwt => "bearer_jwt",
            Self::Bearer => "bearer",
            Self::Basic => "basic",
            Self::Other => "other",
            Self::None => "none",
        }
    }

    /// The scheme with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        let all = [Self::BearerJwt, Self::Bearer, Self::Basic, Self::Other, Self::None];
        all.into_iter().find(|scheme| scheme.name() == name)
    }

    /// The scheme of a header's value.
    pub fn of(value: &[u8]) -> Self {
        let value = value.trim_ascii();
        let end = value.iter().position(|byte| matches!(byte, b' ' | b'\t'));
        let (scheme, rest) = value.split_at_checked(end.unwrap_or(value.len())).unwrap_or_default();
        let is = |name: &str| scheme.eq_ignore_ascii_case(name.as_bytes());
        match () {
            () if is("bearer") && is_jwt(rest.trim_ascii()) => Self::BearerJwt,
            () if is("bearer") => Self::Bearer,
            () if is("basic") => Self::Basic,
            () if value.is_empty() => Self::None,
            () => Self::Other,
        }
    }
}

/// Whether a token looks like a JSON Web Token (RFC 7519): three parts of base64url, the first an object (`{"`).
fn is_jwt(token: &[u8]) -> bool {
    let is_coded = |part: &[u8]| part.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    let mut parts = token.split(|byte| *byte == b'.');
    let (head, claims, signature) = (parts.next(), parts.next(), parts.next());
    let is_object = head.is_some_and(|head| head.starts_with(b"eyJ") && is_coded(head));
    let rest = [claims, signature].map(|part| part.is_some_and(|part| !part.is_empty() && is_coded(part)));
    is_object && rest == [true; 2] && parts.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::Scheme;

    #[test]
    fn the_shape_tells_the_scheme() {
        for (value, scheme) in [
            ("Bearer eyJhbGciOi.eyJzdWIi.c2ln-_", Scheme::BearerJwt),
            ("bearer  eyJhbGciOi.eyJzdWIi.c2ln", Scheme::BearerJwt),
            ("Bearer eyJhbGciOi.eyJzdWIi", Scheme::Bearer),
            ("Bearer eyJhbGciOi.eyJzdWIi.", Scheme::Bearer),
            ("Bearer eyJhbGciOi.e.k.i.s", Scheme::Bearer),
            ("Bearer eyJhbGciOi.ey J.c2ln", Scheme::Bearer),
            ("Bearer ghp_abcdef", Scheme::Bearer),
            ("BEARER", Scheme::Bearer),
            ("Basic dXNlcjpwYXNz", Scheme::Basic),
            ("DPoP eyJhbGciOi.eyJzdWIi.c2ln", Scheme::Other),
            ("a-token-without-a-scheme", Scheme::Other),
            ("  ", Scheme::None),
        ] {
            assert_eq!(Scheme::of(value.as_bytes()), scheme, "{value}");
            assert_eq!(Scheme::from_name(scheme.name()), Some(scheme));
        }
    }
}
