//! Reads `Accept` and `Accept-Encoding` (RFC 9110, 12.5) for the formats that Prometheus knows.

use std::cmp::Reverse;

/// A format of exposition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The text format of Prometheus, 0.0.4: for everybody who does not say otherwise.
    Text,
    /// The same, 1.0.0: names may be quoted. Ours need no quotes, so only the content type differs.
    TextUtf8(Escaping),
    /// OpenMetrics 1.0: exemplars and times of creation.
    OpenMetrics(Escaping),
    /// Messages `io.prometheus.client.MetricFamily`: native histograms too.
    Protobuf(Escaping),
}

/// How names that are more than letters, digits and underscores were to be written. Ours are not more, so that all of
/// these are the same; what the scraper asked for is confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Escaping {
    /// Not said: nothing is confirmed.
    Unsaid,
    /// `allow-utf-8`.
    AllowUtf8,
    /// `underscores`. Also what a scraper gets that asks for `dots`, which would double each underscore.
    Underscores,
    /// `values`.
    Values,
}

impl Escaping {
    fn read(name: Option<&str>) -> Self {
        match name {
            None => Self::Unsaid,
            Some(name) if name.eq_ignore_ascii_case("allow-utf-8") => Self::AllowUtf8,
            Some(name) if name.eq_ignore_ascii_case("values") => Self::Values,
            Some(_) => Self::Underscores,
        }
    }

    const fn suffix(self) -> &'static str {
        match self {
            Self::Unsaid => "",
            Self::AllowUtf8 => "; escaping=allow-utf-8",
            Self::Underscores => "; escaping=underscores",
            Self::Values => "; escaping=values",
        }
    }
}

impl Format {
    /// What a scraper likes best that we have; the text format if it names nothing that we have.
    pub fn preferred(accept: &str) -> Self {
        let mut wishes: Vec<_> =
            accept.split(',').map(Wish::read).filter(|wish| wish.thousandths > 0).collect();
        // A stable sort: of what it likes equally, the first.
        wishes.sort_by_key(|wish| Reverse(wish.thousandths));
        wishes.iter().find_map(Wish::format).unwrap_or(Self::Text)
    }

    /// The content type of a body in this format.
    pub fn content_type(self) -> String {
        let (kind, escaping) = match self {
            Self::Text => ("text/plain; version=0.0.4; charset=utf-8", Escaping::Unsaid),
            Self::TextUtf8(escaping) => ("text/plain; version=1.0.0; charset=utf-8", escaping),
            Self::OpenMetrics(escaping) => {
                ("application/openmetrics-text; version=1.0.0; charset=utf-8", escaping)
            }
            Self::Protobuf(escaping) => (
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited",
                escaping,
            ),
        };
        format!("{kind}{}", escaping.suffix())
    }
}

/// Whether a body may be compressed with gzip.
pub fn takes_gzip(accept_encoding: &str) -> bool {
    let wishes: Vec<_> = accept_encoding.split(',').map(Wish::read).collect();
    let weight = |name: &str| wishes.iter().find(|wish| wish.is(name)).map(|wish| wish.thousandths);
    weight("gzip").or_else(|| weight("x-gzip")).or_else(|| weight("*")).is_some_and(|weight| weight > 0)
}

/// One member of such a header.
struct Wish<'h> {
    name: &'h str,
    parameters: Vec<(&'h str, &'h str)>,
    /// Its `q`.
    thousandths: u16,
}

impl<'h> Wish<'h> {
    fn read(text: &'h str) -> Self {
        let mut parts = text.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let parameters: Vec<_> = parts
            .filter_map(|part| part.split_once('='))
            .map(|(name, value)| (name.trim(), value.trim().trim_matches('"')))
            .collect();
        let mut wish = Self { name, parameters, thousandths: 1000 };
        if let Some(weight) = wish.parameter("q") {
            // What is no number is as bad as can be.
            let weight = weight.parse::<f64>().unwrap_or(0.0).clamp(0.0, 1.0);
            wish.thousandths = (weight * 1000.0).round() as u16;
        }
        wish
    }

    fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    fn parameter(&self, name: &str) -> Option<&'h str> {
        self.parameters.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    }

    fn format(&self) -> Option<Format> {
        let version = self.parameter("version");
        let escaping = Escaping::read(self.parameter("escaping"));
        if self.is("application/vnd.google.protobuf") {
            let is_ours = self.parameter("proto") == Some("io.prometheus.client.MetricFamily")
                && self.parameter("encoding").is_none_or(|encoding| encoding == "delimited");
            return is_ours.then_some(Format::Protobuf(escaping));
        }
        if self.is("application/openmetrics-text") {
            let is_ours = matches!(version, None | Some("1.0.0" | "0.0.1"));
            return is_ours.then_some(Format::OpenMetrics(escaping));
        }
        if self.is("text/plain") && version == Some("1.0.0") {
            return Some(Format::TextUtf8(escaping));
        }
        let is_text = self.is("text/plain") && matches!(version, None | Some("0.0.4"));
        (is_text || self.is("text/*") || self.is("*/*")).then_some(Format::Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROTOBUF: &str =
        "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";

    #[test]
    fn prometheus_gets_what_it_asks_for() {
        let with_native = format!(
            "{PROTOBUF};escaping=allow-utf-8;q=0.7,application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
             application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
             text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
        );
        assert_eq!(Format::preferred(&with_native), Format::Protobuf(Escaping::AllowUtf8));
        let as_usual = with_native.split_once(',').unwrap().1;
        assert_eq!(Format::preferred(as_usual), Format::OpenMetrics(Escaping::AllowUtf8));
        let text = "text/plain;version=1.0.0;escaping=underscores;q=0.4,text/plain;version=0.0.4;q=0.3";
        assert_eq!(Format::preferred(text), Format::TextUtf8(Escaping::Underscores));
    }

    #[test]
    fn weights_and_parameters_count() {
        for (accept, format) in [
            ("", Format::Text),
            ("*/*", Format::Text),
            ("image/png", Format::Text),
            ("text/html, text/*;q=0.2", Format::Text),
            ("text/plain;q=0.1, application/openmetrics-text; q=0.9", Format::OpenMetrics(Escaping::Unsaid)),
            ("application/openmetrics-text;q=0, text/plain", Format::Text),
            ("application/openmetrics-text;version=2.0.0, text/plain;q=0.1", Format::Text),
            ("APPLICATION/OpenMetrics-Text; Version=\"1.0.0\"", Format::OpenMetrics(Escaping::Unsaid)),
            ("application/openmetrics-text;escaping=dots", Format::OpenMetrics(Escaping::Underscores)),
            ("application/openmetrics-text;escaping=values", Format::OpenMetrics(Escaping::Values)),
            ("application/openmetrics-text;q=often, text/plain;q=0.1", Format::Text),
            ("application/vnd.google.protobuf;proto=other.Message;encoding=delimited", Format::Text),
            (
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=text",
                Format::Text,
            ),
            (PROTOBUF, Format::Protobuf(Escaping::Unsaid)),
        ] {
            assert_eq!(Format::preferred(accept), format, "{accept}");
        }
    }

    #[test]
    fn the_content_type_says_what_it_is() {
        assert_eq!(Format::Text.content_type(), "text/plain; version=0.0.4; charset=utf-8");
        assert_eq!(
            Format::OpenMetrics(Escaping::AllowUtf8).content_type(),
            "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8"
        );
        assert!(Format::Protobuf(Escaping::Unsaid).content_type().ends_with("; encoding=delimited"));
    }

    #[test]
    fn gzip_only_for_those_who_take_it() {
        for takes in ["gzip", "deflate, gzip;q=0.5", "*", "GZIP", "identity, x-gzip"] {
            assert!(takes_gzip(takes), "{takes}");
        }
        for takes_not in ["", "identity", "gzip;q=0", "*;q=0", "gzip;q=0, *", "br"] {
            assert!(!takes_gzip(takes_not), "{takes_not}");
        }
    }
}
