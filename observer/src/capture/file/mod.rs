//! Capture files: the sequence of records of one run, from which a replay makes the same observations.
//!
//! ```text
//! head     magic "MCPCAP\r\n" | byte order u32 | version u16 | layout u16 | unix_ns_at_boot i64 | facts_len u32
//! facts    JSON, see [`HostFacts`]
//! record   RecordHeader | payload              as they lay in the ring
//! record   ...
//! ```
//!
//! Numbers are in the byte order of the host that recorded, like the records themselves.

pub mod reader;
pub mod writer;

use std::path::Path;

use observer_common::record::{HEADER_LEN, RecordHeader};
use serde::{Deserialize, Serialize};

pub use reader::Reader;
pub use writer::Writer;

use crate::error::Error;
use crate::pipeline::time::WallClock;

/// First bytes of every capture file. The line end shows a transfer that changed line ends.
const MAGIC: [u8; 8] = *b"MCPCAP\r\n";
/// As written; another byte order reads it as another number.
const BYTE_ORDER: u32 = 0x0102_0304;
/// Version of the head. The records have their own, [`observer_common::record::LAYOUT`].
const VERSION: u16 = 1;
/// The head without the facts.
const HEAD_LEN: usize = 28;
/// Host facts are a few hundred bytes.
const MOST_FACTS: u32 = 1 << 20;
/// No ring has room for a longer payload: what claims one is not a record.
const MOST_PAYLOAD: u32 = 1 << 28;

/// What stands in front of the records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The wall clock of the run, so that a replay shows the times of the recording.
    pub clock: WallClock,
    /// Where it was recorded.
    pub facts: HostFacts,
}

/// Where and with what a file was recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HostFacts {
    /// Version of the observer.
    pub observer: String,
    /// Release of the kernel.
    pub kernel: String,
    /// Capture mode.
    pub mode: String,
    /// Processor architecture.
    pub architecture: String,
}

fn header_to_bytes(header: &RecordHeader) -> [u8; HEADER_LEN] {
    let mut bytes = [0; HEADER_LEN];
    let mut rest = &mut bytes[..];
    put(&mut rest, header.layout.to_ne_bytes());
    put(&mut rest, header.kind.to_ne_bytes());
    put(&mut rest, header.payload_len.to_ne_bytes());
    put(&mut rest, header.moved_len.to_ne_bytes());
    put(&mut rest, header.cpu.to_ne_bytes());
    put(&mut rest, header.at_ns.to_ne_bytes());
    put(&mut rest, header.position.to_ne_bytes());
    put(&mut rest, header.process.pid.to_ne_bytes());
    put(&mut rest, header.process.tid.to_ne_bytes());
    put(&mut rest, header.process.started_ns.to_ne_bytes());
    put(&mut rest, header.stream.to_ne_bytes());
    bytes
}

fn put<const N: usize>(rest: &mut &mut [u8], field: [u8; N]) {
    if let Some((place, behind)) = std::mem::take(rest).split_first_chunk_mut() {
        *place = field;
        *rest = behind;
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> [u8; N] {
    let Some((field, behind)) = rest.split_first_chunk() else { return [0; N] };
    *rest = behind;
    *field
}

fn refused(path: &Path, reason: impl Into<String>) -> Error {
    Error::CaptureFile { path: path.to_owned(), reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::Record;
    use crate::pipeline::time::Timestamp;
    use observer_common::process::ProcessKey;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    fn temporary(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("mcpcap-{}-{name}", std::process::id()));
        let _ = fs::remove_file(&path);
        path
    }

    fn head() -> Head {
        let facts = HostFacts { kernel: "6.18.0".into(), mode: "syscall".into(), ..HostFacts::default() };
        Head { clock: WallClock { unix_ns_at_boot: -7 }, facts }
    }

    fn record(payload: &[u8]) -> Record<'_> {
        let header = RecordHeader {
            layout: observer_common::record::LAYOUT,
            kind: 2,
            payload_len: payload.len() as u32,
            moved_len: 0x0102_0304,
            cpu: 3,
            at_ns: 0x1111_2222_3333_4444,
            position: 0x5555_6666_7777_8888,
            process: ProcessKey { pid: 42, tid: 43, started_ns: 0x9999_aaaa_bbbb_cccc },
            stream: 0xdddd_eeee_ffff_0123,
        };
        Record { header, payload }
    }

    fn written(name: &str, payloads: &[&[u8]]) -> PathBuf {
        let path = temporary(name);
        let mut writer = Writer::create(&path, &head(), false).unwrap();
        payloads.iter().for_each(|payload| writer.write(&record(payload)).unwrap());
        writer.finish().unwrap();
        path
    }

    fn read(path: &Path) -> Result<(Vec<Vec<u8>>, u64), Error> {
        let mut reader = Reader::open(path)?;
        let mut payloads = Vec::new();
        while let Some(found) = reader.next()? {
            assert_eq!(found.header, record(found.payload).header);
            payloads.push(found.payload.to_vec());
        }
        Ok((payloads, reader.torn_bytes()))
    }

    #[test]
    fn what_is_written_is_read() {
        let path = written("whole", &[b"one", b"", &[7; 100_000]]);
        assert_eq!(Reader::open(&path).unwrap().head(), &head());
        assert_eq!(read(&path).unwrap(), (vec![b"one".to_vec(), Vec::new(), vec![7; 100_000]], 0));
        let _ = fs::remove_file(path);
    }

    #[test]
    fn the_header_lies_in_the_file_as_in_the_ring() {
        let bytes = header_to_bytes(&record(b"abc").header);
        assert_eq!(bytes[4..8], 3u32.to_ne_bytes(), "payload_len at its offset of the repr(C) struct");
        assert_eq!(bytes[48..56], 0xdddd_eeee_ffff_0123_u64.to_ne_bytes());
        assert_eq!(RecordHeader::from_bytes(&bytes), record(b"abc").header);
    }

    #[test]
    fn a_torn_last_record_is_told_wherever_it_is_torn() {
        let path = written("torn", &[b"whole", b"torn"]);
        let whole = fs::read(&path).unwrap();
        let last = HEADER_LEN + 4;
        for missing in 1..last {
            fs::write(&path, &whole[..whole.len() - missing]).unwrap();
            let torn = (last - missing) as u64;
            assert_eq!(read(&path).unwrap(), (vec![b"whole".to_vec()], torn), "{missing} bytes missing");
        }
        let _ = fs::remove_file(path);
    }

    #[test]
    fn other_files_and_versions_are_refused_with_the_reason() {
        let path = written("refused", &[b"payload"]);
        let whole = fs::read(&path).unwrap();
        let first_record = whole.len() - HEADER_LEN - b"payload".len();
        let cases: &[(usize, &[u8], &str)] = &[
            (0, b"PK", "not a capture file"),
            (6, b"\n\n", "not a capture file"),
            (8, &BYTE_ORDER.swap_bytes().to_ne_bytes(), "byte order"),
            (12, &9u16.to_ne_bytes(), "version 9"),
            (14, &99u16.to_ne_bytes(), "layout 99"),
            (first_record, &98u16.to_ne_bytes(), "layout 98"),
            (first_record + 4, &u32::MAX.to_ne_bytes(), "damaged"),
        ];
        for &(at, change, reason) in cases {
            let mut changed = whole.clone();
            changed[at..at + change.len()].copy_from_slice(change);
            fs::write(&path, changed).unwrap();
            let error = read(&path).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}, not: {reason}");
        }
        for len in [0, 5, HEAD_LEN, HEAD_LEN + 3] {
            fs::write(&path, &whole[..len]).unwrap();
            assert!(read(&path).is_err(), "{len} bytes");
        }
        let _ = fs::remove_file(path);
    }

    #[test]
    fn only_the_owner_reads_it_and_nothing_is_overwritten_unasked() {
        let path = written("mode", &[]);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let error = Writer::create(&path, &head(), false).err().unwrap();
        assert!(error.to_string().contains("--force"), "{error}");
        Writer::create(&path, &head(), true).unwrap().finish().unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "also when replaced");
        assert!(Writer::create(Path::new("/dev/null"), &head(), true).is_err(), "only regular files go");
        let _ = fs::remove_file(path);
    }

    #[test]
    fn a_time_record_is_decoded_as_time() {
        use crate::pipeline::input::Input;
        let record = Record::time(Timestamp::from_nanos(5));
        assert_eq!(Input::decode(&record.header, record.payload), Ok(Input::Time(Timestamp::from_nanos(5))));
    }
}
