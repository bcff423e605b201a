//! One candle: prices and sums of the deals of a bucket.

use core::cmp::Ordering;

use viabtc_engine::Decimal;
use viabtc_engine::decimal::{DIGITS_MAX, power_of_ten};

/// A non-negative number in 16 bytes: coefficient above eight bits of scale. A market that trades every
/// second keeps 600,000 candles of six numbers, so their size is what a board costs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Number(i128);

impl Number {
    const ZERO: Number = Number(0);

    /// Coefficients have at most 34 digits, which take 113 bits; sums that a store claims are larger stay
    /// at the largest.
    fn new(value: Decimal) -> Number {
        Number(value.coefficient.min(power_of_ten(DIGITS_MAX) - 1) << 8 | i128::from(value.scale))
    }

    const fn value(self) -> Decimal {
        Decimal { coefficient: self.0 >> 8, scale: self.0 as u8 }
    }

    fn is_less(self, other: Number) -> bool {
        if self.0 as u8 == other.0 as u8 {
            return self.0 < other.0;
        }
        self.value().compare(other.value()) == Ordering::Less
    }

    fn plus(self, other: Decimal) -> Number {
        Number::new(self.value().plus(other))
    }
}

/// Prices and sums of a bucket of time.
///
/// `open` is the price before the bucket's first deal, and `high` and `low` include it.
/// Source: the original's candles, spec of marketprice, section 4.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Candle {
    open: Number,
    close: Number,
    high: Number,
    low: Number,
    volume: Number,
    turnover: Number,
}

impl Candle {
    /// All prices are `price`, and nothing was traded.
    pub fn flat(price: Decimal) -> Candle {
        let price = Number::new(price);
        Candle {
            open: price,
            close: price,
            high: price,
            low: price,
            volume: Number::ZERO,
            turnover: Number::ZERO,
        }
    }

    /// From its six numbers, as a store gives them.
    pub fn new([open, close, high, low, volume, turnover]: [Decimal; 6]) -> Candle {
        Candle {
            open: Number::new(open),
            close: Number::new(close),
            high: Number::new(high),
            low: Number::new(low),
            volume: Number::new(volume),
            turnover: Number::new(turnover),
        }
    }

    /// Whether no price is below `low` or above `high`.
    pub fn is_consistent(&self) -> bool {
        let is_above = |price: Number| !price.is_less(self.low);
        let is_below = |price: Number| !self.high.is_less(price);
        [self.open, self.close].into_iter().all(|price| is_above(price) && is_below(price))
    }

    /// Price before the first deal.
    pub fn open(&self) -> Decimal {
        self.open.value()
    }

    /// Price of the last deal.
    pub fn close(&self) -> Decimal {
        self.close.value()
    }

    /// Highest price.
    pub fn high(&self) -> Decimal {
        self.high.value()
    }

    /// Lowest price.
    pub fn low(&self) -> Decimal {
        self.low.value()
    }

    /// Sum of the amounts, in base.
    pub fn volume(&self) -> Decimal {
        self.volume.value()
    }

    /// Sum of price x amount, in quote; wire name `deal`.
    pub fn turnover(&self) -> Decimal {
        self.turnover.value()
    }

    /// Counts a deal in.
    pub(crate) fn add(&mut self, price: Decimal, amount: Decimal, turnover: Decimal) {
        let price = Number::new(price);
        self.close = price;
        self.reach(price, price);
        self.volume = self.volume.plus(amount);
        self.turnover = self.turnover.plus(turnover);
    }

    /// Counts in the candle that follows.
    pub(crate) fn join(&mut self, later: &Candle) {
        self.close = later.close;
        self.reach(later.high, later.low);
        self.volume = self.volume.plus(later.volume());
        self.turnover = self.turnover.plus(later.turnover());
    }

    fn reach(&mut self, high: Number, low: Number) {
        if self.high.is_less(high) {
            self.high = high;
        }
        if low.is_less(self.low) {
            self.low = low;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_34_digits_and_their_scale() {
        for (coefficient, scale) in [(0, 0), (0, 8), (1, 30), (10i128.pow(34) - 1, 12)] {
            let value = Decimal { coefficient, scale };
            assert_eq!(Number::new(value).value(), value);
        }
    }

    #[test]
    fn numbers_of_different_scales_are_compared_by_value() {
        let number = |coefficient, scale| Number::new(Decimal { coefficient, scale });
        assert!(number(15, 1).is_less(number(151, 2)));
        assert!(!number(150, 2).is_less(number(15, 1)) && !number(15, 1).is_less(number(150, 2)));
    }

    #[test]
    fn a_candle_takes_112_bytes_with_its_time() {
        assert!(size_of::<(i64, Candle)>() <= 112);
    }
}
