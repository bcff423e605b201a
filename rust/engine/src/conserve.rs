//! Whether funds add up, all the time: after every command by sums that are kept, and again and again by
//! what the accounts themselves hold, in slices between commands.
//!
//! The sums find a command that makes or loses funds at once. The slices find what no command did, such as
//! a bit that changed in memory: a round looks at every account, while others go on changing those that
//! were looked at already, and is then compared with what the ledger keeps.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::exchange::Exchange;
use crate::ids::AssetId;
use crate::ledger::Round;

/// Funds of an asset that do not add up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Imbalance {
    /// Whose funds.
    pub asset: AssetId,
    /// Both values, in units of 10^-save_scale.
    pub detail: String,
}

impl Exchange {
    /// What the last command did to the sums, when they do not add up any more: a glance at one field.
    #[inline]
    pub fn imbalance(&self) -> Option<Imbalance> {
        let asset = self.ledger.imbalanced()?;
        let totals = self.ledger.totals(asset);
        let (available, frozen, fees, supply) =
            (totals.available, totals.frozen, totals.fees_collected, totals.supply);
        let detail = format!(
            "available {available} + frozen {frozen} + fees {fees} is not the supply {supply}"
        );
        Some(Imbalance { asset, detail })
    }

    /// Looks at the sums of every asset, and at the next `accounts` accounts. A round that came to its end
    /// is compared, and the next one begins.
    pub fn look_after(&mut self, accounts: usize) -> Option<Imbalance> {
        for asset in 0..self.config().assets.len() {
            self.ledger.check(AssetId(asset as u16));
        }
        if let Some(imbalance) = self.imbalance() {
            return Some(imbalance);
        }
        let Round { sums, digest } = self.ledger.look_on(accounts)?;
        let kept: Vec<i128> = (0..sums.len())
            .map(|asset| self.ledger.totals(AssetId(asset as u16)))
            .map(|totals| totals.available + totals.frozen)
            .collect();
        let differs = sums.iter().zip(&kept).position(|(found, kept)| found != kept);
        match differs {
            Some(asset) => Some(Imbalance {
                asset: AssetId(asset as u16),
                detail: format!("accounts hold {}, the sum says {}", sums[asset], kept[asset]),
            }),
            None if digest != self.ledger.digest() => Some(Imbalance {
                asset: AssetId(0),
                detail: format!(
                    "accounts are not those that commands made: {digest:016x}, not {:016x}",
                    self.ledger.digest()
                ),
            }),
            None => None,
        }
    }

    /// Makes one unit of an asset out of nothing, as a mistake of the engine would.
    #[cfg(feature = "failpoints")]
    pub fn make_a_unit(&mut self, asset: AssetId) {
        self.ledger.make_a_unit(asset);
    }

    /// Changes an account behind everything that is kept about it, as a bit that changes in memory does.
    #[cfg(feature = "failpoints")]
    pub fn flip_an_account(&mut self) {
        self.ledger.flip_an_account();
    }
}
