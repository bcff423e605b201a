//! One account: what a user holds of an asset, and how it changes together with the asset's sums.

use crate::decimal::Decimal;
use crate::digest::{halves, weigh};
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

/// Which of a user's two balances of an asset; as bits of [`Account::held`].
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Available = 1,
    Frozen = 2,
}

/// A user's two balances of an asset: 56 bytes, alone in a cache line, since it is mostly met alone.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(crate) struct Account {
    pub(crate) available: i128,
    pub(crate) frozen: i128,
    /// As [`Account::number`] says since the last change, so that a change does not weigh what it replaces.
    counted: u64,
    pub(crate) user: UserId,
    pub(crate) asset: AssetId,
    /// Bits of [`Kind`] for the balances that exist; 0 in a free place.
    pub(crate) held: u8,
}

impl Account {
    /// Without balances.
    pub(crate) const fn new(user: UserId, asset: AssetId) -> Account {
        Account { available: 0, frozen: 0, counted: 0, user, asset, held: 0 }
    }

    pub(crate) fn balance(&self) -> Balance {
        let held = |kind: Kind, units| (self.held & kind as u8 != 0).then_some(units);
        Balance {
            available: held(Kind::Available, self.available),
            frozen: held(Kind::Frozen, self.frozen),
        }
    }

    /// Available + frozen: a balance that does not exist is kept as zero.
    #[inline]
    pub(crate) fn total(&self) -> i128 {
        self.available + self.frozen
    }

    /// As [`number`].
    #[inline]
    fn number(&self) -> u64 {
        number_of(self.user, self.asset, self.held, self.available, self.frozen)
    }

    /// Counts what it holds by now; how much its number grew.
    #[inline]
    pub(crate) fn count(&mut self) -> u64 {
        let number = self.number();
        number.wrapping_sub(core::mem::replace(&mut self.counted, number))
    }

    pub(crate) fn add(&mut self, totals: &mut AssetTotals, kind: Kind, units: i128) {
        assert!(units >= 0, "amounts moved are not negative");
        if units == 0 {
            return;
        }
        let (value, total, count) = match kind {
            Kind::Available => {
                (&mut self.available, &mut totals.available, &mut totals.available_count)
            }
            Kind::Frozen => (&mut self.frozen, &mut totals.frozen, &mut totals.frozen_count),
        };
        *value += units;
        *total += units;
        *count += u64::from(self.held & kind as u8 == 0);
        self.held |= kind as u8;
    }

    pub(crate) fn subtract(&mut self, totals: &mut AssetTotals, kind: Kind, units: i128) {
        assert!(units >= 0, "amounts moved are not negative");
        let (value, total, count) = match kind {
            Kind::Available => {
                (&mut self.available, &mut totals.available, &mut totals.available_count)
            }
            Kind::Frozen => (&mut self.frozen, &mut totals.frozen, &mut totals.frozen_count),
        };
        assert!(self.held & kind as u8 != 0 && *value >= units, "the caller checked the funds");
        *value -= units;
        *total -= units;
        if *value == 0 {
            *count -= 1;
            self.held &= !(kind as u8);
        }
    }

    /// Takes a fee out of available; what the balance loses by being cut to the asset's scale is collected too.
    pub(crate) fn pay(&mut self, totals: &mut AssetTotals, fee: Decimal, scale: u8) {
        let lost = fee.units_ceil(scale);
        let is_exact = scale >= fee.scale || fee.units_floor(scale) == lost;
        assert!(self.available >= lost, "a fee is smaller than what was received");
        self.available -= lost;
        totals.available -= lost;
        totals.fees_collected += lost;
        if self.available == 0 && is_exact {
            totals.available_count -= 1;
            self.held &= !(Kind::Available as u8);
        }
    }
}

/// The number of an account in the digest; 0 for none.
#[inline]
pub(crate) fn number(user: UserId, asset: AssetId, balance: Balance) -> u64 {
    let Balance { available, frozen } = balance;
    let held = u8::from(available.is_some()) | u8::from(frozen.is_some()) << 1;
    number_of(user, asset, held, available.unwrap_or(0), frozen.unwrap_or(0))
}

/// As [`number`], of the balances whose bits of [`Kind`] are in `held`; the others are zero.
#[inline]
fn number_of(user: UserId, asset: AssetId, held: u8, available: i128, frozen: i128) -> u64 {
    if held == 0 {
        return 0;
    }
    let [available, available_high] = halves(available);
    let [frozen, frozen_high] = halves(frozen);
    let owner = u64::from(user.0) << 32 | u64::from(asset.0) << 8 | u64::from(held);
    weigh([owner, available, frozen, available_high ^ frozen_high.rotate_left(32)])
}
