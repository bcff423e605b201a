//! An exchange whose configuration file is edited between two starts, at any moment of any life: funds,
//! orders, halts and names stay with who has them, and what the edit would cut is refused.
//!
//! `VIABTC_SEED` repeats a run.

mod workload;

use std::collections::BTreeMap;

use viabtc_engine::{
    AssetConfig, AssetId, CancelOrder, Command, Config, Decimal, Exchange, MarketConfig, MarketId,
    Order, Side, Stamp, UserId,
};
use workload::{Random, Workload, seed, settings};

/// Commands of a life.
const COMMANDS: u64 = 2_000;

/// Commands between two edits.
const EDITED_EVERY: u64 = 200;

/// What belongs to whom, by names.
#[derive(PartialEq, Debug)]
struct Holdings {
    /// Supply, available, frozen and collected fees of each asset.
    assets: BTreeMap<String, [i128; 4]>,
    accounts: BTreeMap<(UserId, String), (Option<i128>, Option<i128>)>,
    /// Orders of each market in their order, and whether it is halted.
    books: BTreeMap<String, (Vec<Order>, bool)>,
    names: usize,
}

impl Holdings {
    /// Those of `exchange`, without assets and markets that `known` does not have.
    fn of(exchange: &Exchange, known: &Config) -> Holdings {
        let config = exchange.config();
        let name = |asset: AssetId| config.assets[usize::from(asset.0)].name.clone();
        let is_known = |name: &String| known.assets.iter().any(|asset| asset.name == *name);
        let assets = (0..config.assets.len() as u16).map(AssetId).filter(|id| is_known(&name(*id)));
        let accounts = exchange.balances().into_iter().map(|(user, asset, balance)| {
            ((user, name(asset)), (balance.available, balance.frozen))
        });
        let markets = known.markets.iter().map(|market| {
            let place = config.markets.iter().position(|other| other.name == market.name);
            let id = MarketId(place.expect("an edit takes no market away") as u16);
            let orders =
                [Side::Ask, Side::Bid].into_iter().flat_map(|side| exchange.book(id, side));
            let orders = orders.map(|order| Order { market: MarketId(0), ..order }).collect();
            (market.name.clone(), (orders, exchange.is_halted(id)))
        });
        Holdings {
            assets: assets
                .map(|id| {
                    let totals = exchange.asset_totals(id);
                    let sums = [totals.supply, totals.available, totals.frozen];
                    (name(id), [sums[0], sums[1], sums[2], totals.fees_collected])
                })
                .collect(),
            accounts: accounts.collect(),
            books: markets.collect(),
            names: exchange.names(),
        }
    }
}

fn shuffle<T>(items: &mut [T], random: &mut Random) {
    for end in (1..items.len()).rev() {
        items.swap(end, random.index(end + 1));
    }
}

/// The same assets and markets in another order, with one more of each and other least amounts.
fn edited(config: &Config, random: &mut Random) -> Config {
    let name = |asset: AssetId| config.assets[usize::from(asset.0)].name.clone();
    let mut assets = config.assets.clone();
    assets.push(AssetConfig { name: "EDIT".into(), save_scale: 20, show_scale: 8 });
    shuffle(&mut assets, random);
    let place = |name: &str| {
        let place = assets.iter().position(|asset| asset.name == name);
        AssetId(place.expect("it was kept") as u16)
    };
    let mut markets: Vec<MarketConfig> = config
        .markets
        .iter()
        .map(|market| MarketConfig {
            base: place(&name(market.base)),
            quote: place(&name(market.quote)),
            min_amount: Decimal { coefficient: random.wide(10), scale: 2 },
            ..market.clone()
        })
        .collect();
    markets.push(MarketConfig {
        name: "EDITED".into(),
        base: place("EDIT"),
        quote: place(&config.assets[0].name),
        base_scale: 0,
        quote_scale: 0,
        fee_scale: 0,
        min_amount: Decimal::ZERO,
    });
    shuffle(&mut markets, random);
    Config { assets, markets, ..config.clone() }.validate().expect("a sound edit")
}

fn snapshot(exchange: &Exchange) -> Vec<u8> {
    let mut bytes = Vec::new();
    exchange.write_snapshot(&mut |piece| bytes.extend_from_slice(piece));
    bytes
}

/// Decimals of funds, and markets with orders, are not taken away; how many edits that was tried with.
fn assert_nothing_is_cut(exchange: &Exchange, name: &str) -> usize {
    let mut refused = 0;
    for index in 0..exchange.config().assets.len() {
        let mut config = exchange.config().clone();
        let asset = &mut config.assets[index];
        if exchange.asset_totals(AssetId(index as u16)).supply == 0 || asset.save_scale == 0 {
            continue;
        }
        asset.save_scale -= 1;
        asset.show_scale = asset.show_scale.min(asset.save_scale);
        // A market of it may need them all the same: then no file can ask for this.
        let Ok(config) = config.validate() else { continue };
        assert!(exchange.clone().reconfigure(config).is_err(), "{name}: asset {index} was cut");
        refused += 1;
    }
    for index in 0..exchange.config().markets.len() {
        let summary = exchange.market_summary(MarketId(index as u16));
        if summary.ask_count + summary.bid_count == 0 {
            continue;
        }
        let mut config = exchange.config().clone();
        config.markets.remove(index);
        assert!(exchange.clone().reconfigure(config).is_err(), "{name}: market {index} is gone");
        refused += 1;
    }
    refused
}

fn cancel_everything(exchange: &mut Exchange, workload: &mut Workload) {
    for market in (0..exchange.config().markets.len() as u16).map(MarketId) {
        for side in [Side::Ask, Side::Bid] {
            let orders: Vec<Order> = exchange.book(market, side).collect();
            for order in orders {
                let (time, _) = workload.next(exchange);
                let cancel = CancelOrder { user: order.user, market, order: order.id };
                let stamp = Stamp { sequence: exchange.sequence() + 1, time };
                let cancel = Command::CancelOrder(cancel);
                exchange.apply(stamp, &cancel, &mut Vec::new()).expect("it is open");
            }
        }
    }
}

#[test]
fn whatever_is_edited_everybody_keeps_what_they_have() {
    let seed = seed();
    let (mut refused, mut orders, mut lived) = (0, 0, 0);
    for (stream, setting) in settings().into_iter().enumerate() {
        let mut exchange = Exchange::new(setting.config);
        let mut workload = Workload::new(&exchange, Random::new(seed, stream as u64));
        let mut random = Random::new(seed, 100 + stream as u64);
        for number in 1..=COMMANDS {
            let (time, command) = workload.next(&exchange);
            let stamp = Stamp { sequence: exchange.sequence() + 1, time };
            // A refusal is an outcome like any other.
            let _ = exchange.apply(stamp, &command, &mut Vec::new());
            if number % EDITED_EVERY > 0 {
                continue;
            }
            let known = exchange.config().clone();
            if known.assets.iter().any(|asset| asset.name == "EDIT") {
                continue;
            }
            refused += assert_nothing_is_cut(&exchange, setting.name);
            let before = (Holdings::of(&exchange, &known), snapshot(&exchange));
            let moved = exchange
                .reconfigure(edited(&known, &mut random))
                .unwrap_or_else(|error| panic!("{}: {error}", setting.name));
            moved.audit().unwrap_or_else(|violation| panic!("{}: {violation}", setting.name));
            assert_eq!(Holdings::of(&moved, &known), before.0, "{}", setting.name);
            orders += before.0.books.values().map(|(orders, _)| orders.len()).sum::<usize>();
            // Half of the edits are taken back, and the others are lived with.
            exchange = if random.is(50) || number < COMMANDS / 2 {
                let back = moved.reconfigure(known).expect("what was added is not used");
                assert!(snapshot(&back) == before.1, "{}: an edit left a trace", setting.name);
                back
            } else {
                lived += 1;
                // The other one would send orders again by the numbers that markets had before.
                workload = Workload::new(&moved, Random::new(seed, 200 + stream as u64));
                moved
            };
        }
        cancel_everything(&mut exchange, &mut workload);
        exchange.audit().unwrap_or_else(|violation| panic!("{}: {violation}", setting.name));
        for asset in (0..exchange.config().assets.len() as u16).map(AssetId) {
            let totals = exchange.asset_totals(asset);
            assert_eq!(totals.frozen, 0, "{}: {asset:?} stays frozen", setting.name);
            assert_eq!(totals.supply, totals.available + totals.fees_collected, "{}", setting.name);
        }
    }
    println!("{refused} edits refused, {orders} orders moved, {lived} edits lived with");
    assert!(refused > 20 && orders > 50 && lived > 0, "{refused}, {orders}, {lived}");
}
