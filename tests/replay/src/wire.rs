//! Framings that need a writer: HTTP/2, WebSocket, and compressed event streams.

use miniz_oxide::deflate::core::{
    CompressorOxide, TDEFLFlush, compress_to_output, create_comp_flags_from_zip_params,
};

/// One direction of an HTTP/2 connection.
#[derive(Debug, Default)]
pub struct Http2 {
    /// The dynamic table of headers, oldest first.
    table: Vec<(String, String)>,
}

impl Http2 {
    /// What a client sends first.
    pub fn preface(&self) -> Vec<u8> {
        [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(4, 0, 0, &[0, 2, 0, 0, 0, 0])].concat()
    }

    /// What a server sends first.
    pub fn settings(&self) -> Vec<u8> {
        [frame(4, 0, 0, &[0, 3, 0, 0, 0, 100]), frame(4, 1, 0, &[])].concat()
    }

    /// The head of a message. Fields that were sent before are sent as their index.
    pub fn head(&mut self, stream: u32, ends: bool, fields: &[(&str, &str)]) -> Vec<u8> {
        let mut block = Vec::new();
        for &(name, value) in fields {
            let known = self.table.iter().rev().position(|(n, v)| n == name && v == value);
            let index = match (name, value) {
                (":method", "POST") => Some(3),
                (":scheme", "http") => Some(6),
                (":status", "200") => Some(8),
                _ => known.map(|index| 62 + index),
            };
            if let Some(index) = index {
                block.push(0x80 | u8::try_from(index).expect("a small table"));
                continue;
            }
            block.push(0x40);
            for text in [name, value] {
                block.push(u8::try_from(text.len()).expect("a short field"));
                block.extend(text.as_bytes());
            }
            self.table.push((name.to_owned(), value.to_owned()));
        }
        frame(1, 4 | u8::from(ends), stream, &block)
    }

    /// The head of a message's request, with further fields.
    pub fn post(&mut self, stream: u32, fields: &[(&str, &str)]) -> Vec<u8> {
        let own = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", "/mcp"),
            (":authority", "127.0.0.1:8080"),
            ("content-type", "application/json"),
            ("accept", "application/json, text/event-stream"),
        ];
        self.head(stream, false, &[&own[..], fields].concat())
    }

    /// The head of a response.
    pub fn ok(&mut self, stream: u32, kind: &str) -> Vec<u8> {
        self.head(stream, false, &[(":status", "200"), ("content-type", kind)])
    }
}

/// A part of a body, perhaps the last.
pub fn data(stream: u32, ends: bool, body: impl AsRef<[u8]>) -> Vec<u8> {
    frame(0, u8::from(ends), stream, body.as_ref())
}

/// The same with so many bytes behind it that mean nothing.
pub fn padded_data(stream: u32, ends: bool, body: &[u8], padding: u8) -> Vec<u8> {
    let payload = [&[padding], body, &vec![0; usize::from(padding)]].concat();
    frame(0, 8 | u8::from(ends), stream, &payload)
}

/// More may be sent.
pub fn window_update(stream: u32) -> Vec<u8> {
    frame(8, 0, stream, &[0, 1, 0, 0])
}

/// The end of a stream before its time.
pub fn reset(stream: u32) -> Vec<u8> {
    frame(3, 0, stream, &[0, 0, 0, 8])
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).expect("a small payload").to_be_bytes();
    let head = [len[1], len[2], len[3], kind, flags];
    [&head[..], &stream.to_be_bytes(), payload].concat()
}

/// A message of WebSocket, as a client (`masked`) or a server writes it.
pub fn web_socket(masked: bool, text: &str) -> Vec<u8> {
    let mask = if masked { 0x80 } else { 0 };
    let mut bytes = vec![0x81];
    match u8::try_from(text.len()) {
        Ok(len) if len < 126 => bytes.push(mask | len),
        _ => {
            bytes.push(mask | 126);
            bytes.extend(u16::try_from(text.len()).expect("a short text").to_be_bytes());
        }
    }
    let key: [u8; 4] = if masked { [0x37, 0xFA, 0x21, 0x3D] } else { [0; 4] };
    if masked {
        bytes.extend(key);
    }
    bytes.extend(text.bytes().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    bytes
}

/// A body in `gzip`, each part of which can be read as soon as it comes.
pub struct Gzip(CompressorOxide);

impl std::fmt::Debug for Gzip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Gzip")
    }
}

impl Gzip {
    /// An empty body, and the bytes before its first part.
    pub fn new() -> (Self, Vec<u8>) {
        let compressor = CompressorOxide::new(create_comp_flags_from_zip_params(6, -15, 0));
        (Self(compressor), vec![0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3])
    }

    /// The next part, as a chunk.
    pub fn chunk(&mut self, before: &[u8], text: &str) -> Vec<u8> {
        let mut bytes = before.to_vec();
        let mut write = |part: &[u8]| {
            bytes.extend_from_slice(part);
            true
        };
        let _ = compress_to_output(&mut self.0, text.as_bytes(), TDEFLFlush::Sync, &mut write);
        [format!("{:x}\r\n", bytes.len()).as_bytes(), &bytes, b"\r\n"].concat()
    }
}
