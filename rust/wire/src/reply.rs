//! Reply bodies, rendered straight into bytes: `{"error": ..., "result": ..., "id": ...}`, compact as the
//! original's `debug: false`; [`crate::json::write_indented`] makes the other layout of it.

use viabtc_engine::decimal::write_stripped;
use viabtc_engine::{
    AssetId, ChangeError, Config, Decimal, Event, Exchange, MarketConfig, MarketId, Order, OrderId,
    OrderKind, Rejection, Side, UserId,
};

use crate::json::{separate, write_integer, write_seconds, write_string};
use crate::methods::{ErrorCode, by_command};
use crate::request::Query;

/// Appends the reply to a write: what `apply` returned and the events it made.
///
/// # Panics
/// When `command` is not a writing method or could not have been refused so.
pub fn write_outcome(
    command: u32,
    outcome: Result<&[Event], Rejection>,
    config: &Config,
    id: i64,
    out: &mut Vec<u8>,
) {
    match outcome {
        Ok(events) => write_success(id, out, |out| match events.last() {
            Some(Event::Order(event)) => write_order(&event.order, config, out),
            _ => out.extend_from_slice(b"{\"status\": \"success\"}"),
        }),
        Err(rejection) => {
            let method = by_command(command).expect("writes are methods of the table");
            write_error(method.code(rejection), &rejection.to_string(), Some(id), out);
        }
    }
}

/// Appends the refusal of a change, with what stands in its way.
///
/// # Panics
/// As [`write_outcome`].
pub fn write_change_error(command: u32, error: &ChangeError, id: i64, out: &mut Vec<u8>) {
    let method = by_command(command).expect("writes are methods of the table");
    let message = format!("{}: {}", error.rejection, error.reason);
    write_error(method.code(error.rejection), &message, Some(id), out);
}

/// Appends the answer to an order whose name is known: how the first one stood when it was placed, or that
/// it was another one.
///
/// # Panics
/// When `command` is no method that places an order once.
pub fn write_repeat(
    command: u32,
    first: Result<Order, OrderId>,
    config: &Config,
    id: i64,
    out: &mut Vec<u8>,
) {
    match first {
        Ok(order) => write_success(id, out, |out| write_order(&order, config, out)),
        Err(OrderId(order)) => {
            let method = by_command(command).expect("writes are methods of the table");
            let rejection = Rejection::RepeatOrder;
            let message = format!("{rejection}: order {order} was placed under this name");
            write_error(method.code(rejection), &message, Some(id), out);
        }
    }
}

/// Appends an error that every method shares.
pub fn write_common_error(code: ErrorCode, id: Option<i64>, out: &mut Vec<u8>) {
    write_error(code as i32, code.message(), id, out);
}

/// Appends a failure; without an id the id is null.
pub fn write_error(code: i32, message: &str, id: Option<i64>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"error\": {\"code\": ");
    write_integer(i64::from(code), out);
    out.extend_from_slice(b", \"message\": ");
    write_string(message, out);
    out.extend_from_slice(b"}, \"result\": null, \"id\": ");
    match id {
        Some(id) => write_integer(id, out),
        None => out.extend_from_slice(b"null"),
    }
    out.push(b'}');
}

/// The code of the error in a reply, in either layout; 0 for a success.
pub fn error_code(body: &[u8]) -> i32 {
    const CODE: &[u8] = b"\"code\": ";
    /// Where an error's code begins at the latest.
    const HEAD_BYTES: usize = 64;
    if [b"{\"error\": null".as_slice(), b"{\n    \"error\": null"]
        .iter()
        .any(|head| body.starts_with(head))
    {
        return 0;
    }
    let head = &body[..body.len().min(HEAD_BYTES)];
    let place = head.windows(CODE.len()).position(|window| window == CODE);
    let digits = place.map_or(&[][..], |place| &head[place + CODE.len()..]);
    let digits = digits.iter().take_while(|byte| byte.is_ascii_digit());
    digits
        .fold(0, |code: i32, digit| code.saturating_mul(10).saturating_add(i32::from(digit - b'0')))
}

/// Appends the reply to a query.
pub fn write_query(exchange: &Exchange, query: &Query, id: i64, out: &mut Vec<u8>) {
    let config = exchange.config();
    write_success(id, out, |out| match query {
        Query::Balances { user, assets } => {
            let all = all_assets(config, assets);
            write_list(b"{}", all, out, |asset, out| write_balance(exchange, *user, asset, out));
        }
        Query::AssetList => write_list(b"[]", all_assets(config, &[]), out, |asset, out| {
            let AssetScales { name, show, .. } = scales(config, asset);
            out.extend_from_slice(b"{\"name\": ");
            write_string(name, out);
            write_field("prec", i64::from(show), out);
            out.push(b'}');
        }),
        Query::AssetSummary(assets) => {
            write_list(b"[]", all_assets(config, assets), out, |asset, out| {
                write_asset_summary(exchange, asset, out);
            });
        }
        Query::OpenOrders { user, market, offset, limit } => {
            let total = exchange.open_order_count(*user, *market);
            out.extend_from_slice(b"{\"limit\": ");
            write_integer(*limit as i64, out);
            write_field("offset", offset.cast_signed(), out);
            write_field("total", total as i64, out);
            write_records(exchange.open_orders(*user, *market), *offset, *limit, config, out);
        }
        Query::Book { market, side, offset, limit } => {
            let summary = exchange.market_summary(*market);
            let total = match side {
                Side::Ask => summary.ask_count,
                Side::Bid => summary.bid_count,
            };
            out.extend_from_slice(b"{\"offset\": ");
            write_integer(offset.cast_signed(), out);
            write_field("limit", *limit as i64, out);
            write_field("total", total.cast_signed(), out);
            write_key("orders", out);
            write_orders(exchange.book(*market, *side), *offset, *limit, config, out);
            out.push(b'}');
        }
        Query::Depth { market, limit, interval } => {
            let depth = exchange.depth(*market, *limit, *interval);
            let scales = market_of(config, *market);
            out.extend_from_slice(b"{\"asks\": ");
            write_levels(&depth.asks, scales, out);
            out.extend_from_slice(b", \"bids\": ");
            write_levels(&depth.bids, scales, out);
            out.push(b'}');
        }
        Query::OpenOrder { market, order } => match exchange.order(*market, *order) {
            Some(order) => write_order(&order, config, out),
            None => out.extend_from_slice(b"null"),
        },
        Query::MarketList => write_list(b"[]", all_markets(config, &[]), out, |market, out| {
            write_market(market_of(config, market), config, out);
        }),
        Query::ExchangeState => write_state(exchange, out),
        Query::Named { user, source } => {
            out.extend_from_slice(b"{\"order_id\": ");
            match exchange.named(*user, source) {
                Some(order) => write_integer(order.0.cast_signed(), out),
                None => out.extend_from_slice(b"null"),
            }
            out.push(b'}');
        }
        Query::MarketSummary(markets) => {
            write_list(b"[]", all_markets(config, markets), out, |market, out| {
                write_market_summary(exchange, market, out);
            });
        }
    });
}

/// Appends `"<asset>": {"available": ..., "freeze": ...}`.
pub(crate) fn write_balance(exchange: &Exchange, user: UserId, asset: AssetId, out: &mut Vec<u8>) {
    let AssetScales { name, save, show } = scales(exchange.config(), asset);
    let balance = exchange.balance(user, asset);
    write_string(name, out);
    out.extend_from_slice(b": {\"available\": ");
    write_shown(balance.available.unwrap_or(0), save, show, out);
    out.extend_from_slice(b", \"freeze\": ");
    write_shown(balance.frozen.unwrap_or(0), save, show, out);
    out.push(b'}');
}

/// Appends an order object: the keys of every reply and message that shows an order.
pub fn write_order(order: &Order, config: &Config, out: &mut Vec<u8>) {
    let market = market_of(config, order.market);
    let base = market.base_scale;
    let turnover = market.base_scale + market.quote_scale;
    let is_quote_sized = order.kind == OrderKind::Market && order.side == Side::Bid;
    out.extend_from_slice(b"{\"id\": ");
    write_integer(order.id.0.cast_signed(), out);
    out.extend_from_slice(b", \"market\": ");
    write_string(&market.name, out);
    if let Some(source) = order.source.as_str() {
        out.extend_from_slice(b", \"source\": ");
        write_string(source, out);
    }
    out.extend_from_slice(match (order.kind, order.side) {
        (OrderKind::Limit, Side::Ask) => b", \"type\": 1, \"side\": 1, \"user\": ",
        (OrderKind::Limit, Side::Bid) => b", \"type\": 1, \"side\": 2, \"user\": ",
        (OrderKind::Market, Side::Ask) => b", \"type\": 2, \"side\": 1, \"user\": ",
        (OrderKind::Market, Side::Bid) => b", \"type\": 2, \"side\": 2, \"user\": ",
    });
    write_integer(i64::from(order.user.0), out);
    out.extend_from_slice(b", \"ctime\": ");
    let start = out.len();
    write_seconds(order.created_at.0, out);
    let created_at = start..out.len();
    out.extend_from_slice(b", \"mtime\": ");
    if order.updated_at == order.created_at {
        out.extend_from_within(created_at);
    } else {
        write_seconds(order.updated_at.0, out);
    }
    let rate_scale = market.fee_scale;
    let left_scale = if is_quote_sized { turnover } else { base };
    let Decimal { coefficient: fee, scale: fee_scale } = order.fee_paid;
    out.extend_from_slice(b", \"price\": \"");
    write_stripped(order.price, market.quote_scale, out);
    out.extend_from_slice(b"\", \"amount\": \"");
    write_stripped(order.amount, base, out);
    out.extend_from_slice(b"\", \"taker_fee\": \"");
    write_stripped(i128::from(order.taker_fee_rate), rate_scale, out);
    out.extend_from_slice(b"\", \"maker_fee\": \"");
    write_stripped(i128::from(order.maker_fee_rate), rate_scale, out);
    out.extend_from_slice(b"\", \"left\": \"");
    write_stripped(order.remaining, left_scale, out);
    out.extend_from_slice(b"\", \"deal_stock\": \"");
    write_stripped(order.filled_base, base, out);
    out.extend_from_slice(b"\", \"deal_money\": \"");
    write_stripped(order.filled_quote, turnover, out);
    out.extend_from_slice(b"\", \"deal_fee\": \"");
    write_stripped(fee, fee_scale, out);
    out.extend_from_slice(b"\"}");
}

/// Appends a success whose result `write_result` appends.
pub fn write_success(id: i64, out: &mut Vec<u8>, write_result: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(SUCCESS_HEAD);
    write_result(out);
    write_success_end(id, out);
}

/// What stands before the result of a success.
pub(crate) const SUCCESS_HEAD: &[u8] = b"{\"error\": null, \"result\": ";

/// Appends what stands behind the result of a success.
pub(crate) fn write_success_end(id: i64, out: &mut Vec<u8>) {
    write_field("id", id, out);
    out.push(b'}');
}

fn write_asset_summary(exchange: &Exchange, asset: AssetId, out: &mut Vec<u8>) {
    let AssetScales { name, save, .. } = scales(exchange.config(), asset);
    let totals = exchange.asset_totals(asset);
    out.extend_from_slice(b"{\"name\": ");
    write_string(name, out);
    write_number("total_balance", totals.available + totals.frozen, save, out);
    write_field("available_count", totals.available_count.cast_signed(), out);
    write_number("available_balance", totals.available, save, out);
    write_field("freeze_count", totals.frozen_count.cast_signed(), out);
    write_number("freeze_balance", totals.frozen, save, out);
    out.push(b'}');
}

fn write_market(market: &MarketConfig, config: &Config, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"name\": ");
    write_string(&market.name, out);
    write_key("stock", out);
    write_string(scales(config, market.base).name, out);
    write_key("money", out);
    write_string(scales(config, market.quote).name, out);
    write_field("fee_prec", i64::from(market.fee_scale), out);
    write_field("stock_prec", i64::from(market.base_scale), out);
    write_field("money_prec", i64::from(market.quote_scale), out);
    let Decimal { coefficient, scale } = market.min_amount;
    write_number("min_amount", coefficient, scale, out);
    out.push(b'}');
}

/// Appends what no method of an original tells: halted markets, decimals that are kept, and the last
/// command of our own kinds.
fn write_state(exchange: &Exchange, out: &mut Vec<u8>) {
    let config = exchange.config();
    out.extend_from_slice(b"{\"halted\": ");
    let halted = all_markets(config, &[]).filter(|market| exchange.is_halted(*market));
    write_list(b"[]", halted, out, |market, out| {
        write_string(&market_of(config, market).name, out);
    });
    write_key("assets", out);
    write_list(b"[]", all_assets(config, &[]), out, |asset, out| {
        let AssetScales { name, save, show } = scales(config, asset);
        out.extend_from_slice(b"{\"name\": ");
        write_string(name, out);
        write_field("prec_save", i64::from(save), out);
        write_field("prec_show", i64::from(show), out);
        out.push(b'}');
    });
    write_field("sequence", exchange.sequence().cast_signed(), out);
    write_field("changed_at", exchange.changed_at().cast_signed(), out);
    write_key("conserved", out);
    let word: &[u8] = if exchange.imbalance().is_none() { b"true" } else { b"false" };
    out.extend_from_slice(word);
    out.push(b'}');
}

fn write_market_summary(exchange: &Exchange, market: MarketId, out: &mut Vec<u8>) {
    let config = market_of(exchange.config(), market);
    let summary = exchange.market_summary(market);
    out.extend_from_slice(b"{\"name\": ");
    write_string(&config.name, out);
    write_field("ask_count", summary.ask_count.cast_signed(), out);
    write_number("ask_amount", summary.ask_amount, config.base_scale, out);
    write_field("bid_count", summary.bid_count.cast_signed(), out);
    write_number("bid_amount", summary.bid_amount, config.base_scale, out);
    out.push(b'}');
}

fn write_levels(levels: &[(i128, i128)], market: &MarketConfig, out: &mut Vec<u8>) {
    write_list(b"[]", levels.iter(), out, |(price, amount), out| {
        out.extend_from_slice(b"[\"");
        write_stripped(*price, market.quote_scale, out);
        out.extend_from_slice(b"\", \"");
        write_stripped(*amount, market.base_scale, out);
        out.extend_from_slice(b"\"]");
    });
}

fn write_records(
    orders: impl Iterator<Item = Order>,
    offset: u64,
    limit: usize,
    config: &Config,
    out: &mut Vec<u8>,
) {
    write_key("records", out);
    write_orders(orders, offset, limit, config, out);
    out.push(b'}');
}

fn write_orders(
    orders: impl Iterator<Item = Order>,
    offset: u64,
    limit: usize,
    config: &Config,
    out: &mut Vec<u8>,
) {
    let skipped = usize::try_from(offset).unwrap_or(usize::MAX);
    write_list(b"[]", orders.skip(skipped).take(limit), out, |order, out| {
        write_order(&order, config, out);
    });
}

pub(crate) fn write_list<T>(
    brackets: &[u8; 2],
    items: impl Iterator<Item = T>,
    out: &mut Vec<u8>,
    mut write: impl FnMut(T, &mut Vec<u8>),
) {
    out.push(brackets[0]);
    let mut is_first = true;
    for item in items {
        separate(&mut is_first, out);
        write(item, out);
    }
    out.push(brackets[1]);
}

pub(crate) fn write_key(key: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b", \"");
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(b"\": ");
}

pub(crate) fn write_field(key: &str, number: i64, out: &mut Vec<u8>) {
    write_key(key, out);
    write_integer(number, out);
}

pub(crate) fn write_number(key: &str, units: i128, scale: u8, out: &mut Vec<u8>) {
    write_key(key, out);
    out.push(b'"');
    write_stripped(units, scale, out);
    out.push(b'"');
}

/// A balance as a query shows it: cut to `show` decimals.
fn write_shown(units: i128, save: u8, show: u8, out: &mut Vec<u8>) {
    out.push(b'"');
    let shown = Decimal { coefficient: units, scale: save }.units_floor(show);
    write_stripped(shown, show, out);
    out.push(b'"');
}

struct AssetScales<'a> {
    name: &'a str,
    save: u8,
    show: u8,
}

fn scales(config: &Config, asset: AssetId) -> AssetScales<'_> {
    let asset = &config.assets[usize::from(asset.0)];
    AssetScales { name: &asset.name, save: asset.save_scale, show: asset.show_scale }
}

fn market_of(config: &Config, market: MarketId) -> &MarketConfig {
    &config.markets[usize::from(market.0)]
}

fn all_assets(config: &Config, named: &[AssetId]) -> impl Iterator<Item = AssetId> {
    let count = if named.is_empty() { config.assets.len() } else { 0 };
    (0..count).map(|id| AssetId(id as u16)).chain(named.to_vec())
}

fn all_markets(config: &Config, named: &[MarketId]) -> impl Iterator<Item = MarketId> {
    let count = if named.is_empty() { config.markets.len() } else { 0 };
    (0..count).map(|id| MarketId(id as u16)).chain(named.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::write_indented;

    #[test]
    fn the_code_of_an_error_is_read_in_either_layout() {
        for (code, expected) in
            [(None, 0), (Some(3), 3), (Some(10), 10), (Some(i32::MAX), i32::MAX)]
        {
            let mut body = Vec::new();
            match code {
                // What a result holds is no error's code.
                None => write_success(7, &mut body, |out| {
                    out.extend_from_slice(b"{\"error\": {\"code\": 9}}");
                }),
                Some(code) => write_error(code, "\"code\": 8", Some(7), &mut body),
            }
            let mut indented = Vec::new();
            write_indented(&body, &mut indented);
            assert_eq!((error_code(&body), error_code(&indented)), (expected, expected));
        }
        for strange in [&b""[..], b"{", b"{\"error\": {\"code\": x", b"[]"] {
            assert_eq!(error_code(strange), 0);
        }
    }
}
