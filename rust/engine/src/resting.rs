//! A resting order as the book keeps it: what its place in the book does not say already.

use crate::book::{Book, Handle, Resting};
use crate::decimal::Decimal;
use crate::digest::{halves, weigh};
use crate::ids::{MarketId, OrderId, Time, UserId};
use crate::order::{Order, OrderKind, Source};

/// The book of a market.
pub(crate) type OrderBook = Book<i128, i128, Kept>;

/// Two cache lines; with the book's own fields a resting order takes three.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(crate) struct Kept {
    pub(crate) filled_base: i128,
    pub(crate) filled_quote: i128,
    fee_coefficient: i128,
    pub(crate) created_at: Time,
    pub(crate) updated_at: Time,
    pub(crate) taker_fee_rate: u64,
    pub(crate) maker_fee_rate: u64,
    pub(crate) user: UserId,
    /// Place of the owner's record; see [`crate::open::OpenOrders`].
    pub(crate) owner: u32,
    /// The owner's next older and next newer order in this market.
    pub(crate) older: Handle,
    pub(crate) newer: Handle,
    pub(crate) source: Source,
    fee_scale: u8,
}

const _: () = assert!(size_of::<Kept>() == 128);

impl Kept {
    /// Of an order that is not linked yet.
    pub(crate) fn new(order: &Order) -> Kept {
        Kept {
            filled_base: order.filled_base,
            filled_quote: order.filled_quote,
            fee_coefficient: order.fee_paid.coefficient,
            created_at: order.created_at,
            updated_at: order.updated_at,
            taker_fee_rate: order.taker_fee_rate,
            maker_fee_rate: order.maker_fee_rate,
            user: order.user,
            owner: u32::MAX,
            older: Handle::NONE,
            newer: Handle::NONE,
            source: order.source,
            fee_scale: order.fee_paid.scale,
        }
    }

    /// Takes over what a deal changed.
    pub(crate) fn update(&mut self, order: &Order) {
        self.filled_base = order.filled_base;
        self.filled_quote = order.filled_quote;
        self.fee_coefficient = order.fee_paid.coefficient;
        self.fee_scale = order.fee_paid.scale;
        self.updated_at = order.updated_at;
    }
}

/// The order as everything outside the book sees it.
#[inline]
pub(crate) fn order_of(market: MarketId, resting: &Resting<i128, i128, &Kept>) -> Order {
    let kept = resting.payload;
    Order {
        id: OrderId(resting.id),
        user: kept.user,
        market,
        kind: OrderKind::Limit,
        side: resting.side,
        source: kept.source,
        created_at: kept.created_at,
        updated_at: kept.updated_at,
        price: resting.price,
        amount: resting.remaining + kept.filled_base,
        remaining: resting.remaining,
        taker_fee_rate: kept.taker_fee_rate,
        maker_fee_rate: kept.maker_fee_rate,
        filled_base: kept.filled_base,
        filled_quote: kept.filled_quote,
        fee_paid: Decimal { coefficient: kept.fee_coefficient, scale: kept.fee_scale },
    }
}

/// The number of a resting order in the digest: no field is outside of it. Fields that differ in what
/// they can be share words, turned against each other.
pub(crate) fn number(order: &Order) -> u64 {
    let [remaining, remaining_high] = halves(order.remaining);
    let [price, price_high] = halves(order.price);
    let [filled, filled_high] = halves(order.filled_quote);
    let [fee, fee_high] = halves(order.fee_paid.coefficient);
    let [base, base_high] = halves(order.filled_base);
    let [source, second, third, fourth] = order.source.words();
    weigh([
        order.id.0,
        u64::from(order.user.0) << 32 | u64::from(order.market.0) << 8 | order.side as u64,
        price,
        remaining,
        filled,
        fee,
        price_high ^ remaining_high.rotate_left(16) ^ filled_high.rotate_left(32),
        fee_high ^ order.updated_at.0.cast_unsigned(),
        base ^ base_high.rotate_left(32) ^ order.created_at.0.cast_unsigned().rotate_left(8),
        order.taker_fee_rate
            ^ order.maker_fee_rate.rotate_left(32)
            ^ u64::from(order.fee_paid.scale).rotate_left(56),
        source ^ second.rotate_left(11),
        third ^ fourth.rotate_left(19),
    ])
}
