//! One market's resting orders in price-time priority.
//!
//! Generic over price and amount types, with a payload per order. Invariant: within a level orders stand
//! in order of arrival, levels are sorted by price, and every total equals the sum over its orders.

mod index;
mod ladder;

use alloc::vec::Vec;
use core::ops::{Add, Sub};

use viabtc_prefetch::prefetch;

use crate::chunks::Chunks;
use crate::order::Side;
pub(crate) use index::Index;
use ladder::Ladder;

/// No order, no level.
const NONE: u32 = u32::MAX;

/// Fewest and most hints of a book: 64 bytes to 16 KiB, which the nearest cache holds.
const HINTS_MIN: usize = 16;
const HINTS_MAX: usize = 4_096;

/// Odd constant with bits spread evenly: the fraction of the golden ratio.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// Prices: totally ordered, and their order can be turned around.
pub trait Price: Copy + Ord {
    /// Maps prices one to one so that a lower price becomes a higher one; twice is the price again.
    #[must_use]
    fn mirrored(self) -> Self;

    /// Something that differs between prices that differ in their lower digits.
    fn low_bits(self) -> u64;
}

macro_rules! price {
    ($($integer:ty),*) => {$(
        impl Price for $integer {
            fn mirrored(self) -> Self {
                !self
            }

            fn low_bits(self) -> u64 {
                self as u64
            }
        }
    )*};
}
price!(i64, i128);

/// Amounts: sums and differences; the default is zero.
pub trait Amount: Copy + Ord + Default + Add<Output = Self> + Sub<Output = Self> {}
impl<T: Copy + Ord + Default + Add<Output = T> + Sub<Output = T>> Amount for T {}

/// Position of a resting order; valid until the order leaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Handle(u32);

impl Handle {
    /// Names no order.
    pub(crate) const NONE: Handle = Handle(NONE);
}

/// An order as the book shows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Resting<P, A, T> {
    /// Identity, unique in the book.
    pub id: u64,
    /// Side it rests on.
    pub side: Side,
    /// Limit.
    pub price: P,
    /// Not yet filled, above zero.
    pub remaining: A,
    /// What the owner of the book keeps with it.
    pub payload: T,
}

/// An order as the book holds it; side and price are its level's.
#[derive(Clone, Copy, Debug)]
struct Slot<A, T> {
    id: u64,
    remaining: A,
    previous: u32,
    /// Of a free slot: the next free one.
    next: u32,
    /// `NONE` in a free slot.
    level: u32,
    payload: T,
}

/// All orders of one price.
#[derive(Clone, Copy, Debug)]
struct Level<P, A> {
    price: P,
    total: A,
    side: Side,
    /// `NONE` in a free level.
    head: u32,
    /// Of a free level: the next free one.
    tail: u32,
}

/// One side: levels in order and totals.
#[derive(Clone, Debug)]
struct Half<P, A> {
    ladder: Ladder<P>,
    /// `NONE` when the side is empty.
    best: u32,
    total: A,
    count: u64,
}

/// Both sides, and orders by id.
#[derive(Clone, Debug)]
pub struct Book<P, A, T> {
    slots: Chunks<Slot<A, T>>,
    free_slot: u32,
    levels: Chunks<Level<P, A>>,
    free_level: u32,
    /// Levels by the hash of their price, possibly outdated: most orders come to a price where others are.
    hints: Vec<u32>,
    by_id: Index,
    asks: Half<P, A>,
    bids: Half<P, A>,
}

impl<P: Price, A: Amount> Half<P, A> {
    fn new() -> Half<P, A> {
        Half { ladder: Ladder::new(), best: NONE, total: A::default(), count: 0 }
    }
}

/// What a side's ladder sorts by: a better price is a higher key.
#[inline]
fn key<P: Price>(side: Side, price: P) -> P {
    match side {
        Side::Ask => price.mirrored(),
        Side::Bid => price,
    }
}

impl<P: Price, A: Amount, T: Copy> Default for Book<P, A, T> {
    fn default() -> Self {
        Book::new()
    }
}

impl<P: Price, A: Amount, T: Copy> Book<P, A, T> {
    /// An empty book.
    pub fn new() -> Book<P, A, T> {
        Book {
            slots: Chunks::new(),
            free_slot: NONE,
            levels: Chunks::new(),
            free_level: NONE,
            hints: Vec::new(),
            by_id: Index::new(),
            asks: Half::new(),
            bids: Half::new(),
        }
    }

    /// Rests an order behind all others of its price.
    ///
    /// # Panics
    /// When the id already rests or nothing remains to be filled.
    pub fn insert(&mut self, id: u64, side: Side, price: P, remaining: A, payload: T) -> Handle {
        assert!(remaining > A::default(), "an order rests with something to fill");
        let level_index = self.level_at(side, price);
        let level = self.levels.get_mut(level_index);
        let tail = level.tail;
        let slot = Slot { id, remaining, previous: tail, next: NONE, level: level_index, payload };
        let handle = if self.free_slot == NONE {
            self.slots.push(slot)
        } else {
            let handle = self.free_slot;
            let place = self.slots.get_mut(handle);
            self.free_slot = place.next;
            *place = slot;
            handle
        };
        level.total = level.total + remaining;
        level.tail = handle;
        if level.head == NONE {
            level.head = handle;
        } else {
            self.slots.get_mut(tail).next = handle;
        }
        let slots = &self.slots;
        self.by_id.insert(id, handle, |a, b| slots.get(a).id == slots.get(b).id);
        let half = self.half_mut(side);
        half.total = half.total + remaining;
        half.count += 1;
        Handle(handle)
    }

    /// Takes an order out.
    pub fn remove(&mut self, handle: Handle) -> Resting<P, A, T> {
        let Handle(index) = handle;
        let slot = self.slots.get_mut(index);
        let Slot { id, remaining, previous, next, level: level_index, payload } = *slot;
        assert!(level_index != NONE, "a handle names a resting order");
        slot.level = NONE;
        slot.next = self.free_slot;
        self.free_slot = index;
        self.by_id.remove(id, index);
        let level = self.levels.get_mut(level_index);
        level.total = level.total - remaining;
        if previous == NONE {
            level.head = next;
        } else {
            self.slots.get_mut(previous).next = next;
        }
        if next == NONE {
            level.tail = previous;
        } else {
            self.slots.get_mut(next).previous = previous;
        }
        let (side, price, is_empty) = (level.side, level.price, level.head == NONE);
        let half = self.half_mut(side);
        half.total = half.total - remaining;
        half.count -= 1;
        if is_empty {
            self.remove_level(level_index);
        }
        Resting { id, side, price, remaining, payload }
    }

    /// Lowers what remains of an order by `amount`, keeping its place; something must be left.
    pub fn reduce(&mut self, handle: Handle, amount: A) {
        let slot = self.slots.get_mut(handle.0);
        assert!(slot.remaining > amount, "a fully filled order is removed, not reduced");
        slot.remaining = slot.remaining - amount;
        let level = self.levels.get_mut(slot.level);
        level.total = level.total - amount;
        let side = level.side;
        let half = self.half_mut(side);
        half.total = half.total - amount;
    }

    /// The order with this id.
    #[inline]
    pub fn find(&self, id: u64) -> Option<Handle> {
        self.by_id.find(id, |place| self.slots.get(place).id == id).map(Handle)
    }

    /// First in priority on `side`.
    #[inline]
    pub fn best(&self, side: Side) -> Option<Handle> {
        let best = self.half(side).best;
        if best == NONE { None } else { Some(Handle(self.levels.get(best).head)) }
    }

    /// Price of the first in priority on `side`.
    #[inline]
    pub fn best_price(&self, side: Side) -> Option<P> {
        let best = self.half(side).best;
        if best == NONE { None } else { Some(self.levels.get(best).price) }
    }

    /// The order behind a handle.
    #[inline(always)]
    pub fn get(&self, handle: Handle) -> Resting<P, A, &T> {
        let slot = self.slots.get(handle.0);
        assert!(slot.level != NONE, "a handle names a resting order");
        let level = self.levels.get(slot.level);
        let (side, price) = (level.side, level.price);
        Resting { id: slot.id, side, price, remaining: slot.remaining, payload: &slot.payload }
    }

    /// What the owner keeps with the order.
    #[inline]
    pub fn payload_mut(&mut self, handle: Handle) -> &mut T {
        &mut self.slots.get_mut(handle.0).payload
    }

    /// Number of orders and sum of what remains on `side`.
    pub fn totals(&self, side: Side) -> (u64, A) {
        let half = self.half(side);
        (half.count, half.total)
    }

    /// Sum of what remains at one price of `side`.
    pub fn total_at(&self, side: Side, price: P) -> A {
        let level = self.half(side).ladder.find(key(side, price));
        level.map_or(A::default(), |level| self.levels.get(level).total)
    }

    /// Price and total of each level, best first.
    pub fn levels(&self, side: Side) -> impl Iterator<Item = (P, A)> + '_ {
        self.half(side).ladder.levels().map(|level| {
            let Level { price, total, .. } = self.levels.get(level);
            (*price, *total)
        })
    }

    /// Every order of `side`, in priority.
    pub fn orders(&self, side: Side) -> impl Iterator<Item = Resting<P, A, &T>> + '_ {
        self.handles(side).map(|handle| self.get(handle))
    }

    /// Where every order of `side` stands, in priority.
    pub(crate) fn handles(&self, side: Side) -> impl Iterator<Item = Handle> + '_ {
        let mut levels = self.half(side).ladder.levels();
        let mut next = NONE;
        core::iter::from_fn(move || {
            if next == NONE {
                next = self.levels.get(levels.next()?).head;
            }
            let handle = Handle(next);
            next = self.slots.get(next).next;
            Some(handle)
        })
    }

    /// Asks memory for where an id is looked up; for [`crate::warm`], as what follows.
    pub(crate) fn prefetch_id(&self, id: u64) {
        self.by_id.prefetch(id);
    }

    /// Asks for where the id goes that a new one displaces.
    pub(crate) fn prefetch_arrival(&self, id: u64) {
        self.by_id.prefetch_displaced(id);
    }

    /// Where an order probably is.
    pub(crate) fn guess(&self, id: u64) -> Option<Handle> {
        self.by_id.guess(id).map(Handle)
    }

    /// The order behind a handle, if it rests, without a look at its level.
    #[inline]
    pub(crate) fn peek(&self, handle: Handle) -> Option<(u64, &T)> {
        let slot = self.slots.get(handle.0);
        (slot.level != NONE).then_some((slot.id, &slot.payload))
    }

    /// Asks for an order.
    #[inline]
    pub(crate) fn prefetch_order(&self, handle: Handle) {
        if handle != Handle::NONE {
            self.slots.prefetch(handle.0);
        }
    }

    /// Asks for a part of what the owner keeps with an order.
    #[inline]
    pub(crate) fn prefetch_part<U>(&self, handle: Handle, part: impl Fn(&T) -> &U) {
        if handle != Handle::NONE {
            prefetch(part(&self.slots.get(handle.0).payload));
        }
    }

    /// Asks for an order's level, and for the orders before and behind it, as far as the book needs them.
    pub(crate) fn prefetch_neighbours(&self, handle: Handle) {
        let slot = self.slots.get(handle.0);
        if slot.level == NONE {
            return;
        }
        self.levels.prefetch(slot.level);
        for index in [slot.previous, slot.next] {
            if index != NONE {
                prefetch(&self.slots.get(index).id);
            }
        }
    }

    /// Where the level of a price probably is.
    fn level_guess(&self, price: P) -> Option<u32> {
        self.hints.get(self.hint_of(price)).copied().filter(|index| *index != NONE)
    }

    /// Asks for the level of a price.
    pub(crate) fn prefetch_level(&self, price: P) {
        if let Some(level) = self.level_guess(price) {
            self.levels.prefetch(level);
        }
    }

    /// Asks for the order that a new one of this price stands behind.
    pub(crate) fn prefetch_tail(&self, price: P) {
        if let Some(level) = self.level_guess(price).map(|level| self.levels.get(level))
            && level.price == price
            && level.head != NONE
        {
            prefetch(&self.slots.get(level.tail).id);
        }
    }

    /// The level of a price, new when there is none.
    #[inline]
    fn level_at(&mut self, side: Side, price: P) -> u32 {
        let hint = self.hint_of(price);
        if let Some(&index) = self.hints.get(hint)
            && index != NONE
        {
            let level = self.levels.get(index);
            if level.price == price && level.side == side && level.head != NONE {
                return index;
            }
        }
        let index = self.level_searched(side, price);
        if self.hints.len() < HINTS_MAX && self.hints.len() < self.levels.len() {
            let count = (2 * self.hints.len()).max(HINTS_MIN);
            self.hints.clear();
            self.hints.resize(count, NONE);
        }
        let hint = self.hint_of(price);
        self.hints[hint] = index;
        index
    }

    /// Where the hint of a price stands.
    #[inline]
    fn hint_of(&self, price: P) -> usize {
        let hash = price.low_bits().wrapping_mul(SPREAD);
        (hash >> 32) as usize & self.hints.len().wrapping_sub(1)
    }

    fn level_searched(&mut self, side: Side, price: P) -> u32 {
        let key = key(side, price);
        let half = match side {
            Side::Ask => &mut self.asks,
            Side::Bid => &mut self.bids,
        };
        let place = match half.ladder.find(key) {
            Ok(level) => return level,
            Err(place) => place,
        };
        let level = Level { price, total: A::default(), side, head: NONE, tail: NONE };
        let index = if self.free_level == NONE {
            self.levels.push(level)
        } else {
            let index = self.free_level;
            let free = self.levels.get_mut(index);
            self.free_level = free.tail;
            *free = level;
            index
        };
        half.ladder.insert(place, key, index);
        half.best = half.ladder.last().unwrap_or(NONE);
        index
    }

    fn remove_level(&mut self, index: u32) {
        let level = self.levels.get_mut(index);
        level.tail = self.free_level;
        self.free_level = index;
        let (side, price) = (level.side, level.price);
        let half = self.half_mut(side);
        half.ladder.remove(key(side, price));
        half.best = half.ladder.last().unwrap_or(NONE);
    }

    fn half(&self, side: Side) -> &Half<P, A> {
        match side {
            Side::Ask => &self.asks,
            Side::Bid => &self.bids,
        }
    }

    fn half_mut(&mut self, side: Side) -> &mut Half<P, A> {
        match side {
            Side::Ask => &mut self.asks,
            Side::Bid => &mut self.bids,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    type TickBook = Book<i64, u64, ()>;

    fn ids(book: &TickBook, side: Side) -> Vec<u64> {
        book.orders(side).map(|order| order.id).collect()
    }

    #[test]
    fn orders_stand_by_price_then_arrival() {
        let mut book = TickBook::new();
        for (id, side, price) in [
            (1, Side::Ask, 11),
            (2, Side::Ask, 10),
            (3, Side::Ask, 10),
            (4, Side::Bid, 8),
            (5, Side::Bid, 9),
            (6, Side::Bid, 9),
        ] {
            book.insert(id, side, price, 5, ());
        }
        assert_eq!(ids(&book, Side::Ask), [2, 3, 1]);
        assert_eq!(ids(&book, Side::Bid), [5, 6, 4]);
        assert_eq!(book.levels(Side::Bid).collect::<Vec<_>>(), [(9, 10), (8, 5)]);
    }

    #[test]
    fn reducing_keeps_the_place_and_the_totals() {
        let mut book = TickBook::new();
        let first = book.insert(1, Side::Ask, 10, 5, ());
        book.insert(2, Side::Ask, 10, 7, ());
        book.reduce(first, 3);
        assert_eq!(ids(&book, Side::Ask), [1, 2]);
        assert_eq!(book.levels(Side::Ask).collect::<Vec<_>>(), [(10, 9)]);
        assert_eq!(book.totals(Side::Ask), (2, 9));
    }

    #[test]
    fn removing_from_the_middle_keeps_the_chain_and_frees_the_place() {
        let mut book = TickBook::new();
        for id in 1..=3 {
            book.insert(id, Side::Bid, 10, id, ());
        }
        let removed = book.remove(book.find(2).expect("rests"));
        assert_eq!((removed.id, removed.remaining), (2, 2));
        assert_eq!(ids(&book, Side::Bid), [1, 3]);
        book.insert(4, Side::Bid, 10, 1, ());
        assert_eq!(ids(&book, Side::Bid), [1, 3, 4]);
        for id in [1, 3, 4] {
            book.remove(book.find(id).expect("rests"));
        }
        assert_eq!(book.best(Side::Bid), None);
        assert_eq!(book.totals(Side::Bid), (0, 0));
    }
}
