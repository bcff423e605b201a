//! A state that somebody else kept: balances, open orders and counters, put together and audited.

use alloc::vec::Vec;

use crate::command::UpdateBalance;
use crate::config::Config;
use crate::exchange::{Counters, Exchange};
use crate::ids::{AssetId, MarketId, Time, UserId};
use crate::ledger::Balance;
use crate::order::{Order, Side};
use crate::snapshot::{Out, RestoreError, VERSION};
use crate::updates::UpdateKey;

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// When it was so.
    pub time: Time,
    /// The last order id that was given.
    pub last_order: u64,
    /// The last deal id that was given.
    pub last_deal: u64,
    /// The last number of the operation log.
    pub operlog_id: u64,
    /// Entries, each user and asset once.
    pub balances: Vec<(UserId, AssetId, Balance)>,
    /// Resting orders.
    pub orders: Vec<Order>,
}

impl Exchange {
    /// The state that was found, as one that this engine could have come to: funds conserved, orders'
    /// funds frozen, books not crossed. The supply of an asset is what users hold of it.
    ///
    /// # Errors
    /// Says what does not fit together.
    pub fn take_over(config: Config, found: &Found) -> Result<Exchange, RestoreError> {
        let mut bytes = Vec::new();
        write(&config, found, &mut bytes);
        Exchange::restore_bytes(config, &bytes)
    }

    /// Lets an update count again that somebody else let count again.
    pub fn forget_update(&mut self, update: &UpdateBalance) {
        if let Some(asset) = self.config().assets.get(usize::from(update.asset.0)) {
            let key = UpdateKey::new(update.user, &asset.name, &update.reason, update.reason_id);
            self.updates.forget(key);
        }
    }

    /// Counts commands behind `sequence`: the state is where a new journal begins. Ids go on.
    ///
    /// Where an engine of ours has been before, `sequence` is its last command, and events are counted
    /// from numbers that it cannot have reached: a command makes one event of balances at most, and one
    /// of orders beside those of its deals.
    pub fn begin_behind(&mut self, sequence: u64) {
        let deals = if sequence == 0 { 0 } else { self.counters.last_deal };
        self.counters.sequence = sequence;
        self.counters.balance_events = sequence;
        self.counters.order_events = sequence + deals;
    }
}

/// In the form of a snapshot, so that it is checked as one.
fn write(config: &Config, found: &Found, bytes: &mut Vec<u8>) {
    let mut out =
        Out { bytes: Vec::new(), sink: &mut |piece: &[u8]| bytes.extend_from_slice(piece) };
    out.u8(VERSION);
    let counters = Counters {
        time: found.time,
        last_order: found.last_order,
        last_deal: found.last_deal,
        operlog_id: found.operlog_id,
        ..Counters::default()
    };
    for counter in counters.words() {
        out.u64(counter);
    }
    out.u64(config.assets.len() as u64);
    for (index, asset) in config.assets.iter().enumerate() {
        let held = found.balances.iter().filter(|(_, other, _)| usize::from(other.0) == index);
        let supply = held.map(|(_, _, balance)| balance.total()).sum();
        out.asset(asset, supply, 0);
    }
    out.u64(config.markets.len() as u64);
    for market in &config.markets {
        out.market(market);
    }
    let mut balances = found.balances.clone();
    balances.sort_by_key(|(user, asset, _)| (*user, *asset));
    out.u64(balances.len() as u64);
    for (user, asset, balance) in balances {
        out.balance(user, asset, balance);
    }
    for index in 0..config.markets.len() {
        for side in [Side::Ask, Side::Bid] {
            let market = MarketId(index as u16);
            let of_side = |order: &&Order| order.market == market && order.side == side;
            let mut orders: Vec<&Order> = found.orders.iter().filter(of_side).collect();
            let sign = if side == Side::Ask { 1 } else { -1 };
            orders.sort_by_key(|order| (sign * order.price, order.id));
            out.u64(orders.len() as u64);
            for order in orders {
                out.order(order);
            }
        }
    }
    // Which updates were seen is not kept by anybody else.
    out.u64(0);
    out.flush();
}
