//! What waits to be written on one connection, oldest first.
//!
//! A frame is shared by all connections that it goes to. One of a conflated topic can be replaced by a
//! newer one until its first byte is out.

use std::collections::VecDeque;
use std::io::IoSlice;

use super::frames::Frame;

/// Bytes that an entry costs beside its frame.
pub(crate) const ENTRY_BYTES: usize = 32;

/// Entries that an empty queue keeps room for.
const KEPT_ENTRIES: usize = 8;

/// Names an entry while it waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Slot(u32);

#[derive(Debug, Default)]
pub(crate) struct Queue {
    entries: VecDeque<Frame>,
    /// Slot of the first entry.
    first: u32,
    /// Bytes of the first entry that are out.
    written: u32,
    /// Bytes of all entries, with what they cost beside.
    bytes: usize,
}

impl Queue {
    /// Adds a frame behind all others.
    pub(crate) fn push(&mut self, frame: Frame) -> Slot {
        self.bytes += frame.len() + ENTRY_BYTES;
        self.entries.push_back(frame);
        Slot(self.first.wrapping_add(self.entries.len() as u32 - 1))
    }

    /// Puts `frame` in the place of an entry; false when that is out, wholly or in part.
    pub(crate) fn replace(&mut self, slot: Slot, frame: &Frame) -> bool {
        let place = slot.0.wrapping_sub(self.first) as usize;
        if place == 0 && self.written > 0 {
            return false;
        }
        let Some(entry) = self.entries.get_mut(place) else { return false };
        self.bytes = self.bytes - entry.len() + frame.len();
        *entry = Frame::clone(frame);
        true
    }

    /// Names what is out already.
    pub(crate) fn past(&self) -> Slot {
        Slot(self.first.wrapping_sub(1))
    }

    /// Bytes that the connection keeps for its reader.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The bytes to write when they are one piece, as mostly: the system takes one with less work.
    pub(crate) fn only(&self) -> Option<&[u8]> {
        match self.entries.len() {
            1 => self.entries.front().map(|frame| &frame[self.written as usize..]),
            _ => None,
        }
    }

    /// The next bytes to write, as many pieces as fit into `slices`; how many those are.
    pub(crate) fn fill<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut count = 0;
        for (slice, frame) in slices.iter_mut().zip(&self.entries) {
            let start = if count == 0 { self.written as usize } else { 0 };
            *slice = IoSlice::new(&frame[start..]);
            count += 1;
        }
        count
    }

    /// Notes that `count` further bytes are out; how many frames ended with them.
    pub(crate) fn advance(&mut self, mut count: usize) -> usize {
        let mut frames = 0;
        while let Some(frame) = self.entries.front() {
            let rest = frame.len() - self.written as usize;
            if count < rest {
                self.written += count as u32;
                break;
            }
            count -= rest;
            frames += 1;
            self.drop_first();
        }
        if self.entries.is_empty() && self.entries.capacity() > KEPT_ENTRIES {
            self.entries = VecDeque::new();
        }
        frames
    }

    /// Drops what has not begun to be written.
    pub(crate) fn clear_unwritten(&mut self) {
        let kept = usize::from(self.written > 0);
        while self.entries.len() > kept {
            if let Some(frame) = self.entries.pop_back() {
                self.bytes -= frame.len() + ENTRY_BYTES;
            }
        }
    }

    fn drop_first(&mut self) {
        if let Some(frame) = self.entries.pop_front() {
            self.bytes -= frame.len() + ENTRY_BYTES;
            self.first = self.first.wrapping_add(1);
            self.written = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(text: &str) -> Frame {
        text.as_bytes().into()
    }

    /// Takes up to `count` bytes out.
    fn take(queue: &mut Queue, count: usize) -> String {
        let mut slices = [IoSlice::new(b""); 2];
        let filled = queue.fill(&mut slices);
        let all: Vec<u8> = slices[..filled].iter().flat_map(|slice| slice.to_vec()).collect();
        let taken = all[..count.min(all.len())].to_vec();
        queue.advance(taken.len());
        String::from_utf8(taken).unwrap()
    }

    #[test]
    fn frames_leave_in_order_in_any_pieces() {
        let mut queue = Queue::default();
        for text in ["one", "two", "three"] {
            queue.push(frame(text));
        }
        assert_eq!(queue.bytes(), 11 + 3 * ENTRY_BYTES);
        assert_eq!(take(&mut queue, 4), "onet");
        assert_eq!(take(&mut queue, 100), "wothree");
        assert!(queue.is_empty() && queue.bytes() == 0);
    }

    #[test]
    fn an_entry_is_replaced_until_its_first_byte_is_out() {
        let mut queue = Queue::default();
        let (first, second) = (queue.push(frame("1111")), queue.push(frame("2222")));
        assert!(queue.replace(first, &frame("11")));
        assert_eq!(take(&mut queue, 1), "1");
        assert!(!queue.replace(first, &frame("!")) && queue.replace(second, &frame("22")));
        assert_eq!(queue.bytes(), 4 + 2 * ENTRY_BYTES);
        assert_eq!(take(&mut queue, 9), "122");
        assert!(!queue.replace(second, &frame("!")));
        let third = queue.push(frame("3333"));
        assert!(third != first && third != second && queue.replace(third, &frame("3")));
        assert_eq!(take(&mut queue, 9), "3");
    }

    #[test]
    fn what_has_begun_survives_clearing() {
        let mut queue = Queue::default();
        queue.push(frame("one"));
        queue.push(frame("two"));
        take(&mut queue, 1);
        queue.clear_unwritten();
        queue.push(frame("end"));
        assert_eq!(take(&mut queue, 9), "neend");
        queue.push(frame("one"));
        queue.clear_unwritten();
        assert!(queue.is_empty() && queue.bytes() == 0);
    }
}
