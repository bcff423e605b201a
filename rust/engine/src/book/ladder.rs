//! The price levels of one side in order: sorted blocks, searched from the best end.
//!
//! Keys rise and the best one is the last, so that what happens near the touch moves few entries. Any
//! distance between two prices is as good as any other. See the decision record on the book's structure.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::Price;

/// Most levels of a block.
const BLOCK: usize = 32;

/// A block that shrinks to this looks for a neighbour to join.
const SPARSE: usize = BLOCK / 4;

/// Levels that stand next to each other.
#[derive(Clone, Debug)]
struct Block<K> {
    length: usize,
    keys: [K; BLOCK],
    levels: [u32; BLOCK],
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Ladder<K> {
    blocks: Vec<Box<Block<K>>>,
    /// Not above any key of the block, and above every key of the block before.
    lowest: Vec<K>,
}

/// Where a key stands or would stand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    block: usize,
    offset: usize,
}

impl<K: Price> Ladder<K> {
    pub(super) const fn new() -> Ladder<K> {
        Ladder { blocks: Vec::new(), lowest: Vec::new() }
    }

    /// The level with this key, or where it belongs.
    #[inline]
    pub(super) fn find(&self, key: K) -> Result<u32, Place> {
        let place = self.place(key);
        match self.blocks.get(place.block) {
            Some(block) if place.offset < block.length && block.keys[place.offset] == key => {
                Ok(block.levels[place.offset])
            }
            _ => Err(place),
        }
    }

    /// The best level.
    #[inline]
    pub(super) fn last(&self) -> Option<u32> {
        let block = self.blocks.last()?;
        Some(block.levels[block.length - 1])
    }

    /// Adds a level where [`Ladder::find`] said that its key belongs.
    pub(super) fn insert(&mut self, place: Place, key: K, level: u32) {
        let Place { block: mut index, mut offset } = place;
        if self.blocks.is_empty() {
            self.add_block(0, key);
        } else if self.blocks[index].length == BLOCK {
            // A best price that runs away fills block after block; anywhere else the block is halved.
            let is_appended = offset == BLOCK && index + 1 == self.blocks.len();
            let kept = if is_appended { BLOCK } else { BLOCK / 2 };
            let split_key = if is_appended { key } else { self.blocks[index].keys[kept] };
            self.add_block(index + 1, split_key);
            let (left, right) = self.blocks.split_at_mut(index + 1);
            let (left, right) = (&mut left[index], &mut right[0]);
            right.length = BLOCK - kept;
            right.keys[..BLOCK - kept].copy_from_slice(&left.keys[kept..]);
            right.levels[..BLOCK - kept].copy_from_slice(&left.levels[kept..]);
            left.length = kept;
            if offset > kept || is_appended {
                index += 1;
                offset -= kept;
            }
        }
        let block = &mut *self.blocks[index];
        block.keys.copy_within(offset..block.length, offset + 1);
        block.levels.copy_within(offset..block.length, offset + 1);
        block.keys[offset] = key;
        block.levels[offset] = level;
        block.length += 1;
        if offset == 0 {
            self.lowest[index] = key;
        }
    }

    /// Takes a level out.
    pub(super) fn remove(&mut self, key: K) {
        let Place { block: index, offset } = self.place(key);
        let block = &mut *self.blocks[index];
        assert!(offset < block.length && block.keys[offset] == key, "a level is in its ladder");
        block.keys.copy_within(offset + 1..block.length, offset);
        block.levels.copy_within(offset + 1..block.length, offset);
        block.length -= 1;
        if block.length == 0 {
            self.blocks.remove(index);
            self.lowest.remove(index);
        } else if block.length <= SPARSE {
            self.join(index);
        }
    }

    /// Every level, best first.
    pub(super) fn levels(&self) -> impl Iterator<Item = u32> + '_ {
        let blocks = self.blocks.iter().rev();
        blocks.flat_map(|block| block.levels[..block.length].iter().rev().copied())
    }

    #[inline]
    fn place(&self, key: K) -> Place {
        let last = self.lowest.len().saturating_sub(1);
        let block = match self.lowest.get(last) {
            Some(lowest) if key < *lowest => {
                self.lowest[..last].partition_point(|lowest| *lowest <= key).saturating_sub(1)
            }
            _ => last,
        };
        let offset = self.blocks.get(block).map_or(0, |block| {
            let keys = &block.keys[..block.length];
            keys.partition_point(|other| *other < key)
        });
        Place { block, offset }
    }

    #[cold]
    fn add_block(&mut self, index: usize, lowest: K) {
        let block = Block { length: 0, keys: [lowest; BLOCK], levels: [0; BLOCK] };
        self.blocks.insert(index, Box::new(block));
        self.lowest.insert(index, lowest);
    }

    /// Joins a block with the one before or behind it when both together leave half a block free.
    #[cold]
    fn join(&mut self, index: usize) {
        let fits = |a: usize, b: usize| {
            let both = self.blocks.get(a).zip(self.blocks.get(b));
            both.is_some_and(|(a, b)| a.length + b.length <= BLOCK / 2)
        };
        let first = if fits(index, index + 1) {
            index
        } else if index > 0 && fits(index - 1, index) {
            index - 1
        } else {
            return;
        };
        let second = self.blocks.remove(first + 1);
        self.lowest.remove(first + 1);
        let block = &mut *self.blocks[first];
        let end = block.length + second.length;
        block.keys[block.length..end].copy_from_slice(&second.keys[..second.length]);
        block.levels[block.length..end].copy_from_slice(&second.levels[..second.length]);
        block.length = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;

    /// Against a map, while prices run away, come back and scatter.
    #[test]
    fn levels_stand_in_order_whatever_comes_and_goes() {
        let mut state = 7u64;
        let mut random = |below: u64| {
            state =
                state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
            (state >> 33) % below
        };
        let (mut ladder, mut model) = (Ladder::<i64>::new(), BTreeMap::new());
        for step in 0..40_000u32 {
            let centre = i64::from(step / 10 % 2_000) * if step < 20_000 { 1 } else { -1 };
            let key = match random(4) {
                0 => random(1 << 31) as i64,
                _ => centre + random(200) as i64,
            };
            match ladder.find(key) {
                Ok(level) => {
                    assert_eq!(model.remove(&key), Some(level));
                    ladder.remove(key);
                }
                Err(place) => {
                    ladder.insert(place, key, step);
                    assert_eq!(model.insert(key, step), None);
                }
            }
            assert_eq!(ladder.last(), model.values().next_back().copied());
            if step % 97 == 0 {
                let expected = model.values().rev().copied();
                assert!(ladder.levels().eq(expected), "step {step}");
            }
        }
        while let Some((key, _)) = model.pop_first() {
            ladder.remove(key);
            // A sparse block and its neighbour hold at least ten levels, or they would have joined.
            let blocks = ladder.blocks.len();
            assert!(blocks <= model.len() / 5 + 1, "{blocks} blocks of {}", model.len());
        }
        assert!(ladder.blocks.is_empty());
    }
}
