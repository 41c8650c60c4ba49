//! Unread bytes of one piece, with the place of each of them in the flow.

use crate::pipeline::reassembly::Mark;
use crate::pipeline::time::Timestamp;

/// Reads a piece from front to back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    at: Timestamp,
    position: u64,
    rest: &'a [u8],
    /// For decoded bytes: where the last of those is that they were decoded from.
    coded_until: Option<u64>,
}

impl<'a> Cursor<'a> {
    /// `rest`, whose first byte is the one at `position`, all of it seen `at`.
    pub(super) const fn new(at: Timestamp, position: u64, rest: &'a [u8]) -> Self {
        Self { at, position, rest, coded_until: None }
    }

    /// Bytes that were decoded from those of `coded`: each counts as being in all of their places.
    pub(super) const fn decoded(coded: &Cursor<'_>, rest: &'a [u8]) -> Self {
        let until = coded.position.saturating_add((coded.rest.len() as u64).saturating_sub(1));
        Self { at: coded.at, position: coded.position, rest, coded_until: Some(until) }
    }

    /// `rest` instead of what is not read yet, byte for byte.
    pub(super) const fn with<'b>(&self, rest: &'b [u8]) -> Cursor<'b> {
        Cursor { at: self.at, position: self.position, rest, coded_until: self.coded_until }
    }

    /// What is not read yet.
    pub(super) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Whether all is read.
    pub(super) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next byte, without reading it.
    pub(super) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// Place of the next byte.
    pub(super) const fn mark(&self) -> Mark {
        Mark { at: self.at, position: self.position }
    }

    /// Place of the byte read last; meaningful once one was read.
    pub(super) const fn last(&self) -> Mark {
        let position = match self.coded_until {
            Some(last) => last,
            None => self.position.saturating_sub(1),
        };
        Mark { at: self.at, position }
    }

    /// Reads `count` bytes, or all that are left.
    pub(super) fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at_checked(count).unwrap_or((self.rest, &[]));
        self.rest = rest;
        if self.coded_until.is_none() {
            self.position = self.position.saturating_add(taken.len() as u64);
        }
        taken
    }

    /// Reads `count` bytes, or all that are left, as a cursor of their own.
    pub(super) fn split(&mut self, count: u64) -> Self {
        let whole = *self;
        Self { rest: self.take(usize::try_from(count).unwrap_or(usize::MAX)), ..whole }
    }

    /// Reads one byte.
    pub(super) fn next(&mut self) -> Option<u8> {
        self.take(1).first().copied()
    }

    /// Reads as long as `fits`.
    pub(super) fn take_while(&mut self, fits: impl Fn(u8) -> bool) -> &'a [u8] {
        let count = self.rest.iter().position(|&byte| !fits(byte)).unwrap_or(self.rest.len());
        self.take(count)
    }

    /// Reads up to the next line feed, without it.
    pub(super) fn take_line(&mut self) -> &'a [u8] {
        self.take(memchr::memchr(b'\n', self.rest).unwrap_or(self.rest.len()))
    }

    /// Reads up to the next carriage return or line feed, without it.
    pub(super) fn take_any_line(&mut self) -> &'a [u8] {
        self.take(memchr::memchr2(b'\r', b'\n', self.rest).unwrap_or(self.rest.len()))
    }
}

/// Place of the last byte of a gap.
pub(super) const fn end_of_gap(at: Timestamp, position: u64, missing: u64) -> Mark {
    Mark { at, position: position.saturating_add(missing).saturating_sub(1) }
}
