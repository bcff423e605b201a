//! What must hold between any two commands, recomputed from the whole state.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use crate::account;
use crate::book::{self, Handle};
use crate::exchange::{Exchange, hint_of_given};
use crate::ids::AssetId;
use crate::ledger::{AssetTotals, Ledger};
use crate::market::Market;
use crate::order::Side;
use crate::resting::{Kept, number, order_of};
use crate::updates::{self, Remembered};
use crate::warm::GROUP as WARM_GROUP;

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
        let found = self.audit_books()?;
        self.audit_frozen(&found.needs)?;
        self.audit_owners()?;
        self.audit_digest(found.digest)
    }

    fn audit_digest(&self, orders: u64) -> Result<(), Violation> {
        let balances = self
            .ledger
            .iter()
            .map(|(_, user, asset, balance)| account::number(user, asset, balance));
        let updates = self.updates.iter().map(|(time, key, ())| updates::number(key, time));
        let names = self.names.iter();
        let names = names.map(|(time, key, placed)| placed.number(updates::number(key, time)));
        let parts = [
            ("balances", self.ledger.digest(), balances.fold(0, u64::wrapping_add)),
            ("orders", self.orders_digest, orders),
            ("updates", self.updates.digest(), updates.fold(0, u64::wrapping_add)),
            ("names", self.names.digest(), names.fold(0, u64::wrapping_add)),
            ("changes", self.changes_digest, self.changes_number()),
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
        for (_, user, asset, balance) in self.ledger.iter() {
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

    fn audit_frozen(&self, needs: &[i128]) -> Result<(), Violation> {
        for (hint, user, asset, balance) in self.ledger.iter() {
            let need = needs[Ledger::place(hint)];
            if balance.frozen.unwrap_or(0) != need {
                return Err(violation(
                    "frozen funds equal what open orders need",
                    format!("{user:?} {asset:?}: frozen {:?}, needed {need}", balance.frozen),
                ));
            }
        }
        Ok(())
    }

    /// Each owner's list holds orders of that owner only, from old to new; together they hold as many as
    /// the books, so that each order is in its list.
    fn audit_owners(&self) -> Result<(), Violation> {
        let mut listed = 0;
        for (place, owner) in self.open.iter() {
            let book = &self.markets[usize::from(owner.market.0)].book;
            let (mut handle, mut newer, mut count) = (owner.newest, Handle::NONE, 0);
            let mut newer_id = u64::MAX;
            while handle != Handle::NONE {
                let resting = book.get(handle);
                let kept = resting.payload;
                let is_consistent = kept.owner == place
                    && kept.user == owner.user
                    && kept.newer == newer
                    && resting.id < newer_id
                    && count < owner.count;
                if !is_consistent {
                    return Err(violation(
                        "an owner's orders stand from old to new",
                        format!("{owner:?}: order {}", resting.id),
                    ));
                }
                count += 1;
                newer_id = resting.id;
                newer = handle;
                handle = kept.older;
            }
            if count != owner.count || newer != owner.oldest {
                return Err(violation(
                    "an owner's list holds all of it",
                    format!("{owner:?}: {count} orders"),
                ));
            }
            listed += u64::from(count);
        }
        let sides = [Side::Ask, Side::Bid].into_iter();
        let resting: u64 = sides
            .flat_map(|side| self.markets.iter().map(move |market| market.book.totals(side).0))
            .sum();
        if listed != resting {
            return Err(violation(
                "every order is listed by its owner",
                format!("{listed} listed, {resting} resting"),
            ));
        }
        Ok(())
    }

    /// Asks for what looking at these orders needs: index, owners' records, accounts.
    fn warm_audited(&self, market: &Market, side: Side, group: &[Resting<'_>]) {
        for resting in group {
            market.book.prefetch_id(resting.id);
            self.open.prefetch(resting.payload.owner);
        }
        for resting in group {
            self.ledger.prefetch(self.open.at(resting.payload.owner).hints[hint_of_given(side)]);
        }
    }

    /// Looks at every resting order once.
    fn audit_books(&self) -> Result<Found, Violation> {
        let mut found = Found { needs: vec![0; self.ledger.places()], digest: 0 };
        let mut group = Vec::with_capacity(WARM_GROUP);
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
                let mut orders = market.book.orders(side);
                loop {
                    group.clear();
                    group.extend(orders.by_ref().take(WARM_GROUP));
                    if group.is_empty() {
                        break;
                    }
                    self.warm_audited(market, side, &group);
                    for resting in &group {
                        let order = order_of(market.id, resting);
                        let rank =
                            (if side == Side::Ask { order.price } else { -order.price }, order.id);
                        let is_consistent = resting.side == side
                            && order.remaining > 0
                            && market.book.find(resting.id).is_some();
                        if !is_consistent || previous.is_some_and(|previous| previous >= rank) {
                            return Err(violation(
                                "orders stand in priority and in every index",
                                format!("{name}: {order:?}"),
                            ));
                        }
                        previous = Some(rank);
                        count += 1;
                        total += order.remaining;
                        let hint = self.open.at(resting.payload.owner).hints[hint_of_given(side)];
                        let account = self.ledger.find_at(hint, order.user, market.given(side));
                        let Some(account) = account else {
                            return Err(violation(
                                "open orders have their funds frozen",
                                format!("{name}: {order:?} has no account"),
                            ));
                        };
                        found.needs[Ledger::place(account)] += market.units_frozen(&order);
                        found.digest = found.digest.wrapping_add(number(&order));
                    }
                }
                if market.book.totals(side) != (count, total) {
                    return Err(violation(
                        "a side's totals equal its orders",
                        format!("{name} {side:?}: {count} {total}"),
                    ));
                }
            }
        }
        Ok(found)
    }
}

type Resting<'book> = book::Resting<i128, i128, &'book Kept>;

/// What the resting orders add up to.
struct Found {
    /// Units that each account needs frozen, by its place.
    needs: Vec<i128>,
    /// Sum of the orders' numbers.
    digest: u64,
}

fn violation(invariant: &'static str, detail: String) -> Violation {
    Violation { invariant, detail }
}
