//! Truth against capture: every byte at its place, or counted as lost.

use std::collections::BTreeSet;
use std::fmt;

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::capture::{Capture, Part, Recorded};
use crate::manifest::Entry;
use crate::ways::By;

/// What is to hold.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct Rules {
    /// Bytes may be missing, if they are counted as lost; and some must be, or the test shows nothing.
    #[arg(long)]
    pub overload: bool,
    /// Nobody else moves bytes on this host: what is missing and what is counted must be equal.
    #[arg(long)]
    pub alone: bool,
}

/// The figures of a comparison that went well.
#[derive(Debug)]
pub struct Report {
    streams: usize,
    sent: u64,
    seen: u64,
    counted: u64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { streams, sent, seen, counted } = self;
        write!(
            f,
            "{streams} streams, {sent} bytes received by their readers, {seen} recorded, {counted} lost"
        )
    }
}

/// Compares; an error names the streams that are wrong and where.
pub fn compare(truth: &[Entry], capture: &Capture, rules: &Rules) -> Result<Report> {
    let (mut sent, mut seen, mut wrong, mut each) = (0, 0, Vec::new(), Vec::new());
    for entry in truth {
        if !is_seen(entry.received_by, capture) {
            wrong.extend(unseen(entry, capture).err().map(|error| format!("{}: {error:#}", entry.case)));
            continue;
        }
        match stream(entry, capture, rules) {
            Ok(bytes) => {
                seen += bytes;
                if bytes < entry.received {
                    each.push(format!("{}: {bytes} of {}", entry.case, entry.received));
                }
            }
            Err(error) => wrong.push(format!("{}: {error:#}", entry.case)),
        }
        sent += entry.received;
    }
    ensure!(wrong.is_empty(), "{}\ncounted as lost: {:?}", wrong.join("\n"), capture.lost);
    ensure!(seen > 0, "nothing was recorded");
    let counted = capture.lost.values().map(|(_, bytes)| bytes).sum();
    let missing = sent - seen;
    let unbalanced = || {
        let streams = each.join("\n");
        format!("{missing} bytes are missing, {counted} counted: {:?}\n{streams}", capture.lost)
    };
    ensure!(missing <= counted, unbalanced());
    if rules.overload {
        ensure!(missing > 0, "nothing was lost: the ring is too large for this load");
    }
    if rules.alone {
        ensure!(missing == counted, unbalanced());
    }
    Ok(Report { streams: truth.len(), sent, seen, counted })
}

/// Whether this mode sees bytes that are moved this way.
fn is_seen(by: By, capture: &Capture) -> bool {
    by != By::Ring || capture.sees_rings()
}

/// Checks a stream whose reader the mode cannot see: no byte of it is told, and that there is something unseen is.
fn unseen(entry: &Entry, capture: &Capture) -> Result<()> {
    let told = capture.named(entry.receiving).any(|stream| moved_by(&stream.received, entry));
    ensure!(!told, "received bytes are told that no system call has moved");
    ensure_blind_spot(entry, capture)?;
    sending(entry, capture)
}

fn ensure_blind_spot(entry: &Entry, capture: &Capture) -> Result<()> {
    let told = capture.blind_spots.contains(&(entry.pid, "io_uring".to_owned()));
    ensure!(told, "no blind spot is told: {:?}", capture.blind_spots);
    Ok(())
}

/// Checks one stream; returns how many of its bytes were recorded.
fn stream(entry: &Entry, capture: &Capture, rules: &Rules) -> Result<u64> {
    let Some(recorded) = the_one(capture, entry, rules)? else { return Ok(0) };
    let bytes = received(entry, recorded)?;
    let end = recorded.ended_at.unwrap_or(entry.received);
    ensure!(end == entry.received, "it is told to end after {end} of {} bytes", entry.received);
    if !rules.overload {
        let (unrecorded, gaps) = (unrecorded(entry, recorded), gaps(recorded));
        ensure!(unrecorded.is_empty(), "nothing is told of (place, bytes): {unrecorded:?}; gaps: {gaps:?}");
        let expected = entry.received - entry.hidden;
        ensure!(bytes >= expected, "{bytes} bytes, at least {expected} expected; gaps: {gaps:?}");
        ensure!(recorded.ended_at.is_some(), "its end was not seen");
        sending(entry, capture)?;
    }
    Ok(bytes)
}

/// The parts of the stream, as place and length, that no record tells of.
fn unrecorded(entry: &Entry, recorded: &Recorded) -> Vec<(u64, u64)> {
    let mut places: Vec<_> = recorded.received.iter().map(|part| (part.position, part.moved)).collect();
    places.sort_unstable();
    places.push((entry.received, 0));
    let mut expected = 0;
    let holes = places.into_iter().filter_map(|(at, moved)| {
        let hole = (expected, at.saturating_sub(expected));
        expected = at + moved;
        (hole.1 > 0).then_some(hole)
    });
    holes.collect()
}

/// The parts that were recorded without their bytes.
fn gaps(recorded: &Recorded) -> Vec<(u64, u64)> {
    let gap = |part: &Part| {
        let bytes = part.bytes.len() as u64;
        (bytes < part.moved).then(|| (part.position + bytes, part.moved - bytes))
    };
    recorded.received.iter().filter_map(gap).collect()
}

/// The stream as it was recorded. In overload there may be no record of it, and then all its bytes are missing;
/// or none of what it is called, and then its bytes tell.
fn the_one<'a>(capture: &'a Capture, entry: &Entry, rules: &Rules) -> Result<Option<&'a Recorded>> {
    let named = capture.named(entry.receiving).filter(|stream| moved_by(&stream.received, entry));
    let nameless = capture.streams.values().filter(|stream| {
        rules.overload
            && stream.name.is_none()
            && moved_by(&stream.received, entry)
            && received(entry, stream).is_ok_and(|bytes| bytes > 0)
    });
    let mut same = named.chain(nameless);
    let found = same.next();
    ensure!(rules.overload || found.is_some(), "not recorded at all");
    ensure!(same.next().is_none(), "recorded as two streams");
    Ok(found)
}

fn moved_by(parts: &[Part], entry: &Entry) -> bool {
    parts.iter().any(|part| is_by(part, entry))
}

fn is_by(part: &Part, entry: &Entry) -> bool {
    part.pid == entry.pid || entry.by_kernel_threads
}

/// Checks that each recorded byte is right and at its place; returns how many there are.
fn received(entry: &Entry, recorded: &Recorded) -> Result<u64> {
    let content = entry.content();
    let mut seen = 0;
    let mut places = BTreeSet::new();
    for part in &recorded.received {
        let (at, len) = (part.position, part.bytes.len() as u64);
        ensure!(is_by(part, entry), "at {at}: received by {}, not {}", part.pid, entry.pid);
        ensure!(len <= part.moved, "at {at}: {len} bytes recorded, {} moved", part.moved);
        ensure!(at + part.moved <= entry.received, "at {at}: past the end");
        ensure!(part.bytes == content.bytes(at, part.bytes.len()), "at {at}: other bytes than were received");
        ensure!(places.insert((at, part.moved)), "at {at}: recorded twice");
        seen += len;
    }
    let overlap = places.iter().zip(places.iter().skip(1)).find(|((at, len), (next, _))| at + len > *next);
    ensure!(overlap.is_none(), "recorded twice: {overlap:?}");
    Ok(seen)
}

/// Checks that the sending end tells all that was sent, once; or, where the mode cannot see it, that it says so.
fn sending(entry: &Entry, capture: &Capture) -> Result<()> {
    let mut ends = capture.named(entry.sending).filter(|stream| moved_by(&stream.sent, entry));
    if !is_seen(entry.sent_by, capture) {
        ensure!(ends.next().is_none(), "sent bytes are told that no system call has moved");
        return ensure_blind_spot(entry, capture);
    }
    let end = ends.next().context("the sending end was not recorded")?;
    let mut expected = 0;
    for part in &end.sent {
        ensure!(part.position == expected, "sent at {}, expected at {expected}", part.position);
        expected += part.moved;
    }
    ensure!(expected == entry.sent, "{expected} of {} bytes sent", entry.sent);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::streams::{Kind, Name};
    use observer_common::process::ProcessKey;
    use observer_common::record::{LAYOUT, RecordHeader, RecordKind};

    const NAME: Name = Name::Pipe { inode: 77 };

    fn entry() -> Entry {
        Entry {
            case: "a pipe".to_owned(),
            kind: Kind::Pipe,
            receiving: NAME,
            sending: NAME,
            pid: 5,
            seed: 1,
            sent: 1000,
            received: 1000,
            sent_by: By::Calls,
            received_by: By::Calls,
            hidden: 0,
            by_kernel_threads: false,
            introduced: false,
            file: None,
        }
    }

    fn header(kind: RecordKind, position: u64, moved: u64) -> RecordHeader {
        RecordHeader {
            layout: LAYOUT,
            kind: kind as u16,
            payload_len: 0,
            moved_len: moved as u32,
            cpu: 0,
            at_ns: 0,
            position,
            process: ProcessKey { pid: 5, tid: 5, started_ns: 0 },
            stream: 9,
        }
    }

    fn capture(parts: &[(u64, usize)], lost: u64) -> Capture {
        let mut capture = Capture::default();
        let mut identity = [0; 72];
        identity[0] = 1;
        identity[8] = 77;
        capture.add(&header(RecordKind::StreamOpened, 0, 0), &identity);
        capture.add(&header(RecordKind::Sent, 0, 1000), &[]);
        for (at, len) in parts {
            let bytes = entry().content().bytes(*at, *len);
            capture.add(&header(RecordKind::Received, *at, *len as u64), &bytes);
        }
        capture.add(&header(RecordKind::StreamEnded, 1000, 0), &[]);
        let mut loss = [0; 24];
        loss[8] = 1;
        loss[16..].copy_from_slice(&lost.to_ne_bytes());
        capture.add(&header(RecordKind::Lost, 0, 0), &loss);
        capture
    }

    const OVERLOAD: Rules = Rules { overload: true, alone: true };

    #[test]
    fn all_bytes_at_their_places_are_well() {
        let report = compare(&[entry()], &capture(&[(0, 400), (400, 600)], 0), &Rules::default()).unwrap();
        assert_eq!((report.sent, report.seen, report.counted), (1000, 1000, 0));
    }

    #[test]
    fn missing_bytes_are_told_unless_the_load_was_too_much() {
        let capture = capture(&[(0, 400), (500, 500)], 100);
        assert!(compare(&[entry()], &capture, &Rules::default()).is_err());
        assert_eq!(compare(&[entry()], &capture, &OVERLOAD).unwrap().seen, 900);
    }

    #[test]
    fn bytes_lost_in_silence_or_counted_without_need_are_told() {
        assert!(compare(&[entry()], &capture(&[(0, 400), (500, 500)], 99), &OVERLOAD).is_err());
        assert!(compare(&[entry()], &capture(&[(0, 400), (500, 500)], 101), &OVERLOAD).is_err());
    }

    #[test]
    fn a_stream_that_is_wholly_lost_is_counted_to_the_byte() {
        let both = [entry(), Entry { receiving: Name::Pipe { inode: 78 }, seed: 2, ..entry() }];
        assert_eq!(compare(&both, &capture(&[(0, 1000)], 1000), &OVERLOAD).unwrap().seen, 1000);
        for lost in [999, 1001] {
            assert!(compare(&both, &capture(&[(0, 1000)], lost), &OVERLOAD).is_err());
        }
        assert!(compare(&both, &capture(&[(0, 1000)], 1000), &Rules::default()).is_err());
    }

    #[test]
    fn a_stream_whose_name_was_lost_is_told_by_its_bytes() {
        let mut nameless = capture(&[(0, 400), (500, 500)], 100);
        nameless.streams.values_mut().for_each(|stream| stream.name = None);
        assert_eq!(compare(&[entry()], &nameless, &OVERLOAD).unwrap().seen, 900);
        let other = [Entry { seed: 2, ..entry() }];
        assert!(compare(&other, &nameless, &OVERLOAD).is_err());
    }

    #[test]
    fn bytes_recorded_twice_or_shifted_are_told() {
        for parts in [&[(0, 1000), (0, 1000)][..], &[(0, 500), (499, 501)], &[(1, 1000)]] {
            assert!(compare(&[entry()], &capture(parts, 0), &Rules::default()).is_err(), "{parts:?}");
        }
        let mut shifted = capture(&[(0, 1000)], 0);
        let stream = shifted.streams.values_mut().next().unwrap();
        stream.received[0].bytes[500] ^= 1;
        assert!(compare(&[entry()], &shifted, &Rules::default()).is_err());
    }

    #[test]
    fn a_stream_without_records_is_told() {
        assert!(compare(&[entry()], &Capture::default(), &Rules::default()).is_err());
    }

    fn with_gap(lost: u64) -> Capture {
        let mut capture = capture(&[(0, 400), (400, 100), (500, 500)], lost);
        capture.streams.values_mut().for_each(|stream| stream.received[1].bytes.clear());
        capture
    }

    #[test]
    fn hidden_bytes_are_a_gap_of_their_size_and_are_counted() {
        let hidden = [Entry { hidden: 100, ..entry() }];
        assert_eq!(compare(&hidden, &with_gap(100), &Rules::default()).unwrap().seen, 900);
        assert!(compare(&hidden, &with_gap(99), &Rules::default()).is_err(), "not counted");
        assert!(compare(&[entry()], &with_gap(100), &Rules::default()).is_err(), "nothing is hidden");
        let silent = capture(&[(0, 400), (500, 500)], 100);
        assert!(compare(&hidden, &silent, &Rules::default()).is_err(), "no record tells of the gap");
    }

    #[test]
    fn a_wrong_end_is_told() {
        let mut short = capture(&[(0, 1000)], 0);
        short.streams.values_mut().for_each(|stream| stream.ended_at = Some(900));
        assert!(compare(&[entry()], &short, &Rules::default()).is_err());
    }

    #[test]
    fn what_a_mode_cannot_see_is_a_blind_spot_and_not_bytes() {
        let ring = Entry { received_by: By::Ring, ..entry() };
        let both = [entry(), Entry { receiving: Name::Pipe { inode: 78 }, ..ring.clone() }];
        let mut told = capture(&[(0, 1000)], 0);
        told.mode = "syscall".to_owned();
        assert!(compare(&both, &told, &Rules::default()).is_err(), "no blind spot");
        told.blind_spots.insert((5, "io_uring".to_owned()));
        assert!(compare(&both, &told, &Rules::default()).is_ok());
        assert!(compare(&[entry(), ring], &told, &Rules::default()).is_err(), "bytes that cannot be seen");
        told.mode = "fexit".to_owned();
        assert!(compare(&both, &told, &Rules::default()).is_err(), "this mode sees them");
    }
}
