//! States as bytes: whole or refused, and moved from one configuration to another by names.

use viabtc_engine::{
    AssetConfig, AssetId, Command, Config, Decimal, Exchange, MarketConfig, MarketId, OrderId,
    PlaceLimit, RestoreError, Side, Source, Stamp, Time, UpdateBalance, UserId,
};

const BTC: AssetId = AssetId(0);
const BCH: AssetId = AssetId(1);
const MARKET: MarketId = MarketId(0);

/// One, at the eight decimals of amounts, prices and updates.
const ONE: i128 = 100_000_000;

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

fn apply(exchange: &mut Exchange, command: Command) {
    let stamp = Stamp { sequence: exchange.sequence() + 1, time: Time(1) };
    exchange.apply(stamp, &command, &mut Vec::new()).expect("the command can be applied");
}

fn fund(exchange: &mut Exchange, user: u32, asset: AssetId, change: i128) {
    let update = UpdateBalance {
        user: UserId(user),
        asset,
        reason: "deposit".into(),
        reason_id: exchange.sequence(),
        change,
        detail: "{}".into(),
    };
    apply(exchange, Command::UpdateBalance(update));
}

fn limit(exchange: &mut Exchange, user: u32, side: Side, amount: i128, price: i128) {
    let order = PlaceLimit {
        user: UserId(user),
        market: MARKET,
        side,
        amount,
        price,
        taker_fee_rate: 20,
        maker_fee_rate: 10,
        source: Source::new("api").expect("short"),
    };
    apply(exchange, Command::PlaceLimit(order));
}

/// Balances of both assets, a deal, an order that was met in part and rests.
fn traded() -> Exchange {
    let mut exchange = exchange();
    fund(&mut exchange, 1, BTC, 10 * ONE);
    fund(&mut exchange, 2, BCH, 100 * ONE);
    limit(&mut exchange, 1, Side::Ask, ONE, 10 * ONE);
    limit(&mut exchange, 2, Side::Bid, 2 * ONE, 10 * ONE);
    exchange
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

#[test]
fn no_prefix_of_a_snapshot_is_a_state() {
    let exchange = traded();
    let bytes = snapshot(&exchange);
    for length in 0..bytes.len() {
        let refused = restore(exchange.config().clone(), &bytes[..length]);
        assert!(refused.is_err(), "{length} bytes were accepted");
    }
    let mut longer = bytes.clone();
    longer.push(0);
    assert!(restore(exchange.config().clone(), &longer).is_err());
}

/// The digest is what tells replay from life: nothing of the state may be outside of it.
#[test]
fn a_changed_snapshot_is_refused_or_is_a_sound_state_with_another_digest() {
    let exchange = traded();
    let bytes = snapshot(&exchange);
    for bit in 0..bytes.len() * 8 {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        if let Ok(restored) = restore(exchange.config().clone(), &changed) {
            restored.audit().expect("what is restored is sound");
            assert_ne!(restored.digest(), exchange.digest(), "bit {bit}");
        }
    }
}

#[test]
fn a_state_moves_to_a_configuration_by_names() {
    let mut exchange = traded();
    let before = snapshot(&exchange);
    let mut config = exchange.config().clone();
    config.assets.insert(0, AssetConfig { name: "ETH".into(), save_scale: 8, show_scale: 8 });
    config.markets[0].base = AssetId(1);
    config.markets[0].quote = AssetId(2);
    let moved = exchange.clone().reconfigure(config).expect("a new asset changes nothing");
    assert_eq!(moved.balance(UserId(1), AssetId(1)), exchange.balance(UserId(1), BTC));
    assert_eq!(moved.order(MARKET, OrderId(2)).map(|order| order.remaining), Some(100_000_000));
    let back = moved.reconfigure(exchange.config().clone()).expect("it was not used");
    assert!(snapshot(&back) == before);
    exchange = back;
    fund(&mut exchange, 1, BTC, ONE);
}

#[test]
fn a_configuration_that_lacks_what_the_state_uses_is_refused_by_name() {
    let exchange = traded();
    let refused = |change: &dyn Fn(&mut Config)| {
        let mut config = exchange.config().clone();
        change(&mut config);
        match exchange.clone().reconfigure(config) {
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

/// Puts `to` where `from` stands first as a number of 16 bytes.
fn replaced(bytes: &[u8], from: i128, to: i128) -> Vec<u8> {
    let place = bytes.windows(16).position(|window| window == from.to_le_bytes());
    let place = place.expect("the number stands in the snapshot");
    let mut bytes = bytes.to_vec();
    bytes[place..place + 16].copy_from_slice(&to.to_le_bytes());
    bytes
}

/// Each of these is a number that a state could hold, beside others that contradict it.
#[test]
fn a_snapshot_that_contradicts_itself_is_refused_with_the_invariant() {
    let exchange = traded();
    let bytes = snapshot(&exchange);
    let refused = |changed: &[u8]| match restore(exchange.config().clone(), changed) {
        Err(error) => error.to_string(),
        Ok(_) => panic!("it was accepted"),
    };
    // User 1 keeps 9 BTC available, with twelve decimals.
    let available = 9 * 1_000_000_000_000;
    let words = refused(&replaced(&bytes, available, available - 1));
    assert!(words.contains("funds are conserved"), "{words}");
    // User 2 has 10 BCH frozen for his bid of 1, and 80 available, with twenty decimals.
    let one = 100_000_000_000_000_000_000;
    let moved = replaced(&bytes, 10 * one, 10 * one + 1);
    let words = refused(&replaced(&moved, 80 * one, 80 * one - 1));
    assert!(words.contains("frozen funds equal what open orders need"), "{words}");
}

#[test]
fn a_snapshot_with_orders_out_of_priority_is_refused() {
    let mut exchange = exchange();
    fund(&mut exchange, 77, BTC, 10 * ONE);
    limit(&mut exchange, 77, Side::Ask, ONE, 11 * ONE);
    limit(&mut exchange, 77, Side::Ask, ONE, 11 * ONE);
    let bytes = snapshot(&exchange);
    let swapped = {
        // The ids of both orders, each before its owner; balances stand before all orders.
        let id = |id: u64| [id.to_le_bytes(), 77u64.to_le_bytes()].concat();
        let place = |id: &[u8]| bytes.windows(16).rposition(|window| window == id).expect("an id");
        let (first, second) = (place(&id(1)), place(&id(2)));
        let mut bytes = bytes.clone();
        bytes[first..first + 16].copy_from_slice(&id(2));
        bytes[second..second + 16].copy_from_slice(&id(1));
        bytes
    };
    match restore(exchange.config().clone(), &swapped) {
        Err(error) => {
            let words = error.to_string();
            assert!(words.contains("orders stand in priority"), "{words}");
        }
        Ok(_) => panic!("it was accepted"),
    }
}

#[test]
fn a_snapshot_with_updates_out_of_order_is_refused() {
    let mut bytes = snapshot(&traded());
    // The state ends with the remembered updates: a time and a key each, 24 bytes.
    let first = bytes.len() - 2 * 24;
    assert_eq!(bytes[first..first + 8], 1u64.to_le_bytes());
    bytes[first..first + 8].copy_from_slice(&2u64.to_le_bytes());
    let error = restore(exchange().config().clone(), &bytes).unwrap_err();
    assert!(format!("{error}").contains("order of their times"), "{error}");
}
