//! What can have happened. Events carry all that replies, history rows, topic payloads and pushes
//! show, so that a projection needs nothing but the event stream.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::decimal::Decimal;
use crate::ids::{AssetId, DealId, MarketId, OrderId, Time, UserId};
use crate::order::{Order, Side};

/// Facts of one command, oldest first.
pub type Events = Vec<Event>;

/// One fact.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// A balance update took effect.
    BalanceUpdated(Box<BalanceUpdated>),
    /// Two orders met; followed by the maker's update or finish.
    Deal(Deal),
    /// An order appeared, changed or ended.
    Order(OrderEvent),
}

/// An accepted `balance.update`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BalanceUpdated {
    /// Place among all balance updates, the first is 1: consumers of the topic notice repeats and gaps.
    pub number: u64,
    /// When.
    pub time: Time,
    /// Whose.
    pub user: UserId,
    /// Of what.
    pub asset: AssetId,
    /// `business`.
    pub reason: Box<str>,
    /// `business_id`.
    pub reason_id: u64,
    /// Signed, units of 10^-show_scale.
    pub change: i128,
    /// Available + frozen afterwards, units of 10^-save_scale.
    pub total: i128,
    /// Available afterwards, units of 10^-save_scale.
    pub available: i128,
    /// JSON object text of the history row.
    pub detail: Box<str>,
}

/// What an order event says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum OrderChange {
    /// Rests now; wire value 1.
    Placed = 1,
    /// A resting order was partly filled; wire value 2.
    Updated = 2,
    /// Filled, done or cancelled; wire value 3.
    Finished = 3,
}

/// An order as it stood right after the change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OrderEvent {
    /// Place among all order events, the first is 1. Deals are dense by their own id.
    pub number: u64,
    /// What happened to it.
    pub change: OrderChange,
    /// The order.
    pub order: Order,
    /// Whether order history keeps it: finished by filling, a market order, or cancelled after a deal.
    pub is_recorded: bool,
}

/// One side of a deal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DealSide {
    /// Order.
    pub order: OrderId,
    /// Its owner.
    pub user: UserId,
    /// Rate charged, units of 10^-fee_scale.
    pub fee_rate: u64,
    /// Exact product cut to 34 digits; ask: quote, bid: base.
    pub fee: Decimal,
    /// Owner's total (available + frozen) of the asset given, after giving it; units of its save_scale.
    pub total_given: i128,
    /// Owner's total of the asset received, after receiving it and before the fee.
    pub total_received: i128,
    /// Owner's total of the asset received, after the fee (equal to `total_received` without one).
    pub total_after_fee: i128,
}

/// Two orders met at the maker's price.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Deal {
    /// Identity.
    pub id: DealId,
    /// When.
    pub time: Time,
    /// Where.
    pub market: MarketId,
    /// Side of the taker.
    pub taker: Side,
    /// Units of 10^-quote_scale.
    pub price: i128,
    /// Units of 10^-base_scale.
    pub amount: i128,
    /// price x amount, units of 10^-(base_scale + quote_scale).
    pub turnover: i128,
    /// Gives base, receives quote.
    pub ask: DealSide,
    /// Gives quote, receives base.
    pub bid: DealSide,
}
