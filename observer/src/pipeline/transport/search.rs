//! The search for a place to go on in an HTTP/1 flow whose framing is lost.

use super::Frames;
use super::body::Body;
use super::cursor::Cursor;
use super::http1::{Flow, State};
use super::resync::{self, Found, Head};

impl Flow {
    /// Looks for a place to go on.
    pub(super) fn search(&mut self, cursor: &mut Cursor<'_>, out: &mut impl Frames) {
        let block = cursor.rest().get(..SEARCHED_AT_ONCE).unwrap_or(cursor.rest());
        // How far the front of the window is behind the cursor, or in front of it.
        let mut behind = self.window.bytes().len();
        let mut before = 0;
        self.window.add(cursor.mark(), block);
        loop {
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
                        self.window.drop_front(start);
                        before += start.saturating_sub(behind);
                        behind = behind.saturating_sub(start);
                    }
                    Found::Chunk { data, size } => {
                        cursor.take(before + data.saturating_sub(behind));
                        return self.join_stream(data, size, behind.saturating_sub(data), out);
                    }
                }
            }
            let most = self.limits.http_head_bytes.max(1);
            match resync::head(self.side, self.window.start(most), true, behind) {
                Head::Complete(len) => {
                    cursor.take(before + len.saturating_sub(behind));
                    return self.message_in_window(len, cursor.last(), out);
                }
                Head::Incomplete if self.window.bytes().len() < most => {
                    cursor.take(block.len());
                    return;
                }
                _ => {
                    self.window.drop_front(most);
                    before += most.saturating_sub(behind);
                    behind = behind.saturating_sub(most);
                    self.search_again();
                }
            }
        }
    }

    /// The data of a chunk begins at `data` of the window, of which the next `read` bytes are not the cursor's.
    fn join_stream(&mut self, data: usize, size: u64, read: usize, out: &mut impl Frames) {
        let mut body = Body::joined(&self.limits, size, self.window.mark(data.saturating_sub(1)));
        for mut byte in self.window.replay(data, read) {
            body.push(&mut byte, out);
        }
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
