//! Plays the tables in `scenarios/`: business rules, one readable line per operation.
//!
//! ```text
//! define asset BTC keeps 12 shows 8            # decimals stored and decimals of updates
//! define market BTCBCH BTC/BCH amounts 8 prices 8 fees 4 least 0.001
//! define window 86400                          # seconds in which an update takes effect once
//!
//! scenario what it shows                       # everything begins anew, the definitions stay
//! fees    taker 0.002 maker 0.001              # of the orders that follow; 0 without it
//! fund    alice BTC 1                          # an update with a number of its own
//! update  alice BTC deposit 7 -0.5             # reason and number
//! limit   #1 alice ask 1 @ 50                  -> placed #1
//! market  #2 bob bid 20                        -> deal #1/#2 0.4 @ 50 fees 0.02/0.0008, updated #1 left 0.6,
//!                                                 finished #2
//! limit   #3 bob bid 9 @ 60                    !! balance_not_enough
//! cancel  #1 alice                             -> finished #1 left 0.6
//! halt    BTCBCH                               # of our own kinds, which make no events
//! resume  BTCBCH
//! add     asset ETH keeps 16 shows 8           # as in a definition
//! set     market BTCBCH BTC/BCH amounts 8 prices 9 fees 4 least 0.01
//! wait    3600
//! ```
//!
//! Behind `->` stand all events (a deal is ask/bid, amount @ price, fees of ask/bid), behind `!!` the
//! rejection; a command with neither has to be accepted. `in MARKET` chooses a market other than the
//! first. Checks: `balance`, `totals`, `order`, `book`, `open`, `depth`, `summary`. A line that begins
//! with a space continues the one before it. After every command the exchange is audited, and after a
//! rejection its state is compared with the one before.

use std::collections::BTreeMap;
use std::path::Path;

use viabtc_engine::decimal::{parse_fixed, write_stripped};
use viabtc_engine::event::OrderChange;
use viabtc_engine::{
    AssetConfig, AssetId, AssetSettings, CancelOrder, Change, Command, Config, Decimal, Event,
    Exchange, MarketConfig, MarketId, MarketSettings, Order, OrderId, OrderKind, PlaceLimit,
    PlaceMarket, Side, Source, Stamp, Time, UpdateBalance, UserId,
};

macro_rules! play {
    ($($name:ident)*) => {
        /// The files that are played.
        const PLAYED: &[&str] = &[$(concat!(stringify!($name), ".txt")),*];

        $(
            #[test]
            fn $name() {
                play_file(
                    concat!(stringify!($name), ".txt"),
                    include_str!(concat!("scenarios/", stringify!($name), ".txt")),
                );
            }
        )*
    };
}

play!(balances cancelling changes depth example fees limit_orders market_orders refusals);

#[test]
fn every_file_of_scenarios_is_played() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut found: Vec<String> = std::fs::read_dir(folder)
        .expect("the folder stands beside this file")
        .map(|entry| entry.expect("readable").file_name().into_string().expect("UTF-8"))
        .collect();
    found.sort();
    assert_eq!(found, PLAYED);
}

fn play_file(file: &str, text: &str) {
    let mut definitions = Definitions::default();
    let mut stage: Option<Stage> = None;
    for (number, line) in lines(text) {
        let place = format!("{file}:{number}");
        match line.split_once(char::is_whitespace) {
            Some(("define", rest)) => definitions.add(rest.trim(), &place),
            Some(("scenario", _)) => stage = Some(Stage::new(definitions.config(&place))),
            _ => {
                let stage = stage.as_mut().unwrap_or_else(|| panic!("{place}: no scenario yet"));
                stage.place = place;
                stage.play(&line);
            }
        }
    }
}

/// The lines that say something, with their numbers: comments cut, continuations joined.
fn lines(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let without_comment = match line.find("# ") {
            Some(comment) => &line[..comment],
            None => line,
        };
        let said = without_comment.trim();
        if said.is_empty() {
            continue;
        }
        match lines.last_mut() {
            Some((_, last)) if line.starts_with(' ') => {
                last.push(' ');
                last.push_str(said);
            }
            _ => lines.push((index + 1, said.to_owned())),
        }
    }
    lines
}

#[derive(Default)]
struct Definitions {
    assets: Vec<AssetConfig>,
    markets: Vec<MarketConfig>,
    window_s: i64,
}

impl Definitions {
    fn add(&mut self, line: &str, place: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["asset", name, "keeps", save, "shows", show] => self.assets.push(AssetConfig {
                name: name.into(),
                save_scale: save.parse().expect("decimals"),
                show_scale: show.parse().expect("decimals"),
            }),
            [
                "market",
                name,
                pair,
                "amounts",
                base_scale,
                "prices",
                quote_scale,
                "fees",
                fee_scale,
                "least",
                least,
            ] => {
                let (base, quote) = pair.split_once('/').expect("base/quote");
                self.markets.push(MarketConfig {
                    name: name.into(),
                    base: self.asset(base),
                    quote: self.asset(quote),
                    base_scale: base_scale.parse().expect("decimals"),
                    quote_scale: quote_scale.parse().expect("decimals"),
                    fee_scale: fee_scale.parse().expect("decimals"),
                    min_amount: Decimal::parse(least).expect("an amount"),
                });
            }
            ["window", seconds] => self.window_s = seconds.parse().expect("seconds"),
            _ => panic!("{place}: no definition"),
        }
    }

    fn asset(&self, name: &str) -> AssetId {
        let position = self.assets.iter().position(|asset| asset.name == name);
        AssetId(position.unwrap_or_else(|| panic!("asset {name} is not defined")) as u16)
    }

    fn config(&self, place: &str) -> Config {
        let config = Config {
            assets: self.assets.clone(),
            markets: self.markets.clone(),
            update_window: self.window_s.max(1) * 1_000_000,
        };
        config.validate().unwrap_or_else(|error| panic!("{place}: {error:?}"))
    }
}

/// One scenario at work.
struct Stage {
    place: String,
    exchange: Exchange,
    /// Users by number, the first is 1.
    users: Vec<String>,
    /// Each order as its last event showed it.
    orders: BTreeMap<u64, Order>,
    time: i64,
    last_reason_id: u64,
    taker_fee: String,
    maker_fee: String,
}

impl Stage {
    fn new(config: Config) -> Stage {
        Stage {
            place: String::new(),
            exchange: Exchange::new(config),
            users: Vec::new(),
            orders: BTreeMap::new(),
            time: 1_700_000_000_000_000,
            // Above the numbers that tables give themselves.
            last_reason_id: 1_000_000,
            taker_fee: "0".into(),
            maker_fee: "0".into(),
        }
    }

    fn play(&mut self, line: &str) {
        let (operation, expected) = match (line.split_once("->"), line.split_once("!!")) {
            (Some((operation, events)), _) => (operation, Some(squeeze(events))),
            (_, Some((operation, rejection))) => {
                (operation, Some(format!("!! {}", rejection.trim())))
            }
            _ => (line, None),
        };
        let words: Vec<&str> = operation.split_whitespace().collect();
        let command = match words[0] {
            "fund" | "update" => self.read_update(&words),
            "limit" => self.read_limit(&words),
            "market" => self.read_market(&words),
            "cancel" => self.read_cancel(&words),
            "halt" | "resume" | "add" | "set" => self.read_change(&words),
            _ => return self.check(&words),
        };
        let outcome = self.apply(&command);
        match expected {
            Some(expected) => assert_eq!(outcome, expected, "{}: {line}", self.place),
            None => assert!(!outcome.starts_with("!!"), "{}: {line} {outcome}", self.place),
        }
    }

    /// What happened, in the words of the tables.
    fn apply(&mut self, command: &Command) -> String {
        let stamp = Stamp { sequence: self.exchange.sequence() + 1, time: Time(self.time) };
        let before = snapshot(&self.exchange);
        let mut events = Vec::new();
        let outcome = self.exchange.apply(stamp, command, &mut events);
        if let Err(violation) = self.exchange.audit() {
            panic!("{}: {violation}", self.place);
        }
        if let Err(rejection) = outcome {
            assert!(events.is_empty() && snapshot(&self.exchange) == before, "{}", self.place);
            return format!("!! {}", rejection.name());
        }
        for event in &events {
            if let Event::Order(event) = event {
                self.orders.insert(event.order.id.0, event.order);
            }
        }
        events.iter().map(|event| self.told(event)).collect::<Vec<_>>().join(", ")
    }

    fn told(&self, event: &Event) -> String {
        match event {
            Event::BalanceUpdated(update) => {
                let scale = self.exchange.config().assets[usize::from(update.asset.0)].save_scale;
                let (total, available) =
                    (plain(update.total, scale), plain(update.available, scale));
                format!("total {total} available {available}")
            }
            Event::Deal(deal) => {
                let market = self.config(deal.market);
                let (amount, price) =
                    (plain(deal.amount, market.base_scale), plain(deal.price, market.quote_scale));
                let (ask, bid) = (deal.ask, deal.bid);
                let mut text = format!("deal #{}/#{} {amount} @ {price}", ask.order.0, bid.order.0);
                if ask.fee.coefficient > 0 || bid.fee.coefficient > 0 {
                    let fee = |fee: Decimal| plain(fee.coefficient, fee.scale);
                    text += &format!(" fees {}/{}", fee(ask.fee), fee(bid.fee));
                }
                text
            }
            Event::Order(event) => {
                let order = &event.order;
                let word = match event.change {
                    OrderChange::Placed => "placed",
                    OrderChange::Updated => "updated",
                    OrderChange::Finished => "finished",
                };
                let mut text = format!("{word} #{}", order.id.0);
                let is_whole =
                    event.change == OrderChange::Placed && order.remaining == order.amount;
                if order.remaining > 0 && !is_whole {
                    text += &format!(" left {}", self.left(order));
                }
                if event.change == OrderChange::Finished && !event.is_recorded {
                    text += " without history";
                }
                text
            }
        }
    }

    // Commands.

    fn read_update(&mut self, words: &[&str]) -> Command {
        let (user, asset, reason, reason_id, change) = match *words {
            ["fund", user, asset, change] => {
                self.last_reason_id += 1;
                (user, asset, "fund", self.last_reason_id, change)
            }
            ["update", user, asset, reason, reason_id, change] => {
                (user, asset, reason, reason_id.parse().expect("a number"), change)
            }
            _ => panic!("{}: fund USER ASSET CHANGE, update ... REASON NUMBER CHANGE", self.place),
        };
        let (asset, scale) =
            match self.exchange.config().assets.iter().position(|a| a.name == asset) {
                Some(position) => {
                    let config = &self.exchange.config().assets[position];
                    (AssetId(position as u16), config.show_scale)
                }
                None => (AssetId(u16::MAX), 0),
            };
        Command::UpdateBalance(UpdateBalance {
            user: self.user(user),
            asset,
            reason: reason.into(),
            reason_id,
            change: parse_fixed(change, scale).expect("a number"),
            detail: "{}".into(),
        })
    }

    fn read_limit(&mut self, words: &[&str]) -> Command {
        let ["limit", number, user, side, amount, "@", price, ref options @ ..] = *words else {
            panic!("{}: limit #N USER SIDE AMOUNT @ PRICE", self.place)
        };
        self.check_number(number);
        let market = self.market(options);
        let (base_scale, quote_scale) = self.scales(market);
        Command::PlaceLimit(PlaceLimit {
            user: self.user(user),
            market,
            side: self.side(side),
            amount: parse_fixed(amount, base_scale).expect("an amount"),
            price: parse_fixed(price, quote_scale).expect("a price"),
            taker_fee_rate: self.rate(market, &self.taker_fee),
            maker_fee_rate: self.rate(market, &self.maker_fee),
            source: Source::new("table").expect("short"),
        })
    }

    fn read_market(&mut self, words: &[&str]) -> Command {
        let ["market", number, user, side, amount, ref options @ ..] = *words else {
            panic!("{}: market #N USER SIDE AMOUNT", self.place)
        };
        self.check_number(number);
        let market = self.market(options);
        let (base_scale, _) = self.scales(market);
        Command::PlaceMarket(PlaceMarket {
            user: self.user(user),
            market,
            side: self.side(side),
            amount: parse_fixed(amount, base_scale).expect("an amount"),
            taker_fee_rate: self.rate(market, &self.taker_fee),
            source: Source::new("table").expect("short"),
        })
    }

    fn read_cancel(&mut self, words: &[&str]) -> Command {
        let ["cancel", number, user, ref options @ ..] = *words else {
            panic!("{}: cancel #N USER", self.place)
        };
        Command::CancelOrder(CancelOrder {
            user: self.user(user),
            market: self.market(options),
            order: OrderId(self.number(number)),
        })
    }

    fn read_change(&self, words: &[&str]) -> Command {
        let rest = words[1..].join(" ");
        let change = match words[0] {
            "halt" => Change::Halt(self.market(&["in", words[1]])),
            "resume" => Change::Resume(self.market(&["in", words[1]])),
            _ => {
                let mut read = Definitions {
                    assets: self.exchange.config().assets.clone(),
                    ..Definitions::default()
                };
                read.add(&rest, &self.place);
                match (words[0], words[1], read.assets.pop(), read.markets.pop()) {
                    ("add", "asset", Some(asset), _) => Change::AddAsset(asset),
                    ("set", "asset", Some(AssetConfig { name, save_scale, show_scale }), _) => {
                        let (id, _) = self.asset(&name);
                        Change::SetAsset(id, AssetSettings { save_scale, show_scale })
                    }
                    ("add", _, _, Some(market)) => Change::AddMarket(market),
                    (_, _, _, Some(market)) => Change::SetMarket(
                        self.market(&["in", &market.name]),
                        MarketSettings {
                            base_scale: market.base_scale,
                            quote_scale: market.quote_scale,
                            fee_scale: market.fee_scale,
                            min_amount: market.min_amount,
                        },
                    ),
                    _ => panic!("{}: add|set asset|market ...", self.place),
                }
            }
        };
        Command::Change(Box::new(change))
    }

    // Checks.

    fn check(&mut self, words: &[&str]) {
        let place = self.place.clone();
        match *words {
            ["wait", seconds] => self.time += seconds.parse::<i64>().expect("seconds") * 1_000_000,
            ["fees", "taker", taker, "maker", maker] => {
                (self.taker_fee, self.maker_fee) = (taker.into(), maker.into());
            }
            ["balance", user, ref wanted @ ..] => {
                let user = self.user(user);
                let mut wanted = wanted.iter().peekable();
                while let Some(asset) = wanted.next() {
                    let available = wanted.next().expect("ASSET AVAILABLE");
                    let frozen = match wanted.next_if(|word| **word == "frozen") {
                        Some(_) => wanted.next().expect("an amount"),
                        None => &"-",
                    };
                    let (id, scale) = self.asset(asset);
                    let balance = self.exchange.balance(user, id);
                    let told = |value: Option<i128>| {
                        value.map_or("-".to_owned(), |units| plain(units, scale))
                    };
                    let found = (told(balance.available), told(balance.frozen));
                    let wanted = ((*available).to_owned(), (*frozen).to_owned());
                    assert_eq!(found, wanted, "{place}: {asset} available and frozen");
                }
            }
            [
                "totals",
                asset,
                "available",
                available,
                "in",
                available_count,
                "frozen",
                frozen,
                "in",
                frozen_count,
                "fees",
                fees,
                "supply",
                supply,
            ] => {
                let (id, scale) = self.asset(asset);
                let totals = self.exchange.asset_totals(id);
                let found = [
                    plain(totals.available, scale),
                    totals.available_count.to_string(),
                    plain(totals.frozen, scale),
                    totals.frozen_count.to_string(),
                    plain(totals.fees_collected, scale),
                    plain(totals.supply, scale),
                ];
                let wanted = [available, available_count, frozen, frozen_count, fees, supply];
                assert_eq!(found, wanted, "{place}");
            }
            ["order", number, "filled", base, "for", quote, "fee", fee, "left", left] => {
                let order = self.orders[&self.number(number)];
                let (base_scale, quote_scale) = self.scales(order.market);
                let found = [
                    plain(order.filled_base, base_scale),
                    plain(order.filled_quote, base_scale + quote_scale),
                    plain(order.fee_paid.coefficient, order.fee_paid.scale),
                    self.left(&order),
                ];
                assert_eq!(found, [base, quote, fee, left], "{place}");
            }
            ["order", number, "changed", seconds, "s", "after", "creation"] => {
                let order = self.orders[&self.number(number)];
                let seconds: i64 = seconds.parse().expect("seconds");
                assert_eq!(order.updated_at.0 - order.created_at.0, seconds * 1_000_000, "{place}");
            }
            ["book", side, ref wanted @ ..] => {
                let market = self.market(wanted);
                let book = self.exchange.book(market, self.side(side));
                let found: Vec<String> = book.map(|order| format!("#{}", order.id.0)).collect();
                assert_eq!(found, without_market(wanted), "{place}");
            }
            ["open", user, ref wanted @ ..] => {
                let (user, market) = (self.user(user), self.market(wanted));
                let open = self.exchange.open_orders(user, market);
                let found: Vec<String> = open.map(|order| format!("#{}", order.id.0)).collect();
                assert_eq!(found, without_market(wanted), "{place}");
                assert_eq!(self.exchange.open_order_count(user, market), found.len(), "{place}");
            }
            ["summary", "asks", asks, ask_amount, "bids", bids, bid_amount, ref options @ ..] => {
                let market = self.market(options);
                let (scale, _) = self.scales(market);
                let summary = self.exchange.market_summary(market);
                let found = [
                    summary.ask_count.to_string(),
                    plain(summary.ask_amount, scale),
                    summary.bid_count.to_string(),
                    plain(summary.bid_amount, scale),
                ];
                assert_eq!(found, [asks, ask_amount, bids, bid_amount], "{place}");
            }
            ["depth", "limit", limit, "by", interval, "asks", ref levels @ ..] => {
                let market = self.market(levels);
                let (base_scale, quote_scale) = self.scales(market);
                let interval = parse_fixed(interval, quote_scale).expect("a price");
                let limit = limit.parse().expect("a count");
                let depth = self.exchange.depth(market, limit, interval);
                let told = |levels: &[(i128, i128)]| -> Vec<String> {
                    let level = |&(price, amount): &(i128, i128)| {
                        format!("{}x{}", plain(price, quote_scale), plain(amount, base_scale))
                    };
                    levels.iter().map(level).collect()
                };
                let mut found = told(&depth.asks);
                found.push("bids".into());
                found.extend(told(&depth.bids));
                assert_eq!(found, without_market(levels), "{place}");
            }
            _ => panic!("{place}: no operation: {}", words.join(" ")),
        }
    }

    // Words.

    fn user(&mut self, name: &str) -> UserId {
        let known = self.users.iter().position(|user| user == name);
        let position = known.unwrap_or_else(|| {
            self.users.push(name.into());
            self.users.len() - 1
        });
        UserId(position as u32 + 1)
    }

    fn asset(&self, name: &str) -> (AssetId, u8) {
        let assets = &self.exchange.config().assets;
        let position = assets.iter().position(|asset| asset.name == name);
        let position = position.unwrap_or_else(|| panic!("{}: no asset {name}", self.place));
        (AssetId(position as u16), assets[position].save_scale)
    }

    /// The market that `in` names, or the first; one that does not exist for an unknown name.
    fn market(&self, options: &[&str]) -> MarketId {
        let Some(place) = options.iter().position(|word| *word == "in") else { return MarketId(0) };
        let name = options[place + 1];
        let markets = &self.exchange.config().markets;
        let position = markets.iter().position(|market| market.name == name);
        MarketId(position.map_or(u16::MAX, |position| position as u16))
    }

    fn config(&self, market: MarketId) -> &MarketConfig {
        &self.exchange.config().markets[usize::from(market.0)]
    }

    /// Decimals of amounts and prices; none in a market that does not exist.
    fn scales(&self, market: MarketId) -> (u8, u8) {
        let market = self.exchange.config().markets.get(usize::from(market.0));
        market.map_or((0, 0), |market| (market.base_scale, market.quote_scale))
    }

    fn rate(&self, market: MarketId, text: &str) -> u64 {
        let market = self.exchange.config().markets.get(usize::from(market.0));
        let units = parse_fixed(text, market.map_or(0, |market| market.fee_scale));
        u64::try_from(units.expect("a rate")).expect("a rate")
    }

    fn side(&self, word: &str) -> Side {
        match word {
            "ask" | "asks" => Side::Ask,
            "bid" | "bids" => Side::Bid,
            _ => panic!("{}: {word} is no side", self.place),
        }
    }

    fn left(&self, order: &Order) -> String {
        let (base_scale, quote_scale) = self.scales(order.market);
        let is_money = order.kind == OrderKind::Market && order.side == Side::Bid;
        plain(order.remaining, if is_money { base_scale + quote_scale } else { base_scale })
    }

    fn number(&self, word: &str) -> u64 {
        let number = word.strip_prefix('#').and_then(|digits| digits.parse().ok());
        number.unwrap_or_else(|| panic!("{}: {word} is no order", self.place))
    }

    /// Tables number orders themselves, also those that are refused and take no number.
    fn check_number(&self, word: &str) {
        let next = self.exchange.last_order_id() + 1;
        assert_eq!(self.number(word), next, "{}: the order's number", self.place);
    }
}

fn without_market<'a>(words: &[&'a str]) -> Vec<&'a str> {
    let end = words.iter().position(|word| *word == "in").unwrap_or(words.len());
    words[..end].to_vec()
}

fn squeeze(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn plain(units: i128, scale: u8) -> String {
    let mut text = Vec::new();
    write_stripped(units, scale, &mut text);
    String::from_utf8(text).expect("digits")
}

fn snapshot(exchange: &Exchange) -> Vec<u8> {
    let mut bytes = Vec::new();
    exchange.write_snapshot(&mut |piece| bytes.extend_from_slice(piece));
    bytes
}
