//! What a client of the original's websocket service may say: queries, subscriptions, authentication.
//!
//! Source: the order of checks and the codes are aw_server.c's.

use std::time::{SystemTime, UNIX_EPOCH};

use viabtc_engine::Decimal;
use viabtc_wire::envelope::read_envelope;
use viabtc_wire::json::{Rules, Value, read_array, write_integer};
use viabtc_wire::methods::{ErrorCode, Owner, by_name};
use viabtc_wire::reply::write_common_error;

use super::desk::Desk;
use super::frames::Closing;
use super::topics::Family;
use super::{Dialect, stream};
use crate::backend::Refusal;

/// Longest name of a market or asset. Source: the original's buffers of 16 bytes.
const NAME_BYTES_MAX: usize = 15;

/// Longest `source` of an authentication.
const SOURCE_BYTES_MAX: usize = 31;

const fn public(number: u8) -> Family {
    Family { number, is_private: false, is_reported: true }
}

const fn private(number: u8) -> Family {
    Family { number, is_private: true, is_reported: false }
}

const KLINE: Family = public(1);
const DEPTH: Family = public(2);
const PRICE: Family = public(3);
const STATE: Family = public(4);
const TODAY: Family = public(5);
const DEALS: Family = public(6);
const ORDER: Family = private(7);
const ASSET: Family = private(8);

/// What may be subscribed to, and where backends stand.
#[derive(Clone, Debug, Default)]
pub struct CallsOptions {
    /// Depth limits that are served.
    pub depth_limits: Vec<i64>,
    /// Depth intervals that are served, as numbers.
    pub depth_intervals: Vec<Decimal>,
}

/// The dialect. Topics are named `deals MARKET`, `price MARKET`, `state MARKET`, `today MARKET`,
/// `kline INTERVAL MARKET`, `depth LIMIT INTERVAL MARKET`, `order USER MARKET` and `asset USER ASSET`.
/// The backends of a hub that speaks it stand in the order of [`Calls::OWNERS`].
pub struct Calls {
    options: CallsOptions,
    /// Of an answer made here.
    body: Vec<u8>,
}

/// How a request ends here.
enum Outcome {
    Success,
    Pong,
    Time,
    /// Answered by somebody else.
    Later,
}

type Called = Result<Outcome, ErrorCode>;

impl Calls {
    /// Which backend stands where.
    pub const OWNERS: [Owner; 3] = [Owner::Matchengine, Owner::Marketprice, Owner::Readhistory];

    /// A dialect for one thread.
    pub fn new(options: CallsOptions) -> Calls {
        Calls { options, body: Vec::new() }
    }

    fn call(&self, desk: &mut Desk<'_>, method: &str, id: i64, text: &str) -> Called {
        let relay = |desk: &mut Desk<'_>, name: &str, params: &str| relay(desk, name, id, params);
        match method {
            "server.ping" => Ok(Outcome::Pong),
            "server.time" => Ok(Outcome::Time),
            "server.auth" => authenticate(desk, id, text),
            "server.sign" => sign(desk, id, text),
            "kline.query" => relay(desk, "market.kline", text),
            "price.query" => relay(desk, "market.last", text),
            "state.query" => relay(desk, "market.status", text),
            "today.query" => relay(desk, "market.status_today", text),
            "deals.query" => relay(desk, "market.deals", text),
            "depth.query" => relay(desk, "order.depth", text),
            "order.query" => {
                let user = connected_user(desk, "order.pending")?;
                let [Value::Text(_), Value::Integer(_), Value::Integer(_)] = &params(text)[..]
                else {
                    return Err(ErrorCode::InvalidArgument);
                };
                relay(desk, "order.pending", &with_user(user, text))
            }
            "order.history" | "asset.history" => {
                let name =
                    if method == "order.history" { "order.finished" } else { "balance.history" };
                let user = connected_user(desk, name)?;
                if params(text).len() != 6 {
                    return Err(ErrorCode::InvalidArgument);
                }
                relay(desk, name, &with_user(user, text))
            }
            "asset.query" => {
                let user = user(desk)?;
                relay(desk, "balance.query", &with_user(user, text))
            }
            "kline.subscribe" => {
                let [Value::Text(market), Value::Integer(interval)] = &params(text)[..] else {
                    return Err(ErrorCode::InvalidArgument);
                };
                if !is_name(market) || *interval <= 0 {
                    return Err(ErrorCode::InvalidArgument);
                }
                desk.leave(KLINE);
                subscribe(desk, &format!("kline {interval} {market}"), KLINE)
            }
            "depth.subscribe" => {
                let [Value::Text(market), Value::Integer(limit), Value::Text(interval)] =
                    &params(text)[..]
                else {
                    return Err(ErrorCode::InvalidArgument);
                };
                if !is_name(market) || *limit <= 0 || !is_name(interval) {
                    return Err(ErrorCode::InvalidArgument);
                }
                // What is not served costs the subscription that was there; what is malformed does not.
                desk.leave(DEPTH);
                if !self.is_depth(*limit, interval) {
                    return Err(ErrorCode::InvalidArgument);
                }
                subscribe(desk, &format!("depth {limit} {interval} {market}"), DEPTH)
            }
            "price.subscribe" => subscribe_all(desk, "price", text, PRICE),
            "state.subscribe" => subscribe_all(desk, "state", text, STATE),
            "today.subscribe" => subscribe_all(desk, "today", text, TODAY),
            "deals.subscribe" => subscribe_all(desk, "deals", text, DEALS),
            "order.subscribe" => {
                let user = user(desk)?;
                subscribe_all(desk, &format!("order {user}"), text, ORDER)
            }
            "asset.subscribe" => {
                let user = user(desk)?;
                subscribe_all(desk, &format!("asset {user}"), text, ASSET)
            }
            "kline.unsubscribe" => unsubscribe(desk, KLINE),
            "depth.unsubscribe" => unsubscribe(desk, DEPTH),
            "price.unsubscribe" => unsubscribe(desk, PRICE),
            "state.unsubscribe" => unsubscribe(desk, STATE),
            "today.unsubscribe" => unsubscribe(desk, TODAY),
            "deals.unsubscribe" => unsubscribe(desk, DEALS),
            "order.unsubscribe" => user(desk).and_then(|_| unsubscribe(desk, ORDER)),
            "asset.unsubscribe" => user(desk).and_then(|_| unsubscribe(desk, ASSET)),
            _ => Err(ErrorCode::MethodNotFound),
        }
    }

    /// Whether a limit and an interval are among those that are served; the interval by its value.
    fn is_depth(&self, limit: i64, interval: &str) -> bool {
        // The text becomes part of a topic's name, in which blanks separate.
        if interval.contains(' ') {
            return false;
        }
        let Ok(interval) = Decimal::parse(interval) else { return false };
        // Values are compared among non-negative ones only.
        let is_equal =
            |other: &Decimal| interval.coefficient >= 0 && other.compare(interval).is_eq();
        self.options.depth_limits.contains(&limit)
            && self.options.depth_intervals.iter().any(is_equal)
    }
}

impl Dialect for Calls {
    fn message(&mut self, desk: &mut Desk<'_>, payload: &[u8], _: bool) {
        if desk.is_stream() {
            return stream::message(desk, payload);
        }
        // Source: nw_ws, a binary message is a request like a text.
        let Ok(envelope) = read_envelope(payload, Rules::ORIGINAL) else {
            return desk.close(Closing::MALFORMED);
        };
        let called = self.call(desk, &envelope.method, envelope.id, envelope.params);
        let mut body = std::mem::take(&mut self.body);
        body.clear();
        match called {
            Ok(Outcome::Later) => return self.body = body,
            Ok(outcome) => {
                body.extend_from_slice(b"{\"error\": null, \"result\": ");
                match outcome {
                    Outcome::Pong => body.extend_from_slice(b"\"pong\""),
                    Outcome::Time => write_integer(unix_seconds(), &mut body),
                    _ => body.extend_from_slice(b"{\"status\": \"success\"}"),
                }
                body.extend_from_slice(b", \"id\": ");
                write_integer(envelope.id, &mut body);
                body.push(b'}');
            }
            Err(code) => write_common_error(code, Some(envelope.id), &mut body),
        }
        desk.send(&body);
        self.body = body;
        // The answer goes before what a newcomer gets.
        if let Some(family) = newcomer(&envelope.method) {
            desk.welcome(family);
        }
    }
}

/// The family that a method subscribes to, when it keeps something for newcomers.
fn newcomer(method: &str) -> Option<Family> {
    let families = [KLINE, DEPTH, PRICE, STATE, TODAY, DEALS];
    let methods = ["kline", "depth", "price", "state", "today", "deals"];
    let name = method.strip_suffix(".subscribe")?;
    let place = methods.iter().position(|method| *method == name)?;
    Some(families[place])
}

fn unix_seconds() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64)
}

/// The elements of parameters; the envelope has checked that they are an array.
fn params(text: &str) -> Vec<Value<'_>> {
    read_array(text.as_bytes()).unwrap_or_default()
}

/// `params` with the user before its elements.
fn with_user(user: u32, params: &str) -> String {
    let rest = params.trim_start().strip_prefix('[').unwrap_or("]").trim_start();
    let comma = if rest.starts_with(']') { "" } else { ", " };
    format!("[{user}{comma}{rest}")
}

fn is_name(text: &str) -> bool {
    text.len() <= NAME_BYTES_MAX
}

fn user(desk: &mut Desk<'_>) -> Result<u32, ErrorCode> {
    desk.user().ok_or(ErrorCode::RequireAuthentication)
}

/// Source: of some methods the original looks at the link before it looks at the user.
fn connected_user(desk: &mut Desk<'_>, name: &str) -> Result<u32, ErrorCode> {
    let is_connected = target(name).is_some_and(|(place, _)| desk.is_connected(place));
    if !is_connected {
        return Err(ErrorCode::InternalError);
    }
    user(desk)
}

/// Which backend answers a method, and its number.
fn target(name: &str) -> Option<(usize, u32)> {
    let method = by_name(name)?;
    let place = Calls::OWNERS.iter().position(|owner| *owner == method.owner)?;
    Some((place, method.command))
}

fn relay(desk: &mut Desk<'_>, name: &str, id: i64, params: &str) -> Called {
    let (place, command) = target(name).ok_or(ErrorCode::MethodNotFound)?;
    match desk.relay(place, command, id, params.as_bytes()) {
        Ok(()) => Ok(Outcome::Later),
        Err(Refusal::Malformed | Refusal::TooLarge) => Err(ErrorCode::InvalidArgument),
        Err(Refusal::NotFound) => Err(ErrorCode::MethodNotFound),
        Err(Refusal::Unavailable) => Err(ErrorCode::InternalError),
    }
}

fn authenticate(desk: &mut Desk<'_>, id: i64, text: &str) -> Called {
    match &params(text)[..] {
        [Value::Text(_), Value::Text(source)] if source.len() <= SOURCE_BYTES_MAX => {
            ask_owner(desk, id, "server.auth", text)
        }
        _ => Err(ErrorCode::InvalidArgument),
    }
}

fn sign(desk: &mut Desk<'_>, id: i64, text: &str) -> Called {
    match &params(text)[..] {
        [Value::Text(_), Value::Text(_), Value::Integer(tonce)] if *tonce != 0 => {
            ask_owner(desk, id, "server.sign", text)
        }
        _ => Err(ErrorCode::InvalidArgument),
    }
}

fn ask_owner(desk: &mut Desk<'_>, id: i64, method: &'static str, text: &str) -> Called {
    if desk.request(id, method, text) { Ok(Outcome::Later) } else { Err(ErrorCode::InternalError) }
}

fn subscribe(desk: &mut Desk<'_>, name: &str, family: Family) -> Called {
    if desk.subscribe(name, family) {
        Ok(Outcome::Success)
    } else {
        Err(ErrorCode::InvalidArgument)
    }
}

/// Subscribes to one topic per element; what stands before a bad element is subscribed to.
fn subscribe_all(desk: &mut Desk<'_>, prefix: &str, text: &str, family: Family) -> Called {
    desk.leave(family);
    for name in params(text) {
        match name {
            Value::Text(name) if is_name(&name) => {
                subscribe(desk, &format!("{prefix} {name}"), family)?;
            }
            _ => return Err(ErrorCode::InvalidArgument),
        }
    }
    Ok(Outcome::Success)
}

fn unsubscribe(desk: &mut Desk<'_>, family: Family) -> Called {
    desk.leave(family);
    Ok(Outcome::Success)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_goes_before_the_parameters() {
        for (params, expected) in
            [("[]", "[7]"), (" [ ] ", "[7] "), ("[1]", "[7, 1]"), ("[ [2], 3]", "[7, [2], 3]")]
        {
            assert_eq!(with_user(7, params), expected);
        }
    }

    #[test]
    fn depth_is_served_for_the_configured_values_however_they_are_written() {
        let intervals = ["0", "0.1", "0.00000001"];
        let calls = Calls::new(CallsOptions {
            depth_limits: vec![5, 10],
            depth_intervals: intervals.map(|text| Decimal::parse(text).unwrap()).to_vec(),
        });
        for (limit, interval, expected) in [
            (5, "0", true),
            (10, "0.10", true),
            (10, "1e-8", true),
            (7, "0", false),
            (5, "0.3", false),
            (5, "-0.1", false),
            (5, "0 ", false),
            (5, "x", false),
            (5, "0.1000000000000", true),
        ] {
            assert_eq!(calls.is_depth(limit, interval), expected, "{limit} {interval}");
        }
    }
}
