//! Available and frozen funds per user and asset, with the totals of each asset.
//!
//! Invariant, per asset: available + frozen + fees collected = supply, where supply is the sum of all
//! accepted balance updates. Every value is in units of 10^-save_scale.
//!
//! Source: the original's balance rules (matchengine 1.4): an entry exists until it becomes exactly zero;
//! one whose remainder is finer than the scale stays, with the value zero.

use alloc::vec::Vec;

use crate::account::{Account, Kind, number};
pub use crate::account::{AssetTotals, Balance};
use crate::book::Index;
use crate::chunks::Chunks;
use crate::decimal::{Decimal, power_of_ten};
use crate::digest::{halves, mix};
use crate::ids::{AssetId, UserId};

/// Where an account stood when it was last looked up. It may have gone since: whoever uses it says whose
/// account is meant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Hint(u32);

impl Hint {
    /// Knows nothing.
    pub(crate) const NONE: Hint = Hint(u32::MAX);
}

/// All balances.
#[derive(Clone, Debug)]
pub struct Ledger {
    accounts: Chunks<Account>,
    free: Vec<u32>,
    index: Index,
    totals: Vec<AssetTotals>,
    save_scales: Vec<u8>,
    digest: u64,
    /// The first asset whose sums did not add up.
    imbalanced: Option<AssetId>,
    /// Accounts at places below this one were looked at in this round.
    looked: u32,
    round: Round,
}

/// What the accounts hold that were looked at in this round, as it is by now.
#[derive(Clone, Debug, Default)]
pub(crate) struct Round {
    /// Available + frozen of each asset.
    pub(crate) sums: Vec<i128>,
    /// Sum of the accounts' numbers.
    pub(crate) digest: u64,
}

impl Ledger {
    /// No balances; `save_scales[asset]` decimals are kept of each asset.
    pub fn new(save_scales: Vec<u8>) -> Ledger {
        Ledger {
            accounts: Chunks::new(),
            free: Vec::new(),
            index: Index::new(),
            totals: alloc::vec![AssetTotals::default(); save_scales.len()],
            save_scales,
            digest: 0,
            imbalanced: None,
            looked: 0,
            round: Round::default(),
        }
    }

    /// One asset more.
    pub(crate) fn add_asset(&mut self, save_scale: u8) {
        self.save_scales.push(save_scale);
        self.totals.push(AssetTotals::default());
        (self.looked, self.round) = (0, Round::default());
    }

    /// Keeps more decimals of `asset`: every value stays what it is, in smaller units.
    pub(crate) fn rescale(&mut self, asset: AssetId, save_scale: u8) {
        let scale = &mut self.save_scales[usize::from(asset.0)];
        let factor = power_of_ten(u32::from(save_scale - *scale));
        *scale = save_scale;
        (self.looked, self.round) = (0, Round::default());
        for place in 0..self.accounts.len() as u32 {
            let account = self.accounts.get_mut(place);
            if account.asset != asset || account.held == 0 {
                continue;
            }
            account.available *= factor;
            account.frozen *= factor;
            self.digest = self.digest.wrapping_add(account.count());
        }
        let totals = &mut self.totals[usize::from(asset.0)];
        totals.available *= factor;
        totals.frozen *= factor;
        totals.fees_collected *= factor;
        totals.supply *= factor;
    }

    /// What `user` holds of `asset`.
    pub fn balance(&self, user: UserId, asset: AssetId) -> Balance {
        let hint = self.find(user, asset);
        hint.map_or(Balance::default(), |Hint(place)| self.accounts.get(place).balance())
    }

    /// Sums of `asset`.
    pub fn totals(&self, asset: AssetId) -> &AssetTotals {
        &self.totals[usize::from(asset.0)]
    }

    /// Every entry, by user, then asset.
    pub fn sorted(&self) -> Vec<(UserId, AssetId, Balance)> {
        let mut rows: Vec<_> =
            self.iter().map(|(_, user, asset, held)| (user, asset, held)).collect();
        rows.sort_unstable_by_key(|&(user, asset, _)| (user, asset));
        rows
    }

    /// Every entry with its place, in the order of places.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Hint, UserId, AssetId, Balance)> + '_ {
        let accounts = (0..).zip(self.accounts.iter()).filter(|(_, account)| account.held != 0);
        accounts
            .map(|(place, account)| (Hint(place), account.user, account.asset, account.balance()))
    }

    /// Places are below this.
    pub(crate) fn places(&self) -> usize {
        self.accounts.len()
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
        let Balance { available, frozen } = balance;
        let bit = |is_held: bool, kind: Kind| if is_held { kind as u8 } else { 0 };
        let held = bit(available.is_some(), Kind::Available) | bit(frozen.is_some(), Kind::Frozen);
        if held == 0 {
            return;
        }
        let Hint(place) = self.find_or_open(user, asset);
        let account = self.accounts.get_mut(place);
        account.available = available.unwrap_or(0);
        account.frozen = frozen.unwrap_or(0);
        account.held = held;
        self.digest = self.digest.wrapping_add(account.count());
        let totals = &mut self.totals[usize::from(asset.0)];
        totals.available += account.available;
        totals.available_count += u64::from(available.is_some());
        totals.frozen += account.frozen;
        totals.frozen_count += u64::from(frozen.is_some());
    }

    /// Sets the sums that entries do not show, as a snapshot has them.
    pub(crate) fn restore_totals(&mut self, asset: AssetId, supply: i128, fees_collected: i128) {
        let totals = &mut self.totals[usize::from(asset.0)];
        (totals.supply, totals.fees_collected) = (supply, fees_collected);
    }

    /// Notes when funds of `asset` appeared or vanished.
    #[inline]
    pub(crate) fn check(&mut self, asset: AssetId) {
        let totals = self.totals(asset);
        if totals.available + totals.frozen + totals.fees_collected != totals.supply {
            self.imbalanced.get_or_insert(asset);
        }
    }

    /// The first asset whose funds did not add up.
    #[inline]
    pub(crate) const fn imbalanced(&self) -> Option<AssetId> {
        self.imbalanced
    }

    /// Looks at the next `count` places; what a whole round found, at its end.
    pub(crate) fn look_on(&mut self, count: usize) -> Option<Round> {
        let end = self.accounts.len().min(self.looked as usize + count) as u32;
        self.round.sums.resize(self.totals.len(), 0);
        for place in self.looked..end {
            let account = self.accounts.get(place);
            if account.held != 0 {
                let Account { user, asset, available, frozen, .. } = *account;
                // Not checked: a bit that changed in memory must not end the process here.
                let sum = &mut self.round.sums[usize::from(asset.0)];
                *sum = sum.wrapping_add(available).wrapping_add(frozen);
                let number = number(user, asset, account.balance());
                self.round.digest = self.round.digest.wrapping_add(number);
            }
        }
        self.looked = end;
        if (end as usize) < self.accounts.len() {
            return None;
        }
        self.looked = 0;
        Some(core::mem::take(&mut self.round))
    }

    #[cfg(feature = "failpoints")]
    pub(crate) fn make_a_unit(&mut self, asset: AssetId) {
        self.totals[usize::from(asset.0)].available += 1;
        self.check(asset);
    }

    #[cfg(feature = "failpoints")]
    pub(crate) fn flip_an_account(&mut self) {
        self.accounts.get_mut(0).available ^= 1;
    }

    /// Where the account stands, when it exists.
    #[inline]
    pub(crate) fn find(&self, user: UserId, asset: AssetId) -> Option<Hint> {
        let id = id(user, asset);
        self.index.find(id, |place| self.is(place, user, asset)).map(Hint)
    }

    /// As [`Ledger::find`], looking where the hint says first.
    #[inline]
    pub(crate) fn find_at(&self, hint: Hint, user: UserId, asset: AssetId) -> Option<Hint> {
        if hint != Hint::NONE && self.is(hint.0, user, asset) {
            return Some(hint);
        }
        self.find(user, asset)
    }

    /// Asks memory for where an account is looked up; for [`crate::warm`], as what follows.
    pub(crate) fn prefetch_index(&self, user: UserId, asset: AssetId) {
        self.index.prefetch(id(user, asset));
    }

    /// Asks for an account.
    #[inline]
    pub(crate) fn prefetch(&self, hint: Hint) {
        if hint != Hint::NONE {
            self.accounts.prefetch(hint.0);
        }
    }

    /// Asks for the account that is probably the one that is looked up.
    pub(crate) fn prefetch_guess(&self, user: UserId, asset: AssetId) {
        if let Some(place) = self.index.guess(id(user, asset)) {
            self.accounts.prefetch(place);
        }
    }

    /// What may be used of an account that was just found.
    #[inline]
    pub(crate) fn available_at(&self, hint: Option<Hint>) -> i128 {
        hint.map_or(0, |Hint(place)| self.accounts.get(place).available)
    }

    /// Index of an account's place, below [`Ledger::places`].
    pub(crate) const fn place(Hint(place): Hint) -> usize {
        place as usize
    }

    /// Brings `units` into the exchange (deposit); the balance afterwards.
    pub(crate) fn credit(&mut self, user: UserId, asset: AssetId, units: i128) -> Balance {
        self.totals[usize::from(asset.0)].supply += units;
        if units == 0 {
            return self.balance(user, asset);
        }
        let hint = self.find_or_open(user, asset);
        self.change(hint, |account, totals| {
            account.add(totals, Kind::Available, units);
            account.balance()
        })
    }

    /// Takes `units` out of the exchange (withdrawal); the caller has checked that they are available.
    /// The balance afterwards.
    pub(crate) fn debit(&mut self, user: UserId, asset: AssetId, units: i128) -> Balance {
        self.totals[usize::from(asset.0)].supply -= units;
        let hint = self.find(user, asset).expect("the caller checked the funds");
        self.change(hint, |account, totals| {
            account.subtract(totals, Kind::Available, units);
            account.balance()
        })
    }

    /// Takes from available, towards another balance of this ledger; the total afterwards.
    pub(crate) fn spend(&mut self, hint: Hint, units: i128) -> i128 {
        self.change(hint, |account, totals| {
            account.subtract(totals, Kind::Available, units);
            account.total()
        })
    }

    /// Takes from frozen, towards another balance of this ledger; the total afterwards.
    pub(crate) fn spend_frozen(&mut self, hint: Hint, units: i128) -> i128 {
        self.change(hint, |account, totals| {
            account.subtract(totals, Kind::Frozen, units);
            account.total()
        })
    }

    /// Reserves for an open order.
    pub(crate) fn freeze(&mut self, hint: Hint, units: i128) {
        self.change(hint, |account, totals| {
            account.subtract(totals, Kind::Available, units);
            account.add(totals, Kind::Frozen, units);
        });
    }

    /// Gives back what an order reserved.
    pub(crate) fn unfreeze(&mut self, hint: Hint, units: i128) {
        self.change(hint, |account, totals| {
            account.subtract(totals, Kind::Frozen, units);
            account.add(totals, Kind::Available, units);
        });
    }

    /// Adds to available, from another balance of this ledger, and takes a fee of it. The balance is cut
    /// toward zero at the asset's scale, and what it lost by that is collected too. The totals before and
    /// after the fee. The hint is brought up to date.
    pub(crate) fn receive(
        &mut self,
        hint: &mut Hint,
        user: UserId,
        asset: AssetId,
        units: i128,
        fee: Decimal,
    ) -> (i128, i128) {
        let scale = self.save_scales[usize::from(asset.0)];
        if *hint == Hint::NONE || !self.is(hint.0, user, asset) {
            *hint = self.find_or_open(user, asset);
        }
        self.change(*hint, |account, totals| {
            account.add(totals, Kind::Available, units);
            let received = account.total();
            if fee.coefficient > 0 {
                account.pay(totals, fee, scale);
            }
            (received, account.total())
        })
    }

    /// Changes an account, its asset's totals and the digest; an account without balances goes.
    #[inline]
    fn change<T>(
        &mut self,
        Hint(place): Hint,
        change: impl FnOnce(&mut Account, &mut AssetTotals) -> T,
    ) -> T {
        let account = self.accounts.get_mut(place);
        let totals = &mut self.totals[usize::from(account.asset.0)];
        let total = if place < self.looked { account.total() } else { 0 };
        let outcome = change(account, totals);
        let change = account.count();
        self.digest = self.digest.wrapping_add(change);
        if place < self.looked {
            // What this round has seen already goes along with the change.
            self.round.sums[usize::from(account.asset.0)] += account.total() - total;
            self.round.digest = self.round.digest.wrapping_add(change);
        }
        if account.held == 0 {
            self.index.remove(id(account.user, account.asset), place);
            self.free.push(place);
        }
        outcome
    }

    /// The account, without balances when it is new; the caller changes it at once.
    fn find_or_open(&mut self, user: UserId, asset: AssetId) -> Hint {
        if let Some(hint) = self.find(user, asset) {
            return hint;
        }
        let account = Account::new(user, asset);
        let place = match self.free.pop() {
            Some(place) => {
                *self.accounts.get_mut(place) = account;
                place
            }
            None => self.accounts.push(account),
        };
        let accounts = &self.accounts;
        self.index.insert(id(user, asset), place, |a, b| {
            let (a, b) = (accounts.get(a), accounts.get(b));
            (a.user, a.asset) == (b.user, b.asset)
        });
        Hint(place)
    }

    #[inline]
    fn is(&self, place: u32, user: UserId, asset: AssetId) -> bool {
        let account = self.accounts.get(place);
        account.user == user && account.asset == asset && account.held != 0
    }
}

/// What an account is indexed by: assets of one user stand together.
#[inline]
const fn id(user: UserId, asset: AssetId) -> u64 {
    (user.0 as u64) << 16 | asset.0 as u64
}
