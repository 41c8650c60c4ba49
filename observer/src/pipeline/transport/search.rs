//! The search for a place to go on in an HTTP/1 flow whose framing is lost.

use super::Frames;
use super::body::Body;
use super::cursor::Cursor;
use super::http1::{Flow, State};
use super::resync::{self, Found, Head};

impl Flow {
    /// Looks for a place to go on.
    pub(super) fn search(&mut self, cursor: &mut Cursor<'_>, out: &mut impl Frames) {
        let searched = self.window.bytes().len();
        let block = cursor.rest().get(..SEARCHED_AT_ONCE).unwrap_or(cursor.rest());
        self.window.add(cursor.mark(), block);
        let State::Search { found, aligned, .. } = &mut self.state else { return };
        if !*found {
            match resync::find(self.side, self.window.bytes(), *aligned) {
                Found::Nothing(useless) => {
                    *aligned &= useless == 0;
                    self.window.drop_front(useless);
                    cursor.take(block.len());
                    return;
                }
                Found::Head(start) => {
                    *found = true;
                    return self.found_head(start, searched, cursor, out);
                }
                Found::Chunk { data, size } => return self.join_stream(data, size, searched, cursor, out),
            }
        }
        self.found_head(0, searched, cursor, out);
    }

    /// A start line is at `start` of the window, of which the first `searched` bytes are not the cursor's.
    fn found_head(&mut self, start: usize, searched: usize, cursor: &mut Cursor<'_>, out: &mut impl Frames) {
        let before = self.window.bytes().len();
        let block = before.saturating_sub(searched);
        self.window.drop_front(start);
        match resync::head(self.side, self.window.bytes(), true, searched.saturating_sub(start)) {
            Head::Complete(len) => {
                cursor.take((start + len).saturating_sub(searched));
                self.message_in_window(len, cursor.last(), out);
            }
            Head::Incomplete if before - start <= self.limits.http_head_bytes => {
                cursor.take(block);
            }
            _ => {
                cursor.take(block);
                self.window.clear();
                self.search_again();
            }
        }
    }

    /// The data of a chunk begins at `data` of the window.
    fn join_stream(
        &mut self,
        data: usize,
        size: u64,
        searched: usize,
        cursor: &mut Cursor<'_>,
        out: &mut impl Frames,
    ) {
        let mut body = Body::joined(&self.limits, size, self.window.mark(data.saturating_sub(1)));
        for mut byte in self.window.replay(data, searched.saturating_sub(data)) {
            body.push(&mut byte, out);
        }
        cursor.take(data.saturating_sub(searched));
        self.window.clear();
        self.state = State::Body(body);
    }

    /// What was found was no head.
    pub(super) fn search_again(&mut self) {
        if let State::Search { found, aligned, .. } = &mut self.state {
            (*found, *aligned) = (false, false);
        }
    }

    /// A head follows where an event stream was lost: that is over.
    pub(super) fn end_lost_stream(&mut self, out: &mut impl Frames) {
        if let State::Search { stream, .. } = &mut self.state
            && let Some(mut body) = stream.take()
        {
            body.give_up(out);
        }
    }
}

/// Bytes looked at together in a search, so that a large body is not copied as a whole.
const SEARCHED_AT_ONCE: usize = 4 << 10;
