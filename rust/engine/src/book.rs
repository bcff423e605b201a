//! One market's resting orders in price-time priority.
//!
//! Generic over price and amount types, with a payload per order. Invariant: within a level orders stand
//! in order of arrival, levels are sorted by price, and every total equals the sum over its orders.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::{Add, Sub};

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::order::Side;

/// Orders per slab chunk: growing allocates one chunk and copies nothing.
const CHUNK: usize = 1024;

/// No order.
const NONE: u32 = u32::MAX;

/// Prices: totally ordered.
pub trait Price: Copy + Ord {}
impl<T: Copy + Ord> Price for T {}

/// Amounts: sums and differences; the default is zero.
pub trait Amount: Copy + Ord + Default + Add<Output = Self> + Sub<Output = Self> {}
impl<T: Copy + Ord + Default + Add<Output = T> + Sub<Output = T>> Amount for T {}

/// Position of a resting order; valid until the order leaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Handle(u32);

/// An order as the book holds it.
#[derive(Clone, Copy, Debug)]
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
    previous: u32,
    next: u32,
}

/// All orders of one price.
#[derive(Clone, Copy, Debug)]
struct Level<A> {
    head: u32,
    tail: u32,
    total: A,
}

/// One side: levels by price and totals.
#[derive(Clone, Debug)]
struct Half<P, A> {
    levels: BTreeMap<P, Level<A>>,
    total: A,
    count: u64,
}

/// A fixed run of slots; `None` is free.
type Chunk<P, A, T> = Box<[Option<Resting<P, A, T>>]>;

/// Both sides, and orders by id.
#[derive(Clone, Debug)]
pub struct Book<P, A, T> {
    chunks: Vec<Chunk<P, A, T>>,
    free: Vec<u32>,
    by_id: HashMap<u64, u32, FixedState>,
    asks: Half<P, A>,
    bids: Half<P, A>,
}

impl<P: Price, A: Amount> Half<P, A> {
    const fn new(zero: A) -> Half<P, A> {
        Half { levels: BTreeMap::new(), total: zero, count: 0 }
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
            chunks: Vec::new(),
            free: Vec::new(),
            by_id: HashMap::with_hasher(FixedState::default()),
            asks: Half::new(A::default()),
            bids: Half::new(A::default()),
        }
    }

    /// Rests an order behind all others of its price.
    ///
    /// # Panics
    /// When the id already rests or nothing remains to be filled.
    pub fn insert(&mut self, id: u64, side: Side, price: P, remaining: A, payload: T) -> Handle {
        assert!(remaining > A::default(), "an order rests with something to fill");
        let handle = self.allocate();
        let previous_holder = self.by_id.insert(id, handle);
        assert!(previous_holder.is_none(), "an id rests once");
        let half = self.half_mut(side);
        half.total = half.total + remaining;
        half.count += 1;
        let level = half.levels.entry(price).or_insert(Level {
            head: NONE,
            tail: NONE,
            total: A::default(),
        });
        let tail = level.tail;
        level.tail = handle;
        level.total = level.total + remaining;
        if tail == NONE {
            level.head = handle;
        } else {
            self.slot(tail).next = handle;
        }
        let order = Resting { id, side, price, remaining, payload, previous: tail, next: NONE };
        self.chunks[handle as usize / CHUNK][handle as usize % CHUNK] = Some(order);
        Handle(handle)
    }

    /// Takes an order out.
    pub fn remove(&mut self, handle: Handle) -> Resting<P, A, T> {
        let Handle(index) = handle;
        let order = self.chunks[index as usize / CHUNK][index as usize % CHUNK]
            .take()
            .expect("a handle names a resting order");
        self.by_id.remove(&order.id);
        self.free.push(index);
        if order.previous != NONE {
            self.slot(order.previous).next = order.next;
        }
        if order.next != NONE {
            self.slot(order.next).previous = order.previous;
        }
        let half = self.half_mut(order.side);
        half.total = half.total - order.remaining;
        half.count -= 1;
        let level = half.levels.get_mut(&order.price).expect("a resting order's level exists");
        level.total = level.total - order.remaining;
        if level.head == index {
            level.head = order.next;
        }
        if level.tail == index {
            level.tail = order.previous;
        }
        if level.head == NONE {
            half.levels.remove(&order.price);
        }
        order
    }

    /// Lowers what remains of an order by `amount`, keeping its place; something must be left.
    pub fn reduce(&mut self, handle: Handle, amount: A) {
        let order = self.slot(handle.0);
        order.remaining = order.remaining - amount;
        assert!(order.remaining > A::default(), "a fully filled order is removed, not reduced");
        let (side, price) = (order.side, order.price);
        let half = self.half_mut(side);
        half.total = half.total - amount;
        let level = half.levels.get_mut(&price).expect("a resting order's level exists");
        level.total = level.total - amount;
    }

    /// The order with this id.
    pub fn find(&self, id: u64) -> Option<Handle> {
        self.by_id.get(&id).map(|handle| Handle(*handle))
    }

    /// First in priority on `side`.
    pub fn best(&self, side: Side) -> Option<Handle> {
        let half = self.half(side);
        let level = match side {
            Side::Ask => half.levels.first_key_value(),
            Side::Bid => half.levels.last_key_value(),
        };
        level.map(|(_, level)| Handle(level.head))
    }

    /// The order behind a handle.
    pub fn get(&self, handle: Handle) -> &Resting<P, A, T> {
        let index = handle.0 as usize;
        self.chunks[index / CHUNK][index % CHUNK].as_ref().expect("a handle names a resting order")
    }

    /// What the owner keeps with the order.
    pub fn payload_mut(&mut self, handle: Handle) -> &mut T {
        &mut self.slot(handle.0).payload
    }

    /// Number of orders and sum of what remains on `side`.
    pub fn totals(&self, side: Side) -> (u64, A) {
        let half = self.half(side);
        (half.count, half.total)
    }

    /// Price and total of each level, best first.
    pub fn levels(&self, side: Side) -> impl Iterator<Item = (P, A)> + '_ {
        let mut levels = self.half(side).levels.iter();
        core::iter::from_fn(move || match side {
            Side::Ask => levels.next(),
            Side::Bid => levels.next_back(),
        })
        .map(|(price, level)| (*price, level.total))
    }

    /// Every order of `side`, in priority.
    pub fn orders(&self, side: Side) -> impl Iterator<Item = &Resting<P, A, T>> + '_ {
        let mut levels = self.half(side).levels.values();
        let mut next = NONE;
        core::iter::from_fn(move || {
            if next == NONE {
                let level = match side {
                    Side::Ask => levels.next(),
                    Side::Bid => levels.next_back(),
                }?;
                next = level.head;
            }
            let order = self.get(Handle(next));
            next = order.next;
            Some(order)
        })
    }

    fn allocate(&mut self) -> u32 {
        if let Some(handle) = self.free.pop() {
            return handle;
        }
        let first =
            u32::try_from(self.chunks.len() * CHUNK).expect("fewer than 2^32 resting orders");
        self.chunks.push((0..CHUNK).map(|_| None).collect());
        self.free.extend((first + 1..first + CHUNK as u32).rev());
        first
    }

    fn slot(&mut self, handle: u32) -> &mut Resting<P, A, T> {
        let index = handle as usize;
        self.chunks[index / CHUNK][index % CHUNK].as_mut().expect("links name resting orders")
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
