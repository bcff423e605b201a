//! The engine against the naive one: the same random commands, and after each of them the same events or
//! the same rejection; now and then everything that can be asked.
//!
//! `VIABTC_COMMANDS` sets the number of commands (200,000 without it), `VIABTC_SEED` repeats a run.

mod naive;
mod workload;

use std::collections::{BTreeMap, BTreeSet};

use naive::Naive;
use viabtc_engine::decimal::power_of_ten;
use viabtc_engine::{
    AssetId, Command, Config, Event, Exchange, MarketId, OrderId, Rejection, Side, Stamp, Time,
};
use workload::{Random, Workload, seed, settings};

const COMMANDS_DEFAULT: u64 = 200_000;

/// Most commands from an empty exchange on.
const EPISODE: u64 = 40_000;

/// Commands between two comparisons of everything.
const COMPARED_EVERY: u64 = 64;

/// Commands between two audits.
const AUDITED_EVERY: u64 = 512;

/// Commands after which the engine goes on from its own snapshot.
const RESTORED_EVERY: u64 = 2_048;

/// Every reason for which a kind of command can be refused. The method table of the wire has a code for each.
const REJECTIONS: [(&str, &[Rejection]); 6] = [
    (
        "update balance",
        &[Rejection::InvalidArgument, Rejection::RepeatUpdate, Rejection::BalanceNotEnough],
    ),
    (
        "place limit",
        &[
            Rejection::InvalidArgument,
            Rejection::BalanceNotEnough,
            Rejection::AmountTooSmall,
            Rejection::MarketHalted,
        ],
    ),
    (
        "place market",
        &[
            Rejection::InvalidArgument,
            Rejection::BalanceNotEnough,
            Rejection::NoEnoughTrader,
            Rejection::AmountTooSmall,
            Rejection::MarketHalted,
        ],
    ),
    (
        "cancel order",
        &[Rejection::InvalidArgument, Rejection::OrderNotFound, Rejection::UserNotMatch],
    ),
    (
        "place once",
        &[
            Rejection::InvalidArgument,
            Rejection::BalanceNotEnough,
            Rejection::NoEnoughTrader,
            Rejection::AmountTooSmall,
            Rejection::MarketHalted,
            Rejection::RepeatOrder,
        ],
    ),
    (
        "change",
        &[
            Rejection::InvalidArgument,
            Rejection::NameTaken,
            Rejection::Unchanged,
            Rejection::NotPossible,
        ],
    ),
];

fn kind(command: &Command) -> &'static str {
    match command {
        Command::UpdateBalance(_) => "update balance",
        Command::PlaceLimit(_) => "place limit",
        Command::PlaceMarket(_) => "place market",
        Command::CancelOrder(_) => "cancel order",
        Command::Change(_) => "change",
        Command::PlaceOnce(_) => "place once",
    }
}

/// Both engines, and what was seen.
struct Trial {
    setting: &'static str,
    exchange: Exchange,
    naive: Naive,
    applied: u64,
    /// Commands of our own kinds that were accepted.
    changes: u64,
    /// By kind of command and name.
    rejected: BTreeMap<(&'static str, &'static str), u64>,
    deals: u64,
    self_trades: u64,
    /// The command at work: what a panic of the engine was about.
    current: Option<(Time, Command)>,
}

impl Drop for Trial {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("setting {:?}, command {}: {:?}", self.setting, self.applied, self.current);
        }
    }
}

impl Trial {
    fn new(setting: &'static str, config: Config) -> Trial {
        Trial {
            setting,
            exchange: Exchange::new(config.clone()),
            naive: Naive::new(config),
            applied: 0,
            changes: 0,
            rejected: BTreeMap::new(),
            deals: 0,
            self_trades: 0,
            current: None,
        }
    }

    fn apply(&mut self, time: Time, command: Command) {
        let stamp = Stamp { sequence: self.exchange.sequence() + 1, time };
        self.current = Some((time, command.clone()));
        let mut events = Vec::new();
        let before = self.exchange.digest();
        if let Command::PlaceOnce(place) = &command {
            assert_eq!(
                self.exchange.placed_once(place, time),
                self.naive.placed_once(time, place),
                "what a name led to"
            );
        }
        // Whatever a command asks for, reading ahead for it finds its way.
        self.exchange.warm([&command].into_iter());
        let outcome = self.exchange.apply(stamp, &command, &mut events);
        if outcome.is_err() {
            assert_eq!(self.exchange.digest(), before, "a refused command changes nothing");
            assert_eq!(events, [], "a refused command makes no events");
        }
        let expected = self.naive.apply(time, &command);
        assert_eq!(outcome.map(|()| events), expected);
        match &expected {
            Ok(events) => {
                self.count(events);
                self.changes += u64::from(matches!(command, Command::Change(_)));
            }
            Err(rejection) => {
                *self.rejected.entry((kind(&command), rejection.name())).or_default() += 1;
            }
        }
        self.applied += 1;
    }

    fn count(&mut self, events: &[Event]) {
        for event in events {
            if let Event::Deal(deal) = event {
                self.deals += 1;
                self.self_trades += u64::from(deal.ask.user == deal.bid.user);
            }
        }
    }

    /// Everything that can be asked has the same answer.
    fn compare(&self, random: &mut Random) {
        let Trial { exchange, naive, .. } = self;
        assert_eq!((exchange.last_order_id(), exchange.last_deal_id()), naive.counters());
        let accepted = self.applied - self.rejected.values().sum::<u64>();
        assert_eq!(exchange.sequence(), accepted);
        assert_eq!(exchange.operlog_id(), accepted - self.changes, "our own kinds are not logged");
        assert_eq!(exchange.config(), naive.config());
        assert_eq!(exchange.balances(), naive.balances());
        for asset in 0..exchange.config().assets.len() as u16 {
            let asset = AssetId(asset);
            assert_eq!(exchange.asset_totals(asset), naive.asset_totals(asset), "{asset:?}");
        }
        for market in 0..exchange.config().markets.len() as u16 {
            self.compare_market(MarketId(market), random);
        }
    }

    fn compare_market(&self, market: MarketId, random: &mut Random) {
        let Trial { exchange, naive, .. } = self;
        assert_eq!(exchange.is_halted(market), naive.is_halted(market), "{market:?}");
        assert_eq!(exchange.market_summary(market), naive.market_summary(market), "{market:?}");
        let mut users = Vec::new();
        for side in [Side::Ask, Side::Bid] {
            let orders: Vec<_> = exchange.book(market, side).collect();
            assert_eq!(orders, naive.book(market, side), "{market:?} {side:?}");
            for order in orders {
                assert_eq!(exchange.order(market, order.id), Some(order));
                users.push(order.user);
            }
        }
        assert_eq!(exchange.order(market, OrderId(exchange.last_order_id() + 1)), None);
        users.sort_unstable();
        users.dedup();
        for user in users {
            let orders = naive.open_orders(user, market);
            assert_eq!(exchange.open_order_count(user, market), orders.len());
            assert_eq!(exchange.open_orders(user, market).collect::<Vec<_>>(), orders);
        }
        let one =
            power_of_ten(u32::from(exchange.config().markets[usize::from(market.0)].quote_scale));
        let interval = match random.below(4) {
            0 => 0,
            1 => 1 + random.wide(one),
            2 => one * (1 + random.wide(60)),
            _ => 1,
        };
        let limit = random.index(102);
        assert_eq!(
            exchange.depth(market, limit, interval),
            naive.depth(market, limit, interval),
            "{market:?}, limit {limit}, interval {interval}"
        );
    }

    /// Goes on from the snapshot: what follows proves that nothing was left out.
    fn restore(&mut self) {
        let bytes = snapshot(&self.exchange);
        let restored = restored(self.exchange.config().clone(), &bytes);
        assert_eq!(restored.digest(), self.exchange.digest());
        assert!(snapshot(&restored) == bytes, "equal states give equal bytes");
        self.exchange = restored;
    }
}

fn snapshot(exchange: &Exchange) -> Vec<u8> {
    let mut bytes = Vec::new();
    exchange.write_snapshot(&mut |piece| bytes.extend_from_slice(piece));
    bytes
}

fn restored(config: Config, bytes: &[u8]) -> Exchange {
    let mut rest = bytes;
    Exchange::restore(config, &mut |buffer| {
        let count = buffer.len().min(rest.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        rest = &rest[count..];
        count
    })
    .expect("a snapshot that was just written")
}

fn commands() -> u64 {
    match std::env::var("VIABTC_COMMANDS") {
        Ok(text) => text.parse().expect("VIABTC_COMMANDS is a number"),
        Err(_) => COMMANDS_DEFAULT,
    }
}

/// Runs one setting's share of the commands, in episodes that begin with nothing: after many commands a few
/// users own nearly everything, and the others can no longer trade.
fn agree(index: usize) {
    let mut seeds = Random::new(seed(), index as u64);
    let share = commands().div_ceil(settings().len() as u64);
    let mut done = 0;
    while done < share {
        let count = EPISODE.min(share - done);
        let setting = settings().into_iter().nth(index).expect("a setting of this number");
        episode(Trial::new(setting.name, setting.config), count, &mut seeds);
        done += count;
    }
}

fn episode(mut trial: Trial, count: u64, seeds: &mut Random) {
    let mut workload = Workload::new(&trial.exchange, Random::new(seeds.word(), 0));
    let mut random = Random::new(seeds.word(), 0);
    for number in 1..=count {
        let (time, command) = workload.next(&trial.exchange);
        trial.apply(time, command);
        if number % COMPARED_EVERY == 0 || number == count {
            trial.compare(&mut random);
        }
        if number % AUDITED_EVERY == 0 || number == count {
            trial.exchange.audit().unwrap_or_else(|violation| panic!("{violation}"));
        }
        if number % RESTORED_EVERY == 0 {
            trial.restore();
        }
    }
    println!(
        "{}: {count} commands, {} deals, {} with oneself, {} changes, refused {:?}",
        trial.setting, trial.deals, trial.self_trades, trial.changes, trial.rejected
    );
    // A run of this length that hardly met one of these was no trial. Some have a third of what is usual, when
    // few come to own nearly everything early.
    if count == EPISODE {
        assert!(trial.deals > count / 200, "{} deals", trial.deals);
        assert!(trial.changes > count / 4_000, "{} changes", trial.changes);
        assert!(trial.self_trades > count / 2_000, "{} self trades", trial.self_trades);
        let expected = REJECTIONS.iter().flat_map(|(kind, rejections)| {
            rejections.iter().map(move |rejection| (*kind, rejection.name()))
        });
        let met: BTreeSet<_> = trial.rejected.keys().copied().collect();
        assert_eq!(met, expected.collect(), "what commands can be refused with, and nothing else");
    }
}

#[test]
fn both_agree_with_the_usual_decimals() {
    agree(0);
}

#[test]
fn both_agree_on_whole_numbers() {
    agree(1);
}

#[test]
fn both_agree_with_twenty_decimals() {
    agree(2);
}

#[test]
fn both_agree_with_four_decimals() {
    agree(3);
}

#[test]
fn both_agree_on_products_beyond_34_digits() {
    agree(4);
}
