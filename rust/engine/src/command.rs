//! What may be asked of the exchange, already parsed and within the bounds of its fields.

use alloc::boxed::Box;

use crate::change::Change;
use crate::ids::{AssetId, MarketId, OrderId, Time, UserId};
use crate::order::{Side, Source};

/// When a command is applied: its position in the journal and the logged time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stamp {
    /// 1 for the first command; without gaps.
    pub sequence: u64,
    /// Never earlier than the previous command's.
    pub time: Time,
}

/// A command that changes state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Command {
    /// `balance.update`
    UpdateBalance(UpdateBalance),
    /// `order.put_limit`
    PlaceLimit(PlaceLimit),
    /// `order.put_market`
    PlaceMarket(PlaceMarket),
    /// `order.cancel`
    CancelOrder(CancelOrder),
    /// `market.halt` and the others of our own kinds.
    Change(Box<Change>),
    /// `order.put_limit_once`, `order.put_market_once`
    PlaceOnce(Box<PlaceOnce>),
}

/// Adds to or takes from an available balance, once per (user, asset, reason, reason_id).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UpdateBalance {
    /// Whose balance.
    pub user: UserId,
    /// Which asset.
    pub asset: AssetId,
    /// What the update is for (`business`): at most 30 characters, none beyond U+FFFF.
    pub reason: Box<str>,
    /// Identity of the update within its reason (`business_id`).
    pub reason_id: u64,
    /// Signed, in units of 10^-show_scale of the asset.
    pub change: i128,
    /// One-line JSON object for the history row, `id` included.
    pub detail: Box<str>,
}

/// A limit order: takes what crosses, rests with the remainder.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PlaceLimit {
    /// Owner.
    pub user: UserId,
    /// Where.
    pub market: MarketId,
    /// Sell or buy.
    pub side: Side,
    /// Above 0, units of 10^-base_scale; `i128::MAX` stands for any amount that no balance can cover.
    pub amount: i128,
    /// Above 0, units of 10^-quote_scale.
    pub price: i128,
    /// In [0, 1), units of 10^-fee_scale.
    pub taker_fee_rate: u64,
    /// In [0, 1), units of 10^-fee_scale.
    pub maker_fee_rate: u64,
    /// Where the order came from.
    pub source: Source,
}

/// A market order: takes what it can, never rests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PlaceMarket {
    /// Owner.
    pub user: UserId,
    /// Where.
    pub market: MarketId,
    /// Sell or buy.
    pub side: Side,
    /// Above 0; ask: base to sell, bid: quote to spend; in both cases units of 10^-base_scale.
    /// `i128::MAX` stands for any amount that no balance can cover.
    pub amount: i128,
    /// In [0, 1), units of 10^-fee_scale.
    pub taker_fee_rate: u64,
    /// Where the order came from.
    pub source: Source,
}

/// An order that takes effect once under the name that its owner gave it, which is its source.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PlaceOnce {
    /// A limit order.
    Limit(PlaceLimit),
    /// A market order.
    Market(PlaceMarket),
}

impl From<PlaceOnce> for Command {
    fn from(place: PlaceOnce) -> Command {
        Command::PlaceOnce(Box::new(place))
    }
}

impl PlaceOnce {
    /// Whose order, and where.
    pub const fn owner(&self) -> (UserId, MarketId) {
        match self {
            PlaceOnce::Limit(place) => (place.user, place.market),
            PlaceOnce::Market(place) => (place.user, place.market),
        }
    }
}

/// Takes an open order off the book.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CancelOrder {
    /// Must own the order.
    pub user: UserId,
    /// Must hold the order.
    pub market: MarketId,
    /// The order.
    pub order: OrderId,
}
