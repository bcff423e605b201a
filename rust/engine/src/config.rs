//! Assets and markets, validated once; everything later trusts them.

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
