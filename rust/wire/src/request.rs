//! Parameters of the engine's methods, from JSON text to typed requests: everything that can be refused
//! without knowing balances and books is refused here.

use std::borrow::Cow;
use std::collections::HashMap;

use foldhash::fast::FixedState;
use viabtc_engine::command::{CancelOrder, PlaceLimit, PlaceMarket, PlaceOnce, UpdateBalance};
use viabtc_engine::decimal::{parse_fixed, power_of_ten};
use viabtc_engine::{
    AssetId, Command, Config, MarketConfig, MarketId, OrderId, Side, Source, UserId,
};

use crate::changes::{self, PUT_LIMIT_ONCE, PUT_MARKET_ONCE};
use crate::json::{Value, read_array, read_object, write_members};
use crate::operlog;

/// Most records a query answers with. Source: me_server.c, ORDER_LIST_MAX_LEN.
pub const LIMIT_MAX: usize = 101;

/// Most characters of `business`: what the column holds.
pub const REASON_CHARACTERS_MAX: usize = 30;

/// Names of assets and markets, by their text. Names are the configuration's, so that nobody outside can
/// choose ones that collide.
#[derive(Clone, Debug)]
pub struct Names {
    config: Config,
    assets: HashMap<String, AssetId, FixedState>,
    markets: HashMap<String, MarketId, FixedState>,
}

impl Names {
    /// The names of a validated configuration.
    pub fn new(config: &Config) -> Names {
        let assets = config.assets.iter().enumerate();
        let markets = config.markets.iter().enumerate();
        Names {
            assets: assets.map(|(id, asset)| (asset.name.clone(), AssetId(id as u16))).collect(),
            markets: markets
                .map(|(id, market)| (market.name.clone(), MarketId(id as u16)))
                .collect(),
            config: config.clone(),
        }
    }

    /// The configuration that was named.
    pub fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) fn asset(&self, name: &str) -> Option<AssetId> {
        self.assets.get(name).copied()
    }

    pub(crate) fn market(&self, name: &str) -> Option<(MarketId, &MarketConfig)> {
        let id = *self.markets.get(name)?;
        Some((id, &self.config.markets[usize::from(id.0)]))
    }
}

/// What a client asks of the engine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Request {
    /// Changes state.
    Write(Command),
    /// Reads it.
    Query(Query),
}

/// A request that reads. Limits are at most [`LIMIT_MAX`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Query {
    /// 101: balances of a user; no assets: all of them.
    Balances {
        /// Not 0.
        user: UserId,
        /// As asked, each once where it came first: the answer is an object.
        assets: Vec<AssetId>,
    },
    /// 104
    AssetList,
    /// 105: no assets: all of them.
    AssetSummary(Vec<AssetId>),
    /// 203
    OpenOrders {
        /// Whose.
        user: UserId,
        /// Where.
        market: MarketId,
        /// Newest orders left out.
        offset: u64,
        /// Most orders answered.
        limit: usize,
    },
    /// 205
    Book {
        /// Where.
        market: MarketId,
        /// Which side.
        side: Side,
        /// Best orders left out.
        offset: u64,
        /// Most orders answered.
        limit: usize,
    },
    /// 206
    Depth {
        /// Where.
        market: MarketId,
        /// Most levels of a side.
        limit: usize,
        /// Units of 10^-quote_scale; 0: one level per price.
        interval: i128,
    },
    /// 207
    OpenOrder {
        /// Where.
        market: MarketId,
        /// Which.
        order: OrderId,
    },
    /// 307
    MarketList,
    /// 308: no markets: all of them.
    MarketSummary(Vec<MarketId>),
    /// 907
    ExchangeState,
    /// 910
    Named {
        /// Whose order.
        user: UserId,
        /// Its name.
        source: Source,
    },
}

/// Why a body is no request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DecodeError {
    /// Not a JSON array.
    Malformed,
    /// Parameters of the wrong number, type or range.
    InvalidArgument,
    /// The engine has no such command.
    MethodNotFound,
}

/// Decodes the parameters of `command`, a JSON array.
///
/// # Errors
/// See [`DecodeError`]; text that is not an array is `Malformed` whatever the command.
pub fn decode(command: u32, params: &[u8], names: &Names) -> Result<Request, DecodeError> {
    let values = read_array(params).map_err(|_| DecodeError::Malformed)?;
    let request = request(command, &values, names)?;
    // What the operation log could not hold must not take effect.
    let request = request.filter(|request| match request {
        Request::Query(_) => true,
        Request::Write(write) => {
            changes::is_own(command)
                || is_storable(write) && operlog::fits(command, params, &names.config)
        }
    });
    request.ok_or(DecodeError::InvalidArgument)
}

/// Decodes the parameters of a command that an original has applied and logged. It cuts integers to their
/// C types, holds no business to a length, and takes a precision of 0 for no bound.
///
/// # Errors
/// See [`DecodeError`]; among what is `InvalidArgument` are decimals where we keep none.
pub fn decode_logged(command: u32, params: &[u8], names: &Names) -> Result<Request, DecodeError> {
    let mut values = read_array(params).map_err(|_| DecodeError::Malformed)?;
    if !operlog::counts_whole(command, &values, &names.config) {
        return Err(DecodeError::InvalidArgument);
    }
    let side = matches!(command, 201 | 202).then_some(2);
    for (index, value) in values.iter_mut().enumerate() {
        match value {
            Value::Integer(number) if index == 0 || Some(index) == side => {
                *number = i64::from(*number as u32);
            }
            // Nobody can send us a negative one again: any number of its own will do.
            Value::Integer(number) if command == 102 => *number &= i64::MAX,
            Value::Text(business) if command == 102 && index == 2 => {
                *business = business.chars().take(REASON_CHARACTERS_MAX).collect();
            }
            _ => {}
        }
    }
    request(command, &values, names)?.ok_or(DecodeError::InvalidArgument)
}

/// `None` for parameters of the wrong number, type or range.
fn request(
    command: u32,
    values: &[Value<'_>],
    names: &Names,
) -> Result<Option<Request>, DecodeError> {
    Ok(match command {
        101 => balances(values, names).map(Request::Query),
        102 => update_balance(values, names).map(Request::Write),
        104 => Some(Request::Query(Query::AssetList)),
        105 => {
            let assets = values.iter().map(|value| names.asset(text(value)?));
            assets.collect::<Option<_>>().map(|assets| Request::Query(Query::AssetSummary(assets)))
        }
        201 => place_limit(values, names).map(Command::PlaceLimit).map(Request::Write),
        202 => place_market(values, names).map(Command::PlaceMarket).map(Request::Write),
        203 => open_orders(values, names).map(Request::Query),
        204 => cancel_order(values, names).map(Request::Write),
        205 => book(values, names).map(Request::Query),
        206 => depth(values, names).map(Request::Query),
        207 => open_order(values, names).map(Request::Query),
        307 => Some(Request::Query(Query::MarketList)),
        308 => {
            let markets = values.iter().map(|value| Some(names.market(text(value)?)?.0));
            markets
                .collect::<Option<_>>()
                .map(|markets| Request::Query(Query::MarketSummary(markets)))
        }
        PUT_LIMIT_ONCE => once(values, names, place_limit, PlaceOnce::Limit).map(Request::Write),
        PUT_MARKET_ONCE => once(values, names, place_market, PlaceOnce::Market).map(Request::Write),
        910 => named(values).map(Request::Query),
        901..=906 => changes::decode(command, values, names).map(Request::Write),
        907 => Some(Request::Query(Query::ExchangeState)),
        _ => return Err(DecodeError::MethodNotFound),
    })
}

/// Whether the history's columns hold the texts of a command.
fn is_storable(command: &Command) -> bool {
    match command {
        Command::UpdateBalance(update) => update.detail.len() <= operlog::DETAIL_BYTES_MAX,
        Command::PlaceLimit(_)
        | Command::PlaceMarket(_)
        | Command::CancelOrder(_)
        | Command::Change(_)
        | Command::PlaceOnce(_) => true,
    }
}

fn balances(values: &[Value<'_>], names: &Names) -> Option<Query> {
    let (first, rest) = values.split_first()?;
    let user = user(first).filter(|user| user.0 != 0)?;
    let mut assets =
        rest.iter().map(|value| names.asset(text(value)?)).collect::<Option<Vec<AssetId>>>()?;
    let mut is_asked = vec![false; names.config.assets.len()];
    assets.retain(|asset| !std::mem::replace(&mut is_asked[usize::from(asset.0)], true));
    Some(Query::Balances { user, assets })
}

fn update_balance(values: &[Value<'_>], names: &Names) -> Option<Command> {
    let [owner, asset, business, business_id, change, detail] = values else { return None };
    let asset = names.asset(text(asset)?)?;
    let scale = names.config.assets[usize::from(asset.0)].show_scale;
    let reason = narrow(text(business)?)?;
    if reason.chars().count() > REASON_CHARACTERS_MAX {
        return None;
    }
    let reason_id = unsigned(business_id)?;
    let Value::Object(detail) = detail else { return None };
    Some(Command::UpdateBalance(UpdateBalance {
        user: user(owner)?,
        asset,
        reason: reason.into(),
        reason_id,
        change: parse_fixed(text(change)?, scale).ok()?,
        detail: detail_with_id(detail, reason_id).into(),
    }))
}

/// The one-line text of `detail` with `id` set: in its old place or last.
fn detail_with_id(detail: &str, reason_id: u64) -> String {
    let mut members = read_object(detail);
    let id = Value::Integer(reason_id.cast_signed());
    match members.iter_mut().find(|(key, _)| key == "id") {
        Some(member) => member.1 = id,
        None => members.push((Cow::Borrowed("id"), id)),
    }
    let mut out = Vec::with_capacity(detail.len() + 16);
    write_members(&members, &mut out);
    String::from_utf8(out).expect("JSON is written as UTF-8")
}

fn place_limit(values: &[Value<'_>], names: &Names) -> Option<PlaceLimit> {
    let [owner, market, side_value, amount, price, taker_fee, maker_fee, source_value] = values
    else {
        return None;
    };
    let (market, config) = names.market(text(market)?)?;
    Some(PlaceLimit {
        user: user(owner)?,
        market,
        side: side(side_value)?,
        amount: positive(amount, config.base_scale)?,
        price: positive(price, config.quote_scale)?,
        taker_fee_rate: fee_rate(taker_fee, config.fee_scale)?,
        maker_fee_rate: fee_rate(maker_fee, config.fee_scale)?,
        source: source(source_value)?,
    })
}

fn place_market(values: &[Value<'_>], names: &Names) -> Option<PlaceMarket> {
    let [owner, market, side_value, amount, taker_fee, source_value] = values else { return None };
    let (market, config) = names.market(text(market)?)?;
    Some(PlaceMarket {
        user: user(owner)?,
        market,
        side: side(side_value)?,
        amount: positive(amount, config.base_scale)?,
        taker_fee_rate: fee_rate(taker_fee, config.fee_scale)?,
        source: source(source_value)?,
    })
}

/// An order of which the last parameter, the source, is the name; an empty one names nothing.
fn once<T>(
    values: &[Value<'_>],
    names: &Names,
    read: impl FnOnce(&[Value<'_>], &Names) -> Option<T>,
    place: impl FnOnce(T) -> PlaceOnce,
) -> Option<Command> {
    name(values.last()?)?;
    Some(place(read(values, names)?).into())
}

fn named(values: &[Value<'_>]) -> Option<Query> {
    let [owner, source_value] = values else { return None };
    Some(Query::Named { user: user(owner)?, source: name(source_value)? })
}

fn name(value: &Value<'_>) -> Option<Source> {
    source(value).filter(|source| source.as_str() != Some(""))
}

fn cancel_order(values: &[Value<'_>], names: &Names) -> Option<Command> {
    let [owner, market, order] = values else { return None };
    Some(Command::CancelOrder(CancelOrder {
        user: user(owner)?,
        market: names.market(text(market)?)?.0,
        order: OrderId(unsigned(order)?),
    }))
}

fn open_orders(values: &[Value<'_>], names: &Names) -> Option<Query> {
    let [owner, market, offset, limit_value] = values else { return None };
    Some(Query::OpenOrders {
        user: user(owner)?,
        market: names.market(text(market)?)?.0,
        offset: unsigned(offset)?,
        limit: limit(limit_value)?,
    })
}

fn book(values: &[Value<'_>], names: &Names) -> Option<Query> {
    let [market, side_value, offset, limit_value] = values else { return None };
    Some(Query::Book {
        market: names.market(text(market)?)?.0,
        side: side(side_value)?,
        offset: unsigned(offset)?,
        limit: limit(limit_value)?,
    })
}

fn depth(values: &[Value<'_>], names: &Names) -> Option<Query> {
    let [market, limit_value, interval] = values else { return None };
    let (market, config) = names.market(text(market)?)?;
    let interval = parse_fixed(text(interval)?, config.quote_scale).ok()?;
    if interval < 0 {
        return None;
    }
    Some(Query::Depth { market, limit: limit(limit_value)?, interval })
}

fn open_order(values: &[Value<'_>], names: &Names) -> Option<Query> {
    let [market, order] = values else { return None };
    Some(Query::OpenOrder {
        market: names.market(text(market)?)?.0,
        order: OrderId(unsigned(order)?),
    })
}

pub(crate) fn text<'a>(value: &'a Value<'_>) -> Option<&'a str> {
    match value {
        Value::Text(text) => Some(text),
        _ => None,
    }
}

/// A text that three-byte columns can hold.
pub(crate) fn narrow(text: &str) -> Option<&str> {
    text.bytes().all(|byte| byte < 0xf0).then_some(text)
}

fn unsigned(value: &Value<'_>) -> Option<u64> {
    match value {
        Value::Integer(number) => u64::try_from(*number).ok(),
        _ => None,
    }
}

fn user(value: &Value<'_>) -> Option<UserId> {
    u32::try_from(unsigned(value)?).ok().map(UserId)
}

fn limit(value: &Value<'_>) -> Option<usize> {
    usize::try_from(unsigned(value)?).ok().filter(|limit| *limit <= LIMIT_MAX)
}

fn side(value: &Value<'_>) -> Option<Side> {
    match value {
        Value::Integer(1) => Some(Side::Ask),
        Value::Integer(2) => Some(Side::Bid),
        _ => None,
    }
}

fn positive(value: &Value<'_>, scale: u8) -> Option<i128> {
    parse_fixed(text(value)?, scale).ok().filter(|units| *units > 0)
}

fn fee_rate(value: &Value<'_>, scale: u8) -> Option<u64> {
    let rate = parse_fixed(text(value)?, scale).ok()?;
    let is_rate = (0..power_of_ten(u32::from(scale))).contains(&rate);
    is_rate.then_some(rate as u64)
}

fn source(value: &Value<'_>) -> Option<Source> {
    Source::new(narrow(text(value)?)?)
}

#[cfg(test)]
mod tests;
