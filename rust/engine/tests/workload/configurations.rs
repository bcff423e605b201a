//! Exchanges at the ends of what a configuration allows.

use viabtc_engine::{AssetConfig, AssetId, Config, Decimal, MarketConfig};

/// A configuration, and what it is there for.
pub struct Setting {
    pub name: &'static str,
    pub config: Config,
}

/// Long enough for some thousand commands, short enough to pass often; microseconds.
const UPDATE_WINDOW: i64 = 1_000_000;

/// The settings: decimals from none to twenty, fees that fit the balances and fees that do not.
pub fn settings() -> [Setting; 5] {
    [
        setting(
            "usual",
            &[("BTC", 12, 8), ("BCH", 20, 8), ("ETH", 16, 8)],
            &[
                ("BTCBCH", 0, 1, [8, 8, 4], (1, 3)),
                ("ETHBCH", 2, 1, [8, 8, 4], (1, 2)),
                // A fee has 14 decimals and the balance 12: every fee rounds against its payer.
                ("ETHBTC", 2, 0, [4, 6, 4], (5, 4)),
            ],
        ),
        setting(
            "whole numbers",
            &[("GOLD", 0, 0), ("COIN", 0, 0)],
            &[("GOLDCOIN", 0, 1, [0, 0, 0], (2, 0))],
        ),
        setting(
            "twenty decimals",
            &[("A", 20, 10), ("B", 20, 20)],
            &[
                ("AB", 0, 1, [20, 0, 0], (1, 20)),
                ("BA", 1, 0, [0, 20, 0], (1, 20)),
                ("AB10", 0, 1, [10, 10, 10], (3, 10)),
            ],
        ),
        setting(
            "four decimals",
            &[("X", 8, 4), ("Y", 8, 2)],
            &[("XY", 0, 1, [4, 4, 4], (15, 3)), ("YX", 1, 0, [2, 4, 4], (123, 2))],
        ),
        setting(
            "products beyond 34 digits",
            &[("P", 20, 8), ("Q", 20, 8)],
            &[("PQ", 0, 1, [8, 12, 8], (1, 8)), ("QP", 1, 0, [2, 2, 18], (1, 1))],
        ),
    ]
}

/// Name, decimals kept, decimals shown.
type Asset = (&'static str, u8, u8);

/// Name, base, quote, decimals of amount, price and fee rate, least amount as coefficient and decimals.
type Market = (&'static str, u16, u16, [u8; 3], (i128, u8));

fn setting(name: &'static str, assets: &[Asset], markets: &[Market]) -> Setting {
    let asset = |&(name, save_scale, show_scale): &Asset| AssetConfig {
        name: name.into(),
        save_scale,
        show_scale,
    };
    let market = |&(name, base, quote, scales, (coefficient, scale)): &Market| {
        let [base_scale, quote_scale, fee_scale] = scales;
        MarketConfig {
            name: name.into(),
            base: AssetId(base),
            quote: AssetId(quote),
            base_scale,
            quote_scale,
            fee_scale,
            min_amount: Decimal { coefficient, scale },
        }
    };
    let config = Config {
        assets: assets.iter().map(asset).collect(),
        markets: markets.iter().map(market).collect(),
        update_window: UPDATE_WINDOW,
    };
    Setting { name, config: config.validate().expect("a sound configuration") }
}
