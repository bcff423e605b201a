//! From a number of 64 bits to a place, in two generations: orders by id, accounts by user and asset.
//!
//! Most orders are cancelled soon or never: a new entry stands in a small table that stays in the nearest
//! cache, and goes on to the large one only when a newer entry wants its place there.
//!
//! The large table consists of cache lines with room for seven entries each. A search looks at all entries
//! of a line at once, without a branch that could be guessed wrong while memory is awaited. An entry whose
//! line is full stands in a line behind it, and the lines that it passed count it, so that a search knows
//! when to go on and nothing moves when an entry leaves. Four ids in a row share a line, since orders that
//! came one after another often leave one after another. Its entries carry 32-bit tags, not ids: whoever
//! searches compares what stands at the place.

use alloc::vec;
use alloc::vec::Vec;

use viabtc_prefetch::{equal, prefetch};

/// Entries of the young generation: 4 KiB. Ids that count up displace the oldest.
const YOUNG: usize = 256;

/// Entries of a line.
const ENTRIES: usize = 7;

/// The bits of a line's entries in [`Line::used`].
const ALL: u32 = (1 << ENTRIES) - 1;

/// Most entries per line on average; then one line in eight is full.
const LOAD_MAX: usize = 5;

/// Ids in a row that share a line.
const RUN: u32 = 4;

/// Odd constant with bits spread evenly: the fraction of the golden ratio.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// An entry of the young generation; place 2^32 - 1 is none.
#[derive(Clone, Copy, Debug)]
struct Young {
    id: u64,
    place: u32,
}

const NOBODY: Young = Young { id: 0, place: u32::MAX };

/// 64 bytes.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(64))]
struct Line {
    tags: [u32; ENTRIES],
    /// A bit for each entry.
    used: u32,
    places: [u32; ENTRIES],
    /// Entries that belong here or before and stand behind.
    passed: u32,
}

impl Line {
    /// The used entries with this tag, a bit each.
    #[inline]
    fn matches(&self, tag: u32) -> u32 {
        // The last of the eight words compared is no tag, and no bit of an entry.
        let [a, b, c, d, e, f, g] = self.tags;
        equal([a, b, c, d, e, f, g, self.used], tag) & self.used
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Index {
    /// Empty until the first entry comes.
    young: Vec<Young>,
    lines: Vec<Line>,
    /// Entries of the lines.
    length: usize,
    /// 64 - log2(number of lines).
    shift: u32,
}

impl Index {
    pub(crate) const fn new() -> Index {
        Index { young: Vec::new(), lines: Vec::new(), length: 0, shift: 64 }
    }

    /// The place of an id; `is_at` says whether a place holds it.
    #[inline]
    pub(crate) fn find(&self, id: u64, is_at: impl Fn(u32) -> bool) -> Option<u32> {
        match self.young.get(tag(id) as usize % YOUNG) {
            Some(young) if young.id == id && young.place != u32::MAX && is_at(young.place) => {
                Some(young.place)
            }
            _ => self.find_old(id, is_at),
        }
    }

    fn find_old(&self, id: u64, is_at: impl Fn(u32) -> bool) -> Option<u32> {
        let tag = tag(id);
        let mask = self.lines.len().checked_sub(1)?;
        let mut number = self.home(tag);
        loop {
            let line = &self.lines[number & mask];
            let mut matches = line.matches(tag);
            while matches != 0 {
                let place = line.places[matches.trailing_zeros() as usize];
                if is_at(place) {
                    return Some(place);
                }
                matches &= matches - 1;
            }
            if line.passed == 0 {
                return None;
            }
            number += 1;
        }
    }

    /// Asks memory for the line where an id belongs; for [`crate::warm`], as what follows.
    #[inline]
    pub(crate) fn prefetch(&self, id: u64) {
        let mask = self.lines.len().wrapping_sub(1);
        if let Some(line) = self.lines.get(self.home(tag(id)) & mask) {
            prefetch(line);
        }
    }

    /// As [`Index::prefetch`], of the entry that a new id displaces from the young generation.
    #[inline]
    pub(crate) fn prefetch_displaced(&self, id: u64) {
        if let Some(older) = self.young.get(tag(id) as usize % YOUNG)
            && older.place != u32::MAX
        {
            self.prefetch(older.id);
        }
    }

    /// The place where an id probably is: nothing but its tag is compared, and only where it belongs.
    #[inline]
    pub(crate) fn guess(&self, id: u64) -> Option<u32> {
        let tag = tag(id);
        let young = self.young.get(tag as usize % YOUNG)?;
        if young.id == id && young.place != u32::MAX {
            return Some(young.place);
        }
        let line = self.lines.get(self.home(tag) & self.lines.len().wrapping_sub(1))?;
        let matches = line.matches(tag);
        (matches != 0).then(|| line.places[matches.trailing_zeros() as usize])
    }

    /// Adds an id that is not there; `is_same` says whether two places hold the same.
    ///
    /// # Panics
    /// When an id turns out to be there twice, at the latest when it leaves the young generation.
    #[inline]
    pub(crate) fn insert(&mut self, id: u64, place: u32, is_same: impl Fn(u32, u32) -> bool) {
        if self.young.is_empty() {
            self.young.resize(YOUNG, NOBODY);
        }
        let entry = Young { id, place };
        let older = core::mem::replace(&mut self.young[tag(id) as usize % YOUNG], entry);
        if older.place != u32::MAX {
            // Ids that differ are looked at no further: what stands at the older place is in no cache.
            assert!(older.id != id || !is_same(older.place, place), "an id stands once");
            self.age(older, is_same);
        }
    }

    /// Moves an entry to the lines.
    fn age(&mut self, Young { id, place }: Young, is_same: impl Fn(u32, u32) -> bool) {
        if self.length == LOAD_MAX * self.lines.len() {
            self.grow();
        }
        let is_new = self.find_old(id, |other| is_same(other, place)).is_none();
        assert!(is_new, "an id stands once");
        self.put(tag(id), place);
        self.length += 1;
    }

    /// Takes out an id that is at `place`.
    #[inline]
    pub(crate) fn remove(&mut self, id: u64, place: u32) {
        match self.young.get_mut(tag(id) as usize % YOUNG) {
            Some(young) if young.id == id && young.place == place => *young = NOBODY,
            _ => self.remove_old(id, place),
        }
    }

    fn remove_old(&mut self, id: u64, place: u32) {
        let tag = tag(id);
        let mask = self.lines.len() - 1;
        let mut number = self.home(tag);
        loop {
            let line = &mut self.lines[number & mask];
            let mut matches = line.matches(tag);
            while matches != 0 {
                if line.places[matches.trailing_zeros() as usize] == place {
                    line.used &= !(matches & matches.wrapping_neg());
                    self.length -= 1;
                    return;
                }
                matches &= matches - 1;
            }
            assert!(line.passed > 0, "what leaves is in the index");
            line.passed -= 1;
            number += 1;
        }
    }

    #[inline]
    fn home(&self, tag: u32) -> usize {
        (u64::from(tag / RUN).wrapping_mul(SPREAD).unbounded_shr(self.shift)) as usize
    }

    #[inline]
    fn put(&mut self, tag: u32, place: u32) {
        let mask = self.lines.len() - 1;
        let mut number = self.home(tag);
        loop {
            let line = &mut self.lines[number & mask];
            if line.used != ALL {
                let entry = (!line.used).trailing_zeros();
                line.used |= 1 << entry;
                line.tags[entry as usize] = tag;
                line.places[entry as usize] = place;
                return;
            }
            line.passed += 1;
            number += 1;
        }
    }

    #[cold]
    fn grow(&mut self) {
        let count = (self.lines.len() * 2).max(1);
        let old = core::mem::replace(&mut self.lines, vec![Line::default(); count]);
        self.shift = 64 - count.ilog2();
        // Homes keep their order when the table doubles: this reads and writes front to back.
        for line in old {
            for entry in (0..ENTRIES).filter(|entry| line.used >> entry & 1 == 1) {
                self.put(line.tags[entry], line.places[entry]);
            }
        }
    }
}

/// Ids that count up, or count up in their upper half, have tags of their own.
#[inline]
const fn tag(id: u64) -> u32 {
    (id ^ id >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;

    /// Against a map, over ids that crowd the same lines and share tags.
    #[test]
    fn finds_what_is_in_it_and_nothing_else() {
        let mut state = 1u64;
        let mut random = |below: u64| {
            state = state.wrapping_mul(SPREAD).wrapping_add(1);
            (state >> 33) % below
        };
        let (mut index, mut model) = (Index::new(), BTreeMap::new());
        let mut ids: Vec<u64> = Vec::new();
        for _ in 0..20_000 {
            let id = match random(3) {
                0 => random(500),
                1 => random(500) << 32,
                _ => random(1 << 32) << 16,
            };
            match model.get(&id) {
                None => {
                    let place = ids.len() as u32;
                    ids.push(id);
                    index.insert(id, place, |a, b| ids[a as usize] == ids[b as usize]);
                    model.insert(id, place);
                }
                Some(&place) => {
                    index.remove(id, place);
                    model.remove(&id);
                }
            }
            for id in [id, random(500), random(500) << 32] {
                let found = index.find(id, |place| ids[place as usize] == id);
                assert_eq!(found, model.get(&id).copied());
            }
        }
        let young = index.young.iter().filter(|young| young.place != u32::MAX);
        assert_eq!(index.length + young.count(), model.len());
        assert!(index.length > 0);
    }
}
