//! Laws that hold whatever the orders are, needing no second engine: what is done can be undone, what is
//! independent can be reordered, what is repeated comes out the same, and no unit of money is special.
//!
//! `VIABTC_SEED` repeats a run.

mod workload;

use viabtc_engine::decimal::power_of_ten;
use viabtc_engine::{
    AssetConfig, AssetId, Balance, CancelOrder, Command, Config, Decimal, Event, Events, Exchange,
    MarketConfig, MarketId, Order, OrderId, PlaceLimit, PlaceMarket, Rejection, Side, Source,
    Stamp, Time, UpdateBalance, UserId,
};
use workload::{Random, Workload, seed, settings};

fn apply(exchange: &mut Exchange, time: Time, command: &Command) -> Result<Events, Rejection> {
    let stamp = Stamp { sequence: exchange.sequence() + 1, time };
    let mut events = Vec::new();
    exchange.apply(stamp, command, &mut events).map(|()| events)
}

fn snapshot(exchange: &Exchange) -> Vec<u8> {
    let mut bytes = Vec::new();
    exchange.write_snapshot(&mut |piece| bytes.extend_from_slice(piece));
    bytes
}

/// Both sides of all markets, without what tells when an order came.
fn books(exchange: &Exchange) -> Vec<Vec<Order>> {
    let markets = 0..exchange.config().markets.len() as u16;
    let sides = markets.flat_map(|market| [(market, Side::Ask), (market, Side::Bid)]);
    sides
        .map(|(market, side)| {
            let orders = exchange.book(MarketId(market), side);
            orders.map(|order| Order { id: OrderId(0), ..order }).collect()
        })
        .collect()
}

#[test]
fn cancelling_what_was_just_placed_changes_nothing() {
    let seed = seed();
    for (stream, setting) in settings().into_iter().enumerate() {
        let mut exchange = Exchange::new(setting.config);
        let mut workload = Workload::new(&exchange, Random::new(seed, stream as u64));
        let mut undone = 0;
        for _ in 0..4_000 {
            let (time, command) = workload.next(&exchange);
            let before = (exchange.balances(), books(&exchange));
            let Ok(events) = apply(&mut exchange, time, &command) else { continue };
            if let (Command::PlaceLimit(place), [Event::Order(event)]) = (&command, &events[..]) {
                let (user, market, order) = (place.user, place.market, event.order.id);
                let cancel = Command::CancelOrder(CancelOrder { user, market, order });
                // A clone forgets; the workload goes on with the order in the book.
                let mut other = exchange.clone();
                apply(&mut other, time, &cancel).expect("it rests");
                assert!((other.balances(), books(&other)) == before, "{}", setting.name);
                undone += 1;
            }
        }
        assert!(undone > 200, "{}: {undone} orders rested at once", setting.name);
    }
}

#[test]
fn what_is_applied_again_comes_out_the_same() {
    let seed = seed();
    for (stream, setting) in settings().into_iter().enumerate() {
        let mut exchange = Exchange::new(setting.config.clone());
        let mut workload = Workload::new(&exchange, Random::new(seed, stream as u64));
        let mut journal = Vec::new();
        while journal.len() < 3_000 {
            let (time, command) = workload.next(&exchange);
            if let Ok(events) = apply(&mut exchange, time, &command) {
                journal.push((time, command, events, exchange.digest()));
            }
        }
        let mut again = Exchange::new(setting.config);
        for (time, command, events, digest) in &journal {
            assert_eq!(apply(&mut again, *time, command).as_ref(), Ok(events), "{}", setting.name);
            assert_eq!(again.digest(), *digest, "{}", setting.name);
        }
        assert!(snapshot(&again) == snapshot(&exchange), "{}", setting.name);
    }
}

/// Two markets that share no asset; amounts and prices of four decimals, so that no fee is cut.
fn two_markets() -> Config {
    let asset = |name: &str| AssetConfig { name: name.into(), save_scale: 16, show_scale: 8 };
    let market = |name: &str, base: u16| MarketConfig {
        name: name.into(),
        base: AssetId(base),
        quote: AssetId(base + 1),
        base_scale: 4,
        quote_scale: 4,
        fee_scale: 4,
        min_amount: Decimal::ZERO,
    };
    let config = Config {
        assets: vec![asset("A"), asset("B"), asset("C"), asset("D")],
        markets: vec![market("AB", 0), market("CD", 2)],
        update_window: 1,
    };
    config.validate().expect("a sound configuration")
}

/// What can be asked of one market, before orders have numbers.
#[derive(Clone, Copy)]
enum Step {
    Fund {
        user: u32,
        asset: u16,
        change: i128,
    },
    Limit {
        user: u32,
        side: Side,
        amount: i128,
        price: i128,
        fees: [u64; 2],
    },
    Market {
        user: u32,
        side: Side,
        amount: i128,
        fee: u64,
    },
    /// Cancels the order that the step of this number made, if there is one.
    Cancel {
        user: u32,
        of: usize,
    },
}

const USERS: u64 = 6;
const ONE: i128 = 10_000;

fn steps(random: &mut Random, count: usize) -> Vec<Step> {
    let mut steps = Vec::new();
    for user in 0..USERS as u32 {
        for asset in 0..2 {
            steps.push(Step::Fund { user, asset, change: 1_000 * 100_000_000 });
        }
    }
    while steps.len() < count {
        let user = random.below(USERS) as u32;
        let side = if random.below(2) == 0 { Side::Ask } else { Side::Bid };
        let amount = 1 + random.wide(5 * ONE);
        steps.push(match random.below(10) {
            0 => Step::Market { user, side, amount, fee: random.below(100) },
            1..4 => Step::Cancel { user, of: random.index(steps.len()) },
            _ => {
                let price = 45 * ONE + random.wide(10 * ONE);
                let fees = [random.below(100), random.below(100)];
                Step::Limit { user, side, amount, price, fees }
            }
        });
    }
    steps
}

/// Plays steps of several markets, keeping track of the orders that each of them made.
struct Player {
    exchange: Exchange,
    /// By market: the order of each step.
    made: [Vec<Option<OrderId>>; 2],
    /// Multiplies prices and whatever is quote.
    money: i128,
}

impl Player {
    fn new(money: i128) -> Player {
        Player { exchange: Exchange::new(two_markets()), made: [Vec::new(), Vec::new()], money }
    }

    fn play(&mut self, market: u16, step: Step) {
        let made = &mut self.made[usize::from(market)];
        let source = Source::new("").expect("empty");
        let (user, id) = (|user: u32| UserId(user + 100 * u32::from(market)), MarketId(market));
        let command = match step {
            Step::Fund { user: owner, asset, change } => Command::UpdateBalance(UpdateBalance {
                user: user(owner),
                asset: AssetId(2 * market + asset),
                reason: "deposit".into(),
                reason_id: made.len() as u64,
                change: if asset == 1 { change * self.money } else { change },
                detail: "{}".into(),
            }),
            Step::Limit { user: owner, side, amount, price, fees } => {
                Command::PlaceLimit(PlaceLimit {
                    user: user(owner),
                    market: id,
                    side,
                    amount,
                    price: price * self.money,
                    taker_fee_rate: fees[0],
                    maker_fee_rate: fees[1],
                    source,
                })
            }
            Step::Market { user: owner, side, amount, fee } => Command::PlaceMarket(PlaceMarket {
                user: user(owner),
                market: id,
                side,
                amount: if side == Side::Bid { amount * 50 * self.money } else { amount },
                taker_fee_rate: fee,
                source,
            }),
            Step::Cancel { user: owner, of } => Command::CancelOrder(CancelOrder {
                user: user(owner),
                market: id,
                order: made[of].unwrap_or(OrderId(u64::MAX)),
            }),
        };
        let before = self.exchange.last_order_id();
        // A refusal is as much an outcome as a deal: the ends are compared.
        let _ = apply(&mut self.exchange, Time(1), &command);
        let after = self.exchange.last_order_id();
        made.push((after > before).then_some(OrderId(after)));
    }
}

#[test]
fn markets_without_a_common_asset_do_not_feel_each_other() {
    let seed = seed();
    let mut random = Random::new(seed, 0);
    let flows = [steps(&mut random, 2_000), steps(&mut random, 2_000)];
    let mut one_after_the_other = Player::new(1);
    for (market, flow) in [0, 1].into_iter().zip(&flows) {
        flow.iter().for_each(|step| one_after_the_other.play(market, *step));
    }
    for _ in 0..8 {
        let mut mixed = Player::new(1);
        let mut rests = [flows[0].iter(), flows[1].iter()];
        loop {
            let market = random.index(2);
            match rests[market].next() {
                Some(step) => mixed.play(market as u16, *step),
                None if rests[1 - market].len() == 0 => break,
                None => {}
            }
        }
        let (a, b) = (&one_after_the_other.exchange, &mixed.exchange);
        assert_eq!(a.balances(), b.balances());
        assert_eq!(books(a), books(b));
        assert_eq!((a.last_order_id(), a.last_deal_id()), (b.last_order_id(), b.last_deal_id()));
    }
    assert!(one_after_the_other.exchange.last_deal_id() > 500);
}

#[test]
fn ten_times_the_prices_and_the_money_is_the_same_trade() {
    let seed = seed();
    let flow = steps(&mut Random::new(seed, 1), 3_000);
    let (mut cheap, mut dear) = (Player::new(1), Player::new(10));
    for step in flow {
        cheap.play(0, step);
        dear.play(0, step);
    }
    let scaled = |balance: Balance, asset: AssetId| {
        let money = if asset == AssetId(1) { 10 } else { 1 };
        let times = |value: Option<i128>| value.map(|units| units * money);
        Balance { available: times(balance.available), frozen: times(balance.frozen) }
    };
    let expected: Vec<_> = cheap
        .exchange
        .balances()
        .into_iter()
        .map(|(user, asset, balance)| (user, asset, scaled(balance, asset)))
        .collect();
    assert_eq!(dear.exchange.balances(), expected);
    for side in [Side::Ask, Side::Bid] {
        let filled = |exchange: &Exchange, money: i128| -> Vec<_> {
            let orders = exchange.book(MarketId(0), side);
            orders
                .map(|o| {
                    (o.id, o.price * money, o.remaining, o.filled_base, o.filled_quote * money)
                })
                .collect()
        };
        assert_eq!(filled(&dear.exchange, 1), filled(&cheap.exchange, 10));
    }
    assert!(cheap.exchange.last_deal_id() > 500);
}

#[test]
fn an_order_in_two_halves_ends_as_the_whole_one() {
    let seed = seed();
    let mut random = Random::new(seed, 2);
    let mut player = Player::new(1);
    let mut compared = 0;
    for step in steps(&mut random, 3_000) {
        if let Step::Limit { user, side, amount, price, fees } = step
            && amount > 1
        {
            let part = |exchange: &mut Exchange, amount: i128| {
                let order = PlaceLimit {
                    user: UserId(user),
                    market: MarketId(0),
                    side,
                    amount,
                    price,
                    taker_fee_rate: fees[0],
                    maker_fee_rate: fees[1],
                    source: Source::ABSENT,
                };
                apply(exchange, Time(1), &Command::PlaceLimit(order)).is_ok()
            };
            let (mut whole, mut halves) = (player.exchange.clone(), player.exchange.clone());
            if part(&mut whole, amount) {
                let first = 1 + random.wide(amount - 1);
                assert!(part(&mut halves, first) && part(&mut halves, amount - first));
                assert_eq!(whole.balances(), halves.balances());
                assert_eq!(whole.depth(MarketId(0), 101, 0), halves.depth(MarketId(0), 101, 0));
                for asset in [AssetId(0), AssetId(1)] {
                    assert_eq!(whole.asset_totals(asset), halves.asset_totals(asset));
                }
                compared += 1;
            }
        }
        player.play(0, step);
    }
    assert!(compared > 500, "{compared} orders were split");
}

#[test]
fn an_interval_above_every_price_is_one_level() {
    let mut player = Player::new(1);
    for step in steps(&mut Random::new(1, 3), 200) {
        player.play(0, step);
    }
    let summary = player.exchange.market_summary(MarketId(0));
    assert!(summary.ask_count > 1 && summary.bid_count > 1);
    for interval in [power_of_ten(30), i128::MAX] {
        let depth = player.exchange.depth(MarketId(0), 101, interval);
        assert_eq!(depth.asks, [(interval, summary.ask_amount)]);
        assert_eq!(depth.bids, [(0, summary.bid_amount)]);
    }
}
