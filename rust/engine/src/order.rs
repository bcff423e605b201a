//! An order as it is shown, stored and matched.

use crate::decimal::Decimal;
use crate::ids::{MarketId, OrderId, Time, UserId};

/// Side of the book.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Side {
    /// Sell; wire value 1.
    Ask = 1,
    /// Buy; wire value 2.
    Bid = 2,
}

impl Side {
    /// The other side.
    pub const fn opposite(self) -> Side {
        match self {
            Side::Ask => Side::Bid,
            Side::Bid => Side::Ask,
        }
    }
}

/// Limit or market.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum OrderKind {
    /// Rests until filled or cancelled; wire value 1.
    Limit = 1,
    /// Never rests; wire value 2.
    Market = 2,
}

/// Longest source in bytes.
pub const SOURCE_BYTES_MAX: usize = 30;

/// Where an order came from: at most [`SOURCE_BYTES_MAX`] bytes of UTF-8, kept inline. Absent for
/// orders that were taken over from a slice, which does not store it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Source {
    /// The text, zeros behind it, and last its length.
    bytes: [u8; SOURCE_BYTES_MAX + 1],
}

const SOURCE_ABSENT: u8 = u8::MAX;

impl Source {
    /// No source is known.
    pub const ABSENT: Source = {
        let mut bytes = [0; SOURCE_BYTES_MAX + 1];
        bytes[SOURCE_BYTES_MAX] = SOURCE_ABSENT;
        Source { bytes }
    };

    /// `None` when `text` is longer than [`SOURCE_BYTES_MAX`] bytes.
    pub fn new(text: &str) -> Option<Source> {
        let mut bytes = [0; SOURCE_BYTES_MAX + 1];
        bytes[..SOURCE_BYTES_MAX].get_mut(..text.len())?.copy_from_slice(text.as_bytes());
        bytes[SOURCE_BYTES_MAX] = text.len() as u8;
        Some(Source { bytes })
    }

    /// The text, or `None` when absent.
    pub fn as_str(&self) -> Option<&str> {
        let length = usize::from(self.bytes[SOURCE_BYTES_MAX]);
        let text = self.bytes[..SOURCE_BYTES_MAX].get(..length)?;
        core::str::from_utf8(text).ok()
    }

    /// Every byte, and the length, for the digest.
    #[inline]
    pub(crate) fn words(&self) -> [u64; 4] {
        let word = |place: usize| {
            let bytes = self.bytes[place..].first_chunk();
            u64::from_le_bytes(*bytes.expect("eight bytes stand from here on"))
        };
        // The last word is a byte short: it is read with the last byte of the one before.
        [word(0), word(8), word(16), word(SOURCE_BYTES_MAX - 7) >> 8]
    }
}

impl core::fmt::Debug for Source {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.as_str().fmt(formatter)
    }
}

/// An order with everything that replies, messages and rows show of it.
///
/// Scales: `base`, `quote` and `fee` are the market's; amounts of a market bid are quote units.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Order {
    /// Identity.
    pub id: OrderId,
    /// Owner.
    pub user: UserId,
    /// Where.
    pub market: MarketId,
    /// Limit or market.
    pub kind: OrderKind,
    /// Sell or buy.
    pub side: Side,
    /// Origin.
    pub source: Source,
    /// Creation.
    pub created_at: Time,
    /// Last deal, or creation; cancelling does not change it.
    pub updated_at: Time,
    /// Units of 10^-quote_scale; 0 for market orders.
    pub price: i128,
    /// Units of 10^-base_scale (also for a market bid, where it is quote to spend).
    pub amount: i128,
    /// Not yet filled: units of 10^-base_scale; for a market bid of 10^-(base_scale + quote_scale).
    pub remaining: i128,
    /// Units of 10^-fee_scale.
    pub taker_fee_rate: u64,
    /// Units of 10^-fee_scale; 0 for market orders.
    pub maker_fee_rate: u64,
    /// Sum of the deals, units of 10^-base_scale.
    pub filled_base: i128,
    /// Sum of the deals, units of 10^-(base_scale + quote_scale).
    pub filled_quote: i128,
    /// Sum of the own fees, not rounded to the asset's scale: quote for asks, base for bids.
    pub fee_paid: Decimal,
}
