//! The transport of 2024: answers come on an event stream, requests are posted to an address that its first
//! event names.
//!
//! Source: MCP 2024-11-05, "HTTP with SSE". The name of the query parameter with the session differs between
//! SDKs, so the whole target is the key.

/// The path and query of an endpoint event's text, which is an absolute URI, an absolute path, or a path
/// relative to that of the event stream.
pub fn endpoint_target(text: &str, stream_target: &str) -> String {
    let text = text.trim();
    if let Some((_, rest)) = text.split_once("://") {
        return rest
            .find('/')
            .map_or_else(|| "/".to_owned(), |slash| rest.get(slash..).unwrap_or("/").to_owned());
    }
    if text.starts_with('/') {
        return text.to_owned();
    }
    let path = stream_target.split(['?', '#']).next().unwrap_or("/");
    if text.starts_with('?') {
        return format!("{path}{text}");
    }
    let folder = path.rfind('/').and_then(|slash| path.get(..=slash)).unwrap_or("/");
    format!("{folder}{text}")
}

#[cfg(test)]
mod tests {
    use super::endpoint_target;

    #[test]
    fn every_form_of_an_endpoint_gives_the_target_of_its_posts() {
        for (text, target) in [
            ("/message?sessionId=1", "/message?sessionId=1"),
            ("http://localhost:8000/message?s=1", "/message?s=1"),
            ("https://example.org", "/"),
            ("message?s=1", "/api/message?s=1"),
            ("?sessionid=ABC", "/api/sse?sessionid=ABC"),
        ] {
            assert_eq!(endpoint_target(text, "/api/sse?x=y"), target, "{text}");
        }
    }
}
