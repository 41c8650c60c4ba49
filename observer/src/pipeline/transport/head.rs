//! The heads of HTTP/1 messages: what is kept of them, and how they say where the body ends.

use super::authorization::Scheme;
use super::coding::Codings;
use super::{Field, Fields, RequestHead, ResponseHead};
use crate::pipeline::limits::Limits;
use crate::pipeline::reassembly::Mark;

/// How a message's head frames its body, method and status left aside.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Delimiters {
    /// `Content-Length`.
    pub(super) length: Option<u64>,
    /// `Transfer-Encoding` is there.
    pub(super) coded: bool,
    /// `Transfer-Encoding` ends in `chunked`.
    pub(super) chunked: bool,
    /// How the content is compressed.
    pub(super) codings: Codings,
}

/// Reads a complete request head. `None`: it is none.
pub(super) fn request(bytes: &[u8], first_byte: Mark, limits: &Limits) -> Option<(RequestHead, Delimiters)> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    parsed.parse(bytes).ok()?.is_complete().then_some(())?;
    let (fields, delimiters) = read_fields(parsed.headers, limits)?;
    let head = RequestHead {
        first_byte: Some(first_byte),
        method: cut(parsed.method?, limits.kept_bytes).into(),
        target: cut(parsed.path?, limits.kept_bytes).into(),
        fields,
        damaged: false,
    };
    Some((head, delimiters))
}

/// Reads a complete response head. `None`: it is none.
pub(super) fn response(
    bytes: &[u8],
    first_byte: Mark,
    limits: &Limits,
) -> Option<(ResponseHead, Delimiters)> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut parsed = httparse::Response::new(&mut headers);
    parsed.parse(bytes).ok()?.is_complete().then_some(())?;
    let (fields, delimiters) = read_fields(parsed.headers, limits)?;
    Some((
        ResponseHead { first_byte: Some(first_byte), status: parsed.code?, fields, damaged: false },
        delimiters,
    ))
}

fn read_fields(headers: &[httparse::Header<'_>], limits: &Limits) -> Option<(Fields, Delimiters)> {
    let mut fields = Fields::default();
    let mut delimiters = Delimiters::default();
    for header in headers {
        delimiters.read(header)?;
        if let Some(Name::Kept(field, form)) = Name::kept(header.name.as_bytes(), &limits.kept_headers) {
            fields.add(field, &form.apply(header.value, limits.kept_bytes));
        }
    }
    Some((fields, delimiters))
}

impl Delimiters {
    /// `None`: the framing is contradictory.
    fn read(&mut self, header: &httparse::Header<'_>) -> Option<()> {
        let named = |name: &str| header.name.eq_ignore_ascii_case(name);
        if !(named("content-length") || named("transfer-encoding") || named("content-encoding")) {
            return Some(());
        }
        let value = std::str::from_utf8(header.value).ok()?;
        let codings = || value.split(',').map(str::trim).filter(|coding| !coding.is_empty());
        if named("content-length") {
            // The same length may be repeated, in one field or several.
            for length in codings() {
                let length = length.parse().ok()?;
                if self.length.replace(length).is_some_and(|other| other != length) {
                    return None;
                }
            }
        } else {
            self.codings.add(value);
            if named("transfer-encoding") {
                self.coded = true;
                self.chunked =
                    codings().next_back().is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"));
            }
        }
        Some(())
    }
}

/// How a header value is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// As it is.
    AsIs,
    /// In lower case.
    LowerCase,
    /// In lower case, up to the parameters.
    MediaType,
    /// The name of its [`Scheme`]: the rest is a secret.
    Scheme,
}

impl Form {
    fn apply(self, value: &[u8], limit: usize) -> Box<str> {
        if self == Self::Scheme {
            return Scheme::of(value).name().into();
        }
        let value = String::from_utf8_lossy(value);
        let value = value.trim();
        let kept = match self {
            Self::AsIs | Self::Scheme => return cut(value, limit).into(),
            Self::LowerCase => value.to_ascii_lowercase(),
            Self::MediaType => value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase(),
        };
        cut(&kept, limit).into()
    }
}

/// What a header field is kept as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    /// Not at all.
    Other,
    /// `:method` of HTTP/2.
    Method,
    /// `:path` of HTTP/2.
    Target,
    /// `:status` of HTTP/2.
    Status,
    /// A field.
    Kept(Field, Form),
}

impl Name {
    /// The name of a field of HTTP/2, which is in lower case.
    pub(super) fn of(name: &[u8], chosen: &[Box<str>]) -> Self {
        match name {
            b":method" => Self::Method,
            b":path" => Self::Target,
            b":status" => Self::Status,
            b":authority" => Self::Kept(Field::Host, Form::AsIs),
            _ => Self::kept(name, chosen).unwrap_or(Self::Other),
        }
    }

    fn kept(name: &[u8], chosen: &[Box<str>]) -> Option<Self> {
        let same = |kept: &&(&str, Field, Form)| kept.0.as_bytes().eq_ignore_ascii_case(name);
        if let Some(&(_, field, form)) = KEPT.iter().find(same) {
            return Some(Self::Kept(field, form));
        }
        let place = chosen.iter().position(|kept| kept.as_bytes().eq_ignore_ascii_case(name))?;
        Some(Self::Kept(Field::Chosen(u8::try_from(place).ok()?), Form::AsIs))
    }

    /// What is kept of a value.
    pub(super) fn value(self, value: &[u8], limit: usize) -> Box<str> {
        match self {
            Self::Other => Box::default(),
            Self::Method | Self::Target | Self::Status => Form::AsIs.apply(value, limit),
            Self::Kept(_, form) => form.apply(value, limit),
        }
    }
}

/// The field as which a header that the user asks for is kept.
pub(super) fn field(name: &str, place: u8) -> Field {
    KEPT.iter().find(|kept| kept.0 == name).map_or(Field::Chosen(place), |&(_, field, _)| field)
}

/// The start of `text`, at most `limit` bytes, ending between two characters.
fn cut(text: &str, limit: usize) -> &str {
    let end = (0..=limit.min(text.len())).rev().find(|&end| text.is_char_boundary(end));
    text.get(..end.unwrap_or(0)).unwrap_or_default()
}

static KEPT: &[(&str, Field, Form)] = &[
    ("host", Field::Host, Form::AsIs),
    ("content-type", Field::ContentType, Form::MediaType),
    ("content-encoding", Field::ContentEncoding, Form::LowerCase),
    ("accept", Field::Accept, Form::LowerCase),
    ("mcp-session-id", Field::SessionId, Form::AsIs),
    ("mcp-protocol-version", Field::ProtocolVersion, Form::AsIs),
    ("mcp-method", Field::McpMethod, Form::AsIs),
    ("mcp-name", Field::McpName, Form::AsIs),
    ("last-event-id", Field::LastEventId, Form::AsIs),
    ("traceparent", Field::TraceParent, Form::AsIs),
    ("authorization", Field::AuthorizationScheme, Form::Scheme),
    ("expect", Field::Expect, Form::LowerCase),
    ("upgrade", Field::Upgrade, Form::LowerCase),
    ("sec-websocket-extensions", Field::WebSocketExtensions, Form::LowerCase),
];

/// More header fields than common servers accept (100 in Node's, hyper's and Apache's defaults).
const MOST_HEADERS: usize = 128;
