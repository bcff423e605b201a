//! Events as rows of the history database: which rows, in which tables, with which values.
//!
//! The rules are the original's (`me_history.c`): five families of 100 tables, a row's shard is the
//! remainder of its user or order id. Rows come in the order in which the original produces them.

use viabtc_engine::decimal::{power_of_ten, write_stripped};
use viabtc_engine::{
    AssetId, Config, Deal, DealSide, Decimal, Event, MarketConfig, Order, OrderEvent, Side,
};

use crate::json::write_integer;

/// Tables of a family.
pub const SHARDS: u64 = 100;

/// Digits of a DECIMAL column before and after the point.
const COLUMN_DIGITS: u32 = 30;

/// Decimals of the columns that hold prices, amounts and changes.
pub(crate) const AMOUNT_SCALE: u8 = 8;

/// Decimals of the columns that hold balances, turnovers and fees.
pub(crate) const PRODUCT_SCALE: u8 = 16;

/// Decimals of the columns that hold fee rates.
pub(crate) const RATE_SCALE: u8 = 4;

/// Source: me_history.c; the business of the rows that a deal makes.
const TRADE: &str = "trade";

/// A family of history tables.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub enum Family {
    /// Finished orders by user.
    OrderHistory,
    /// Finished orders by order id.
    OrderDetail,
    /// Deals by user.
    UserDealHistory,
    /// Deals by order id.
    DealHistory,
    /// Steps of balances by user.
    BalanceHistory,
}

impl Family {
    /// Every family, in declaration order.
    pub const ALL: [Family; 5] = [
        Family::OrderHistory,
        Family::OrderDetail,
        Family::UserDealHistory,
        Family::DealHistory,
        Family::BalanceHistory,
    ];

    /// Name of its tables, without the shard.
    pub const fn name(self) -> &'static str {
        match self {
            Family::OrderHistory => "order_history",
            Family::OrderDetail => "order_detail",
            Family::UserDealHistory => "user_deal_history",
            Family::DealHistory => "deal_history",
            Family::BalanceHistory => "balance_history",
        }
    }

    /// Names of its columns, in the order of [`Row::fields`].
    pub const fn columns(self) -> &'static [&'static str] {
        match self {
            Family::OrderHistory | Family::OrderDetail => &[
                "id",
                "create_time",
                "finish_time",
                "user_id",
                "market",
                "source",
                "t",
                "side",
                "price",
                "amount",
                "taker_fee",
                "maker_fee",
                "deal_stock",
                "deal_money",
                "deal_fee",
            ],
            Family::UserDealHistory => &[
                "id",
                "time",
                "user_id",
                "market",
                "deal_id",
                "order_id",
                "deal_order_id",
                "side",
                "role",
                "price",
                "amount",
                "deal",
                "fee",
                "deal_fee",
            ],
            Family::DealHistory => &[
                "id",
                "time",
                "user_id",
                "deal_id",
                "order_id",
                "deal_order_id",
                "role",
                "price",
                "amount",
                "deal",
                "fee",
                "deal_fee",
            ],
            Family::BalanceHistory => {
                &["id", "time", "user_id", "asset", "business", "change", "balance", "detail"]
            }
        }
    }
}

/// A value of a row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Field<'a> {
    /// The table's next number.
    Auto,
    /// A number or an identity.
    Integer(u64),
    /// A time in microseconds; the column holds seconds as a double.
    Time(i64),
    /// A decimal, rounded to its column.
    Decimal(Decimal),
    /// A text without characters beyond U+FFFF.
    Text(&'a str),
}

/// One row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Row<'a> {
    /// Its family.
    pub family: Family,
    /// Its table in the family: 0 to [`SHARDS`] - 1.
    pub shard: u8,
    /// Its values, in the order of [`Family::columns`].
    pub fields: &'a [Field<'a>],
}

/// Gives the rows that `events` make to `visit`, oldest first.
pub fn history_rows(events: &[Event], config: &Config, visit: &mut dyn FnMut(Row<'_>)) {
    let mut detail = Vec::with_capacity(128);
    for event in events {
        match event {
            Event::BalanceUpdated(update) => {
                let asset = &config.assets[usize::from(update.asset.0)];
                balance_row(
                    &BalanceStep {
                        time: update.time.0,
                        user: update.user.0,
                        asset: update.asset,
                        business: &update.reason,
                        change: Decimal { coefficient: update.change, scale: asset.show_scale },
                        total: update.total,
                        detail: &update.detail,
                    },
                    config,
                    visit,
                );
            }
            Event::Deal(deal) => deal_rows(deal, config, &mut detail, visit),
            Event::Order(OrderEvent { order, is_recorded: true, .. }) => {
                order_rows(order, &config.markets[usize::from(order.market.0)], visit);
            }
            Event::Order(_) => {}
        }
    }
}

fn order_rows(order: &Order, market: &MarketConfig, visit: &mut dyn FnMut(Row<'_>)) {
    let (base, quote) = (market.base_scale, market.quote_scale);
    let user = u64::from(order.user.0);
    let fields = [
        Field::Integer(order.id.0),
        Field::Time(order.created_at.0),
        Field::Time(order.updated_at.0),
        Field::Integer(user),
        Field::Text(&market.name),
        // Departs: the original writes "(null)" for an order whose source it lost.
        Field::Text(order.source.as_str().unwrap_or("")),
        Field::Integer(order.kind as u64),
        Field::Integer(order.side as u64),
        decimal(order.price, quote, AMOUNT_SCALE),
        decimal(order.amount, base, AMOUNT_SCALE),
        decimal(i128::from(order.taker_fee_rate), market.fee_scale, RATE_SCALE),
        decimal(i128::from(order.maker_fee_rate), market.fee_scale, RATE_SCALE),
        decimal(order.filled_base, base, AMOUNT_SCALE),
        decimal(order.filled_quote, base + quote, PRODUCT_SCALE),
        decimal(order.fee_paid.coefficient, order.fee_paid.scale, PRODUCT_SCALE),
    ];
    visit(Row { family: Family::OrderHistory, shard: shard(user), fields: &fields });
    visit(Row { family: Family::OrderDetail, shard: shard(order.id.0), fields: &fields });
}

fn deal_rows(deal: &Deal, config: &Config, detail: &mut Vec<u8>, visit: &mut dyn FnMut(Row<'_>)) {
    let market = &config.markets[usize::from(deal.market.0)];
    let price = decimal(deal.price, market.quote_scale, AMOUNT_SCALE);
    let amount = decimal(deal.amount, market.base_scale, AMOUNT_SCALE);
    let turnover_scale = market.base_scale + market.quote_scale;
    let turnover = decimal(deal.turnover, turnover_scale, PRODUCT_SCALE);
    let sides = [(Side::Ask, &deal.ask, &deal.bid), (Side::Bid, &deal.bid, &deal.ask)];
    let role = |side: Side| Field::Integer(if side == deal.taker { 2 } else { 1 });
    let fee = |side: &DealSide| decimal(side.fee.coefficient, side.fee.scale, PRODUCT_SCALE);
    for (side, own, other) in sides {
        let fields = [
            Field::Auto,
            Field::Time(deal.time.0),
            Field::Integer(u64::from(own.user.0)),
            Field::Integer(deal.id.0),
            Field::Integer(own.order.0),
            Field::Integer(other.order.0),
            role(side),
            price,
            amount,
            turnover,
            fee(own),
            fee(other),
        ];
        visit(Row { family: Family::DealHistory, shard: shard(own.order.0), fields: &fields });
    }
    for (side, own, other) in sides {
        let user = u64::from(own.user.0);
        let fields = [
            Field::Auto,
            Field::Time(deal.time.0),
            Field::Integer(user),
            Field::Text(&market.name),
            Field::Integer(deal.id.0),
            Field::Integer(own.order.0),
            Field::Integer(other.order.0),
            Field::Integer(side as u64),
            role(side),
            price,
            amount,
            turnover,
            fee(own),
            fee(other),
        ];
        visit(Row { family: Family::UserDealHistory, shard: shard(user), fields: &fields });
    }
    // Source: me_market.c, the taker's balances move first.
    for side in [deal.taker, deal.taker.opposite()] {
        balance_rows_of_deal(deal, side, config, detail, visit);
    }
}

/// What one owner gives, receives and pays.
fn balance_rows_of_deal(
    deal: &Deal,
    side: Side,
    config: &Config,
    detail: &mut Vec<u8>,
    visit: &mut dyn FnMut(Row<'_>),
) {
    let market = &config.markets[usize::from(deal.market.0)];
    let base = (market.base, Decimal { coefficient: deal.amount, scale: market.base_scale });
    let turnover_scale = market.base_scale + market.quote_scale;
    let quote = (market.quote, Decimal { coefficient: deal.turnover, scale: turnover_scale });
    let (own, given, received) = match side {
        Side::Ask => (&deal.ask, base, quote),
        Side::Bid => (&deal.bid, quote, base),
    };
    let negative = |value: Decimal| Decimal { coefficient: -value.coefficient, ..value };
    let mut step = |asset, change, total, detail: &[u8]| {
        let detail = core::str::from_utf8(detail).expect("names and numbers are UTF-8");
        balance_row(
            &BalanceStep {
                time: deal.time.0,
                user: own.user.0,
                asset,
                business: TRADE,
                change,
                total,
                detail,
            },
            config,
            visit,
        );
    };
    write_trade_detail(deal, own, None, market, detail);
    step(given.0, negative(given.1), own.total_given, detail);
    step(received.0, received.1, own.total_received, detail);
    if own.fee.coefficient > 0 {
        write_trade_detail(deal, own, Some(own.fee_rate), market, detail);
        step(received.0, negative(own.fee), own.total_after_fee, detail);
    }
}

/// `{"a": amount, "f": rate, "i": own order, "m": market, "p": price}`, `f` in rows of fees only.
fn write_trade_detail(
    deal: &Deal,
    own: &DealSide,
    rate: Option<u64>,
    market: &MarketConfig,
    out: &mut Vec<u8>,
) {
    out.clear();
    out.extend_from_slice(b"{\"a\": \"");
    write_stripped(deal.amount, market.base_scale, out);
    if let Some(rate) = rate {
        out.extend_from_slice(b"\", \"f\": \"");
        write_stripped(i128::from(rate), market.fee_scale, out);
    }
    out.extend_from_slice(b"\", \"i\": ");
    write_integer(own.order.0.cast_signed(), out);
    out.extend_from_slice(b", \"m\": ");
    crate::json::write_string(&market.name, out);
    out.extend_from_slice(b", \"p\": \"");
    write_stripped(deal.price, market.quote_scale, out);
    out.extend_from_slice(b"\"}");
}

struct BalanceStep<'a> {
    time: i64,
    user: u32,
    asset: AssetId,
    business: &'a str,
    change: Decimal,
    total: i128,
    detail: &'a str,
}

fn balance_row(step: &BalanceStep<'_>, config: &Config, visit: &mut dyn FnMut(Row<'_>)) {
    let asset = &config.assets[usize::from(step.asset.0)];
    let user = u64::from(step.user);
    let fields = [
        Field::Auto,
        Field::Time(step.time),
        Field::Integer(user),
        Field::Text(&asset.name),
        Field::Text(step.business),
        decimal(step.change.coefficient, step.change.scale, AMOUNT_SCALE),
        decimal(step.total, asset.save_scale, PRODUCT_SCALE),
        Field::Text(step.detail),
    ];
    visit(Row { family: Family::BalanceHistory, shard: shard(user), fields: &fields });
}

fn shard(id: u64) -> u8 {
    (id % SHARDS) as u8
}

pub(crate) fn decimal<'a>(coefficient: i128, scale: u8, column_scale: u8) -> Field<'a> {
    Field::Decimal(round_to_column(Decimal { coefficient, scale }, column_scale))
}

/// The value that a column of `column_scale` decimals keeps of `value`: rounded half away from zero, as
/// MySQL does. A balance just below 10^14 would be rounded to a digit more than the column has, which
/// MySQL refuses: it keeps the column's largest value.
pub fn round_to_column(value: Decimal, column_scale: u8) -> Decimal {
    if value.scale <= column_scale {
        return value;
    }
    let divisor = power_of_ten(u32::from(value.scale - column_scale));
    let cut = value.coefficient / divisor;
    let rest = (value.coefficient % divisor).abs();
    let rounded = if rest >= divisor - rest { cut + value.coefficient.signum() } else { cut };
    let most = power_of_ten(COLUMN_DIGITS) - 1;
    Decimal { coefficient: rounded.clamp(-most, most), scale: column_scale }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_round_half_away_from_zero() {
        let rounded = |coefficient, scale, column| {
            let value = round_to_column(Decimal { coefficient, scale }, column);
            (value.coefficient, value.scale)
        };
        assert_eq!(rounded(15, 1, 0), (2, 0));
        assert_eq!(rounded(-15, 1, 0), (-2, 0));
        assert_eq!(rounded(149, 2, 0), (1, 0));
        assert_eq!(rounded(-149, 2, 0), (-1, 0));
        assert_eq!(rounded(5, 8, 8), (5, 8));
        assert_eq!(rounded(5, 2, 8), (5, 2));
    }

    #[test]
    fn a_value_just_below_the_limit_stays_in_its_column() {
        let value = Decimal { coefficient: power_of_ten(34) - 1, scale: 20 };
        let kept = round_to_column(value, 16);
        assert_eq!((kept.coefficient, kept.scale), (power_of_ten(30) - 1, 16));
    }
}
