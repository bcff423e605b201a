//! Assets and markets, validated once; everything later trusts them.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::decimal::Decimal;
use crate::ids::AssetId;

/// Most decimals an asset may keep: with a supply below 10^14 every sum then has at most 34 digits.
pub const SAVE_SCALE_MAX: u8 = 20;

/// Most decimals of a fee rate, so that a rate fits 64 bits.
pub const FEE_SCALE_MAX: u8 = 18;

/// The supply of an asset stays below 10^14 whole units.
pub const SUPPLY_DIGITS_MAX: u32 = 14;

/// How long a balance update is remembered when the configuration does not say, in microseconds.
pub const UPDATE_WINDOW_DEFAULT: i64 = 30 * 86_400 * 1_000_000;

/// An asset.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AssetConfig {
    /// 1 to 15 bytes, unique.
    pub name: String,
    /// Decimals stored.
    pub save_scale: u8,
    /// Decimals accepted by updates and shown by queries; at most `save_scale`.
    pub show_scale: u8,
}

/// A market: base is traded, quote is what it is priced in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MarketConfig {
    /// 1 to 30 bytes, unique.
    pub name: String,
    /// Wire name `stock`.
    pub base: AssetId,
    /// Wire name `money`.
    pub quote: AssetId,
    /// Decimals of amounts.
    pub base_scale: u8,
    /// Decimals of prices.
    pub quote_scale: u8,
    /// Decimals of fee rates.
    pub fee_scale: u8,
    /// Smallest order, in base.
    pub min_amount: Decimal,
}

/// What the exchange is made of. Order is the order of replies.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// Assets.
    pub assets: Vec<AssetConfig>,
    /// Markets.
    pub markets: Vec<MarketConfig>,
    /// How long a balance update is remembered, microseconds of logged time.
    pub update_window: i64,
}

/// A configuration that cannot work: which key, what is wrong, what would be right.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigError {
    /// Path of the key in the original's configuration file, such as `markets[2].stock.prec`.
    pub key: String,
    /// What is wrong with it.
    pub problem: String,
    /// What would be right.
    pub remedy: String,
}

impl Config {
    /// Checks names, scales and cross references.
    ///
    /// # Errors
    /// The first thing that cannot work.
    pub fn validate(self) -> Result<Config, ConfigError> {
        if self.assets.is_empty() || self.assets.len() > ASSETS_MAX {
            return Err(error(
                "assets",
                format!("has {} entries", self.assets.len()),
                "1 to 1000 assets",
            ));
        }
        if self.markets.len() > MARKETS_MAX {
            return Err(error(
                "markets",
                format!("has {} entries", self.markets.len()),
                "at most 10000 markets",
            ));
        }
        for (index, asset) in self.assets.iter().enumerate() {
            let key = |member: &str| format!("assets[{index}].{member}");
            check_name(&asset.name, 15, key("name"))?;
            if self.assets[..index].iter().any(|other| other.name == asset.name) {
                return Err(error(
                    key("name"),
                    format!("\"{}\" stands twice", asset.name),
                    "a name of its own",
                ));
            }
            if asset.save_scale > SAVE_SCALE_MAX {
                return Err(error(key("prec_save"), format!("is {}", asset.save_scale), "0 to 20"));
            }
            if asset.show_scale > asset.save_scale {
                let right = format!("at most prec_save, which is {}", asset.save_scale);
                return Err(error(key("prec_show"), format!("is {}", asset.show_scale), &right));
            }
        }
        for (index, market) in self.markets.iter().enumerate() {
            let key = |member: &str| format!("markets[{index}].{member}");
            check_name(&market.name, 30, key("name"))?;
            if self.markets[..index].iter().any(|other| other.name == market.name) {
                return Err(error(
                    key("name"),
                    format!("\"{}\" stands twice", market.name),
                    "a name of its own",
                ));
            }
            if market.base == market.quote {
                return Err(error(
                    key("money.name"),
                    String::from("is the stock itself"),
                    "another asset",
                ));
            }
            if market.fee_scale > FEE_SCALE_MAX {
                return Err(error(key("fee_prec"), format!("is {}", market.fee_scale), "0 to 18"));
            }
            let save = |asset: AssetId| self.assets[usize::from(asset.0)].save_scale;
            let sums = [
                (market.base_scale, market.quote_scale, market.quote, "stock.prec + money.prec"),
                (market.base_scale, market.fee_scale, market.base, "stock.prec + fee_prec"),
                (market.quote_scale, market.fee_scale, market.quote, "money.prec + fee_prec"),
            ];
            for (a, b, asset, what) in sums {
                let sum = u32::from(a) + u32::from(b);
                if sum > u32::from(save(asset)) {
                    let name = &self.assets[usize::from(asset.0)].name;
                    let right = format!("at most prec_save of {name}, which is {}", save(asset));
                    return Err(error(
                        format!("markets[{index}]"),
                        format!("{what} is {sum}"),
                        &right,
                    ));
                }
            }
            let least = market.min_amount;
            let is_bounded = least.scale <= SAVE_SCALE_MAX
                && (0..10i128.pow(SUPPLY_DIGITS_MAX)).contains(&least.units_floor(0));
            if least.coefficient < 0 || !is_bounded {
                return Err(error(
                    key("min_amount"),
                    String::from("is out of range"),
                    "0 or more, below 10^14, at most 20 decimals",
                ));
            }
        }
        if self.update_window <= 0 {
            return Err(error("update_window_days", String::from("is not above 0"), "1 or more"));
        }
        Ok(self)
    }
}

/// Most assets; far above any exchange, it bounds what a file can make us allocate.
pub const ASSETS_MAX: usize = 1_000;

/// Most markets.
pub const MARKETS_MAX: usize = 10_000;

fn check_name(name: &str, bytes_max: usize, key: String) -> Result<(), ConfigError> {
    if name.is_empty() || name.len() > bytes_max {
        let right = format!("1 to {bytes_max} bytes");
        return Err(error(key, format!("\"{name}\" has {} bytes", name.len()), &right));
    }
    Ok(())
}

fn error(key: impl Into<String>, problem: String, remedy: &str) -> ConfigError {
    ConfigError { key: key.into(), problem, remedy: remedy.into() }
}
