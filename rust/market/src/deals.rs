//! Deals as market data sees them, and the newest of a market.

use alloc::collections::VecDeque;

use viabtc_engine::Decimal;

/// Deals that are kept of each market. Source: the original's list and its Redis copy.
pub const RECENT_MAX: usize = 10_000;

/// Prices and amounts stay below 10^14 whole units, as in the engine: then no sum leaves 34 digits.
const WHOLE_END: i128 = 100_000_000_000_000;

/// Deals from the year 10000 on are not market data but damage.
const TIME_END: i64 = 253_402_300_800_000_000;

/// Side of the taker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Taker {
    /// Wire text `sell`.
    Sells,
    /// Wire text `buy`.
    Buys,
}

/// A deal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Deal {
    /// Identity; 1 or more.
    pub id: u64,
    /// Microseconds since 1970-01-01 UTC, above 0.
    pub time: i64,
    /// Above 0, below 10^14.
    pub price: Decimal,
    /// In base, above 0, below 10^14.
    pub amount: Decimal,
    /// Who took.
    pub taker: Taker,
}

impl Deal {
    /// Whether every member is in its range: texts from outside are checked by this.
    pub fn is_valid(&self) -> bool {
        self.id > 0
            && (1..TIME_END).contains(&self.time)
            && [self.price, self.amount]
                .iter()
                .all(|value| value.coefficient > 0 && value.units_floor(0) < WHOLE_END)
    }

    /// The whole second that it lies in.
    pub fn second(&self) -> i64 {
        self.time.div_euclid(1_000_000)
    }
}

/// The newest deals of a market in the order of their arrival.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recent {
    deals: VecDeque<Deal>,
    /// The largest id that was ever taken.
    id_max: u64,
}

impl Recent {
    pub(crate) fn push(&mut self, deal: Deal) {
        if self.deals.len() == RECENT_MAX {
            self.deals.pop_front();
        }
        self.deals.push_back(deal);
        self.id_max = self.id_max.max(deal.id);
    }

    pub(crate) fn id_max(&self) -> u64 {
        self.id_max
    }

    /// Whether the same deal was taken before: ids ascend, so that this is one comparison but for repeats,
    /// and for an original's ids that a crash gave out twice.
    pub(crate) fn holds(&self, deal: &Deal) -> bool {
        deal.id <= self.id_max
            && self.deals.iter().rev().any(|other| other.id == deal.id && other.time == deal.time)
    }

    pub(crate) fn newest_first(&self) -> impl Iterator<Item = &Deal> {
        self.deals.iter().rev()
    }

    /// The newest `count`, oldest of them first.
    pub(crate) fn newest(&self, count: usize) -> impl Iterator<Item = &Deal> {
        self.deals.range(self.deals.len().saturating_sub(count)..)
    }

    pub(crate) fn len(&self) -> usize {
        self.deals.len()
    }
}
