//! A vector that grows without moving what it holds: one chunk more, nothing copied, so that no single
//! push costs more than a chunk's allocation.
//!
//! Chunks double from [`FIRST`] to [`LARGEST`] elements: what is reserved ahead is at most as much as what
//! is held, and at most one largest chunk.

use alloc::vec::Vec;

/// Elements of the first chunk; a power of two.
const FIRST: usize = 16;

/// Elements of the largest chunks; a power of two.
const LARGEST: usize = 1 << 15;

/// Chunks below the largest ones: one of `FIRST`, then one for each power of two up to `LARGEST`.
const SMALL_CHUNKS: usize = (LARGEST / FIRST).ilog2() as usize;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Chunks<T> {
    chunks: Vec<Vec<T>>,
    length: usize,
}

impl<T> Chunks<T> {
    pub(crate) const fn new() -> Chunks<T> {
        Chunks { chunks: Vec::new(), length: 0 }
    }

    pub(crate) const fn len(&self) -> usize {
        self.length
    }

    /// Appends an element and returns its index.
    pub(crate) fn push(&mut self, element: T) -> u32 {
        let index = u32::try_from(self.length).ok().filter(|index| *index != u32::MAX);
        let index = index.expect("fewer than 2^32 - 1 elements");
        let (chunk, offset) = place(index);
        if chunk == self.chunks.len() {
            let room = if chunk == 0 { FIRST } else { (FIRST << (chunk - 1)).min(LARGEST) };
            self.chunks.push(Vec::with_capacity(room));
        }
        debug_assert_eq!(self.chunks[chunk].len(), offset);
        self.chunks[chunk].push(element);
        self.length += 1;
        index
    }

    /// Every element, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flatten()
    }

    #[inline]
    pub(crate) fn get(&self, index: u32) -> &T {
        let (chunk, offset) = place(index);
        &self.chunks[chunk][offset]
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, index: u32) -> &mut T {
        let (chunk, offset) = place(index);
        &mut self.chunks[chunk][offset]
    }
}

/// Chunk and offset of an index.
#[inline]
const fn place(index: u32) -> (usize, usize) {
    let index = index as usize;
    if index >= LARGEST {
        return (SMALL_CHUNKS + index / LARGEST, index % LARGEST);
    }
    if index < FIRST {
        return (0, index);
    }
    let chunk = (index / FIRST).ilog2() as usize;
    (chunk + 1, index - (FIRST << chunk))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_stay_where_they_were_pushed() {
        let mut chunks = Chunks::new();
        let count = 3 * LARGEST as u32 + 5;
        for value in 0..count {
            assert_eq!(chunks.push(value), value);
        }
        assert!((0..count).all(|index| *chunks.get(index) == index));
        *chunks.get_mut(77) = 1;
        assert_eq!(*chunks.get(77), 1);
        assert!(chunks.chunks.iter().all(|chunk| chunk.len() <= chunk.capacity()));
        assert_eq!(chunks.chunks.iter().map(Vec::len).sum::<usize>(), count as usize);
    }
}
