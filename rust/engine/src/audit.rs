//! What must hold between any two commands, recomputed from the whole state.

use alloc::format;
use alloc::string::String;
use alloc::vec;

use crate::exchange::{self, Exchange};
use crate::ids::AssetId;
use crate::ledger::{self, AssetTotals, Kind};
use crate::order::Side;
use crate::updates;

/// An invariant that does not hold: the state cannot be trusted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// Name of the invariant.
    pub invariant: &'static str,
    /// Where, with both values.
    pub detail: String,
}

impl core::fmt::Display for Violation {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(formatter, "it should hold that {}, but {}", self.invariant, self.detail)
    }
}

impl Exchange {
    /// Recomputes sums, frozen funds, order of the book and the indexes.
    ///
    /// # Errors
    /// The first invariant that does not hold.
    pub fn audit(&self) -> Result<(), Violation> {
        self.audit_totals()?;
        self.audit_frozen()?;
        self.audit_books()?;
        self.audit_digest()
    }

    fn audit_digest(&self) -> Result<(), Violation> {
        let balances = self.balances().into_iter().map(|(user, asset, balance)| {
            ledger::number(user, asset, Kind::Available, balance.available)
                .wrapping_add(ledger::number(user, asset, Kind::Frozen, balance.frozen))
        });
        let orders = self.markets.iter().flat_map(|market| {
            let sides = [Side::Ask, Side::Bid].into_iter();
            sides.flat_map(|side| market.book.orders(side)).map(|o| exchange::number(o.payload))
        });
        let updates = self.updates.iter().map(|(time, key)| updates::number(key, time));
        let parts = [
            ("balances", self.ledger.digest(), balances.fold(0, u64::wrapping_add)),
            ("orders", self.orders_digest, orders.fold(0, u64::wrapping_add)),
            ("updates", self.updates.digest(), updates.fold(0, u64::wrapping_add)),
        ];
        match parts.into_iter().find(|(_, kept, recomputed)| kept != recomputed) {
            None => Ok(()),
            Some((part, kept, recomputed)) => Err(violation(
                "the digest is the sum over the state",
                format!("{part}: {kept:016x} {recomputed:016x}"),
            )),
        }
    }

    fn audit_totals(&self) -> Result<(), Violation> {
        let mut sums = vec![AssetTotals::default(); self.config().assets.len()];
        for (user, asset, balance) in self.balances() {
            let sum = &mut sums[usize::from(asset.0)];
            for value in [balance.available, balance.frozen].into_iter().flatten() {
                if value < 0 {
                    return Err(violation(
                        "balances are not negative",
                        format!("{user:?} {asset:?}: {value}"),
                    ));
                }
            }
            sum.available += balance.available.unwrap_or(0);
            sum.available_count += u64::from(balance.available.is_some());
            sum.frozen += balance.frozen.unwrap_or(0);
            sum.frozen_count += u64::from(balance.frozen.is_some());
        }
        for (index, sum) in sums.iter_mut().enumerate() {
            let kept = self.asset_totals(AssetId(index as u16));
            sum.fees_collected = kept.fees_collected;
            sum.supply = kept.supply;
            if *sum != kept {
                return Err(violation(
                    "totals equal the sums of their entries",
                    format!("asset {index}: {kept:?} {sum:?}"),
                ));
            }
            if kept.available + kept.frozen + kept.fees_collected != kept.supply {
                return Err(violation("funds are conserved", format!("asset {index}: {kept:?}")));
            }
        }
        Ok(())
    }

    fn audit_frozen(&self) -> Result<(), Violation> {
        let mut needs = hashbrown::HashMap::with_hasher(foldhash::fast::FixedState::default());
        for market in &self.markets {
            for side in [Side::Ask, Side::Bid] {
                for resting in market.book.orders(side) {
                    let order = resting.payload;
                    *needs.entry((order.user, market.given(side))).or_insert(0i128) +=
                        market.units_frozen(order);
                }
            }
        }
        for (user, asset, balance) in self.balances() {
            let need = needs.remove(&(user, asset)).unwrap_or(0);
            if balance.frozen.unwrap_or(0) != need {
                return Err(violation(
                    "frozen funds equal what open orders need",
                    format!("{user:?} {asset:?}: frozen {:?}, needed {need}", balance.frozen),
                ));
            }
        }
        match needs.iter().next() {
            Some((owner, need)) => Err(violation(
                "open orders have their funds frozen",
                format!("{owner:?} needs {need}"),
            )),
            None => Ok(()),
        }
    }

    fn audit_books(&self) -> Result<(), Violation> {
        for market in &self.markets {
            let name = &market.config.name;
            let best = |side| market.book.best(side).map(|handle| market.book.get(handle).price);
            if let (Some(ask), Some(bid)) = (best(Side::Ask), best(Side::Bid))
                && bid >= ask
            {
                return Err(violation(
                    "a book is not crossed",
                    format!("{name}: bid {bid}, ask {ask}"),
                ));
            }
            for side in [Side::Ask, Side::Bid] {
                let (mut count, mut total, mut previous) = (0, 0, None);
                for resting in market.book.orders(side) {
                    let order = resting.payload;
                    let rank =
                        (if side == Side::Ask { order.price } else { -order.price }, order.id);
                    let is_consistent = order.remaining == resting.remaining
                        && order.id.0 == resting.id
                        && order.price == resting.price
                        && order.market == market.id
                        && order.amount == order.remaining + order.filled_base
                        && self
                            .open
                            .of(order.user, market.id)
                            .is_some_and(|open| open.contains(&order.id));
                    if !is_consistent || previous.is_some_and(|previous| previous >= rank) {
                        return Err(violation(
                            "orders stand in priority and in every index",
                            format!("{name}: {order:?}"),
                        ));
                    }
                    previous = Some(rank);
                    count += 1;
                    total += order.remaining;
                }
                if market.book.totals(side) != (count, total) {
                    return Err(violation(
                        "a side's totals equal its orders",
                        format!("{name} {side:?}: {count} {total}"),
                    ));
                }
            }
        }
        Ok(())
    }
}

fn violation(invariant: &'static str, detail: String) -> Violation {
    Violation { invariant, detail }
}
