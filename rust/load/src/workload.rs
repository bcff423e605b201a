//! What is asked: an endless series of requests of one mode, and the deposits before it.

use std::ops::RangeInclusive;

use clap::ValueEnum;
use viabtc_wire::json::{write_integer, write_string};

use crate::codec::{Method, Verdict, has_dealt, order_id};

/// Each user's funds in base and quote units: no order of a long run is refused for want of them, and the
/// supply of a million users stays below the largest that an asset may have.
const FUNDS_BASE: &str = "1000000";
const FUNDS_QUOTE: &str = "90000000";

/// One answer in this many is searched for deals.
const SAMPLE: u32 = 16;

/// Orders remembered for cancelling.
const OPEN_MAX: usize = 100_000;

/// Share of the middle price that trading orders stand around it, in thousandths.
const SPREAD: u64 = 5;

/// What a run asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Mode {
    /// `balance.update`, each with a key of its own.
    Deposit,
    /// `order.put_limit` that meets nobody.
    Resting,
    /// `order.put_limit` around one price: about 53 % of them take.
    Trading,
    /// Resting orders and `order.cancel` of them, one each.
    Cancel,
    /// `balance.query` of one asset.
    Balance,
    /// `order.depth` of 20 levels.
    Depth,
    /// `market.last`.
    Last,
}

impl Mode {
    /// Whether users must have funds.
    pub(crate) fn needs_funds(self) -> bool {
        matches!(self, Mode::Resting | Mode::Trading | Mode::Cancel | Mode::Balance | Mode::Depth)
    }
}

const BALANCE_QUERY: Method = Method { command: 101, name: "balance.query" };
const BALANCE_UPDATE: Method = Method { command: 102, name: "balance.update" };
const PUT_LIMIT: Method = Method { command: 201, name: "order.put_limit" };
const CANCEL: Method = Method { command: 204, name: "order.cancel" };
const DEPTH: Method = Method { command: 206, name: "order.depth" };
const LAST: Method = Method { command: 304, name: "market.last" };

/// Where orders are put.
#[derive(Clone, Debug)]
pub(crate) struct Market {
    pub(crate) name: String,
    pub(crate) base: String,
    pub(crate) quote: String,
    pub(crate) price: u32,
}

/// What is remembered of a request until its answer comes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Asked {
    user: u32,
    is_put: bool,
}

/// A series of requests.
pub(crate) trait Requests {
    /// Writes the next request's parameters to `params`; `None` when there are no more.
    fn next(&mut self, params: &mut Vec<u8>) -> Option<(Method, Asked)>;

    /// Takes note of an answer.
    fn answered(&mut self, asked: Asked, verdict: Verdict, body: &[u8]);
}

/// The deposits that give every user both assets.
pub(crate) struct Funding<'a> {
    market: &'a Market,
    users: RangeInclusive<u32>,
    /// The user whose quote is still to come.
    pending: Option<u32>,
    key: &'a mut u64,
    /// Code of a deposit that was refused.
    pub(crate) refusal: Option<i32>,
}

impl<'a> Funding<'a> {
    pub(crate) fn new(
        market: &'a Market,
        users: RangeInclusive<u32>,
        key: &'a mut u64,
    ) -> Funding<'a> {
        Funding { market, users, pending: None, key, refusal: None }
    }
}

impl Requests for Funding<'_> {
    fn next(&mut self, params: &mut Vec<u8>) -> Option<(Method, Asked)> {
        let (user, asset, amount) = match self.pending.take() {
            Some(user) => (user, &self.market.quote, FUNDS_QUOTE),
            None => {
                let user = self.users.next()?;
                self.pending = Some(user);
                (user, &self.market.base, FUNDS_BASE)
            }
        };
        *self.key += 1;
        write_deposit(user, asset, *self.key, amount, params);
        Some((BALANCE_UPDATE, Asked { user, is_put: false }))
    }

    fn answered(&mut self, _: Asked, verdict: Verdict, _: &[u8]) {
        if let Verdict::Refused(code) = verdict {
            self.refusal = Some(code);
        }
    }
}

/// The endless series of a mode.
pub(crate) struct Workload {
    mode: Mode,
    market: Market,
    users: RangeInclusive<u32>,
    key: u64,
    random: u64,
    /// Market's name as JSON.
    market_text: Vec<u8>,
    /// Orders that can be cancelled, with their owners.
    open: Vec<(u32, u64)>,
    is_cancel_next: bool,
    answers: u32,
    /// Orders whose answers were searched for deals, and those that had one.
    pub(crate) searched: u64,
    pub(crate) dealt: u64,
}

impl Workload {
    pub(crate) fn new(
        mode: Mode,
        market: Market,
        users: RangeInclusive<u32>,
        key: u64,
        seed: u64,
    ) -> Workload {
        let mut market_text = Vec::new();
        write_string(&market.name, &mut market_text);
        Workload {
            mode,
            market,
            users,
            key,
            random: seed,
            market_text,
            open: Vec::new(),
            is_cancel_next: false,
            answers: 0,
            searched: 0,
            dealt: 0,
        }
    }

    /// A number below `bound`.
    fn random(&mut self, bound: u64) -> u64 {
        // One step of the splitmix64 sequence.
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.random;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^= word >> 31;
        // The high half of the product is uniform enough for load.
        ((u128::from(word) * u128::from(bound)) >> 64) as u64
    }

    fn user(&mut self) -> u32 {
        let count = u64::from(self.users.end() - self.users.start()) + 1;
        let place = self.random(count) as u32;
        self.users.start() + place
    }

    /// A limit order of a random user.
    fn put_limit(&mut self, user: u32, is_crossing: bool, params: &mut Vec<u8>) {
        let is_bid = self.random(2) == 1;
        let middle = u64::from(self.market.price) * 100;
        let price = if is_crossing {
            let spread = middle * SPREAD / 1_000;
            let price = middle - spread + self.random(2 * spread + 1);
            // A quarter towards the other side: 53 of 100 orders then meet another, and the book grows
            // by a few of 100.
            if is_bid { price + spread / 4 } else { price - spread / 4 }
        } else {
            // Bids below and asks above, so far apart that they never meet.
            let distance = middle / 20 + self.random(middle / 4);
            if is_bid { middle - distance } else { middle + distance }
        };
        let amount = 1 + self.random(100);
        params.push(b'[');
        write_integer(i64::from(user), params);
        params.extend_from_slice(b", ");
        params.extend_from_slice(&self.market_text);
        params.extend_from_slice(if is_bid { b", 2, \"" } else { b", 1, \"" });
        write_hundredths(amount, params);
        params.extend_from_slice(b"\", \"");
        write_hundredths(price, params);
        params.extend_from_slice(b"\", \"0.002\", \"0.001\", \"load\"]");
    }
}

impl Requests for Workload {
    fn next(&mut self, params: &mut Vec<u8>) -> Option<(Method, Asked)> {
        let user = self.user();
        let mut asked = Asked { user, is_put: false };
        let method = match self.mode {
            Mode::Deposit => {
                self.key += 1;
                write_deposit(user, &self.market.base, self.key, "1", params);
                BALANCE_UPDATE
            }
            Mode::Resting | Mode::Trading => {
                asked.is_put = true;
                self.put_limit(user, self.mode == Mode::Trading, params);
                PUT_LIMIT
            }
            Mode::Cancel => {
                let cancelled = if self.is_cancel_next { self.open.pop() } else { None };
                self.is_cancel_next = !self.is_cancel_next;
                if let Some((owner, order)) = cancelled {
                    params.push(b'[');
                    write_integer(i64::from(owner), params);
                    params.extend_from_slice(b", ");
                    params.extend_from_slice(&self.market_text);
                    params.extend_from_slice(b", ");
                    write_integer(order.cast_signed(), params);
                    params.push(b']');
                    CANCEL
                } else {
                    asked.is_put = true;
                    self.put_limit(user, false, params);
                    PUT_LIMIT
                }
            }
            Mode::Balance => {
                params.push(b'[');
                write_integer(i64::from(user), params);
                params.extend_from_slice(b", ");
                write_string(&self.market.base, params);
                params.push(b']');
                BALANCE_QUERY
            }
            Mode::Depth => {
                params.push(b'[');
                params.extend_from_slice(&self.market_text);
                params.extend_from_slice(b", 20, \"0\"]");
                DEPTH
            }
            Mode::Last => {
                params.push(b'[');
                params.extend_from_slice(&self.market_text);
                params.push(b']');
                LAST
            }
        };
        Some((method, asked))
    }

    fn answered(&mut self, asked: Asked, verdict: Verdict, body: &[u8]) {
        if !asked.is_put || verdict != Verdict::Accepted {
            return;
        }
        if self.mode == Mode::Cancel && self.open.len() < OPEN_MAX {
            self.open.extend(order_id(body).map(|order| (asked.user, order)));
        }
        self.answers = self.answers.wrapping_add(1);
        if self.mode == Mode::Trading && self.answers.is_multiple_of(SAMPLE) {
            self.searched += 1;
            self.dealt += u64::from(has_dealt(body));
        }
    }
}

fn write_deposit(user: u32, asset: &str, key: u64, amount: &str, params: &mut Vec<u8>) {
    params.push(b'[');
    write_integer(i64::from(user), params);
    params.extend_from_slice(b", ");
    write_string(asset, params);
    params.extend_from_slice(b", \"load\", ");
    write_integer(key.cast_signed(), params);
    params.extend_from_slice(b", \"");
    params.extend_from_slice(amount.as_bytes());
    params.extend_from_slice(b"\", {}]");
}

/// A number of hundredths as a decimal.
fn write_hundredths(number: u64, out: &mut Vec<u8>) {
    write_integer((number / 100).cast_signed(), out);
    let rest = (number % 100) as u8;
    out.extend_from_slice(&[b'.', b'0' + rest / 10, b'0' + rest % 10]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn market() -> Market {
        Market { name: "BTCUSDT".into(), base: "BTC".into(), quote: "USDT".into(), price: 10_000 }
    }

    fn texts(mode: Mode, count: usize) -> Vec<(Method, String)> {
        let mut workload = Workload::new(mode, market(), 1..=3, 0, 1);
        let next = |_| {
            let mut params = Vec::new();
            let (method, _) = workload.next(&mut params).unwrap();
            (method, String::from_utf8(params).unwrap())
        };
        (0..count).map(next).collect()
    }

    #[test]
    fn every_request_is_a_json_array() {
        let modes = Mode::value_variants().iter().copied();
        for (method, text) in modes.flat_map(|mode| texts(mode, 100)) {
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert!(value.is_array(), "{}: {text}", method.name);
        }
    }

    #[test]
    fn resting_bids_stand_below_resting_asks() {
        let (mut highest_bid, mut lowest_ask) = (0.0_f64, f64::MAX);
        for (_, text) in texts(Mode::Resting, 10_000) {
            let order: serde_json::Value = serde_json::from_str(&text).unwrap();
            let price = order[4].as_str().unwrap().parse().unwrap();
            match order[2].as_i64() {
                Some(2) => highest_bid = highest_bid.max(price),
                _ => lowest_ask = lowest_ask.min(price),
            }
        }
        assert!(highest_bid < lowest_ask, "{highest_bid} {lowest_ask}");
    }

    #[test]
    fn funding_gives_every_user_both_assets_under_keys_of_their_own() {
        let (market, mut key) = (market(), 5);
        let mut funding = Funding::new(&market, 1..=2, &mut key);
        let mut all = String::new();
        let mut params = Vec::new();
        while funding.next(&mut params).is_some() {
            all.push_str(std::str::from_utf8(&params).unwrap());
            params.clear();
        }
        assert_eq!(
            all,
            "[1, \"BTC\", \"load\", 6, \"1000000\", {}][1, \"USDT\", \"load\", 7, \"90000000\", {}]\
             [2, \"BTC\", \"load\", 8, \"1000000\", {}][2, \"USDT\", \"load\", 9, \"90000000\", {}]"
        );
        assert_eq!(key, 9);
    }

    #[test]
    fn orders_that_rest_are_cancelled_once() {
        let mut workload = Workload::new(Mode::Cancel, market(), 1..=3, 0, 1);
        let mut params = Vec::new();
        let (_, asked) = workload.next(&mut params).unwrap();
        let body = b"{\"error\": null, \"result\": {\"id\": 44}, \"id\": 1}";
        workload.answered(asked, Verdict::Accepted, body);
        params.clear();
        assert_eq!(workload.next(&mut params).unwrap().0, CANCEL);
        assert!(params.ends_with(b", \"BTCUSDT\", 44]"));
        for _ in 0..10 {
            assert_eq!(workload.next(&mut params).unwrap().0, PUT_LIMIT);
        }
    }
}
