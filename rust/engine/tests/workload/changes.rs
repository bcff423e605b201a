//! Changes of what the exchange is made of: rare, and often of the kind that is refused.

use viabtc_engine::config::SAVE_SCALE_MAX;
use viabtc_engine::{
    AssetConfig, AssetId, AssetSettings, Change, Decimal, Exchange, MarketConfig, MarketId,
    MarketSettings,
};

use super::Workload;

/// Commands between two changes, on average.
const CHANGED_EVERY: u64 = 200;

/// Commands for which a market stays halted, on average.
const HALTED_FOR: u64 = 30;

/// Assets and markets that are added at most: more of them would only thin out the trade.
const ADDED_MAX: usize = 5;

impl Workload {
    /// A change, when it is time for one.
    pub fn change(&mut self, exchange: &Exchange) -> Option<Change> {
        let markets = exchange.config().markets.len() as u64;
        let mut all = (0..markets).map(|market| MarketId(market as u16));
        if let Some(halted) = all.find(|market| exchange.is_halted(*market))
            && self.random.below(HALTED_FOR) == 0
        {
            return Some(Change::Resume(halted));
        }
        if self.random.below(CHANGED_EVERY) > 0 {
            return None;
        }
        // One that is not there, now and then.
        let beyond = u64::from(self.random.is(15));
        let market = MarketId(self.random.below(markets + beyond) as u16);
        let assets = exchange.config().assets.len() as u64;
        let asset = AssetId(self.random.below(assets + beyond) as u16);
        Some(match self.random.below(20) {
            0..6 => Change::Halt(market),
            6 => Change::Resume(market),
            7..9 => self.new_asset(exchange),
            9..11 => self.new_market(exchange),
            11..14 => self.asset_settings(exchange, asset),
            _ => self.market_settings(exchange, market),
        })
    }

    fn new_asset(&mut self, exchange: &Exchange) -> Change {
        let place = exchange.config().assets.len().min(ADDED_MAX + self.random.index(2));
        let save_scale = self.random.below(23) as u8;
        let show_scale = self.random.below(u64::from(save_scale) + 2) as u8;
        let name = match exchange.config().assets.first() {
            Some(known) if self.random.is(40) => known.name.clone(),
            _ => format!("N{place}"),
        };
        Change::AddAsset(AssetConfig { name, save_scale, show_scale })
    }

    fn new_market(&mut self, exchange: &Exchange) -> Change {
        let config = exchange.config();
        let place = config.markets.len().min(ADDED_MAX + self.random.index(2));
        let mut leg = || AssetId(self.random.index(config.assets.len() + 1) as u16);
        let (base, quote) = (leg(), leg());
        let mut scale = || self.random.below(6) as u8;
        Change::AddMarket(MarketConfig {
            name: format!("M{place}"),
            base,
            quote,
            base_scale: scale(),
            quote_scale: scale(),
            fee_scale: scale(),
            min_amount: Decimal { coefficient: 1, scale: scale() },
        })
    }

    fn asset_settings(&mut self, exchange: &Exchange, asset: AssetId) -> Change {
        let now = exchange.config().assets.get(usize::from(asset.0));
        let (save_scale, show_scale) = now.map_or((0, 0), |now| (now.save_scale, now.show_scale));
        let settings = AssetSettings {
            save_scale: self.other_scale(save_scale),
            show_scale: self.other_scale(show_scale),
        };
        Change::SetAsset(asset, settings)
    }

    fn market_settings(&mut self, exchange: &Exchange, market: MarketId) -> Change {
        let Some(now) = exchange.config().markets.get(usize::from(market.0)) else {
            let min_amount = Decimal::ZERO;
            let none = MarketSettings { base_scale: 0, quote_scale: 0, fee_scale: 0, min_amount };
            return Change::SetMarket(market, none);
        };
        let mut settings = MarketSettings {
            base_scale: now.base_scale,
            quote_scale: now.quote_scale,
            fee_scale: now.fee_scale,
            min_amount: now.min_amount,
        };
        match self.random.below(8) {
            0..3 => {
                let coefficient = self.random.below(30) as i128 - 1;
                let scale = self.random.below(u64::from(now.base_scale) + 2) as u8;
                settings.min_amount = Decimal { coefficient, scale: scale.min(SAVE_SCALE_MAX + 1) };
            }
            3..5 => settings.base_scale = self.other_scale(now.base_scale),
            5..7 => settings.quote_scale = self.other_scale(now.quote_scale),
            _ => settings.fee_scale = self.other_scale(now.fee_scale),
        }
        Change::SetMarket(market, settings)
    }

    /// One decimal more mostly; the same, one less, or any number.
    fn other_scale(&mut self, scale: u8) -> u8 {
        match self.random.below(8) {
            0..5 => scale.saturating_add(1),
            5 => scale,
            6 => scale.saturating_sub(1),
            _ => self.random.below(256) as u8,
        }
    }
}
