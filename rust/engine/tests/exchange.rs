//! Business rules through the public interface; the invariants are audited after every command.

use viabtc_engine::decimal::parse_fixed;
use viabtc_engine::{
    AssetConfig, AssetId, CancelOrder, Command, Config, Decimal, Event, Events, Exchange,
    MarketConfig, MarketId, Order, OrderId, PlaceLimit, PlaceMarket, Rejection, RestoreError, Side,
    Source, Stamp, Time, UpdateBalance, UserId,
};

const BTC: AssetId = AssetId(0);
const BCH: AssetId = AssetId(1);
const MARKET: MarketId = MarketId(0);

fn exchange() -> Exchange {
    let asset =
        |name: &str, save_scale| AssetConfig { name: name.into(), save_scale, show_scale: 8 };
    let market = MarketConfig {
        name: "BTCBCH".into(),
        base: BTC,
        quote: BCH,
        base_scale: 8,
        quote_scale: 8,
        fee_scale: 4,
        min_amount: Decimal { coefficient: 1, scale: 3 },
    };
    let config = Config {
        assets: vec![asset("BTC", 12), asset("BCH", 20)],
        markets: vec![market],
        update_window: 1_000_000,
    };
    Exchange::new(config.validate().expect("a sound configuration"))
}

struct Play {
    exchange: Exchange,
    reason_id: u64,
    time: i64,
}

impl Play {
    fn new() -> Play {
        Play { exchange: exchange(), reason_id: 0, time: 1 }
    }

    fn apply(&mut self, command: &Command) -> Result<Events, Rejection> {
        let stamp = Stamp { sequence: self.exchange.sequence() + 1, time: Time(self.time) };
        let mut events = Events::new();
        let outcome = self.exchange.apply(stamp, command, &mut events);
        self.exchange.audit().expect("invariants hold after every command");
        outcome.map(|()| events)
    }

    fn fund(&mut self, user: u32, asset: AssetId, change: &str) -> Result<Events, Rejection> {
        self.reason_id += 1;
        self.update(user, asset, self.reason_id, change)
    }

    fn update(
        &mut self,
        user: u32,
        asset: AssetId,
        reason_id: u64,
        change: &str,
    ) -> Result<Events, Rejection> {
        self.apply(&Command::UpdateBalance(UpdateBalance {
            user: UserId(user),
            asset,
            reason: "deposit".into(),
            reason_id,
            change: parse_fixed(change, 8).expect("a number"),
            detail: "{}".into(),
        }))
    }

    fn limit(
        &mut self,
        user: u32,
        side: Side,
        amount: &str,
        price: &str,
        taker: u64,
        maker: u64,
    ) -> Result<Events, Rejection> {
        self.apply(&Command::PlaceLimit(PlaceLimit {
            user: UserId(user),
            market: MARKET,
            side,
            amount: parse_fixed(amount, 8).expect("a number"),
            price: parse_fixed(price, 8).expect("a number"),
            taker_fee_rate: taker,
            maker_fee_rate: maker,
            source: Source::new("api").expect("short"),
        }))
    }

    fn market(
        &mut self,
        user: u32,
        side: Side,
        amount: &str,
        fee: u64,
    ) -> Result<Events, Rejection> {
        self.apply(&Command::PlaceMarket(PlaceMarket {
            user: UserId(user),
            market: MARKET,
            side,
            amount: parse_fixed(amount, 8).expect("a number"),
            taker_fee_rate: fee,
            source: Source::new("api").expect("short"),
        }))
    }

    fn cancel(&mut self, user: u32, order: u64) -> Result<Events, Rejection> {
        self.apply(&Command::CancelOrder(CancelOrder {
            user: UserId(user),
            market: MARKET,
            order: OrderId(order),
        }))
    }
}

fn last_order(events: &Events) -> Order {
    match events.last() {
        Some(Event::Order(event)) => event.order,
        other => panic!("the last event carries the order, not {other:?}"),
    }
}

/// Source: the worked example of the matching rules (matchengine 5.6), recorded from the original.
#[test]
fn the_worked_example_comes_out_to_the_last_decimal() {
    let mut play = Play::new();
    play.fund(1, BTC, "100").expect("deposit");
    play.fund(2, BCH, "1000").expect("deposit");
    play.limit(2, Side::Bid, "1", "10", 20, 10).expect("rests");
    play.limit(2, Side::Bid, "2.5", "9.5", 20, 15).expect("rests");
    let frozen = play.exchange.balance(UserId(2), BCH).frozen;
    assert_eq!(frozen, Some(parse_fixed("33.75", 20).expect("a number")));

    let events = play.limit(1, Side::Ask, "2", "9.5", 20, 10).expect("takes");
    let deals: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::Deal(deal) => {
                Some((deal.id.0, deal.price, deal.amount, deal.ask.fee, deal.bid.fee))
            }
            _ => None,
        })
        .collect();
    let decimal = |coefficient, scale| Decimal { coefficient, scale };
    assert_eq!(
        deals,
        [
            (
                1,
                1_000_000_000,
                100_000_000,
                decimal(2_000_000_000_000_000_000, 20),
                decimal(1_000_000_000, 12)
            ),
            (
                2,
                950_000_000,
                100_000_000,
                decimal(1_900_000_000_000_000_000, 20),
                decimal(1_500_000_000, 12)
            ),
        ]
    );
    let taker = last_order(&events);
    assert_eq!((taker.remaining, taker.filled_base), (0, 200_000_000));
    assert_eq!(taker.filled_quote, parse_fixed("19.5", 16).expect("a number"));
    assert_eq!(taker.fee_paid.units_floor(20), parse_fixed("0.039", 20).expect("a number"));

    play.limit(1, Side::Ask, "5", "11.00000001", 0, 0).expect("rests");
    let order = last_order(&play.market(2, Side::Bid, "20", 10).expect("takes"));
    assert_eq!(order.filled_base, 181_818_181);
    assert_eq!(order.filled_quote, 199_999_999_281_818_181);
    assert_eq!(order.remaining, 718_181_819);
    assert_eq!(order.fee_paid.units_floor(11), 181_818_181);
}

#[test]
fn rejections_come_in_the_order_of_the_original_and_change_nothing() {
    let mut play = Play::new();
    play.fund(1, BTC, "1").expect("deposit");
    assert_eq!(play.limit(1, Side::Ask, "2", "1", 0, 0), Err(Rejection::BalanceNotEnough));
    assert_eq!(play.limit(1, Side::Ask, "0.0001", "1", 0, 0), Err(Rejection::AmountTooSmall));
    assert_eq!(play.market(1, Side::Ask, "2", 0), Err(Rejection::BalanceNotEnough));
    assert_eq!(play.market(1, Side::Ask, "0.0001", 0), Err(Rejection::NoEnoughTrader));
    assert_eq!(play.cancel(1, 1), Err(Rejection::OrderNotFound));
    assert_eq!(
        play.limit(1, Side::Ask, "1000000000", "100000", 0, 0),
        Err(Rejection::InvalidArgument)
    );
    assert_eq!((play.exchange.sequence(), play.exchange.last_order_id()), (1, 0));
    play.limit(1, Side::Ask, "1", "1", 0, 0).expect("rests");
    assert_eq!(play.cancel(2, 1), Err(Rejection::UserNotMatch));
}

#[test]
fn an_update_takes_effect_once_within_the_window() {
    let mut play = Play::new();
    play.update(1, BTC, 7, "1").expect("first");
    assert_eq!(play.update(1, BTC, 7, "1"), Err(Rejection::RepeatUpdate));
    play.update(2, BTC, 7, "1").expect("another user");
    play.time += 1_000_001;
    play.update(1, BTC, 7, "1").expect("the window has passed");
    assert_eq!(play.exchange.balance(UserId(1), BTC).available, Some(2_000_000_000_000));
}

#[test]
fn supply_stays_below_ten_to_the_fourteenth() {
    let mut play = Play::new();
    play.fund(1, BTC, "99999999999999").expect("below the bound");
    assert_eq!(play.fund(2, BTC, "1"), Err(Rejection::InvalidArgument));
    assert_eq!(play.fund(2, BTC, "-1"), Err(Rejection::BalanceNotEnough));
    // 10^33 of the smallest units: more than any sum, and no more than not enough.
    assert_eq!(play.fund(1, BCH, "-9999999999999999999999"), Err(Rejection::BalanceNotEnough));
}

#[test]
fn cancel_gives_back_exactly_what_placing_froze() {
    let mut play = Play::new();
    play.fund(1, BCH, "10").expect("deposit");
    let before = play.exchange.balance(UserId(1), BCH);
    play.limit(1, Side::Bid, "3", "3.33333333", 0, 0).expect("rests");
    let events = play.cancel(1, 1).expect("cancels");
    assert!(matches!(&events[..], [Event::Order(event)] if !event.is_recorded));
    assert_eq!(play.exchange.balance(UserId(1), BCH), before);
}

#[test]
fn depth_rounds_asks_up_and_bids_down() {
    let mut play = Play::new();
    play.fund(1, BTC, "10").expect("deposit");
    play.fund(1, BCH, "100").expect("deposit");
    for price in ["10.1", "10.4", "10.5", "10.6"] {
        play.limit(1, Side::Ask, "1", price, 0, 0).expect("rests");
    }
    play.limit(1, Side::Bid, "1", "9.9", 0, 0).expect("rests");
    play.limit(1, Side::Bid, "1", "0.3", 0, 0).expect("rests");
    let depth = play.exchange.depth(MARKET, 2, 50_000_000);
    assert_eq!(depth.asks, [(1_050_000_000, 300_000_000), (1_100_000_000, 100_000_000)]);
    assert_eq!(depth.bids, [(950_000_000, 100_000_000), (0, 100_000_000)]);
    let depth = play.exchange.depth(MARKET, 2, i128::MAX);
    assert_eq!(depth.asks, [(i128::MAX, 400_000_000)]);
    assert_eq!(depth.bids, [(0, 200_000_000)]);
}

fn snapshot(exchange: &Exchange) -> Vec<u8> {
    let mut bytes = Vec::new();
    exchange.write_snapshot(&mut |piece| bytes.extend_from_slice(piece));
    bytes
}

fn restore(config: Config, bytes: &[u8]) -> Result<Exchange, RestoreError> {
    let mut rest = bytes;
    Exchange::restore(config, &mut |buffer| {
        let count = buffer.len().min(rest.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        rest = &rest[count..];
        count
    })
}

fn traded() -> Play {
    let mut play = Play::new();
    play.fund(1, BTC, "10").expect("deposit");
    play.fund(2, BCH, "100").expect("deposit");
    play.limit(1, Side::Ask, "1", "10", 20, 10).expect("rests");
    play.limit(2, Side::Bid, "2", "10", 20, 10).expect("deals and rests");
    play
}

#[test]
fn no_prefix_of_a_snapshot_is_a_state() {
    let play = traded();
    let bytes = snapshot(&play.exchange);
    for length in 0..bytes.len() {
        let refused = restore(play.exchange.config().clone(), &bytes[..length]);
        assert!(refused.is_err(), "{length} bytes were accepted");
    }
    let mut longer = bytes.clone();
    longer.push(0);
    assert!(restore(play.exchange.config().clone(), &longer).is_err());
}

#[test]
fn a_changed_snapshot_is_refused_or_is_a_sound_state() {
    let play = traded();
    let bytes = snapshot(&play.exchange);
    for bit in 0..bytes.len() * 8 {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        if let Ok(exchange) = restore(play.exchange.config().clone(), &changed) {
            exchange.audit().expect("what is restored is sound");
        }
    }
}

#[test]
fn a_state_moves_to_a_configuration_by_names() {
    let mut play = traded();
    let before = snapshot(&play.exchange);
    let mut config = play.exchange.config().clone();
    config.assets.insert(0, AssetConfig { name: "ETH".into(), save_scale: 8, show_scale: 8 });
    config.markets[0].base = AssetId(1);
    config.markets[0].quote = AssetId(2);
    let moved = play.exchange.clone().reconfigure(config).expect("a new asset changes nothing");
    assert_eq!(moved.balance(UserId(1), AssetId(1)), play.exchange.balance(UserId(1), BTC));
    assert_eq!(moved.order(MARKET, OrderId(2)).map(|order| order.remaining), Some(100_000_000));
    let back = moved.reconfigure(play.exchange.config().clone()).expect("it was not used");
    assert!(snapshot(&back) == before);
    play.exchange = back;
    play.fund(1, BTC, "1").expect("goes on");
}

#[test]
fn a_configuration_that_lacks_what_the_state_uses_is_refused_by_name() {
    let play = traded();
    let refused = |change: &dyn Fn(&mut Config)| {
        let mut config = play.exchange.config().clone();
        change(&mut config);
        match play.exchange.clone().reconfigure(config) {
            Err(RestoreError::Config(words)) => words,
            other => panic!("not refused: {:?}", other.map(|exchange| exchange.digest())),
        }
    };
    assert!(refused(&|config| config.assets[0].save_scale = 13).contains("prec_save of asset BTC"));
    assert!(
        refused(&|config| config.assets[0].name = "XBT".into()).contains("asset BTC is missing")
    );
    assert!(refused(&|config| config.markets[0].quote_scale = 7).contains("market BTCBCH"));
    let words = refused(&|config| config.markets.clear());
    assert!(words.contains("market BTCBCH is missing") && words.contains("open orders"));
}

#[test]
fn a_refused_command_changes_nothing() {
    let mut play = traded();
    play.time += 5_000_000;
    let before = (snapshot(&play.exchange), play.exchange.digest());
    assert!(play.fund(1, BTC, "-1000").is_err());
    assert!(play.limit(1, Side::Ask, "1000", "1", 0, 0).is_err());
    assert!(play.market(2, Side::Bid, "1", 0).is_err());
    assert!(play.cancel(1, 2).is_err());
    assert!((snapshot(&play.exchange), play.exchange.digest()) == before);
}
