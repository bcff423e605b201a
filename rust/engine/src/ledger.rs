//! Available and frozen funds per user and asset, with the totals of each asset.
//!
//! Invariant, per asset: available + frozen + fees collected = supply, where supply is the sum of all
//! accepted balance updates. Every value is in units of 10^-save_scale.
//!
//! Source: the original's balance rules (matchengine 1.4): an entry exists until it becomes exactly zero;
//! one whose remainder is finer than the scale stays, with the value zero.

use alloc::vec::Vec;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::decimal::Decimal;
use crate::digest::{halves, mix};
use crate::ids::{AssetId, UserId};

/// What a user holds of an asset; `None` where there is no entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Balance {
    /// Free to use.
    pub available: Option<i128>,
    /// Reserved by open orders.
    pub frozen: Option<i128>,
}

impl Balance {
    /// Available + frozen.
    pub fn total(&self) -> i128 {
        self.available.unwrap_or(0) + self.frozen.unwrap_or(0)
    }
}

/// Sums over all users.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct AssetTotals {
    /// Sum of available.
    pub available: i128,
    /// Entries of available.
    pub available_count: u64,
    /// Sum of frozen.
    pub frozen: i128,
    /// Entries of frozen.
    pub frozen_count: u64,
    /// What fees took from balances, rounding included.
    pub fees_collected: i128,
    /// Sum of all accepted balance updates.
    pub supply: i128,
}

/// Which of a user's two balances of an asset.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Available = 1,
    Frozen = 2,
}

/// All balances.
#[derive(Clone, Debug)]
pub struct Ledger {
    entries: HashMap<(UserId, AssetId), Balance, FixedState>,
    totals: Vec<AssetTotals>,
    save_scales: Vec<u8>,
    digest: u64,
}

impl Ledger {
    /// No balances; `save_scales[asset]` decimals are kept of each asset.
    pub fn new(save_scales: Vec<u8>) -> Ledger {
        let totals = alloc::vec![AssetTotals::default(); save_scales.len()];
        let entries = HashMap::with_hasher(FixedState::default());
        Ledger { entries, totals, save_scales, digest: 0 }
    }

    /// What `user` holds of `asset`.
    pub fn balance(&self, user: UserId, asset: AssetId) -> Balance {
        self.entries.get(&(user, asset)).copied().unwrap_or_default()
    }

    /// What `user` may use of `asset`.
    pub fn available(&self, user: UserId, asset: AssetId) -> i128 {
        self.balance(user, asset).available.unwrap_or(0)
    }

    /// Sums of `asset`.
    pub fn totals(&self, asset: AssetId) -> &AssetTotals {
        &self.totals[usize::from(asset.0)]
    }

    /// Every entry, by user, then asset.
    pub fn sorted(&self) -> Vec<(UserId, AssetId, Balance)> {
        let mut rows: Vec<_> =
            self.entries.iter().map(|(&(user, asset), &balance)| (user, asset, balance)).collect();
        rows.sort_unstable_by_key(|&(user, asset, _)| (user, asset));
        rows
    }

    /// Sum of the numbers of all entries.
    pub(crate) fn digest(&self) -> u64 {
        self.digest
    }

    /// Sum of the numbers of what entries do not show: supply and fees of each asset.
    pub(crate) fn totals_digest(&self) -> u64 {
        let numbers = self.totals.iter().zip(0u64..).map(|(totals, asset)| {
            let ([supply, supply_high], [fees, fees_high]) =
                (halves(totals.supply), halves(totals.fees_collected));
            mix(0xa5, &[asset, supply, supply_high, fees, fees_high])
        });
        numbers.fold(0, u64::wrapping_add)
    }

    /// Sets an entry that is not there yet, as a snapshot has it.
    pub(crate) fn restore(&mut self, user: UserId, asset: AssetId, balance: Balance) {
        let totals = &mut self.totals[usize::from(asset.0)];
        totals.available += balance.available.unwrap_or(0);
        totals.available_count += u64::from(balance.available.is_some());
        totals.frozen += balance.frozen.unwrap_or(0);
        totals.frozen_count += u64::from(balance.frozen.is_some());
        self.digest = self
            .digest
            .wrapping_add(number(user, asset, Kind::Available, balance.available))
            .wrapping_add(number(user, asset, Kind::Frozen, balance.frozen));
        self.entries.insert((user, asset), balance);
    }

    /// Sets the sums that entries do not show, as a snapshot has them.
    pub(crate) fn restore_totals(&mut self, asset: AssetId, supply: i128, fees_collected: i128) {
        let totals = &mut self.totals[usize::from(asset.0)];
        (totals.supply, totals.fees_collected) = (supply, fees_collected);
    }

    /// Stops everything when funds of `asset` appeared or vanished.
    pub(crate) fn assert_conserved(&self, asset: AssetId) {
        let totals = self.totals(asset);
        assert_eq!(
            totals.available + totals.frozen + totals.fees_collected,
            totals.supply,
            "funds are conserved"
        );
    }

    /// Brings `units` into the exchange (deposit).
    pub(crate) fn credit(&mut self, user: UserId, asset: AssetId, units: i128) {
        self.receive(user, asset, units);
        self.totals[usize::from(asset.0)].supply += units;
    }

    /// Takes `units` out of the exchange (withdrawal); the caller has checked that they are available.
    pub(crate) fn debit(&mut self, user: UserId, asset: AssetId, units: i128) {
        self.subtract(user, asset, Kind::Available, units);
        self.totals[usize::from(asset.0)].supply -= units;
    }

    /// Adds to available, from another balance of this ledger.
    pub(crate) fn receive(&mut self, user: UserId, asset: AssetId, units: i128) {
        self.add(user, asset, Kind::Available, units);
    }

    /// Takes from available, towards another balance of this ledger.
    pub(crate) fn spend(&mut self, user: UserId, asset: AssetId, units: i128) {
        self.subtract(user, asset, Kind::Available, units);
    }

    /// Takes from frozen, towards another balance of this ledger.
    pub(crate) fn spend_frozen(&mut self, user: UserId, asset: AssetId, units: i128) {
        self.subtract(user, asset, Kind::Frozen, units);
    }

    /// Reserves for an open order.
    pub(crate) fn freeze(&mut self, user: UserId, asset: AssetId, units: i128) {
        self.subtract(user, asset, Kind::Available, units);
        self.add(user, asset, Kind::Frozen, units);
    }

    /// Gives back what an order reserved.
    pub(crate) fn unfreeze(&mut self, user: UserId, asset: AssetId, units: i128) {
        self.subtract(user, asset, Kind::Frozen, units);
        self.add(user, asset, Kind::Available, units);
    }

    /// Takes a fee from available. The balance is cut toward zero at the asset's scale, and what it lost
    /// by that is collected too.
    pub(crate) fn collect_fee(&mut self, user: UserId, asset: AssetId, fee: Decimal) {
        let scale = self.save_scales[usize::from(asset.0)];
        let lost = fee.units_ceil(scale);
        let is_exact = fee.units_floor(scale) == lost;
        let entry =
            self.entries.get_mut(&(user, asset)).expect("fees are taken from what was received");
        let available = entry.available.expect("fees are taken from what was received");
        assert!(available >= lost, "a fee is smaller than what was received");
        let totals = &mut self.totals[usize::from(asset.0)];
        totals.available -= lost;
        totals.fees_collected += lost;
        let is_gone = available == lost && is_exact;
        entry.available = if is_gone { None } else { Some(available - lost) };
        let after = entry.available;
        self.renumber(user, asset, Kind::Available, Some(available), after);
        if is_gone {
            self.totals[usize::from(asset.0)].available_count -= 1;
            self.drop_if_empty(user, asset);
        }
    }

    fn add(&mut self, user: UserId, asset: AssetId, kind: Kind, units: i128) {
        assert!(units >= 0, "amounts moved are not negative");
        let totals = &mut self.totals[usize::from(asset.0)];
        let (total, count) = match kind {
            Kind::Available => (&mut totals.available, &mut totals.available_count),
            Kind::Frozen => (&mut totals.frozen, &mut totals.frozen_count),
        };
        if units == 0 {
            return;
        }
        *total += units;
        let entry = self.entries.entry((user, asset)).or_default();
        let value = match kind {
            Kind::Available => &mut entry.available,
            Kind::Frozen => &mut entry.frozen,
        };
        *count += u64::from(value.is_none());
        let before = *value;
        *value = Some(before.unwrap_or(0) + units);
        let after = *value;
        self.renumber(user, asset, kind, before, after);
    }

    fn subtract(&mut self, user: UserId, asset: AssetId, kind: Kind, units: i128) {
        assert!(units >= 0, "amounts moved are not negative");
        let entry = self.entries.get_mut(&(user, asset)).expect("the caller checked the funds");
        let totals = &mut self.totals[usize::from(asset.0)];
        let (value, total, count) = match kind {
            Kind::Available => {
                (&mut entry.available, &mut totals.available, &mut totals.available_count)
            }
            Kind::Frozen => (&mut entry.frozen, &mut totals.frozen, &mut totals.frozen_count),
        };
        let before = value.expect("the caller checked the funds");
        assert!(before >= units, "the caller checked the funds");
        *total -= units;
        let is_gone = before == units;
        *value = if is_gone { None } else { Some(before - units) };
        *count -= u64::from(is_gone);
        let after = *value;
        self.renumber(user, asset, kind, Some(before), after);
        if is_gone {
            self.drop_if_empty(user, asset);
        }
    }

    fn renumber(
        &mut self,
        user: UserId,
        asset: AssetId,
        kind: Kind,
        before: Option<i128>,
        after: Option<i128>,
    ) {
        self.digest = self
            .digest
            .wrapping_sub(number(user, asset, kind, before))
            .wrapping_add(number(user, asset, kind, after));
    }

    fn drop_if_empty(&mut self, user: UserId, asset: AssetId) {
        if self.balance(user, asset) == Balance::default() {
            self.entries.remove(&(user, asset));
        }
    }
}

/// The number of one entry in the digest; 0 for none.
pub(crate) fn number(user: UserId, asset: AssetId, kind: Kind, units: Option<i128>) -> u64 {
    let Some(units) = units else { return 0 };
    let [low, high] = halves(units);
    let owner = u64::from(user.0) << 32 | u64::from(asset.0) << 8 | kind as u64;
    mix(0xba, &[owner, low, high])
}
