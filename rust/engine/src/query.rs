//! Read-only views: balances, summaries, open orders, book and depth.

use alloc::vec::Vec;

use crate::book::Handle;
use crate::exchange::Exchange;
use crate::ids::{AssetId, MarketId, OrderId, UserId};
use crate::ledger::{AssetTotals, Balance};
use crate::order::{Order, Side};
use crate::resting::order_of;

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
        self.open.find(user, market).map_or(0, |(_, owner)| owner.count as usize)
    }

    /// Orders that `user` has open in `market`, newest id first.
    pub fn open_orders(&self, user: UserId, market: MarketId) -> impl Iterator<Item = Order> + '_ {
        let book = &self.markets[usize::from(market.0)].book;
        let mut next = self.open.find(user, market).map_or(Handle::NONE, |(_, owner)| owner.newest);
        core::iter::from_fn(move || {
            if next == Handle::NONE {
                return None;
            }
            let resting = book.get(next);
            next = resting.payload.older;
            Some(order_of(market, &resting))
        })
    }

    /// Orders of one side, best first.
    pub fn book(&self, market: MarketId, side: Side) -> impl Iterator<Item = Order> + '_ {
        self.markets[usize::from(market.0)]
            .book
            .orders(side)
            .map(move |resting| order_of(market, &resting))
    }

    /// An open order of `market`.
    pub fn order(&self, market: MarketId, order: OrderId) -> Option<Order> {
        let book = &self.markets[usize::from(market.0)].book;
        book.find(order.0).map(|handle| order_of(market, &book.get(handle)))
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
