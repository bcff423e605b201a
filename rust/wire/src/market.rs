//! Market data on the wire: the methods of market data answered from a board, deals of the topic, and the
//! texts that stores keep.

use std::borrow::Cow;

use viabtc_engine::Decimal;
use viabtc_engine::decimal::{write_plain, write_stripped};
use viabtc_market::board::DEALS_LIMIT_MAX;
use viabtc_market::{Board, Candle, Deal, Taker};

use crate::json::{
    Rules, Value, read_array, scan_object, write_integer, write_seconds, write_string,
};
use crate::methods::ErrorCode;
use crate::reply::{
    SUCCESS_HEAD, write_common_error, write_key, write_list, write_number, write_success_end,
};
use crate::request::DecodeError;

/// Elements of a deal's message that count here; the names of the assets may be absent behind them.
const MESSAGE_ELEMENTS_MIN: usize = 12;

/// Appends the answer to a method of market data at second `now`.
///
/// # Errors
/// When the text is no array or the board has no such command; never for parameters that cannot be used,
/// which have an answer.
pub fn answer(
    board: &Board,
    command: u32,
    params: &[u8],
    id: i64,
    now: i64,
    out: &mut Vec<u8>,
) -> Result<(), DecodeError> {
    let values = read_array(params).map_err(|_| DecodeError::Malformed)?;
    let start = out.len();
    out.extend_from_slice(SUCCESS_HEAD);
    let is_answered = match command {
        301 => write_status(board, &values, now, out),
        302 => write_kline(board, &values, now, out),
        303 => write_deals(board, &values, out),
        304 => write_last(board, &values, out),
        305 => write_today(board, &values, now, out),
        _ => {
            out.truncate(start);
            return Err(DecodeError::MethodNotFound);
        }
    };
    match is_answered {
        Some(()) => write_success_end(id, out),
        None => {
            out.truncate(start);
            write_common_error(ErrorCode::InvalidArgument, Some(id), out);
        }
    }
    Ok(())
}

/// 301
fn write_status(board: &Board, values: &[Value<'_>], now: i64, out: &mut Vec<u8>) -> Option<()> {
    let [market, period] = values else { return None };
    let period = integer(period)?;
    let status = board.status(place(board, market)?, period, now)?;
    let candle = status.candle.unwrap_or(Candle::flat(Decimal::ZERO));
    out.extend_from_slice(b"{\"period\": ");
    write_integer(period, out);
    write_decimal("last", status.last.unwrap_or_default(), out);
    write_decimal("open", candle.open(), out);
    write_decimal("close", candle.close(), out);
    write_decimal("high", candle.high(), out);
    write_decimal("low", candle.low(), out);
    write_decimal("volume", candle.volume(), out);
    write_decimal("deal", candle.turnover(), out);
    out.push(b'}');
    Some(())
}

/// 302: `[time, open, close, high, low, volume, deal, market]` each.
fn write_kline(board: &Board, values: &[Value<'_>], now: i64, out: &mut Vec<u8>) -> Option<()> {
    let [market, start, end, interval] = values else { return None };
    let place = place(board, market)?;
    let name = text(market)?;
    let range = (integer(start)?, integer(end)?);
    let mut is_first = true;
    out.push(b'[');
    let is_asked = board.kline(place, range, integer(interval)?, now, &mut |time, candle| {
        crate::json::separate(&mut is_first, out);
        out.push(b'[');
        write_integer(time, out);
        for value in numbers(candle) {
            out.extend_from_slice(b", ");
            write_text_number(value, out);
        }
        out.extend_from_slice(b", ");
        write_string(name, out);
        out.push(b']');
    });
    out.push(b']');
    is_asked.then_some(())
}

/// 303
fn write_deals(board: &Board, values: &[Value<'_>], out: &mut Vec<u8>) -> Option<()> {
    let [market, limit, last_id] = values else { return None };
    let place = place(board, market)?;
    let limit = usize::try_from(integer(limit)?).ok()?;
    if !(1..=DEALS_LIMIT_MAX).contains(&limit) {
        return None;
    }
    // A negative id is a huge unsigned one, as for the original: nothing is newer.
    let last_id = integer(last_id)?.cast_unsigned();
    write_list(b"[]", board.deals(place, limit, last_id), out, write_recent_deal);
    Some(())
}

/// 304: the last price with the digits of its message.
fn write_last(board: &Board, values: &[Value<'_>], out: &mut Vec<u8>) -> Option<()> {
    let [market] = values else { return None };
    let place = place(board, market)?;
    out.push(b'"');
    write_last_price(board, place, out);
    out.push(b'"');
    Some(())
}

/// 305
fn write_today(board: &Board, values: &[Value<'_>], now: i64, out: &mut Vec<u8>) -> Option<()> {
    let [market] = values else { return None };
    let today = board.today(place(board, market)?, now);
    let nothing = Candle::flat(Decimal::ZERO);
    let prices = today.prices.unwrap_or(nothing);
    let sums = today.sums.unwrap_or(nothing);
    out.extend_from_slice(b"{\"open\": ");
    write_text_number(prices.open(), out);
    write_decimal("last", prices.close(), out);
    write_decimal("high", prices.high(), out);
    write_decimal("low", prices.low(), out);
    write_decimal("volume", sums.volume(), out);
    write_decimal("deal", sums.turnover(), out);
    out.push(b'}');
    Some(())
}

/// Appends the last price of a market as `k:<market>:last` holds it: `0` before the first deal.
pub fn write_last_price(board: &Board, place: usize, out: &mut Vec<u8>) {
    let last = board.last(place).unwrap_or_default();
    write_plain(last.coefficient, last.scale, out);
}

/// Appends a deal as lists show it and `k:<market>:deals` holds it.
pub fn write_recent_deal(deal: &Deal, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"id\": ");
    write_integer(deal.id.cast_signed(), out);
    write_key("time", out);
    write_seconds(deal.time, out);
    write_decimal("price", deal.price, out);
    write_decimal("amount", deal.amount, out);
    write_key("type", out);
    let side = match deal.taker {
        Taker::Sells => "sell",
        Taker::Buys => "buy",
    };
    write_string(side, out);
    out.push(b'}');
}

/// Reads what [`write_recent_deal`] wrote; `None` when it is no deal.
pub fn read_recent_deal(text: &[u8]) -> Option<Deal> {
    let (mut id, mut time, mut price, mut amount, mut taker) = (None, None, None, None, None);
    scan_object(text, Rules::ORIGINAL, &mut |key, value| match (&*key, &value) {
        ("id", Value::Integer(number)) => id = u64::try_from(*number).ok(),
        ("time", Value::Real(seconds)) => time = microseconds(*seconds),
        ("price", Value::Text(text)) => price = Decimal::parse(text).ok(),
        ("amount", Value::Text(text)) => amount = Decimal::parse(text).ok(),
        ("type", Value::Text(Cow::Borrowed("sell"))) => taker = Some(Taker::Sells),
        ("type", Value::Text(Cow::Borrowed("buy"))) => taker = Some(Taker::Buys),
        _ => {}
    })
    .ok()?;
    let deal = Deal { id: id?, time: time?, price: price?, amount: amount?, taker: taker? };
    deal.is_valid().then_some(deal)
}

/// Appends a candle as the hashes hold it: `["open", "close", "high", "low", "volume", "deal"]`.
pub fn write_candle(candle: &Candle, out: &mut Vec<u8>) {
    write_list(b"[]", numbers(candle).into_iter(), out, write_text_number);
}

/// Reads what [`write_candle`] wrote, or the five numbers without `deal` of older originals; `None` when
/// it is no candle.
pub fn read_candle(text: &[u8]) -> Option<Candle> {
    let values = read_array(text).ok()?;
    if !(5..=6).contains(&values.len()) {
        return None;
    }
    let mut numbers = [Decimal::ZERO; 6];
    for (number, value) in numbers.iter_mut().zip(&values) {
        *number = match value {
            Value::Text(text) => {
                Decimal::parse(text).ok().filter(|value| value.coefficient >= 0)?
            }
            _ => return None,
        };
    }
    Some(Candle::new(numbers))
}

/// Why a message of the topic `deals` is not counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum MessageError {
    /// No JSON array.
    #[error("the message is not a JSON array")]
    Malformed,
    /// Fewer elements than a deal has, or one of another type or out of its range.
    #[error("the message is not a deal")]
    NoDeal,
}

/// Reads a message of the topic `deals`: the market's name and the deal.
///
/// # Errors
/// See [`MessageError`].
pub fn read_deal_message(payload: &[u8]) -> Result<(Cow<'_, str>, Deal), MessageError> {
    let values = read_array(payload).map_err(|_| MessageError::Malformed)?;
    read_deal(values).ok_or(MessageError::NoDeal)
}

fn read_deal(mut values: Vec<Value<'_>>) -> Option<(Cow<'_, str>, Deal)> {
    if values.len() < MESSAGE_ELEMENTS_MIN {
        return None;
    }
    let Value::Real(seconds) = values[0] else { return None };
    let number = |value: &Value<'_>| Decimal::parse(text(value)?).ok();
    let deal = Deal {
        id: u64::try_from(integer(&values[11])?).ok()?,
        time: microseconds(seconds)?,
        price: number(&values[6])?,
        amount: number(&values[7])?,
        taker: match integer(&values[10])? {
            1 => Taker::Sells,
            2 => Taker::Buys,
            _ => return None,
        },
    };
    let Value::Text(market) = values.swap_remove(1) else { return None };
    (deal.is_valid() && !market.is_empty()).then_some((market, deal))
}

/// Microseconds of a time in seconds, never beyond its whole second.
fn microseconds(seconds: f64) -> Option<i64> {
    let whole = seconds.trunc();
    if !(0.0..1e12).contains(&whole) {
        return None;
    }
    let fraction = ((seconds - whole) * 1e6).round().min(999_999.0);
    Some(whole as i64 * 1_000_000 + fraction as i64)
}

fn numbers(candle: &Candle) -> [Decimal; 6] {
    [candle.open(), candle.close(), candle.high(), candle.low(), candle.volume(), candle.turnover()]
}

fn write_decimal(key: &str, value: Decimal, out: &mut Vec<u8>) {
    write_number(key, value.coefficient, value.scale, out);
}

fn write_text_number(value: Decimal, out: &mut Vec<u8>) {
    out.push(b'"');
    write_stripped(value.coefficient, value.scale, out);
    out.push(b'"');
}

fn place(board: &Board, market: &Value<'_>) -> Option<usize> {
    board.place(text(market)?)
}

fn text<'a>(value: &'a Value<'_>) -> Option<&'a str> {
    match value {
        Value::Text(text) => Some(text),
        _ => None,
    }
}

fn integer(value: &Value<'_>) -> Option<i64> {
    match value {
        Value::Integer(number) => Some(*number),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
