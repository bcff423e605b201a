//! A vector that grows without moving what it holds: one chunk more, nothing copied, so that no single
//! push costs more than a chunk's allocation. Only the first chunk grows as vectors do.
//!
//! What is reserved ahead is at most as much as what is held, and at most one chunk.

use alloc::vec::Vec;

use viabtc_prefetch::prefetch;

/// Fewest elements of a chunk; a power of two.
const ELEMENTS_MIN: usize = 1 << 15;

/// Fewest bytes of a chunk: a large page of the system, so that allocators that map large blocks to large
/// pages do so with them.
const BYTES_MIN: usize = 2 << 20;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Chunks<T> {
    chunks: Vec<Vec<T>>,
    length: usize,
}

impl<T> Chunks<T> {
    /// Elements of a chunk; a power of two.
    const ELEMENTS: usize = {
        let elements = BYTES_MIN.div_ceil(size_of::<T>()).next_power_of_two();
        if elements > ELEMENTS_MIN { elements } else { ELEMENTS_MIN }
    };

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
        let (chunk, offset) = Self::place(index);
        if chunk == self.chunks.len() {
            let room = if chunk == 0 { 0 } else { Self::ELEMENTS };
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
        let (chunk, offset) = Self::place(index);
        &self.chunks[chunk][offset]
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, index: u32) -> &mut T {
        let (chunk, offset) = Self::place(index);
        &mut self.chunks[chunk][offset]
    }

    /// Asks memory for an element; see [`crate::warm`].
    #[inline]
    pub(crate) fn prefetch(&self, index: u32) {
        prefetch(self.get(index));
    }

    /// Chunk and offset of an index.
    #[inline]
    const fn place(index: u32) -> (usize, usize) {
        let index = index as usize;
        (index / Self::ELEMENTS, index % Self::ELEMENTS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_stay_where_they_were_pushed() {
        let mut chunks = Chunks::new();
        let count = 3 * Chunks::<u32>::ELEMENTS as u32 + 5;
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
