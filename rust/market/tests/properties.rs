//! Candles against a plain recomputation from all deals: every interval, time zones, restarts from what a
//! store was given, stores that fail, repeated deliveries.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestRunner};
use viabtc_engine::Decimal;
use viabtc_engine::decimal::write_stripped;
use viabtc_market::{Board, Candle, Changes, Deal, Interval, Options, Resolution, Taker, Zone};

/// 2026-03-27, two days before Berlin's clocks change.
const START: i64 = 1_774_600_000;

const PRICE_SCALE: u8 = 2;
const AMOUNT_SCALE: u8 = 4;

const INTERVALS: [i64; 14] =
    [1, 5, 30, 60, 300, 3_600, 7_200, 43_200, 86_400, 172_800, 518_400, 604_800, 2_592_000, 20];

fn zones() -> [Zone; 4] {
    [
        Zone::utc(),
        Zone::new(3_600, &[(1_774_746_000, 7_200), (1_792_890_000, 3_600)]).unwrap(),
        Zone::new(19_800, &[]).unwrap(),
        Zone::new(-18_000, &[(1_774_700_000, -14_400)]).unwrap(),
    ]
}

/// Seed from `VIABTC_SEED`, or a new one; failures print it.
fn runner(cases: u32) -> TestRunner {
    let given = std::env::var("VIABTC_SEED").ok().and_then(|text| text.parse().ok());
    let seed = given.unwrap_or_else(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        now.unwrap_or_default().subsec_nanos().into()
    });
    println!("VIABTC_SEED={seed}");
    let config = ProptestConfig {
        cases,
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    TestRunner::new(config)
}

#[derive(Clone, Debug)]
enum Step {
    /// Seconds after the deal before, price in cents, amount in ten-thousandths.
    Deal(i64, i128, i128),
    /// The last deals come again.
    Again(usize),
    /// The changes are stored.
    Save,
    /// The store is away.
    SaveFails,
    /// A new board is read from the store, and deals that it lacks come again.
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let gap = prop_oneof![
        4 => Just(0i64),
        6 => 0i64..90,
        3 => 60i64..4_000,
        2 => 3_600i64..200_000,
        1 => 86_400i64..4_000_000,
    ];
    prop_oneof![
        20 => (gap, 1i128..2_000_000, 1i128..100_000_000).prop_map(|(gap, price, amount)| {
            Step::Deal(gap, price, amount)
        }),
        2 => (1usize..5).prop_map(Step::Again),
        2 => Just(Step::Save),
        1 => Just(Step::SaveFails),
        1 => Just(Step::Restart),
    ]
}

/// What a store keeps: candles by length and time, newest deals, last price, and how many deals it saw.
#[derive(Clone, Default)]
struct Store {
    candles: BTreeMap<(usize, i64), Candle>,
    deals: Vec<Deal>,
    last: Option<Decimal>,
    position: usize,
}

impl Store {
    fn save(&mut self, board: &Board, changes: &[Changes], position: usize) {
        for change in changes {
            for resolution in Resolution::ALL {
                for &time in &change.candles[resolution as usize] {
                    let candle = board.candle(change.market, resolution, time).unwrap();
                    self.candles.insert((resolution as usize, time), *candle);
                }
            }
            self.deals.extend(board.newest_deals(change.market, change.deals));
            self.last = board.last(change.market);
        }
        self.position = position;
    }

    fn load(&self, options: Options, zone: &Zone) -> Board {
        let mut board = Board::new(options, zone.clone());
        let place = board.list("BTCUSDT");
        for (&(resolution, time), candle) in &self.candles {
            board.restore_candle(place, Resolution::ALL[resolution], time, *candle);
        }
        self.deals.iter().for_each(|deal| board.restore_deal(place, *deal));
        board.restore_last(place, self.last.unwrap_or(Decimal::ZERO));
        board.take_changes();
        board
    }
}

/// What a bucket shows: open, close, high, low, volume, turnover in the units of the test.
fn plain(deals: &[Deal], start: i64, end: i64, is_zero_first: bool) -> Option<[i128; 6]> {
    let before = deals.iter().rfind(|deal| deal.second() < start).map(cents);
    let inside: Vec<&Deal> =
        deals.iter().filter(|deal| (start..end).contains(&deal.second())).collect();
    let Some(first) = inside.first() else {
        return before.map(|price| [price, price, price, price, 0, 0]);
    };
    let first_open = if is_zero_first { 0 } else { cents(first) };
    let open = before.unwrap_or(first_open);
    let prices = || inside.iter().copied().map(cents).chain([open]);
    Some([
        open,
        cents(inside.last().unwrap()),
        prices().max().unwrap(),
        prices().min().unwrap(),
        inside.iter().map(|deal| deal.amount.coefficient).sum(),
        inside.iter().map(|deal| cents(deal) * deal.amount.coefficient).sum(),
    ])
}

fn cents(deal: &Deal) -> i128 {
    deal.price.coefficient / 10i128.pow((deal.price.scale - PRICE_SCALE).into())
}

fn texts(values: [i128; 6]) -> [String; 6] {
    let scales = [
        PRICE_SCALE,
        PRICE_SCALE,
        PRICE_SCALE,
        PRICE_SCALE,
        AMOUNT_SCALE,
        PRICE_SCALE + AMOUNT_SCALE,
    ];
    std::array::from_fn(|index| text(Decimal { coefficient: values[index], scale: scales[index] }))
}

fn texts_of(candle: &Candle) -> [String; 6] {
    [candle.open(), candle.close(), candle.high(), candle.low(), candle.volume(), candle.turnover()]
        .map(text)
}

fn text(value: Decimal) -> String {
    let mut out = Vec::new();
    write_stripped(value.coefficient, value.scale, &mut out);
    String::from_utf8(out).unwrap()
}

fn play(steps: &[Step], options: Options, zone: &Zone) -> (Board, Vec<Deal>, i64) {
    let mut store = Store::default();
    let mut board = store.load(options, zone);
    let (mut deals, mut time) = (Vec::new(), START);
    for step in steps {
        match *step {
            Step::Deal(gap, price, amount) => {
                time += gap;
                // The decimals of a market may be changed while it trades.
                let more = (price % 7) as u8;
                let price = price * 10i128.pow(more.into());
                let deal = Deal {
                    id: deals.len() as u64 + 1,
                    time: time * 1_000_000 + 17,
                    price: Decimal { coefficient: price, scale: PRICE_SCALE + more },
                    amount: Decimal { coefficient: amount, scale: AMOUNT_SCALE },
                    taker: Taker::Buys,
                };
                assert!(board.apply(0, &deal));
                deals.push(deal);
            }
            Step::Again(count) => {
                for deal in deals.iter().rev().take(count).rev() {
                    assert!(!board.apply(0, deal), "a repeated deal is not counted");
                }
            }
            Step::Save => {
                let changes = board.take_changes();
                store.save(&board, &changes, deals.len());
            }
            Step::SaveFails => {
                let changes = board.take_changes();
                board.put_back(&changes);
            }
            Step::Restart => {
                board = store.load(options, zone);
                for deal in &deals[store.position..] {
                    assert!(board.apply(0, deal));
                }
            }
        }
    }
    (board, deals, time)
}

#[test]
fn candles_of_any_interval_equal_a_plain_recomputation() {
    let keeps_all = Options {
        sec_max: 400_000_000,
        min_max: 40_000_000,
        hour_max: 400_000,
        first_candle_zero: false,
    };
    let input = (
        prop::collection::vec(step(), 1..60),
        0usize..4,
        prop::sample::select(&INTERVALS[..]),
        0.0f64..1.0,
        1i64..120,
        any::<bool>(),
    );
    runner(400)
        .run(&input, |(steps, zone, interval, place, count, first_candle_zero)| {
            let zone = &zones()[zone];
            let options = Options { first_candle_zero, ..keeps_all };
            let (board, deals, time) = play(&steps, options, zone);
            let now = time + 1;
            let start = START + ((time - START) as f64 * place) as i64;
            let end = (start + count * interval).min(now);
            let mut rows = Vec::new();
            let is_asked = board.kline(0, (start, end), interval, now, &mut |time, candle| {
                rows.push((time, texts_of(candle)));
            });
            prop_assert!(is_asked);
            let grid = Interval::new(interval).unwrap();
            let mut bucket = grid.bucket(start, zone);
            let mut expected = Vec::new();
            let oldest = bucket.start - 30 * 86_400;
            while bucket.start <= end {
                // A price before the first bucket is looked for 30 days back only where days are asked.
                let is_days = grid.resolution() == Resolution::Day;
                let last = if grid == Interval::Month { end + 1 } else { i64::MAX };
                let from = match grid {
                    Interval::Month => start - 30 * 86_400,
                    _ if is_days => oldest,
                    _ => i64::MIN,
                };
                let day_of = |deal: &Deal| zone.day_start(zone.day_of(deal.second()));
                let seen: Vec<Deal> = if is_days {
                    deals.iter().filter(|deal| day_of(deal) < last).copied().collect()
                } else {
                    deals.clone()
                };
                let is_known = seen.iter().any(|deal| {
                    let at = if is_days { day_of(deal) } else { deal.second() };
                    at >= from && deal.second() < bucket.end
                });
                let is_first = seen.first().is_some_and(|deal| deal.second() >= bucket.start);
                if bucket.start < bucket.end
                    && is_known
                    && let Some(values) =
                        plain(&seen, bucket.start, bucket.end, first_candle_zero && is_first)
                {
                    expected.push((bucket.start, texts(values)));
                }
                bucket = grid.next(&bucket, zone);
            }
            prop_assert_eq!(rows, expected);
            Ok(())
        })
        .unwrap();
}

#[test]
fn figures_of_a_period_equal_a_plain_recomputation() {
    let input = (prop::collection::vec(step(), 1..60), 0usize..4, 1i64..604_800, 0i64..4_000);
    runner(300)
        .run(&input, |(steps, zone, period, later)| {
            let zone = &zones()[zone];
            let (board, deals, time) = play(&steps, Options::default(), zone);
            let now = time + later;
            let status = board.status(0, period, now).unwrap();
            let ours = status.candle.map(|candle| texts_of(&candle));
            // Deals from the period's start; the running second and minute count in whole.
            let end = ((now + 59).div_euclid(60) * 60).max((now - period).div_euclid(60) * 60 + 60);
            let inside = deals.iter().any(|deal| (now - period..end).contains(&deal.second()));
            let theirs = if inside { plain(&deals, now - period, end, false) } else { None };
            prop_assert_eq!(ours, theirs.map(texts));
            prop_assert_eq!(status.last, deals.last().map(|deal| deal.price));

            let today = board.today(0, now);
            let midnight = zone.day_start(zone.day_of(now));
            let day_of = |deal: &Deal| zone.day_start(zone.day_of(deal.second()));
            let known = deals.iter().any(|deal| day_of(deal) >= midnight - 30 * 86_400);
            let prices = if known { plain(&deals, midnight, i64::MAX, false) } else { None };
            let ours = today.prices.map(|candle| texts_of(&candle)[..4].to_vec());
            prop_assert_eq!(ours, prices.map(|values| texts(values)[..4].to_vec()));
            Ok(())
        })
        .unwrap();
}
