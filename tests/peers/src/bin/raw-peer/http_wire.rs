//! HTTP/1.1 by hand: heads, bodies of known length, chunked bodies, events.

use std::io::{BufRead, Read, Write};

use anyhow::{Context, Result, bail};

/// A request or a response without its body.
#[derive(Debug)]
pub struct Head {
    /// Request or status line.
    pub first: String,
    headers: Vec<(String, String)>,
}

impl Head {
    /// Reads a head, or none where the connection has ended.
    pub fn read(reader: &mut impl BufRead) -> Result<Option<Self>> {
        let Some(first) = line(reader)? else { return Ok(None) };
        let mut headers = Vec::new();
        while let Some(text) = line(reader)?.filter(|text| !text.is_empty()) {
            let (name, value) = text.split_once(':').context("a header without a colon")?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        Ok(Some(Self { first, headers }))
    }

    /// The value of a header, by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The status of a response.
    pub fn status(&self) -> Option<u16> {
        self.first.split(' ').nth(1)?.parse().ok()
    }

    /// Reads the body that belongs to this head.
    pub fn body(&self, reader: &mut impl BufRead) -> Result<Vec<u8>> {
        if self.header("transfer-encoding") == Some("chunked") {
            let mut body = Vec::new();
            while let Some(chunk) = chunk(reader)? {
                body.extend(chunk);
            }
            return Ok(body);
        }
        let length = self.header("content-length").map_or(Ok(0), str::parse)?;
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        Ok(body)
    }
}

/// The next chunk of a chunked body, none at its end.
pub fn chunk(reader: &mut impl BufRead) -> Result<Option<Vec<u8>>> {
    let size = line(reader)?.context("a chunked body ended early")?;
    let size = usize::from_str_radix(size.trim(), 16).context("not a chunk size")?;
    let mut bytes = vec![0; size];
    reader.read_exact(&mut bytes)?;
    line(reader)?;
    Ok((size > 0).then_some(bytes))
}

/// Writes one chunk of a chunked body; an empty one ends it.
pub fn write_chunk(writer: &mut impl Write, bytes: &[u8]) -> Result<()> {
    let mut framed = format!("{:x}\r\n", bytes.len()).into_bytes();
    framed.extend(bytes);
    framed.extend(b"\r\n");
    writer.write_all(&framed)?;
    Ok(())
}

/// The text of an event.
pub fn event(name: &str, data: &str) -> String {
    format!("event: {name}\ndata: {data}\n\n")
}

/// The data of the events in a whole body.
pub fn event_data(body: &str) -> impl Iterator<Item = &str> {
    body.lines().filter_map(|line| line.strip_prefix("data: "))
}

fn line(reader: &mut impl BufRead) -> Result<Option<String>> {
    let mut line = Vec::new();
    if reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    if line.pop() != Some(b'\n') {
        bail!("a head was cut");
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok(Some(String::from_utf8(line)?))
}

const LONGEST_LINE: u64 = 65536;
