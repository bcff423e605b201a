//! The rules of the board one by one, with the examples of the specification.

use viabtc_engine::Decimal;
use viabtc_engine::decimal::{write_plain, write_stripped};
use viabtc_market::{Board, Candle, Deal, Options, Resolution, Taker, Zone};

const NOW: i64 = 1_795_426_796;

fn decimal(text: &str) -> Decimal {
    Decimal::parse(text).unwrap()
}

fn text(value: Decimal) -> String {
    let mut out = Vec::new();
    write_stripped(value.coefficient, value.scale, &mut out);
    String::from_utf8(out).unwrap()
}

fn row(candle: &Candle) -> String {
    let values = [
        candle.open(),
        candle.close(),
        candle.high(),
        candle.low(),
        candle.volume(),
        candle.turnover(),
    ];
    values.map(text).join(" ")
}

fn deal(id: u64, second: i64, price: &str, amount: &str) -> Deal {
    let time = second * 1_000_000 + 607_996;
    Deal { id, time, price: decimal(price), amount: decimal(amount), taker: Taker::Buys }
}

fn kline(board: &Board, range: (i64, i64), interval: i64, now: i64) -> Option<Vec<(i64, String)>> {
    let mut rows = Vec::new();
    let is_asked = board.kline(0, range, interval, now, &mut |time, candle| {
        rows.push((time, row(candle)));
    });
    is_asked.then_some(rows)
}

/// A listed market with the specification's three first deals.
fn example(first_candle_zero: bool) -> Board {
    let options = Options { first_candle_zero, ..Options::default() };
    let mut board = Board::new(options, Zone::utc());
    board.list("BTCUSDT");
    for (id, amount) in [(1, "0.5"), (2, "0.2"), (3, "0.3")] {
        assert!(board.apply(0, &deal(id, 1_795_426_496, "50000.00000000", amount)));
    }
    board
}

#[test]
fn the_observed_examples_are_answered_as_observed() {
    let board = example(true);
    let first = "0 50000 50000 0 1 50000";
    let hour = kline(&board, (NOW - 7_200, NOW), 3_600, NOW).unwrap();
    assert_eq!(hour, [(1_795_424_400, first.to_owned())]);
    let week = kline(&board, (NOW - 7_200, NOW), 604_800, NOW).unwrap();
    assert_eq!(week, [(1_795_392_000, first.to_owned())]);
    let month = kline(&board, (NOW - 7_200, NOW), 2_592_000, NOW).unwrap();
    assert_eq!(month, [(1_793_491_200, first.to_owned())]);
    let status = board.status(0, 86_400, NOW).unwrap();
    assert_eq!(row(&status.candle.unwrap()), first);
    let today = board.today(0, NOW);
    assert_eq!(row(&today.prices.unwrap()), first);
    let mut last = Vec::new();
    let price = board.last(0).unwrap();
    write_plain(price.coefficient, price.scale, &mut last);
    assert_eq!(last, b"50000.00000000", "the last price keeps its digits");
}

#[test]
fn a_first_candle_opens_at_its_first_deal_unless_the_original_is_asked_for() {
    let board = example(false);
    let day = kline(&board, (NOW - 60, NOW), 86_400, NOW).unwrap();
    assert_eq!(day[0].1, "50000 50000 50000 50000 1 50000");
    // A market that its first deal makes known opens at that deal in either case.
    let options = Options { first_candle_zero: true, ..Options::default() };
    let mut board = Board::new(options, Zone::utc());
    let place = board.place_or_new("NEW");
    board.apply(place, &deal(1, NOW, "7", "1"));
    assert_eq!(kline(&board, (NOW - 60, NOW), 60, NOW).unwrap()[0].1, "7 7 7 7 1 7");
}

#[test]
fn a_candle_opens_at_the_price_before_it() {
    let mut board = example(false);
    board.apply(0, &deal(4, 1_795_426_499, "49990", "1"));
    let rows = kline(&board, (1_795_426_496, 1_795_426_499), 1, NOW).unwrap();
    let texts: Vec<&str> = rows.iter().map(|(_, text)| &**text).collect();
    assert_eq!(
        texts,
        [
            "50000 50000 50000 50000 1 50000",
            "50000 50000 50000 50000 0 0",
            "50000 50000 50000 50000 0 0",
            "50000 49990 50000 49990 1 49990",
        ]
    );
}

#[test]
fn a_market_without_deals_answers_with_nothing() {
    let mut board = Board::new(Options::default(), Zone::utc());
    let place = board.list("ETHUSDT");
    assert_eq!(board.place("NOPE"), None);
    assert_eq!(board.last(place), None);
    assert_eq!(board.status(place, 60, NOW).unwrap().candle, None);
    let today = board.today(place, NOW);
    assert_eq!((today.prices, today.sums), (None, None));
    assert_eq!(kline(&board, (1, NOW), 60, NOW), Some(Vec::new()));
}

#[test]
fn what_cannot_be_asked_is_refused() {
    let board = example(false);
    for (range, interval) in [
        ((0, NOW), 60),
        ((-5, NOW), 60),
        ((NOW, NOW - 1), 60),
        ((1, 0), 60),
        ((1, -1), 60),
        ((NOW + 1, NOW + 2), 60),
        ((i64::MAX, i64::MAX), 60),
        ((1, NOW), 0),
        ((1, NOW), -60),
        ((1, NOW), 7),
        ((1, NOW), 90),
        ((1, NOW), 604_801),
    ] {
        assert_eq!(kline(&board, range, interval, NOW), None, "{range:?} {interval}");
    }
    for period in [0, -1, 604_801, i64::MAX, i64::MIN] {
        assert_eq!(board.status(0, period, NOW), None);
    }
    assert!(board.status(0, 604_800, NOW).is_some());
}

#[test]
fn ranges_end_now_and_begin_where_candles_are_kept() {
    let options = Options { sec_max: 100, min_max: 10, hour_max: 5, first_candle_zero: false };
    let mut board = Board::new(options, Zone::utc());
    board.list("BTCUSDT");
    let base = NOW.div_euclid(3_600) * 3_600;
    board.apply(0, &deal(1, base - 40_000, "5", "1"));
    board.apply(0, &deal(2, base - 50, "6", "1"));
    let now = base + 20;
    let seconds = kline(&board, (1, i64::MAX), 1, now).unwrap();
    assert_eq!(seconds.first().unwrap().0, base - 50, "the older price is out of reach");
    assert_eq!(seconds.last().unwrap().0, now);
    let hours = kline(&board, (1, i64::MAX), 3_600, now).unwrap();
    assert_eq!(hours.first().unwrap(), &(base - 3_600, "5 6 6 5 1 6".to_owned()));
    assert_eq!(hours.len(), 2);

    board.clean(now);
    assert_eq!(board.candles(0, Resolution::Second).iter().len(), 1);
    assert_eq!(board.candles(0, Resolution::Minute).iter().len(), 1);
    assert_eq!(board.candles(0, Resolution::Hour).iter().len(), 1);
    assert_eq!(board.candles(0, Resolution::Day).iter().len(), 2, "days are kept for ever");
    board.clean(now + 51);
    assert_eq!(board.candles(0, Resolution::Second).iter().len(), 0);
}

#[test]
fn the_price_before_days_is_looked_for_30_days_back() {
    let mut board = Board::new(Options::default(), Zone::utc());
    board.list("BTCUSDT");
    let day = NOW.div_euclid(86_400) * 86_400;
    board.apply(0, &deal(1, day - 30 * 86_400, "5", "1"));
    assert_eq!(kline(&board, (day, day), 86_400, NOW).unwrap()[0].1, "5 5 5 5 0 0");
    assert_eq!(kline(&board, (day + 86_400, day + 86_400), 86_400, day + 90_000), Some(Vec::new()));
    let today = board.today(0, NOW);
    assert_eq!(row(&today.prices.unwrap()), "5 5 5 5 0 0");
    assert_eq!(board.today(0, NOW + 86_400).prices, None);
}

#[test]
fn a_month_shows_no_days_beyond_the_end() {
    let mut board = Board::new(Options::default(), Zone::utc());
    board.list("BTCUSDT");
    let first = 1_793_491_200; // 2026-11-01
    board.apply(0, &deal(1, first + 5, "5", "1"));
    board.apply(0, &deal(2, first + 2 * 86_400, "6", "1"));
    let short = kline(&board, (first, first + 86_400), 2_592_000, NOW).unwrap();
    assert_eq!(short, [(first, "5 5 5 5 1 5".to_owned())]);
    let week = kline(&board, (first, first), 604_800, NOW).unwrap();
    let monday = first - 6 * 86_400;
    assert_eq!(week, [(monday, "5 5 5 5 1 5".to_owned())], "1 November 2026 was a Sunday");
}

#[test]
fn recent_deals_come_newest_first_and_end_at_the_last_known() {
    let mut board = Board::new(Options::default(), Zone::utc());
    board.list("BTCUSDT");
    for id in 1..=10_005 {
        board.apply(0, &deal(id, NOW, "5", "1"));
    }
    let ids = |limit, last| board.deals(0, limit, last).map(|deal| deal.id).collect::<Vec<_>>();
    assert_eq!(ids(3, 0), [10_005, 10_004, 10_003]);
    assert_eq!(ids(10, 10_003), [10_005, 10_004]);
    assert_eq!(ids(20_000, 0).len(), 10_000);
    assert!(ids(10, u64::MAX).is_empty());
}

#[test]
fn a_deal_counts_once_and_a_reused_id_with_another_time_counts() {
    let mut board = example(false);
    assert!(!board.apply(0, &deal(2, 1_795_426_496, "50000.00000000", "0.2")));
    assert!(board.apply(0, &deal(2, 1_795_426_500, "50001", "0.2")), "a crashed original's id");
    assert_eq!(text(board.status(0, 86_400, NOW).unwrap().candle.unwrap().volume()), "1.2");
}

#[test]
fn a_late_deal_goes_to_its_own_bucket() {
    let mut board = example(false);
    board.apply(0, &deal(4, 1_795_426_500, "50010", "1"));
    board.apply(0, &deal(5, 1_795_426_498, "50020", "1"));
    let rows = kline(&board, (1_795_426_497, 1_795_426_500), 1, NOW).unwrap();
    assert_eq!(rows[1], (1_795_426_498, "50010 50020 50020 50010 1 50020".to_owned()));
    assert_eq!(rows[3].1, "50000 50010 50010 50000 1 50010");
    assert_eq!(text(board.last(0).unwrap()), "50020");
}

#[test]
fn what_a_store_did_not_take_comes_again_with_what_is_new() {
    let mut board = example(false);
    let lost = board.take_changes();
    assert_eq!((lost[0].deals, lost[0].candles[0].len()), (3, 1));
    assert!(board.take_changes().is_empty());
    board.apply(0, &deal(4, 1_795_426_500, "50010", "1"));
    board.put_back(&lost);
    let changes = board.take_changes();
    assert_eq!(changes[0].deals, 4);
    assert_eq!(changes[0].candles[0], [1_795_426_496, 1_795_426_500]);
    board.put_back_all();
    let changes = board.take_changes();
    assert_eq!((changes[0].deals, changes[0].candles.each_ref().map(Vec::len)), (4, [2, 2, 1, 1]));
}

#[test]
fn a_store_that_is_away_costs_no_more_than_the_candles() {
    let options = Options { sec_max: 50, ..Options::default() };
    let mut board = Board::new(options, Zone::utc());
    board.list("BTCUSDT");
    for id in 1..=10_000u64 {
        let second = NOW + id.cast_signed();
        board.apply(0, &deal(id, second, "5", "1"));
        board.clean(second);
    }
    let changes = board.take_changes();
    assert_eq!(changes[0].candles[0].len(), 51);
    assert!(changes[0].candles[1].len() <= 168);
}

#[test]
fn days_of_23_and_25_hours_hold_their_own_deals() {
    let berlin = Zone::new(3_600, &[(1_774_746_000, 7_200), (1_792_890_000, 3_600)]).unwrap();
    for (hours, midnight) in [(23, 1_774_738_800i64), (25, 1_792_879_200)] {
        let mut board = Board::new(Options::default(), berlin.clone());
        board.list("BTCUSDT");
        let next = midnight + hours * 3_600;
        for (id, second) in (1..).zip([midnight - 1, midnight, next - 1, next]) {
            board.apply(0, &deal(id, second, "5", &id.to_string()));
        }
        let now = next + 86_399;
        let days = kline(&board, (midnight - 1, next), 86_400, now).unwrap();
        let volumes: Vec<_> =
            days.iter().map(|(time, row)| (*time, row.split(' ').nth(4).unwrap())).collect();
        assert_eq!(volumes, [(midnight - 86_400, "1"), (midnight, "5"), (next, "4")]);
        let steps = kline(&board, (midnight, next), 43_200, now).unwrap();
        let starts: Vec<i64> = steps.iter().map(|(time, _)| time - midnight).collect();
        match hours {
            23 => assert_eq!(starts, [0, 43_200, 82_800]),
            _ => assert_eq!(starts, [0, 43_200, 86_400, 90_000]),
        }
    }
}

#[test]
fn longer_candles_are_made_of_the_next_shorter_ones() {
    let berlin = Zone::new(3_600, &[(1_774_746_000, 7_200), (1_792_890_000, 3_600)]).unwrap();
    let mut whole = Board::new(Options::default(), berlin.clone());
    whole.list("BTCUSDT");
    // Over a midnight that comes 23 hours after the one before.
    for id in 1..=500u64 {
        let second = 1_774_738_700 + id.cast_signed() * 331;
        let price = (1_000 + id * 7_919 % 101).to_string();
        whole.apply(0, &deal(id, second, &price, "0.5"));
    }
    for shortest in [Resolution::Second, Resolution::Minute, Resolution::Hour] {
        let mut derived = Board::new(Options::default(), berlin.clone());
        derived.list("BTCUSDT");
        for (time, candle) in whole.candles(0, shortest).iter() {
            derived.restore_candle(0, shortest, time, *candle);
        }
        derived.derive_longer(0);
        for resolution in &Resolution::ALL[shortest as usize..] {
            let ours: Vec<_> = derived.candles(0, *resolution).iter().collect();
            let theirs: Vec<_> = whole.candles(0, *resolution).iter().collect();
            assert_eq!(ours, theirs, "{resolution:?} of {shortest:?}");
        }
    }
}

#[test]
fn deals_of_far_times_stay_in_their_own_buckets() {
    let mut board = example(false);
    let end_of_times = 253_402_300_799;
    board.apply(0, &deal(4, 1, "1", "1"));
    board.apply(0, &deal(5, end_of_times, "900000", "1"));
    board.apply(0, &deal(6, NOW - 1, "50001", "1"));
    // What is asked for now knows nothing of them, but that a candle opens at the price before it.
    let rows = kline(&board, (NOW - 10, NOW), 1, NOW).unwrap();
    assert_eq!(rows.last().unwrap().1, "50001 50001 50001 50001 0 0");
    let status = board.status(0, 86_400, NOW).unwrap();
    assert_eq!(text(status.candle.unwrap().volume()), "2");
    assert_eq!(text(board.today(0, NOW).sums.unwrap().volume()), "2");
    assert_eq!(board.deals(0, 10, 0).map(|deal| deal.id).collect::<Vec<_>>(), [6, 5, 4, 3, 2, 1]);
    let days: Vec<i64> = board.candles(0, Resolution::Day).iter().map(|(time, _)| time).collect();
    assert_eq!(days, [0, 1_795_392_000, end_of_times - 86_399]);
    board.clean(NOW);
    assert_eq!(board.candles(0, Resolution::Second).iter().next().unwrap().0, 1_795_426_496);
    assert_eq!(board.candles(0, Resolution::Day).iter().len(), 3);
    // A month of many years of nothing costs no more than its rows.
    assert_eq!(kline(&board, (1, NOW), 2_592_000, NOW).unwrap().len(), 683);
}
