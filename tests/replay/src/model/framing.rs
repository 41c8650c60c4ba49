//! HTTP as bytes: exchanges in HTTP/1.1 or in HTTP/2.

use super::packed::Packed;
use super::random::Random;
use crate::wire;

/// What one end of a connection writes.
#[derive(Debug)]
pub enum Framing {
    /// One exchange at a time.
    Http1,
    /// Many, each on its stream.
    Http2(wire::Http2),
}

/// The longest payload of a frame that needs no agreement.
const LONGEST_FRAME: usize = 16_384;

impl Framing {
    /// The head of a request, with a body or without one.
    pub fn request(
        &mut self,
        stream: u32,
        (method, target): (&str, &str),
        fields: &[(&str, &str)],
        body: Option<&str>,
        random: &mut Random,
    ) -> Packed {
        match self {
            Self::Http1 => {
                let length = body.unwrap_or_default().len().to_string();
                let length = body.map(|_| ("content-length", &*length));
                let head = head(&format!("{method} {target} HTTP/1.1"), fields.iter().copied().chain(length));
                match body {
                    Some(text) => Packed::new(text.into(), text).behind(&head),
                    None => Packed::whole(head),
                }
            }
            Self::Http2(http2) => {
                let own = [(":method", method), (":scheme", "http"), (":path", target)];
                let head = http2.head(stream, body.is_none(), &[&own, fields].concat());
                match body {
                    Some(text) => data(stream, true, &Packed::new(text.into(), text), random).behind(&head),
                    None => Packed::whole(head),
                }
            }
        }
    }

    /// A response with a body.
    pub fn response(
        &mut self,
        stream: u32,
        fields: &[(&str, &str)],
        body: Packed,
        random: &mut Random,
    ) -> Packed {
        match self {
            Self::Http1 => {
                let length = body.bytes.len().to_string();
                let fields = fields.iter().copied().chain([("content-length", &*length)]);
                body.behind(&head("HTTP/1.1 200 OK", fields))
            }
            Self::Http2(http2) => {
                let head = http2.head(stream, false, &[&[(":status", "200")], fields].concat());
                data(stream, true, &body, random).behind(&head)
            }
        }
    }

    /// A response without one.
    pub fn status(&mut self, stream: u32, status: &str) -> Packed {
        Packed::whole(match self {
            Self::Http1 => head(&format!("HTTP/1.1 {status}"), [("content-length", "0")]),
            Self::Http2(http2) => http2.head(stream, true, &[(":status", &status[..3])]),
        })
    }

    /// The head of a response whose body comes in parts.
    pub fn begin(&mut self, stream: u32, fields: &[(&str, &str)]) -> Packed {
        Packed::whole(match self {
            Self::Http1 => {
                let chunked = [("transfer-encoding", "chunked")];
                head("HTTP/1.1 200 OK", fields.iter().copied().chain(chunked))
            }
            Self::Http2(http2) => http2.head(stream, false, &[&[(":status", "200")], fields].concat()),
        })
    }

    /// A part of a body.
    pub fn part(&self, stream: u32, part: Packed, random: &mut Random) -> Packed {
        match self {
            Self::Http1 => {
                let size = format!("{:x}\r\n", part.bytes.len());
                part.behind(size.as_bytes()).before(b"\r\n")
            }
            Self::Http2(_) => {
                let part = data(stream, false, &part, random);
                if random.one_in(6) { part.behind(&wire::window_update(stream)) } else { part }
            }
        }
    }

    /// The end of a body in parts; `rest` are its last bytes.
    pub fn end(&self, stream: u32, rest: &[u8]) -> Packed {
        Packed::whole(match self {
            Self::Http1 if rest.is_empty() => b"0\r\n\r\n".to_vec(),
            Self::Http1 => [format!("{:x}\r\n", rest.len()).as_bytes(), rest, b"\r\n0\r\n\r\n"].concat(),
            Self::Http2(_) => wire::data(stream, true, rest),
        })
    }
}

fn head<'a>(first: &str, fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<u8> {
    let fields: String = fields.into_iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("{first}\r\n{fields}\r\n").into_bytes()
}

/// A body in one or some frames, some of them padded. What belongs to the text is told anew.
fn data(stream: u32, ends: bool, body: &Packed, random: &mut Random) -> Packed {
    let (mut bytes, mut places, mut from) = (Vec::new(), Vec::new(), 0);
    let len = body.bytes.len();
    let ends_apart = ends && random.one_in(4);
    while from < len {
        let most = LONGEST_FRAME.min(len - from);
        let count = if random.one_in(4) { 1 + random.below(most) } else { most };
        let ends_here = ends && !ends_apart && from + count == len;
        let part = &body.bytes[from..from + count];
        let padding = random.one_in(8).then(|| random.below(20) as u8);
        let padding = padding.filter(|padding| count + usize::from(*padding) < LONGEST_FRAME);
        let start = bytes.len() + if padding.is_some() { 10 } else { 9 };
        places.push((from, start));
        bytes.extend(match padding {
            Some(padding) => wire::padded_data(stream, ends_here, part, padding),
            None => wire::data(stream, ends_here, part),
        });
        from += count;
    }
    if ends_apart {
        bytes.extend(wire::data(stream, true, []));
    }
    let place = |offset: usize| {
        let index = places.partition_point(|(from, _)| *from <= offset) - 1;
        let (from, start) = places[index];
        start + offset - from
    };
    let solid = body.solid.iter().map(|range| place(range.start)..place(range.end - 1) + 1).collect();
    Packed { text: body.text.map(place), solid, bytes }
}
