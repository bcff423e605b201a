//! A state as rows of the original's slice tables: resting orders, and what users hold.
//!
//! Values are the original's (`me_dump.c`), rounded as its columns round them. What the columns cannot
//! keep - the sources of orders, the updates already seen, decimals beyond the columns' - is not there: a
//! state is kept exactly in our own form beside these tables.

use viabtc_engine::{AssetConfig, MarketConfig, Order, Side};

use crate::rows::{AMOUNT_SCALE, Field, PRODUCT_SCALE, RATE_SCALE, decimal};

/// Decimals of the column `deal_fee` of a slice.
const FEE_SCALE: u8 = 12;

/// What a balance row holds, with the original's number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BalanceKind {
    /// Free to use.
    Available = 1,
    /// Held by orders.
    Frozen = 2,
}

/// Columns of a table of orders, in the order of [`order_fields`].
pub const ORDER_COLUMNS: [&str; 16] = [
    "id",
    "t",
    "side",
    "create_time",
    "update_time",
    "user_id",
    "market",
    "price",
    "amount",
    "taker_fee",
    "maker_fee",
    "left",
    "freeze",
    "deal_stock",
    "deal_money",
    "deal_fee",
];

/// Columns of a table of balances, in the order of [`balance_fields`].
pub const BALANCE_COLUMNS: [&str; 5] = ["id", "user_id", "asset", "t", "balance"];

/// Values of a resting order's row.
pub fn order_fields<'a>(order: &Order, market: &'a MarketConfig) -> [Field<'a>; 16] {
    let (base, quote) = (market.base_scale, market.quote_scale);
    let frozen = match order.side {
        Side::Ask => decimal(order.remaining, base, AMOUNT_SCALE),
        // A resting bid's turnover was bounded when it was placed.
        Side::Bid => decimal(order.remaining * order.price, base + quote, AMOUNT_SCALE),
    };
    let fee = order.fee_paid;
    [
        Field::Integer(order.id.0),
        Field::Integer(order.kind as u64),
        Field::Integer(order.side as u64),
        Field::Time(order.created_at.0),
        Field::Time(order.updated_at.0),
        Field::Integer(u64::from(order.user.0)),
        Field::Text(&market.name),
        decimal(order.price, quote, AMOUNT_SCALE),
        decimal(order.amount, base, AMOUNT_SCALE),
        decimal(i128::from(order.taker_fee_rate), market.fee_scale, RATE_SCALE),
        decimal(i128::from(order.maker_fee_rate), market.fee_scale, RATE_SCALE),
        decimal(order.remaining, base, AMOUNT_SCALE),
        frozen,
        decimal(order.filled_base, base, AMOUNT_SCALE),
        decimal(order.filled_quote, base + quote, PRODUCT_SCALE),
        decimal(fee.coefficient, fee.scale, FEE_SCALE),
    ]
}

/// Values of a balance's row.
pub fn balance_fields(
    user: u32,
    asset: &AssetConfig,
    kind: BalanceKind,
    units: i128,
) -> [Field<'_>; 5] {
    [
        Field::Auto,
        Field::Integer(u64::from(user)),
        Field::Text(&asset.name),
        Field::Integer(kind as u64),
        decimal(units, asset.save_scale, PRODUCT_SCALE),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use viabtc_engine::{AssetId, Decimal, MarketId, OrderId, OrderKind, Source, Time, UserId};

    fn value(coefficient: i128, scale: u8) -> Field<'static> {
        Field::Decimal(Decimal { coefficient, scale })
    }

    #[test]
    fn a_bid_freezes_what_it_may_still_pay() {
        let market = MarketConfig {
            name: "AB".into(),
            base: AssetId(0),
            quote: AssetId(1),
            base_scale: 4,
            quote_scale: 5,
            fee_scale: 6,
            min_amount: Decimal { coefficient: 1, scale: 4 },
        };
        let mut order = Order {
            id: OrderId(7),
            user: UserId(3),
            market: MarketId(0),
            kind: OrderKind::Limit,
            side: Side::Bid,
            source: Source::ABSENT,
            created_at: Time(1),
            updated_at: Time(2),
            price: 300_001,
            amount: 20_001,
            remaining: 10_001,
            taker_fee_rate: 1_999,
            maker_fee_rate: 1_950,
            filled_base: 10_000,
            filled_quote: 3_000_010_000,
            fee_paid: Decimal { coefficient: 5, scale: 13 },
        };
        let fields = order_fields(&order, &market);
        assert_eq!(fields[1..3], [Field::Integer(1), Field::Integer(2)]);
        // 1.0001 x 3.00001 = 3.000310001, of which the column keeps eight decimals.
        assert_eq!(fields[12], value(300_031_000, 8));
        assert_eq!(fields[9..11], [value(20, 4), value(20, 4)]);
        assert_eq!(fields[15], value(1, 12));
        order.side = Side::Ask;
        assert_eq!(order_fields(&order, &market)[12], value(10_001, 4));
    }

    #[test]
    fn a_balance_is_rounded_to_its_column() {
        let asset = AssetConfig { name: "BCH".into(), save_scale: 20, show_scale: 8 };
        let fields = balance_fields(9, &asset, BalanceKind::Frozen, 15_000);
        assert_eq!(fields[2..], [Field::Text("BCH"), Field::Integer(2), value(2, 16)]);
    }
}
