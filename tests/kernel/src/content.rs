//! Bytes that any reader can tell the place of: a function of seed and position, in the shape of calls.

use crate::streams::Kind;

/// What travels on one stream.
#[derive(Clone, Debug)]
pub struct Content {
    seed: u64,
    /// What stands in front of the blocks.
    head: Vec<u8>,
    /// What stands at the end, which is here.
    tail: &'static [u8],
    end: u64,
    shape: Shape,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Shape {
    /// Each block is a call on a line of its own, as on standard input and output.
    Lines,
    /// All blocks together are the argument of one call, posted over HTTP.
    Body,
}

impl Content {
    /// `total` bytes for this kind of stream.
    pub fn new(kind: Kind, seed: u64, total: u64) -> Self {
        match kind {
            Kind::Pipe | Kind::Fifo | Kind::Unix => {
                Self { seed, head: Vec::new(), tail: b"", end: total, shape: Shape::Lines }
            }
            Kind::Tcp4 | Kind::Tcp6 => {
                let head = post(total).into_bytes();
                Self { seed, head, tail: TAIL, end: total, shape: Shape::Body }
            }
        }
    }

    /// The same behind a first short call that is complete, so that a reader knows early what travels here.
    pub fn introduced(kind: Kind, seed: u64, total: u64) -> Self {
        let plain = Self::new(kind, seed, total);
        if plain.shape == Shape::Lines {
            return plain;
        }
        let first = Self::new(kind, seed, INTRODUCTION as u64).bytes(0, INTRODUCTION);
        let rest = Self::new(kind, seed, total - INTRODUCTION as u64);
        Self { head: [first, rest.head].concat(), ..plain }
    }

    /// The bytes from `at` on, `len` of them.
    pub fn bytes(&self, at: u64, len: usize) -> Vec<u8> {
        let head = self.head.len() as u64;
        let mut bytes: Vec<u8> = self.head.iter().skip(at as usize).take(len).copied().collect();
        let from = at.max(head) - head;
        let mut skipped = (from % BLOCK as u64) as usize;
        for number in from / BLOCK as u64.. {
            if bytes.len() >= len {
                break;
            }
            bytes.extend(self.block(number).iter().skip(skipped));
            skipped = 0;
        }
        bytes.truncate(len);
        let tail = self.end - self.tail.len() as u64;
        for (place, byte) in (tail..).zip(self.tail) {
            if let Some(here) = place.checked_sub(at).and_then(|here| bytes.get_mut(here as usize)) {
                *here = *byte;
            }
        }
        bytes
    }

    fn block(&self, number: u64) -> Vec<u8> {
        let (begin, end) = match self.shape {
            Shape::Lines => (call(&format!("1{number:010}")), TAIL_OF_LINE),
            Shape::Body => (String::new(), b"".as_slice()),
        };
        let mut block = begin.into_bytes();
        let mut state = mixed(self.seed ^ mixed(number));
        while block.len() < BLOCK - end.len() {
            state = mixed(state);
            block.push(b'a' + (state % 26) as u8);
        }
        block.extend(end);
        block
    }
}

/// A call up to the text of its argument.
fn call(id: &str) -> String {
    let call = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"t","#);
    format!(r#"{call}"arguments":{{"x":""#)
}

fn post(total: u64) -> String {
    let call = call("1");
    // Ten digits whatever the number, so that the length of the head does not depend on it.
    let head = |length: u64| {
        format!(
            "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Accept: application/json, text/event-stream\r\nContent-Length: {length:010}\r\n\r\n"
        )
    };
    head(total - head(0).len() as u64) + &call
}

/// A fixed permutation of 64 bits (splitmix64).
fn mixed(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

const BLOCK: usize = 192;
/// Size of the first short call, on a line or in a body of its own.
pub const INTRODUCTION: usize = 4 * BLOCK;
const TAIL: &[u8] = b"\"}}}";
const TAIL_OF_LINE: &[u8] = b"\"}}}\n";

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [Kind; 2] = [Kind::Pipe, Kind::Tcp4];

    #[test]
    fn lines_are_calls() {
        let whole = Content::new(Kind::Pipe, 3, 10 * BLOCK as u64).bytes(0, 10 * BLOCK);
        for line in whole.split_inclusive(|byte| *byte == b'\n') {
            assert_eq!(line.len(), BLOCK);
            assert!(serde_json::from_slice::<serde_json::Value>(line).is_ok());
        }
    }

    #[test]
    fn a_body_is_one_call_of_the_length_that_its_head_tells() {
        let whole = Content::new(Kind::Tcp4, 3, 5000).bytes(0, 5000);
        let whole = String::from_utf8(whole).unwrap();
        let (head, body) = whole.split_once("\r\n\r\n").unwrap();
        assert!(head.ends_with(&format!("Content-Length: {:010}", body.len())));
        assert!(serde_json::from_str::<serde_json::Value>(body).is_ok());
    }

    #[test]
    fn two_bodies_are_two_calls() {
        let whole = Content::introduced(Kind::Tcp4, 3, 5000).bytes(0, 5000);
        let (first, second) = whole.split_at(INTRODUCTION);
        for post in [first, second] {
            let (head, body) = std::str::from_utf8(post).unwrap().split_once("\r\n\r\n").unwrap();
            assert!(head.ends_with(&format!("Content-Length: {:010}", body.len())));
            assert!(serde_json::from_str::<serde_json::Value>(body).is_ok());
        }
    }

    #[test]
    fn any_cut_is_the_same() {
        let contents = KINDS.map(|kind| (kind, Content::new(kind, 3, 2000)));
        for (kind, content) in
            contents.into_iter().chain([(Kind::Tcp4, Content::introduced(Kind::Tcp4, 3, 2000))])
        {
            let whole = content.bytes(0, 2000);
            for (at, len) in [(0, 1), (1, 500), (191, 2), (192, 192), (777, 1000), (1990, 10), (1997, 2)] {
                assert_eq!(content.bytes(at as u64, len), whole[at..at + len], "{kind:?} {at} {len}");
            }
            assert_ne!(whole, Content::new(kind, 4, 2000).bytes(0, 2000));
        }
    }
}
