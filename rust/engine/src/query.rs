//! Read-only views: balances, summaries, open orders, book and depth.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::exchange::{Exchange, OwnerKey};
use crate::ids::{AssetId, MarketId, OrderId, UserId};
use crate::ledger::{AssetTotals, Balance};
use crate::order::{Order, Side};

/// Open orders by owner and market, by id.
#[derive(Clone, Debug, Default)]
pub(crate) struct OpenIndex {
    orders: HashMap<OwnerKey, BTreeSet<OrderId>, FixedState>,
}

impl OpenIndex {
    pub(crate) fn insert(&mut self, user: UserId, market: MarketId, order: OrderId) {
        self.orders.entry((user, market)).or_default().insert(order);
    }

    pub(crate) fn remove(&mut self, user: UserId, market: MarketId, order: OrderId) {
        if let Some(orders) = self.orders.get_mut(&(user, market)) {
            orders.remove(&order);
            if orders.is_empty() {
                self.orders.remove(&(user, market));
            }
        }
    }

    pub(crate) fn of(&self, user: UserId, market: MarketId) -> Option<&BTreeSet<OrderId>> {
        self.orders.get(&(user, market))
    }
}

/// Orders of a market.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MarketSummary {
    /// Resting asks.
    pub ask_count: u64,
    /// What they have left, units of 10^-base_scale.
    pub ask_amount: i128,
    /// Resting bids.
    pub bid_count: u64,
    /// What they have left, units of 10^-base_scale.
    pub bid_amount: i128,
}

/// Levels of both sides, best first: `(price, amount)` at quote_scale and base_scale.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Depth {
    /// Lowest price first.
    pub asks: Vec<(i128, i128)>,
    /// Highest price first.
    pub bids: Vec<(i128, i128)>,
}

impl Exchange {
    /// What `user` holds of `asset`.
    pub fn balance(&self, user: UserId, asset: AssetId) -> Balance {
        self.ledger.balance(user, asset)
    }

    /// Every entry, by user, then asset.
    pub fn balances(&self) -> Vec<(UserId, AssetId, Balance)> {
        self.ledger.sorted()
    }

    /// Sums of `asset` over all users.
    pub fn asset_totals(&self, asset: AssetId) -> AssetTotals {
        *self.ledger.totals(asset)
    }

    /// Counts and sums of a market's orders.
    pub fn market_summary(&self, market: MarketId) -> MarketSummary {
        let book = &self.markets[usize::from(market.0)].book;
        let (ask_count, ask_amount) = book.totals(Side::Ask);
        let (bid_count, bid_amount) = book.totals(Side::Bid);
        MarketSummary { ask_count, ask_amount, bid_count, bid_amount }
    }

    /// How many orders `user` has open in `market`.
    pub fn open_order_count(&self, user: UserId, market: MarketId) -> usize {
        self.open.of(user, market).map_or(0, BTreeSet::len)
    }

    /// Orders that `user` has open in `market`, newest id first.
    pub fn open_orders(&self, user: UserId, market: MarketId) -> impl Iterator<Item = Order> + '_ {
        let book = &self.markets[usize::from(market.0)].book;
        self.open.of(user, market).into_iter().flat_map(|orders| orders.iter().rev()).map(|order| {
            let handle = book.find(order.0).expect("an open order rests in its market");
            *book.get(handle).payload
        })
    }

    /// Orders of one side, best first.
    pub fn book(&self, market: MarketId, side: Side) -> impl Iterator<Item = Order> + '_ {
        self.markets[usize::from(market.0)].book.orders(side).map(|resting| *resting.payload)
    }

    /// An open order of `market`.
    pub fn order(&self, market: MarketId, order: OrderId) -> Option<Order> {
        let book = &self.markets[usize::from(market.0)].book;
        book.find(order.0).map(|handle| *book.get(handle).payload)
    }

    /// At most `limit` levels a side; with an `interval` above 0 asks are rounded up and bids down to its
    /// multiples, and orders up to that price are summed.
    pub fn depth(&self, market: MarketId, limit: usize, interval: i128) -> Depth {
        let book = &self.markets[usize::from(market.0)].book;
        let merged = |side: Side| {
            let mut levels: Vec<(i128, i128)> = Vec::new();
            for (price, amount) in book.levels(side) {
                let below = if interval == 0 { price } else { price / interval * interval };
                let price = match side {
                    Side::Ask if below < price => below.saturating_add(interval),
                    _ => below,
                };
                let count = levels.len();
                match levels.last_mut() {
                    Some(last) if last.0 == price => last.1 += amount,
                    _ if count == limit => break,
                    _ => levels.push((price, amount)),
                }
            }
            levels
        };
        Depth { asks: merged(Side::Ask), bids: merged(Side::Bid) }
    }
}
