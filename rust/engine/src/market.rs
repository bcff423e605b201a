//! One market: its settings as numbers, what its orders need and hold, and who waits in it.

use crate::config::{Config, MarketConfig, SUPPLY_DIGITS_MAX};
use crate::decimal::{DIGITS_MAX, checked_times, power_of_ten, times};
use crate::ids::{AssetId, MarketId};
use crate::order::{Order, Side};
use crate::rejection::Rejection;
use crate::resting::OrderBook;

/// One market: what it is, and who waits in it.
#[derive(Clone, Debug)]
pub(crate) struct Market {
    pub(crate) id: MarketId,
    pub(crate) config: MarketConfig,
    pub(crate) book: OrderBook,
    /// Whether new orders are refused.
    pub(crate) is_halted: bool,
    /// Multiplies units of the turnover into units of the quote asset.
    pub(crate) quote_factor: i128,
    /// Multiplies units of an amount into units of the base asset.
    pub(crate) base_factor: i128,
    /// Smallest amount in units of an amount.
    pub(crate) min_amount: i128,
}

impl Market {
    /// The market of this place in `config`, without orders.
    pub(crate) fn new(id: MarketId, config: &Config) -> Market {
        let mut market = Market {
            id,
            config: config.markets[usize::from(id.0)].clone(),
            book: OrderBook::new(),
            is_halted: false,
            quote_factor: 1,
            base_factor: 1,
            min_amount: 0,
        };
        market.configure(config);
        market
    }

    /// Takes its settings over from `config`; orders in the book must have its decimals.
    pub(crate) fn configure(&mut self, config: &Config) {
        let market = &config.markets[usize::from(self.id.0)];
        let save = |asset: AssetId| u32::from(config.assets[usize::from(asset.0)].save_scale);
        let turnover_scale = u32::from(market.base_scale + market.quote_scale);
        self.quote_factor = power_of_ten(save(market.quote) - turnover_scale);
        self.base_factor = power_of_ten(save(market.base) - u32::from(market.base_scale));
        self.min_amount = market.min_amount.units_ceil(market.base_scale);
        self.config = market.clone();
    }

    /// The asset that an order of `side` gives.
    pub(crate) fn given(&self, side: Side) -> AssetId {
        match side {
            Side::Ask => self.config.base,
            Side::Bid => self.config.quote,
        }
    }

    /// Units of the given asset that a resting order holds frozen: what it may still have to give.
    pub(crate) fn units_frozen(&self, order: &Order) -> i128 {
        match order.side {
            Side::Ask => times(order.remaining, self.base_factor),
            Side::Bid => times(times(order.remaining, order.price), self.quote_factor),
        }
    }

    /// Whether an order read from a snapshot has the bounds of one that was placed.
    pub(crate) fn can_rest(&self, order: &Order) -> bool {
        let rate_limit = power_of_ten(u32::from(self.config.fee_scale));
        let fee = order.fee_paid;
        order.price > 0
            && order.remaining > 0
            && order.filled_base >= 0
            && order.filled_quote >= 0
            && order.remaining.checked_add(order.filled_base) == Some(order.amount)
            && self.units_required(order.side, order.remaining, order.price).is_ok()
            && order.amount < power_of_ten(DIGITS_MAX)
            && i128::from(order.taker_fee_rate.max(order.maker_fee_rate)) < rate_limit
            && u32::from(fee.scale) <= DIGITS_MAX
            && (0..power_of_ten(DIGITS_MAX)).contains(&fee.coefficient)
    }

    /// Units that placing the order needs.
    pub(crate) fn units_required(
        &self,
        side: Side,
        amount: i128,
        price: i128,
    ) -> Result<i128, Rejection> {
        let turnover_scale = u32::from(self.config.base_scale + self.config.quote_scale);
        let turnover = checked_times(amount, price).ok_or(Rejection::InvalidArgument)?;
        if turnover >= power_of_ten(SUPPLY_DIGITS_MAX + turnover_scale) {
            return Err(Rejection::InvalidArgument);
        }
        Ok(match side {
            Side::Ask => checked_times(amount, self.base_factor).unwrap_or(i128::MAX),
            Side::Bid => times(turnover, self.quote_factor),
        })
    }
}
