//! The book against two ordered maps: the same orders in the same priority after any coming and going, with
//! thousands of orders and levels, which the comparison with the naive engine does not reach.
//!
//! `VIABTC_SEED` repeats a run.

#[allow(dead_code, reason = "the other tests use more of it")]
#[path = "workload/random.rs"]
mod random;

use std::collections::{BTreeMap, HashMap};

use random::{Random, seed};
use viabtc_engine::Side;
use viabtc_engine::book::Book;

/// Operations of each shape.
const OPERATIONS: u64 = 120_000;

/// Operations between two comparisons of everything.
const COMPARED_EVERY: u64 = 3_000;

/// Orders up to which a book grows before it shrinks to nothing, and grows again.
const ORDERS_MAX: usize = 8_000;

/// By price, in order of arrival: ids and what remains.
type Levels = BTreeMap<i64, Vec<(u64, u64)>>;

/// How prices and ids come.
#[derive(Clone, Copy, Debug)]
enum Shape {
    /// A few prices, many orders at each.
    Crowded,
    /// Hardly two orders at one price.
    Scattered,
    /// Every price a little above the ones before: best for bids, worst for asks.
    Rising,
    /// The other way round.
    Falling,
    /// As a snapshot brings them back: the ids in no order.
    Shuffled,
}

impl Shape {
    fn price(self, random: &mut Random, step: u64) -> i64 {
        match self {
            Shape::Crowded => 1 + random.below(20) as i64,
            Shape::Scattered | Shape::Shuffled => 1 + random.below(1 << 40) as i64,
            Shape::Rising => (1 + 4 * step + random.below(40)) as i64,
            Shape::Falling => (1 << 40) - (4 * step + random.below(40)) as i64,
        }
    }

    fn id(self, random: &mut Random, last: u64) -> u64 {
        match self {
            Shape::Shuffled => random.word() >> 1,
            // The other markets take ids too.
            _ => last + 1 + random.below(3),
        }
    }
}

struct Pair {
    book: Book<i64, u64, u64>,
    asks: Levels,
    bids: Levels,
    places: HashMap<u64, (Side, i64)>,
    /// Ids that rest, in no order, to draw from.
    ids: Vec<u64>,
}

impl Pair {
    fn levels(&mut self, side: Side) -> &mut Levels {
        match side {
            Side::Ask => &mut self.asks,
            Side::Bid => &mut self.bids,
        }
    }

    fn insert(&mut self, id: u64, side: Side, price: i64, amount: u64) {
        let handle = self.book.insert(id, side, price, amount, !id);
        assert_eq!(self.book.get(handle).id, id);
        self.levels(side).entry(price).or_default().push((id, amount));
        self.places.insert(id, (side, price));
        self.ids.push(id);
    }

    fn remove(&mut self, index: usize) {
        let id = self.ids.swap_remove(index);
        let (side, price) = self.places.remove(&id).expect("it rests");
        let handle = self.book.find(id).expect("it rests");
        let removed = self.book.remove(handle);
        let level = self.levels(side).get_mut(&price).expect("a level");
        let place = level.iter().position(|(other, _)| *other == id).expect("it rests");
        let (_, amount) = level.remove(place);
        if level.is_empty() {
            self.levels(side).remove(&price);
        }
        assert_eq!(
            (removed.id, removed.side, removed.price, removed.remaining, removed.payload),
            (id, side, price, amount, !id)
        );
        assert!(self.book.find(id).is_none());
    }

    fn reduce(&mut self, index: usize, random: &mut Random) {
        let id = self.ids[index];
        let (side, price) = self.places[&id];
        let level = self.levels(side).get_mut(&price).expect("a level");
        let order = level.iter_mut().find(|(other, _)| *other == id).expect("it rests");
        if order.1 > 1 {
            let amount = 1 + random.below(order.1 - 1);
            order.1 -= amount;
            let handle = self.book.find(id).expect("it rests");
            self.book.reduce(handle, amount);
        }
    }

    /// The first of each side, which every operation may change.
    fn compare_best(&self) {
        let first = |level: Option<(&i64, &Vec<(u64, u64)>)>| level.map(|(_, level)| level[0].0);
        for (side, best) in [
            (Side::Ask, first(self.asks.first_key_value())),
            (Side::Bid, first(self.bids.last_key_value())),
        ] {
            let found = self.book.best(side).map(|handle| self.book.get(handle));
            assert_eq!(found.map(|order| order.id), best, "{side:?}");
        }
    }

    fn compare(&self) {
        let asks: Vec<_> = self.asks.iter().collect();
        let bids: Vec<_> = self.bids.iter().rev().collect();
        for (side, levels) in [(Side::Ask, asks), (Side::Bid, bids)] {
            let sum = |orders: &[(u64, u64)]| orders.iter().map(|(_, amount)| amount).sum::<u64>();
            let sums: Vec<_> = levels.iter().map(|(price, level)| (**price, sum(level))).collect();
            assert_eq!(self.book.levels(side).collect::<Vec<_>>(), sums);
            let count = levels.iter().map(|(_, level)| level.len() as u64).sum();
            let total = sums.iter().map(|(_, sum)| sum).sum();
            assert_eq!(self.book.totals(side), (count, total));
            let expected = levels.iter().flat_map(|(price, level)| {
                level.iter().map(|(id, amount)| (*id, side, **price, *amount, !id))
            });
            let orders = self.book.orders(side);
            let found = orders.map(|o| (o.id, o.side, o.price, o.remaining, *o.payload));
            assert!(found.eq(expected), "{side:?}");
        }
    }
}

#[test]
fn orders_stand_as_in_ordered_maps() {
    let seed = seed();
    let shapes = [Shape::Crowded, Shape::Scattered, Shape::Rising, Shape::Falling, Shape::Shuffled];
    for (stream, shape) in shapes.into_iter().enumerate() {
        let mut random = Random::new(seed, stream as u64);
        let mut pair = Pair {
            book: Book::new(),
            asks: Levels::new(),
            bids: Levels::new(),
            places: HashMap::new(),
            ids: Vec::new(),
        };
        let (mut last_id, mut is_growing, mut rounds) = (0, true, 0);
        for step in 0..OPERATIONS {
            if pair.ids.len() >= ORDERS_MAX {
                is_growing = false;
            } else if pair.ids.is_empty() {
                rounds += u64::from(!is_growing);
                is_growing = true;
            }
            let drawn = random.below(10);
            if pair.ids.is_empty() || drawn < if is_growing { 7 } else { 2 } {
                last_id = shape.id(&mut random, last_id);
                let side = if random.is(50) { Side::Ask } else { Side::Bid };
                let price = shape.price(&mut random, step);
                pair.insert(last_id, side, price, 1 + random.below(1_000));
            } else if drawn < 9 {
                let index = random.index(pair.ids.len());
                pair.remove(index);
            } else {
                let index = random.index(pair.ids.len());
                pair.reduce(index, &mut random);
            }
            pair.compare_best();
            if step % COMPARED_EVERY == 0 {
                pair.compare();
            }
        }
        pair.compare();
        assert!(rounds > 0, "{shape:?}: the book was filled and emptied");
        while !pair.ids.is_empty() {
            pair.remove(0);
            pair.compare_best();
        }
        pair.compare();
    }
}
